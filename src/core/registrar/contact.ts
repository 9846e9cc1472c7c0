/** What a REGISTER asks for: its Contacts, their expiry, and which device each one is (RFC 3261 §10.2, §10.3). */

import { headerParam, type NameAddr, parseNameAddr, setHeaderParam } from '../../sip/address.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import { parseUri, type SipUri, uriParam } from '../../sip/uri.ts'
import type { PushParams } from '../model.ts'
import { type PushDefaults, pushParams, queriedProvider } from './push-params.ts'

/** RFC 3261 §10.2: used where the phone names no expiry, or a malformed one (RFC 4475 §3.1.2.4). */
export const DEFAULT_EXPIRES_SEC = 3600
/** RFC 3261 §20.19: an expiry has 32 bits. */
const MAX_EXPIRES_SEC = 2 ** 32 - 1

/** A REGISTER with more Contacts than this is no phone. */
export const MAX_CONTACTS = 10

/** Longest Contact URI kept: linphone's with every push parameter has 700 characters. */
export const MAX_CONTACT_LENGTH = 2_000

/** One Contact of a REGISTER. */
export interface AskedContact {
	/** The value as it came. */
	readonly value: NameAddr
	readonly deviceKey: string
	readonly expiresSec: number
	readonly push: PushParams | undefined
	/** The push provider it asks about, '' for all (RFC 8599 §4.1.5); undefined where it does not ask. */
	readonly query: string | undefined
	/** `+sip.pnsreg`: it refreshes its binding by itself where it is told when (RFC 8599 §8.5). */
	readonly refreshes: boolean
}

export type Asked =
	| { readonly kind: 'bindings'; readonly contacts: readonly AskedContact[] }
	/** `Contact: *` with Expires 0: remove all. */
	| { readonly kind: 'remove-all' }
	/** No Contact: what is bound? */
	| { readonly kind: 'query' }
	| { readonly kind: 'fault'; readonly sentence: string }

/** The binding of a device key, as far as it is known already. */
export type BoundContacts = (
	deviceKey: string,
) => { readonly contact: string; readonly push: PushParams | undefined } | undefined

const NOTHING_BOUND: BoundContacts = () => undefined

export function askedOf(register: SipMessage, defaults: PushDefaults, bound: BoundContacts = NOTHING_BOUND): Asked {
	const values = register.list(Header.Contact)
	if (values.length === 0) return { kind: 'query' }
	if (values.length > MAX_CONTACTS) return { kind: 'fault', sentence: 'Too Many Contacts' }
	const expires = deltaSeconds(register.first(Header.Expires))
	if (values.includes('*')) return star(values, expires)
	const contacts: AskedContact[] = []
	for (const value of values) {
		const contact = askedContact(value, expires ?? DEFAULT_EXPIRES_SEC, defaults, bound)
		if (contact === undefined) return { kind: 'fault', sentence: 'Malformed Contact' }
		contacts.push(contact)
	}
	return { kind: 'bindings', contacts: oneForEachDevice(contacts) }
}

/**
 * A phone whose address changed may say `<new>, <old>;expires=0`: two Contacts of one device. What it wants bound counts,
 * and of several such the last.
 */
function oneForEachDevice(contacts: readonly AskedContact[]): readonly AskedContact[] {
	if (contacts.length === 1) return contacts
	const byKey = new Map<string, AskedContact>()
	for (const contact of contacts) {
		if (contact.expiresSec > 0 || !byKey.has(contact.deviceKey)) byKey.set(contact.deviceKey, contact)
	}
	return [...byKey.values()]
}

/** RFC 3261 §10.3 step 6. */
function star(values: readonly string[], expires: number | undefined): Asked {
	if (values.length === 1 && expires === 0) return { kind: 'remove-all' }
	return { kind: 'fault', sentence: 'Contact * Needs Expires 0 And Must Be Alone' }
}

function askedContact(
	value: string,
	defaultSec: number,
	defaults: PushDefaults,
	bound: BoundContacts,
): AskedContact | undefined {
	const nameAddr = parseNameAddr(value)
	if (nameAddr === undefined || nameAddr.uri.length > MAX_CONTACT_LENGTH) return undefined
	const param = headerParam(nameAddr.params, 'expires')
	const expiresSec = param === undefined ? defaultSec : (deltaSeconds(param ?? undefined) ?? DEFAULT_EXPIRES_SEC)
	const instance = headerParam(nameAddr.params, '+sip.instance')
	const key = instance ? `i:${instance.toLowerCase()}` : undefined
	const refreshes = headerParam(nameAddr.params, '+sip.pnsreg') !== undefined
	/* a refresh, nearly always: what this very URI says is known */
	const known = key === undefined ? undefined : bound(key)
	if (key !== undefined && known?.push !== undefined && known.contact === nameAddr.uri)
		return { value: nameAddr, deviceKey: key, expiresSec, push: known.push, query: undefined, refreshes }
	const uri = parseUri(nameAddr.uri)
	if (uri === undefined) return undefined
	/* the same phone at another address, as it wakes: its parameters say what they said */
	const push = (known && isMoved(known.contact, uri) ? known.push : undefined) ?? pushParams(uri.params, defaults)
	return {
		value: nameAddr,
		deviceKey: key ?? keyWithoutInstance(uri, push),
		expiresSec,
		push,
		query: push === undefined ? queriedProvider(uri.params) : undefined,
		refreshes,
	}
}

/** The same parameters, all of them, behind another address. A `;` in the user part may say no, and costs a reading. */
function isMoved(contact: string, { params }: SipUri): boolean {
	return params !== '' && contact.indexOf(';') === contact.length - params.length && contact.endsWith(params)
}

/** Never IP:port, which changes with every network: instance, else push token, else user and transport. */
function keyWithoutInstance(uri: SipUri, push: PushParams | undefined): string {
	if (push !== undefined) return `p:${push.prid.reveal()}`
	return `c:${uri.user ?? ''};${(uriParam(uri.params, 'transport') ?? 'udp').toLowerCase()}`
}

/** The Contact as the phone sent it, with the expiry it has got. */
export function shownContact(contact: AskedContact, sec: number): string {
	const { display, uri, params } = contact.value
	const name = display === '' ? '' : `"${display.replace(/["\\]/g, '\\$&')}" `
	return `${name}<${uri}>${setHeaderParam(params, 'expires', `${sec}`)}`
}

/** RFC 3261 §25.1 delta-seconds; undefined when absent, malformed or above 2^32-1. */
export function deltaSeconds(text: string | undefined): number | undefined {
	if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined
	const seconds = Number(text)
	return seconds <= MAX_EXPIRES_SEC ? seconds : undefined
}

/**
 * RFC 3261 §10.2.4: the expiry of the Contact `own` in the PBX's answer, seconds, else its Expires; undefined where it names
 * none. The PBX may list Contacts that did not come through here.
 */
export function grantedIn(answer: SipMessage, own: string): number | undefined {
	for (const value of answer.list(Header.Contact)) {
		const contact = parseNameAddr(value)
		const granted = contact?.uri.startsWith(own) ? headerParam(contact.params, 'expires') : undefined
		if (granted) return deltaSeconds(granted)
	}
	return deltaSeconds(answer.first(Header.Expires))
}
