/** RFC 8599 towards the phone: what it asks, what it is promised, and the pushes that keep its binding. */
import { describe, expect, test } from 'bun:test'
import { PNSREG_SEC } from '../../src/core/registrar/feature-caps.ts'
import { deviceOfPurr, purrOf } from '../../src/core/registrar/purr.ts'
import {
	LEAST_REFRESHED_MS,
	REFRESH_BEFORE_MS,
	REFRESH_LATE_MS,
	REFRESH_LIMITS,
} from '../../src/core/registrar/refresh.ts'
import { Header } from '../../src/sip/headers.ts'
import { ACCEPTED, answerTo, bind, fallAsleep, grant, Phone, pushParamsOf, requestText, SDP, TOKEN } from './peers.ts'
import { flowOf, GATEWAY, PBX, Rig } from './rig.ts'

const HOME = flowOf('198.51.100.7', 40_007)
const REMOTE = 'ab'.repeat(32)
const VOIP = pushParamsOf(TOKEN)
const BOTH = `;pn-provider=apns;pn-prid=${TOKEN}:voip&${REMOTE}:remote;pn-param=TEAM000001.com.example.app.voip&remote`

const contactOf = (params: string, more = '', user = '1001') => `<sip:${user}@10.0.0.5:5060${params}>${more}`

/** Registers with these parameters in the Contact; gives what the PBX and the phone got. */
function register(rig: Rig, params: string, { more = '', expires = 3600, rows = [] as string[] } = {}) {
	rig.clear()
	const phone = new Phone('1001', HOME)
	rig.from(HOME, phone.register({ contact: contactOf(params, more), expires, rows }))
	const relayed = rig.to(PBX).at(-1)?.message
	if (relayed !== undefined) rig.from(PBX, grant(relayed))
	return { relayed, answer: rig.to(HOME).at(-1)!.message }
}

const capsOf = (message: ReturnType<typeof register>['relayed']) => message?.rows(Header.FeatureCaps)
const bindings = (rig: Rig) => [...rig.core.devices.all].map(({ push }) => push?.token.reveal())

describe('a query', () => {
	for (const params of [';pn-provider', ';pn-provider=', ';pn-provider=apns', ';pn-provider=apns.dev'])
		test(`${params} is answered with what the gateway pushes to, and binds no push`, () => {
			const rig = new Rig()
			const { relayed, answer } = register(rig, params)
			expect([answer.status, capsOf(relayed), capsOf(answer)]).toEqual([
				200,
				['*;+sip.pns="apns"'],
				['*;+sip.pns="apns"'],
			])
			expect(bindings(rig)).toEqual([undefined])
		})

	for (const provider of ['fcm', 'webpush', 'acme'])
		test(`about ${provider} is answered with 555, and the PBX does not hear of it`, () => {
			const rig = new Rig()
			const { relayed, answer } = register(rig, `;pn-provider=${provider}`)
			expect([relayed, answer.status, answer.reason]).toEqual([
				undefined,
				555,
				'Push Notification Service Not Supported',
			])
			expect([bindings(rig), rig.eventNames()]).toEqual([[], ['register-refused']])
		})

	test('without a key there is nothing to push with: 555 to a query about apns, no promise to one about all', () => {
		const rig = new Rig({ providers: [] })
		expect(register(rig, ';pn-provider=apns').answer.status).toBe(555)
		const { answer } = register(rig, ';pn-provider')
		expect([answer.status, capsOf(answer)]).toEqual([200, []])
	})

	test('where somebody nearer to the phone pushes, the question is theirs', () => {
		const rows = ['Feature-Caps: *;+sip.pns="apns"']
		expect(register(new Rig(), ';pn-provider=fcm', { rows }).answer.status).toBe(200)
	})
})

describe('what is registered without a promise', () => {
	test.each([
		['another provider with its token', ';pn-provider=fcm;pn-prid=abc;pn-param=project'],
		['a token that is none', pushParamsOf('not-hex')],
	])('%s: it is called while it is awake', (_, params) => {
		const rig = new Rig()
		const { relayed, answer } = register(rig, params)
		expect([answer.status, capsOf(relayed), capsOf(answer)]).toEqual([200, [], []])
		rig.from(PBX, requestText('INVITE', { body: SDP }))
		expect(rig.words(HOME)).toContain('INVITE')
	})

	test('a token whose topic neither the phone nor the operator names', () => {
		const { answer } = register(new Rig({ apnsTopic: '' }), `;pn-provider=apns;pn-prid=${TOKEN}`)
		expect([answer.status, capsOf(answer)]).toEqual([200, []])
	})
})

describe('+sip.pnsreg', () => {
	const ASKS = ';+sip.pnsreg'

	test(`tells a phone that refreshes by itself when to: ${PNSREG_SEC} s before, which is more than 120`, () => {
		const { relayed, answer } = register(new Rig(), VOIP, { more: ASKS })
		expect(capsOf(answer)).toEqual([`*;+sip.pns="apns";+sip.pnsreg="${PNSREG_SEC}"`])
		expect(capsOf(relayed)).toEqual(['*;+sip.pns="apns"'])
		expect(PNSREG_SEC).toBeGreaterThan(120)
	})

	test('tells nobody who did not ask, and nothing that is longer than the binding', () => {
		expect(capsOf(register(new Rig(), VOIP).answer)).toEqual(['*;+sip.pns="apns"'])
		const short = register(new Rig(), VOIP, { more: ASKS, expires: PNSREG_SEC })
		expect(capsOf(short.answer)).toEqual(['*;+sip.pns="apns"'])
	})

	test('on a refresh as on the first REGISTER', () => {
		const rig = new Rig()
		const more = `;+sip.instance="<urn:uuid:1>"${ASKS}`
		register(rig, VOIP, { more })
		expect(capsOf(register(rig, VOIP, { more }).answer)).toEqual([`*;+sip.pns="apns";+sip.pnsreg="${PNSREG_SEC}"`])
	})
})

describe('423', () => {
	const rig = () => new Rig({ minExpiresSec: 120 })

	test('to a phone with push parameters that asks for less than --min-expires; the PBX does not hear of it', () => {
		const { relayed, answer } = register(rig(), VOIP, { expires: 119 })
		expect([relayed, answer.status, answer.first(Header.MinExpires)]).toEqual([undefined, 423, '120'])
	})

	test.each([
		['one that asks for enough', VOIP, { expires: 120 }],
		['one without push parameters', '', { expires: 60 }],
		['a goodbye', VOIP, { expires: 0 }],
		['one whose pushes are another’s', VOIP, { expires: 60, rows: ['Feature-Caps: *;+sip.pns="apns"'] }],
	])('not to %s', (_, params, options) => {
		expect(register(rig(), params, options).answer.status).toBe(200)
	})

	test('nor with --min-expires 0, nor without a key', () => {
		expect(register(new Rig(), VOIP, { expires: 60 }).answer.status).toBe(200)
		expect(register(new Rig({ minExpiresSec: 120, providers: [] }), VOIP, { expires: 60 }).answer.status).toBe(200)
	})
})

describe('a PURR', () => {
	const purrIn = (rig: Rig, params = BOTH) =>
		/;\+sip\.pnspurr="([^"]*)"/.exec(capsOf(register(rig, params).answer)?.[0] ?? '')?.[1]

	test('is given to a phone that may be pushed to for more than calls, another one with each REGISTER', () => {
		const rig = new Rig()
		const [first, second] = [purrIn(rig), purrIn(rig)]
		expect(first).toMatch(/^[0-9a-f]{44}$/)
		expect(first).not.toBe(second)
		expect(purrIn(rig, VOIP)).toBeUndefined()
	})

	test('names its device and shows nothing of it; all of them hold, and none can be made up', () => {
		const { context } = new Rig().core
		const made = Array.from({ length: 50 }, () => purrOf(context, 7))
		expect(new Set(made.map((purr) => purr.slice(16))).size).toBe(50)
		for (const purr of made) expect(deviceOfPurr(context, purr)).toBe(7)
		const [purr] = made as [string]
		for (let i = 0; i < purr.length; i++) {
			const digit = purr[i] === '0' ? '1' : '0'
			expect(deviceOfPurr(context, purr.slice(0, i) + digit + purr.slice(i + 1))).toBeUndefined()
		}
		for (const odd of ['', purr.slice(1), `${purr}0`, purr.toUpperCase(), 'x'.repeat(44)])
			expect(deviceOfPurr(context, odd)).toBeUndefined()
	})

	test('finds the device of a dialog whose Route was lost, wakes it, and goes no further', () => {
		const rig = new Rig()
		const purr = purrIn(rig)!
		fallAsleep(rig)
		const bye = (uri: string) =>
			rig.from(PBX, requestText('BYE', { uri, to: '<sip:1001@pbx.example>;tag=phone', contact: '' }))
		bye(`sip:1001@elsewhere.example;pn-purr=${purr}`)
		expect(rig.pushes.map(({ kind }) => kind)).toEqual(['background'])
		expect(rig.last(HOME, 'BYE').uri).toBe('sip:1001@10.0.0.5:5060')
		rig.clear()
		bye(`sip:1001@elsewhere.example;pn-purr=${purr.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'))}`)
		expect([rig.words(PBX), rig.words(HOME), rig.pushes]).toEqual([['481 BYE'], [], []])
	})

	test('in the Contact of a call it stays behind: the PBX sees the Contact of the agent', () => {
		const rig = new Rig()
		const purr = purrIn(rig)!
		rig.from(PBX, requestText('INVITE', { body: SDP }))
		const contact = `sip:1001@10.0.0.5:5060;pn-purr=${purr}`
		rig.from(HOME, answerTo(rig.last(HOME, 'INVITE'), 200, { contact }))
		expect(rig.last(PBX, '200 INVITE').first(Header.Contact)).toBe(`<sip:1001@${GATEWAY}>`)
	})
})

describe('a refresh push', () => {
	const HOUR_MS = 3_600_000

	test('is a background push to the ordinary token, once, in time before the binding lapses', () => {
		const rig = new Rig()
		register(rig, BOTH)
		rig.clear()
		rig.advance(HOUR_MS - REFRESH_BEFORE_MS - 1)
		expect(rig.pushes).toEqual([])
		rig.advance(1)
		expect(rig.pushes.map(({ kind, topic, token }) => [kind, topic, token.reveal()])).toEqual([
			['background', 'com.example.app', REMOTE],
		])
		expect(REFRESH_BEFORE_MS).toBeGreaterThanOrEqual(120_000)
		rig.pushed(ACCEPTED)
		rig.advance(REFRESH_BEFORE_MS + 60_000)
		expect([rig.pushes.length, bindings(rig)]).toEqual([1, []])
	})

	test('comes for each expiry, and not for a binding that was refreshed', () => {
		const rig = new Rig()
		register(rig, BOTH)
		rig.advance(HOUR_MS / 2)
		register(rig, BOTH)
		rig.advance(HOUR_MS / 2)
		expect(rig.pushes).toEqual([])
		rig.advance(HOUR_MS / 2 - REFRESH_BEFORE_MS)
		expect(rig.pushes.length).toBe(1)
		register(rig, BOTH)
		rig.advance(HOUR_MS - REFRESH_BEFORE_MS)
		expect(rig.pushes.length).toBe(1)
	})

	test('comes in time where the expiry has become shorter', () => {
		const rig = new Rig()
		register(rig, BOTH)
		register(rig, BOTH, { expires: 600 })
		rig.clear()
		rig.advance(600_000 - REFRESH_BEFORE_MS)
		expect(rig.pushes.length).toBe(1)
	})

	test.each([
		['a VoIP token alone', VOIP, 3600],
		[`a binding shorter than ${LEAST_REFRESHED_MS / 1000} s`, BOTH, LEAST_REFRESHED_MS / 1000 - 1],
		['legacy parameters', `;app-id=com.example.app;pn-type=apple;pn-tok=${TOKEN}`, 3600],
	])('never for %s', (_, params, expires) => {
		const rig = new Rig()
		register(rig, params, { expires })
		rig.clear()
		rig.advance(HOUR_MS + 1_000)
		expect([rig.pushes, bindings(rig)]).toEqual([[], []])
	})

	test('not to one that signed off, nor to one that gave its parameters up', () => {
		for (const [params, expires] of [
			[BOTH, 0],
			['', 7200],
		] as const) {
			const rig = new Rig()
			const more = ';+sip.instance="<urn:uuid:1>"'
			register(rig, BOTH, { more })
			register(rig, params, { more, expires })
			rig.clear()
			rig.advance(HOUR_MS + 1_000)
			expect(rig.pushes).toEqual([])
		}
	})

	test('REFRESH_LIMITS: those that registered together are pushed to one after the other, and none is left out', () => {
		const rig = new Rig()
		const count = REFRESH_LIMITS.burst + 10
		for (let i = 0; i < count; i++) {
			const phone = new Phone(`${2000 + i}`, flowOf('198.51.100.9', 41_000 + i))
			const token = (i + 1).toString(16).padStart(64, '0')
			const params = `;pn-provider=apns;pn-prid=${token}:remote;pn-param=TEAM000001.com.example.app.remote`
			bind(rig, phone, { contact: contactOf(params, '', phone.user) })
		}
		rig.clear()
		rig.advance(HOUR_MS - REFRESH_BEFORE_MS)
		expect(rig.pushes.length).toBe(REFRESH_LIMITS.burst)
		rig.advance(2_000)
		expect(new Set(rig.pushes.map(({ token }) => token.reveal())).size).toBe(count)
	})

	test('comes after a restart as well', () => {
		const rig = new Rig()
		register(rig, BOTH)
		rig.advance(HOUR_MS - REFRESH_BEFORE_MS - 1_000)
		rig.restart()
		rig.advance(2_000)
		expect(rig.pushes.map(({ kind }) => kind)).toEqual(['background'])
	})

	test('REFRESH_LATE_MS: a gateway that starts again and again near the end sends one more, and no more', () => {
		const rig = new Rig()
		register(rig, BOTH)
		rig.advance(HOUR_MS - REFRESH_BEFORE_MS)
		expect(rig.pushes.length).toBe(1)
		let pushes = 0
		for (let second = 0; second < REFRESH_BEFORE_MS / 1000; second++) {
			rig.restart()
			rig.advance(1_000)
			pushes += rig.pushes.length
			if (second < (REFRESH_BEFORE_MS - REFRESH_LATE_MS) / 1000 - 1) expect(pushes).toBe(0)
		}
		expect([pushes, bindings(rig)]).toEqual([1, []])
	})

	test('a phone that came back before a restart is not pushed to again', () => {
		const rig = new Rig()
		register(rig, BOTH)
		rig.advance(HOUR_MS - REFRESH_BEFORE_MS)
		register(rig, BOTH)
		rig.clear()
		rig.restart()
		rig.advance(REFRESH_BEFORE_MS)
		expect(rig.pushes).toEqual([])
	})
})
