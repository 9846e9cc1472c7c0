import { describe, expect, test } from 'bun:test'
import { FLOW_TIMER_SEC, flowTimerSec } from '../../src/core/registrar/outbound.ts'
import type { Settings } from '../../src/core/settings.ts'
import { Header } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { IDLE_MS } from '../../src/transport/stream-limits.ts'
import { answerTo, grant, Phone, requestText, TOKEN } from './peers.ts'
import { DOMAIN, flowOf, octets, PBX, Rig, streamOf } from './rig.ts'

const LISTENERS = [
	{ host: 'gw.example', port: 5060, transport: 'UDP' },
	{ host: 'gw.example', port: 5061, transport: 'TLS' },
] as const

const HOME = streamOf('203.0.113.7', 40_000, 1)
const SUPPORTED = 'Supported: path, Outbound'

const rigOf = (settings: Partial<Settings> = {}) => new Rig({ advertised: LISTENERS, ...settings })

const phoneOn = (flow = HOME) => new Phone('1001', flow, { token: TOKEN, instance: 'urn:uuid:one' })

interface Said {
	readonly regId?: string
	readonly rows?: readonly string[]
	readonly expires?: number
}

/** The phone's REGISTER, and what it hears of it. */
function registered(
	rig: Rig,
	phone: Phone,
	{ regId = ';reg-id=1', rows = [SUPPORTED], expires = 600 }: Said = {},
): { readonly forwarded: SipMessage; readonly answer: SipMessage } {
	rig.from(phone.flow, phone.register({ contact: `${phone.contact}${regId}`, rows, expires }))
	const forwarded = rig.last(PBX, 'REGISTER')
	rig.from(PBX, grant(forwarded))
	return { forwarded, answer: rig.last(phone.flow, '200 REGISTER') }
}

const flowTimerOf = (answer: SipMessage) => answer.text.match(/^Flow-Timer: (\d+)\r$/m)?.[1]
const promiseOf = (answer: SipMessage) => [answer.first(Header.Require), flowTimerOf(answer)]

describe('a phone that asks for outbound (RFC 5626 §6)', () => {
	test('is promised it in Require, with a Flow-Timer', () => {
		const { answer } = registered(rigOf(), phoneOn())
		expect(promiseOf(answer)).toEqual(['outbound', `${FLOW_TIMER_SEC}`])
	})

	test('by Require as well, which the PBX does not see: it has one Contact, without instance and reg-id', () => {
		const { forwarded, answer } = registered(rigOf(), phoneOn(), { rows: ['Require: outbound'] })
		expect(promiseOf(answer)[0]).toBe('outbound')
		expect(forwarded.list(Header.Require)).toEqual([])
		expect(forwarded.first(Header.Contact)).toBe('<sip:1001@gw.example:5060>;expires=600')
		expect(forwarded.list(Header.Path)).toEqual([])
		const other = registered(rigOf(), phoneOn(), { rows: ['Require: gruu, outbound'] })
		expect(other.forwarded.list(Header.Require)).toEqual(['gruu'])
	})

	test.each<[string, Said]>([
		['that does not know the word', { rows: [] }],
		['without reg-id', { regId: '' }],
		['with a reg-id of zero', { regId: ';reg-id=0' }],
		['with a reg-id that is no number', { regId: ';reg-id=x' }],
		['with a reg-id beyond 31 bits', { regId: ';reg-id=2147483648' }],
		['that signs off', { expires: 0 }],
	])('one %s is not', (_, said) => {
		expect(promiseOf(registered(rigOf(), phoneOn(), said).answer)).toEqual([undefined, undefined])
	})

	test('nor one without an instance', () => {
		const { answer } = registered(rigOf(), new Phone('1001', HOME, { token: TOKEN }))
		expect(promiseOf(answer)).toEqual([undefined, undefined])
	})

	test('nor one over UDP, which would keep its flow alive by STUN: it is registered all the same', () => {
		const { answer, forwarded } = registered(rigOf(), phoneOn(flowOf('203.0.113.7', 5060)), {
			rows: ['Require: outbound'],
		})
		expect(promiseOf(answer)).toEqual([undefined, undefined])
		expect(forwarded.first(Header.Require)).toBe('outbound')
	})

	test('nor one behind another proxy, whose flow it would be: it is registered all the same', () => {
		const rig = rigOf()
		const via = 'Via: SIP/2.0/TCP proxy.example;branch=z9hG4bKproxy'
		const { answer } = registered(rig, phoneOn(), { rows: [SUPPORTED, via] })
		expect(promiseOf(answer)).toEqual([undefined, undefined])
	})

	test('nor where the PBX grants nothing, or refuses', () => {
		const rig = rigOf()
		const phone = phoneOn()
		rig.from(HOME, phone.register({ contact: `${phone.contact};reg-id=1`, rows: [SUPPORTED] }))
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 401))
		expect(promiseOf(rig.last(HOME, '401 REGISTER'))).toEqual([undefined, undefined])
		rig.from(HOME, phone.register({ contact: `${phone.contact};reg-id=1`, rows: [SUPPORTED] }))
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER'), 0, ['Expires: 0']))
		expect(promiseOf(rig.last(HOME, '200 REGISTER'))).toEqual([undefined, undefined])
	})
})

describe('Flow-Timer', () => {
	test('leaves twice as much before the connection is closed, and is never beyond what NATs keep', () => {
		expect([IDLE_MS, 240_000, 180_000, 60_000].map(flowTimerSec)).toEqual([FLOW_TIMER_SEC, 120, 90, 30])
		expect(promiseOf(registered(rigOf({ idleMs: 60_000 }), phoneOn()).answer)[1]).toBe('30')
	})
})

describe('ob in the Contact of a call (RFC 5626 §4.3)', () => {
	test('requests in the dialog go over the flow of the device', () => {
		const rig = rigOf()
		const phone = phoneOn()
		registered(rig, phone)
		const to = `<sip:600@${DOMAIN}>`
		rig.from(HOME, phone.request('INVITE', { uri: `sip:600@${DOMAIN}`, to, contact: `<${phone.uri};ob>` }))
		const invite = rig.last(PBX, 'INVITE')
		expect(invite.first(Header.Contact)).toBe('<sip:1001@gw.example:5060>')
		rig.from(PBX, answerTo(invite, 200, { contact: 'sip:600@192.0.2.1:5060' }))
		const rows = invite.list(Header.RecordRoute).map((route) => `Route: ${route}`)
		rig.from(PBX, requestText('BYE', { uri: 'sip:1001@gw.example:5060', to: `<sip:1001@${DOMAIN}>;tag=phone`, rows }))
		expect(rig.to(HOME).at(-1)!.to.key).toBe(HOME.key)
		expect(rig.words(HOME).at(-1)).toBe('BYE')
	})
})

describe('STUN (RFC 5626 §4.4.2)', () => {
	const binding = Uint8Array.from([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, ...new Uint8Array(12).fill(7)])

	test('a binding request is swallowed like any other keep-alive: no answer, no event, no ban', () => {
		const rig = new Rig()
		const phone = phoneOn(flowOf('203.0.113.7', 5060))
		registered(rig, phone)
		rig.clear()
		for (const flow of [phone.flow, PBX, flowOf('198.51.100.9', 4000)]) rig.from(flow, binding)
		expect([rig.sent, rig.events]).toEqual([[], []])
		expect(rig.core.context.counters.malformed).toBe(0)
		rig.from(phone.flow, octets('\0'.repeat(20)))
		expect(rig.core.context.counters.malformed).toBe(1)
	})
})
