import { describe, expect, test } from 'bun:test'
import type { Flow } from '../../src/core/model.ts'
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
const WIFI = streamOf('203.0.113.7', 40_001, 2)
const MOBILE = streamOf('198.51.100.9', 41_000, 3)
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

/** A phone with a flow over HOME, reg-id 1, and a newer one over WIFI, reg-id 2. */
function twoFlows(settings: Partial<Settings> = {}): { rig: Rig; phone: Phone } {
	const rig = rigOf(settings)
	const phone = phoneOn()
	registered(rig, phone)
	phone.flow = WIFI
	registered(rig, phone, { regId: ';reg-id=2' })
	expect(rig.closed).toEqual([])
	rig.clear()
	return { rig, phone }
}

const CALL = 'z9hG4bKcall'
const callIn = (rig: Rig) => rig.from(PBX, requestText('INVITE', { branch: CALL }))
const close = (rig: Rig, flow: Flow) => rig.input({ type: 'flow-closed', flow })

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

/** By which it signs off, and what is left. */
const SIGN_OFFS = [
	['the newest', WIFI, 2, HOME, 1],
	['the older one', HOME, 1, WIFI, 2],
] as const

describe('two flows of one instance (RFC 5626 §7)', () => {
	test('a call goes to the newest alone, and by both the phone speaks in its own name', () => {
		const { rig, phone } = twoFlows()
		callIn(rig)
		expect([rig.words(HOME), rig.words(WIFI)]).toEqual([[], ['INVITE']])
		for (const flow of [HOME, WIFI]) {
			rig.clear()
			rig.from(flow, phone.request('MESSAGE', { uri: `sip:600@${DOMAIN}`, to: `<sip:600@${DOMAIN}>` }))
			expect(rig.words(PBX)).toEqual(['MESSAGE'])
		}
	})

	test('refreshing one after the other closes neither, and the last one is called', () => {
		const { rig, phone } = twoFlows()
		for (const [flow, regId] of [
			[HOME, 1],
			[WIFI, 2],
			[HOME, 1],
		] as const) {
			phone.flow = flow
			registered(rig, phone, { regId: `;reg-id=${regId}` })
		}
		expect(rig.closed).toEqual([])
		callIn(rig)
		expect([rig.words(HOME).at(-1), rig.words(WIFI).at(-1)]).toEqual(['INVITE', '200 REGISTER'])
	})

	test('the newest is closed: the unanswered INVITE goes to the other, the same request, and nobody is pushed to', () => {
		const { rig } = twoFlows()
		callIn(rig)
		const first = rig.last(WIFI, 'INVITE')
		close(rig, WIFI)
		expect(rig.last(HOME, 'INVITE').via.branch).toBe(first.via.branch)
		expect([rig.pushes, rig.eventNames()]).toEqual([[], []])
		rig.from(HOME, answerTo(rig.last(HOME, 'INVITE'), 200, { contact: 'sip:1001@10.0.0.5' }))
		expect(rig.words(PBX)).toContain('200 INVITE')
	})

	test('a probe by it that is closed is answered by the other: the INVITE goes there', () => {
		const { rig } = twoFlows({ freshMs: 0, pingIntervalMs: 300_000 })
		rig.advance(10)
		callIn(rig)
		expect(rig.words(WIFI)).toEqual(['OPTIONS'])
		close(rig, WIFI)
		expect(rig.words(HOME)).toEqual(['INVITE'])
	})

	test('a phone that rings is cancelled by the other, and a request in a dialog follows', () => {
		const { rig, phone } = twoFlows()
		callIn(rig)
		const invite = rig.last(WIFI, 'INVITE')
		rig.from(WIFI, answerTo(invite, 180))
		close(rig, WIFI)
		rig.from(PBX, requestText('CANCEL', { branch: CALL }))
		expect(rig.words(HOME)).toEqual(['INVITE', 'CANCEL'])
		const rows = invite
			.list(Header.RecordRoute)
			.toReversed()
			.map((route) => `Route: ${route}`)
		phone.flow = MOBILE
		registered(rig, phone, { regId: ';reg-id=2' })
		rig.from(PBX, requestText('INFO', { to: '<sip:1001@gw.example:5060>;tag=remote', rows }))
		close(rig, MOBILE)
		expect(rig.last(HOME, 'INFO').via.branch).toBe(rig.last(MOBILE, 'INFO').via.branch)
	})

	test('while the phone sleeps its closing releases nothing: the hold waits for a REGISTER', () => {
		const { rig, phone } = twoFlows()
		rig.advance(20_000)
		rig.clear()
		callIn(rig)
		close(rig, WIFI)
		expect([rig.words(HOME), rig.pushes.length]).toEqual([[], 1])
		phone.flow = HOME
		registered(rig, phone)
		expect(rig.words(HOME)).toEqual(['200 REGISTER', 'INVITE'])
	})

	test('one that is closed before the PBX accepts it leaves the device where it was', () => {
		const rig = rigOf()
		const phone = phoneOn()
		registered(rig, phone)
		rig.from(WIFI, phone.register({ contact: `${phone.contact};reg-id=2`, rows: [SUPPORTED] }))
		const forwarded = rig.last(PBX, 'REGISTER')
		close(rig, WIFI)
		rig.clear()
		rig.from(PBX, grant(forwarded))
		callIn(rig)
		expect([rig.words(WIFI), rig.words(HOME).at(-1), rig.pushes]).toEqual([[], 'INVITE', []])
	})

	test('a word by the other is a sign of life', () => {
		const { rig, phone } = twoFlows()
		const says = () => rig.from(HOME, phone.request('MESSAGE', { uri: `sip:600@${DOMAIN}`, to: `<sip:600@${DOMAIN}>` }))
		says()
		rig.advance(20_000)
		expect(rig.eventNames()).toEqual(['device-background'])
		says()
		expect(rig.eventNames()).toEqual(['device-background', 'device-foreground'])
		callIn(rig)
		expect(rig.words(WIFI).at(-1)).toBe('INVITE')
	})

	test('another device of the agent on one of its connections takes nothing from it', () => {
		const { rig } = twoFlows()
		for (const flow of [HOME, WIFI]) registered(rig, new Phone('1001', flow, { instance: 'urn:uuid:two' }))
		expect(rig.closed).toEqual([])
		close(rig, WIFI)
		expect([...rig.core.devices.all].map(({ flow, isCut }) => [flow.key, isCut])).toEqual([
			[HOME.key, false],
			['1|203.0.113.7|40001|0', true],
		])
	})

	test('the other is closed: nothing changes; both are: it sleeps', () => {
		const { rig } = twoFlows()
		close(rig, HOME)
		expect([rig.sent, rig.events]).toEqual([[], []])
		close(rig, WIFI)
		expect(rig.eventNames()).toEqual(['device-background'])
		callIn(rig)
		expect(rig.pushes).toHaveLength(1)
	})

	test('a third one costs the oldest, a new one of the same reg-id its own', () => {
		const { rig, phone } = twoFlows()
		phone.flow = MOBILE
		registered(rig, phone, { regId: ';reg-id=3' })
		expect(rig.closed).toEqual([HOME.key])
		const again = twoFlows()
		again.phone.flow = MOBILE
		registered(again.rig, again.phone, { regId: ';reg-id=2' })
		expect(again.rig.closed).toEqual([WIFI.key])
		const older = twoFlows()
		older.phone.flow = MOBILE
		registered(older.rig, older.phone)
		expect(older.rig.closed).toEqual([HOME.key])
	})

	test('a REGISTER without outbound leaves that one alone', () => {
		const { rig, phone } = twoFlows()
		phone.flow = MOBILE
		registered(rig, phone, { regId: '' })
		expect(rig.closed.toSorted()).toEqual([HOME.key, WIFI.key].toSorted())
	})

	test.each(SIGN_OFFS)('signing off by %s keeps the other, and the agent', (_, gone, goneId, left, id) => {
		const { rig, phone } = twoFlows()
		phone.flow = gone
		const { forwarded } = registered(rig, phone, { regId: `;reg-id=${goneId}`, expires: 0 })
		expect(forwarded.first(Header.Contact)).toEndWith(';expires=600')
		expect(rig.eventNames()).toEqual([])
		callIn(rig)
		expect(rig.words(left)).toEqual(['INVITE'])
		phone.flow = left
		const last = registered(rig, phone, { regId: `;reg-id=${id}`, expires: 0 })
		expect(last.forwarded.first(Header.Contact)).toEndWith(';expires=0')
		expect(rig.eventNames()).toContain('device-removed')
	})

	test('signing off without a reg-id is for both, and one closed later means nobody', () => {
		const { rig, phone } = twoFlows()
		registered(rig, phone, { regId: '', expires: 0 })
		expect(rig.eventNames()).toContain('device-removed')
		rig.clear()
		close(rig, HOME)
		close(rig, WIFI)
		expect([rig.sent, rig.events]).toEqual([[], []])
	})

	test('a PBX that grants nothing ends both', () => {
		const { rig, phone } = twoFlows()
		rig.from(WIFI, phone.register({ contact: `${phone.contact};reg-id=2`, rows: [SUPPORTED] }))
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER'), 0, ['Expires: 0']))
		expect(rig.eventNames()).toContain('device-removed')
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
