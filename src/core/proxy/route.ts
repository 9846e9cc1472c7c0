/** RFC 3261 §16.4: what the Route of a request says of us, and what is left of it. */
import { parseNameAddr } from '../../sip/address.ts'
import type { Edit } from '../../sip/edit.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import { parseUri, type SipUri, uriParam } from '../../sip/uri.ts'
import type { OwnAddress } from '../addresses.ts'
import type { Context } from '../context.ts'

export interface OwnRoute {
	/** How many Route values at the top are ours. */
	readonly count: number
	/** The user part of the first of them that has one: a device's Record-Route token; '' where none has. */
	readonly token: string
	/** A strict router put our Route into the Request-URI; this is what it took out. */
	readonly strictUri: string | undefined
}

const NO_ROUTE: OwnRoute = { count: 0, token: '', strictUri: undefined }

/** Which host:port are we? */
export class OwnAddresses {
	readonly #own: readonly OwnAddress[]

	constructor(context: Context) {
		this.#own = context.own
	}

	/** `host` in lower case and without brackets, `port` 0 where there is none: of a URI, or sent-by of a Via. */
	includes({ host, port }: { readonly host: string; readonly port: number }): boolean {
		for (const own of this.#own) if (own.port === (port || own.defaultPort) && own.host === host) return true
		return false
	}

	/** The user part of a Route value exactly as we made it; undefined for any other, which must be read in full. */
	tokenOf(value: string): string | undefined {
		if (!value.startsWith('<sip:')) return undefined
		for (const { routeEnd } of this.#own) if (value.endsWith(routeEnd)) return value.slice(5, -routeEnd.length)
		return undefined
	}
}

export function ownRoute(message: SipMessage, own: OwnAddresses): OwnRoute {
	const first = message.find(Header.Route)
	if (first < 0) return NO_ROUTE
	/* nearly always: one Route, and it is the one we made */
	const made = message.find(Header.Route, first + 1) < 0 ? own.tokenOf(message.value(first)) : undefined
	if (made !== undefined && !made.includes('@') && !message.uri.includes(';lr'))
		return { count: 1, token: made, strictUri: undefined }
	const values = message.list(Header.Route)
	return strictRoute(message, values, own) ?? looseRoute(values, own)
}

function looseRoute(values: readonly string[], own: OwnAddresses): OwnRoute {
	let token = ''
	let count = 0
	/* Asterisk sends the Path again after the Route: every value of ours at the top goes (RFC 3327) */
	for (const value of values) {
		const uri = parseUri(parseNameAddr(value)?.uri ?? '')
		if (uri === undefined || !own.includes(uri)) break
		if (token === '') token = uri.user ?? ''
		count++
	}
	return { count, token, strictUri: undefined }
}

/** §16.4: "If the Request-URI contains a value this proxy previously placed into a Record-Route". */
function strictRoute(message: SipMessage, values: readonly string[], own: OwnAddresses): OwnRoute | undefined {
	if (values.length === 0 || !message.uri.includes(';lr')) return undefined
	const uri = message.requestUri
	if (uri === undefined || !own.includes(uri) || uriParam(uri.params, 'lr') === undefined) return undefined
	const last = parseNameAddr(values[values.length - 1]!)?.uri
	return last === undefined ? undefined : { count: values.length === 1 ? 1 : 0, token: uri.user ?? '', strictUri: last }
}

/** Takes our values out of Route; after a strict router the last one moves into the Request-URI as well. */
export function removeOwnRoute(edit: Edit, message: SipMessage, route: OwnRoute): void {
	if (route.strictUri !== undefined) {
		const rest = message.list(Header.Route).slice(0, -1)
		if (rest.length === 0) edit.remove(Header.Route)
		else edit.set(Header.Route, rest.join(', '))
		return
	}
	for (let i = 0; i < route.count; i++) edit.popFirst(Header.Route)
}

/** The URI of the first Route value behind ours; undefined where there is none, which is nearly always. */
export function nextRoute(message: SipMessage, route: OwnRoute): string | undefined {
	const first = message.find(Header.Route)
	if (first < 0 || route.strictUri !== undefined) return undefined
	const isAlone = message.find(Header.Route, first + 1) < 0 && !message.value(first).includes(',')
	if (isAlone && route.count === 1) return undefined
	const value = message.list(Header.Route)[route.count]
	return value === undefined ? undefined : parseNameAddr(value)?.uri
}

/** The Request-URI, or what a strict router left us instead of it. */
export function targetOf(request: SipMessage, route: OwnRoute): SipUri | undefined {
	return route.strictUri === undefined ? request.requestUri : parseUri(route.strictUri)
}
