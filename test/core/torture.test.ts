/**
 * Torture at the door of the gateway: each request comes from the PBX, with an agent bound under the user of its
 * Request-URI; a REGISTER from a stranger, with the domain of its To as ours. What the manifest says of a proxy holds, as
 * far as this proxy is one: it answers OPTIONS for its agents itself, and knows no dialog without its own Route.
 */
import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { parseNameAddr } from '../../src/sip/address.ts'
import { Header } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { parse } from '../../src/sip/parse.ts'
import { canonicalUser, parseUri } from '../../src/sip/uri.ts'
import { manifest } from '../vectors/manifest.ts'
import { bind, Phone } from './peers.ts'
import { DOMAIN, flowOf, PBX, Rig, type Sent } from './rig.ts'

const PHONE = flowOf('198.51.100.7', 40_007)
const STRANGER = flowOf('203.0.113.66', 5060)

/** What became of a datagram: the status of the answer, or what went on to the other side. */
type Fate = number | 'dropped' | 'forwarded'

function rigFor(message: SipMessage): Rig {
	const domain = parseUri(parseNameAddr(message.first(Header.To) ?? '')?.uri ?? '')?.host ?? DOMAIN
	const rig = new Rig({ domain: message.method === 'REGISTER' ? domain : DOMAIN, pingIntervalMs: 0 })
	const user = parseUri(message.uri)?.user
	if (message.method !== 'REGISTER' && user !== undefined) bind(rig, new Phone(canonicalUser(user), PHONE))
	rig.clear()
	return rig
}

function fateOf(bytes: Uint8Array): {
	readonly fate: Fate
	readonly onward: Sent | undefined
	readonly came: SipMessage
} {
	const came = parse(bytes)
	const rig = rigFor(came)
	const source = came.method === 'REGISTER' && came.fault === undefined ? STRANGER : PBX
	const far = source === STRANGER ? PBX : PHONE
	rig.from(source, bytes)
	const onward = rig.to(far).find(({ word }) => word === came.method)
	const answer = rig.sent.find(({ message }) => message.status >= 200)
	return { fate: onward !== undefined ? 'forwarded' : (answer?.message.status ?? 'dropped'), onward, came }
}

/** §16.6 step 1: but for what a proxy must change, a copy; the body byte for byte. */
function expectCopy(came: SipMessage, went: SipMessage): void {
	const changed: readonly number[] = [
		Header.Via,
		Header.MaxForwards,
		Header.MaxBreadth,
		Header.RecordRoute,
		Header.Contact,
		Header.Route,
		Header.Expires,
	]
	const rest = (message: SipMessage) =>
		Array.from({ length: message.headerCount }, (_, i) => i)
			.filter((i) => !changed.includes(message.id(i)))
			.map((i) => `${message.name(i)}: ${message.value(i)}`)
	expect(rest(went)).toEqual(rest(came))
	expect(went.body()).toEqual(came.body())
	expect(went.list(Header.Via).slice(2)).toEqual(came.list(Header.Via).slice(1))
	expect([went.callId, went.cseq, went.fromTag, went.fault]).toEqual([came.callId, came.cseq, came.fromTag, undefined])
}

/** What a request that may go on meets here where it does not go on. */
function ownFate(came: SipMessage): readonly Fate[] {
	if (came.status > 0) return ['dropped']
	if (came.maxForwards === 0) return [483]
	if (came.find(Header.ProxyRequire) >= 0) return [420]
	if (came.toTag !== '') return [481]
	if (came.method === 'OPTIONS') return [200]
	/* a stranger registers a name of our domain, or it is not heard (unksm2: isbn:) */
	if (came.method === 'REGISTER') return [/\bsips?:/.test(came.first(Header.To)!) ? 'forwarded' : 'dropped']
	return [parseUri(came.uri)?.user === undefined ? 404 : 'forwarded']
}

interface Entry {
	readonly name: string
	readonly file: string
	readonly kind: 'request' | 'response'
	readonly parser: 'accept' | 'reject' | 'either'
	readonly status: number | null
	readonly alternatives: readonly (number | string)[]
}

function allowed(entry: Entry, came: SipMessage): readonly Fate[] {
	if (entry.kind === 'response') return ['dropped']
	if (entry.status === null) return ownFate(came)
	const numbers = entry.alternatives.filter((alternative) => typeof alternative === 'number')
	return [entry.status, ...numbers, ...(entry.parser === 'either' && came.fault === undefined ? ownFate(came) : [])]
}

const TORTURE = `${import.meta.dir}/../../../shared/torture`
describe.if(existsSync(TORTURE))('RFC 4475 and RFC 5118 (skipped where the folder of vectors is absent)', () => {
	const { messages } = existsSync(TORTURE)
		? (JSON.parse(readFileSync(`${TORTURE}/manifest.json`, 'utf8')) as { messages: Entry[] })
		: { messages: [] }
	for (const entry of messages) {
		test(`${entry.name}: ${entry.status ?? 'what may go on goes on'}`, () => {
			const { fate, onward, came } = fateOf(new Uint8Array(readFileSync(`${TORTURE}/${entry.file}`)))
			expect(allowed(entry, came)).toContain(fate)
			if (onward !== undefined) expectCopy(came, onward.message)
		})
	}
})

describe('vectors of our own', () => {
	for (const vector of manifest) {
		test(`${vector.title}: ${vector.status ?? 'what may go on goes on'}`, () => {
			const bytes = new Uint8Array(readFileSync(`${import.meta.dir}/../vectors/${vector.name}.sip`))
			const { fate, onward, came } = fateOf(bytes)
			const fault = vector.status === 0 ? 'dropped' : vector.status
			expect(fault === null ? ownFate(came) : [fault]).toContain(fate)
			if (onward !== undefined) expectCopy(came, onward.message)
		})
	}
})
