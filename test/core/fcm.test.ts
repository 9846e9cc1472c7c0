/** Phones of Android: one token for calls and all else, at a service that is there beside APNs or alone. */
import { describe, expect, test } from 'bun:test'
import { MAX_FCM_PAYLOAD_BYTES } from '../../src/core/effects.ts'
import { LEAST_REFRESHED_MS, REFRESH_BEFORE_MS } from '../../src/core/registrar/refresh.ts'
import { SILENCE_MS } from '../../src/core/wake/device-branch.ts'
import { Header } from '../../src/sip/headers.ts'
import {
	ACCEPTED,
	answerTo,
	bind,
	boundPhone,
	fallAsleep,
	grant,
	Phone,
	pushParamsOf,
	requestText,
	SDP,
} from './peers.ts'
import { flowOf, GATEWAY, PBX, Rig, streamOf } from './rig.ts'

const HOME = flowOf('198.51.100.7', 40_007)
const FCM_TOKEN = 'dGVzdA-t_1:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx'
const BOTH = { providers: ['apns', 'fcm'] } as const
const ALONE = { providers: ['fcm'] } as const
const GONE = { kind: 'gone', status: 404, reason: 'UNREGISTERED' } as const

class Android extends Phone {
	params = `;pn-provider=fcm;pn-prid=${FCM_TOKEN};pn-param=929724111839`

	constructor() {
		super('1001', HOME, { instance: 'urn:uuid:android' })
	}

	override get contact(): string {
		return `<${this.uri}${this.params}>;+sip.instance="<urn:uuid:android>"`
	}
}

function android(settings: ConstructorParameters<typeof Rig>[0] = ALONE, params?: string) {
	const rig = new Rig(settings)
	const phone = new Android()
	phone.params = params ?? phone.params
	const answer = bind(rig, phone)
	return { rig, phone, answer }
}

function sleeping(settings: ConstructorParameters<typeof Rig>[0] = ALONE, params?: string) {
	const { rig, phone } = android(settings, params)
	fallAsleep(rig)
	rig.clear()
	return { rig, phone }
}

const calls = (rig: Rig) => rig.from(PBX, requestText('INVITE', { body: SDP }))
const data = (rig: Rig): unknown => JSON.parse(rig.pushes.at(-1)!.payload)

describe('what it is promised', () => {
	const caps = (rig: Rig) =>
		[rig.last(PBX, 'REGISTER'), rig.last(HOME, '200 REGISTER')].map((m) => m.rows(Header.FeatureCaps))

	test('pushes by fcm, and a PURR, for it may be woken within a call', () => {
		const { rig } = android(BOTH)
		const [upstream, answer] = caps(rig)
		expect(upstream).toEqual(['*;+sip.pns="fcm"'])
		expect(answer![0]).toMatch(/^\*;\+sip\.pns="fcm";\+sip\.pnspurr="[0-9a-f]{44}"$/)
	})

	test('nothing where the gateway pushes to APNs alone, and nothing in the legacy dialect', () => {
		expect(caps(android({ providers: ['apns'] }).rig)).toEqual([[], []])
		expect(caps(android(BOTH, `;app-id=1;pn-type=firebase;pn-tok=${FCM_TOKEN}`).rig)).toEqual([[], []])
	})

	test('a query is answered for what is configured: both, one of them, or 555', () => {
		const asks = (settings: object, provider: string) => {
			const rig = new Rig(settings)
			rig.from(HOME, new Phone('1001', HOME).register({ contact: `<sip:1001@10.0.0.5;pn-provider${provider}>` }))
			const [relayed] = rig.to(PBX)
			return relayed === undefined ? rig.words(HOME) : relayed.message.rows(Header.FeatureCaps)
		}
		expect(asks(BOTH, '')).toEqual(['*;+sip.pns="apns"', '*;+sip.pns="fcm"'])
		expect(asks(BOTH, '=fcm')).toEqual(['*;+sip.pns="fcm"'])
		expect(asks(ALONE, '')).toEqual(['*;+sip.pns="fcm"'])
		expect(asks(ALONE, '=apns')).toEqual(['555 REGISTER'])
		expect(asks({ providers: ['apns'] }, '=fcm')).toEqual(['555 REGISTER'])
	})

	test('somebody nearer to the phone who pushes to APNs claims nothing of FCM', () => {
		const rig = new Rig(BOTH)
		bind(rig, new Android(), { rows: ['Feature-Caps: *;+sip.pns="apns"'] })
		expect(caps(rig)[0]).toEqual(['*;+sip.pns="apns"', '*;+sip.pns="fcm"'])
		bind(rig, new Android(), { rows: ['Feature-Caps: *;+sip.pns="fcm"'] })
		expect([...rig.core.devices.all].map(({ push }) => push)).toEqual([undefined])
	})

	test('423 is for its expiry, too, where the gateway pushes to FCM', () => {
		const answer = (settings: object) => {
			const rig = new Rig({ minExpiresSec: 120, ...settings })
			rig.from(HOME, new Android().register({ expires: 60 }))
			return rig.words(HOME)
		}
		expect(answer(ALONE)).toEqual(['423 REGISTER'])
		expect(answer({ providers: ['apns'] })).toEqual([])
	})
})

describe('a call', () => {
	for (const [name, settings] of [
		['FCM alone', ALONE],
		['both services', BOTH],
	] as const)
		test(`with ${name}: one push of strings alone, and the INVITE where it registers`, () => {
			const { rig, phone } = sleeping(settings)
			calls(rig)
			expect(rig.pushes.map(({ kind, provider, token }) => [kind, provider, token.reveal()])).toEqual([
				['voip', 'fcm', FCM_TOKEN],
			])
			expect(data(rig)).toEqual({
				event: 'call',
				callId: 'call-1@192.0.2.1',
				uuid: expect.any(String),
				callerName: 'Caller',
				callerNumber: '5551234',
				agent: 'sip:1001@pbx.example',
				time: expect.any(String),
			})
			rig.pushed(ACCEPTED)
			phone.flow = flowOf('203.0.113.9', 50_000)
			bind(rig, phone)
			expect([rig.words(phone.flow).at(-1), rig.pushes.length]).toEqual(['INVITE', 1])
		})

	test('has the address by which it is declined, where there is one', () => {
		const { rig } = sleeping({ ...ALONE, publicUrl: 'https://gw.example' })
		calls(rig)
		const { status } = data(rig) as { status: string }
		const verdict = rig.core.calls.look(status.slice(status.lastIndexOf('/') + 1), rig.now)
		expect([status, verdict.kind]).toEqual([expect.stringMatching(/^https:\/\/gw\.example\/c\/[\w.]+$/), 'ringing'])
	})

	test('an iPhone and an Android phone of one agent are woken each by its own service', () => {
		const rig = new Rig(BOTH)
		boundPhone(rig, '1001', 'ab'.repeat(32), 9)
		bind(rig, new Android())
		fallAsleep(rig)
		calls(rig)
		expect(rig.pushes.map(({ provider }) => provider).sort()).toEqual(['apns', 'fcm'])
	})

	test('without a key for FCM it is not pushed to, and 480 at once while it sleeps', () => {
		const { rig } = sleeping({ providers: ['apns'] })
		calls(rig)
		expect([rig.words(PBX), rig.pushes]).toEqual([['100 INVITE', '480 INVITE'], []])
	})

	for (const [what, from] of [
		['quotes', `"${'\\"'.repeat(4_000)}" <sip:1@pbx.example>`],
		['control characters', `<sip:${'%01'.repeat(500)}@pbx.example>`],
	] as const)
		test(`MAX_FCM_PAYLOAD_BYTES: with ${what} both are strings in at most ${MAX_FCM_PAYLOAD_BYTES} octets`, () => {
			const { rig } = sleeping()
			rig.from(PBX, requestText('INVITE', { from: `${from};tag=t`, callId: '"\\'.repeat(255) }))
			const { payload, minimalPayload } = rig.pushes[0]!
			for (const text of [payload, minimalPayload]) {
				expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(MAX_FCM_PAYLOAD_BYTES)
				for (const value of Object.values(JSON.parse(text))) expect(value).toBeString()
			}
		})
})

describe('a call to one whose connection is still there', () => {
	const TLS = streamOf('203.0.113.7', 40_000, 1)
	const LISTENERS = [
		{ host: 'gw.example', port: 5060, transport: 'UDP' },
		{ host: 'gw.example', port: 5061, transport: 'TLS' },
	] as const

	function frozen<P extends Phone = Android>(phone: P = new Android() as Phone as P, settings = {}) {
		const rig = new Rig({ advertised: LISTENERS, ...BOTH, ...settings })
		phone.flow = TLS
		bind(rig, phone)
		fallAsleep(rig)
		return { rig, phone }
	}

	test('lies there as the push goes out, once, and rings whatever wakes the app', () => {
		const { rig, phone } = frozen()
		calls(rig)
		expect([rig.words(TLS), rig.pushes.map(({ kind }) => kind)]).toEqual([['INVITE'], ['voip']])
		rig.pushed(ACCEPTED)
		rig.advance(5_000)
		rig.from(TLS, answerTo(rig.last(TLS, 'INVITE'), 180, { contact: phone.uri, toTag: 'phone' }))
		expect(rig.words(PBX)).toEqual(['100 INVITE', '180 INVITE'])
		phone.flow = streamOf('203.0.113.7', 40_001, 2)
		bind(rig, phone)
		/* a copy: it rings, or has forgotten that it did */
		expect(rig.words(phone.flow)).toEqual(['200 REGISTER', 'INVITE'])
		const answer = answerTo(rig.last(TLS, 'INVITE'), 200, { contact: phone.uri, toTag: 'phone' })
		rig.from(phone.flow, answer)
		expect([rig.words(PBX).at(-1), rig.pushes.length]).toEqual(['200 INVITE', 1])
	})

	test('that answers before the push is out needs none', () => {
		const { rig, phone } = frozen()
		rig.saving = 'waits'
		calls(rig)
		rig.from(TLS, answerTo(rig.last(TLS, 'INVITE'), 180, { contact: phone.uri, toTag: 'phone' }))
		rig.commit()
		expect([rig.pushes, rig.words(PBX)]).toEqual([[], ['100 INVITE', '180 INVITE']])
	})

	test('that says 100 while the hold is being stored needs none either', () => {
		const { rig } = frozen()
		rig.saving = 'waits'
		calls(rig)
		rig.advance(1)
		rig.from(TLS, answerTo(rig.last(TLS, 'INVITE'), 100))
		rig.commit()
		rig.advance(5_000)
		expect(rig.pushes).toEqual([])
		expect(rig.words(PBX)).toEqual(['100 INVITE'])
	})

	test('that says 100 and no more has not slept through the hold, whatever became of its push', () => {
		const { rig } = frozen()
		calls(rig)
		rig.pushed(ACCEPTED)
		rig.advance(1_000)
		rig.from(TLS, answerTo(rig.last(TLS, 'INVITE'), 100))
		rig.advance(rig.settings.holdMs)
		expect(rig.words(PBX)).toContain('480 INVITE')
		expect(rig.core.devices.device(1)!.wakeTimes).toEqual([])
	})

	test('that comes back by another connection gets the same INVITE there', () => {
		const { rig, phone } = frozen()
		calls(rig)
		rig.pushed(ACCEPTED)
		phone.flow = streamOf('198.51.100.9', 41_000, 2)
		bind(rig, phone)
		const [first, second] = [rig.last(TLS, 'INVITE'), rig.last(phone.flow, 'INVITE')]
		expect(second.via.branch).toBe(first.via.branch)
	})

	test('that wakes after the caller has gone is told so', () => {
		const { rig, phone } = frozen()
		rig.from(PBX, requestText('INVITE', { body: SDP, branch: 'z9hG4bKinvite' }))
		rig.pushed(ACCEPTED)
		rig.from(PBX, requestText('CANCEL', { branch: 'z9hG4bKinvite', contact: '' }))
		expect(rig.words(PBX)).toEqual(['100 INVITE', '200 CANCEL', '487 INVITE'])
		rig.from(TLS, answerTo(rig.last(TLS, 'INVITE'), 180, { contact: phone.uri, toTag: 'phone' }))
		expect(rig.words(TLS)).toEqual(['INVITE', 'CANCEL'])
	})

	describe('and whose push is refused', () => {
		const refusals = [
			{ ...GONE, timestampMs: 0 },
			{ kind: 'misconfigured', status: 403, reason: 'PERMISSION_DENIED', hint: 'See the key.' },
			{ kind: 'failed', status: 503, reason: 'UNAVAILABLE' },
			{ kind: 'failed', status: 0, reason: 'timeout' },
		] as const
		const ringing = (rig: Rig, phone: Phone, status: number) =>
			rig.from(TLS, answerTo(rig.last(TLS, 'INVITE'), status, { contact: phone.uri, toTag: 'phone' }))

		for (const outcome of refusals)
			test(`${outcome.reason}: has SILENCE_MS to answer, as one that is awake, and then the caller has 480`, () => {
				const { rig, phone } = frozen()
				calls(rig)
				rig.advance(200)
				rig.pushed(outcome)
				rig.advance(SILENCE_MS - 201)
				expect(rig.words(PBX)).toEqual(['100 INVITE'])
				rig.advance(1)
				expect(rig.words(PBX)).toEqual(['100 INVITE', '480 INVITE'])
				ringing(rig, phone, 180)
				expect(rig.words(TLS)).toEqual(['INVITE', 'CANCEL'])
			})

		test('rings where it answers in time', () => {
			const { rig, phone } = frozen()
			calls(rig)
			rig.pushed(refusals[0])
			rig.advance(SILENCE_MS - 1)
			ringing(rig, phone, 180)
			rig.advance(SILENCE_MS)
			expect(rig.words(PBX)).toEqual(['100 INVITE', '180 INVITE'])
			ringing(rig, phone, 200)
			expect(rig.words(PBX).at(-1)).toBe('200 INVITE')
		})

		for (const [when, order] of [
			['before', [0, 1]],
			['after', [1, 0]],
		] as const)
			test(`is waited for as long as any where it said 100 ${when} that`, () => {
				const { rig, phone } = frozen()
				calls(rig)
				const turns = [() => ringing(rig, phone, 100), () => rig.pushed(refusals[0])]
				for (const turn of order) turns[turn]!()
				rig.advance(rig.settings.holdMs - 1)
				expect(rig.words(PBX)).toEqual(['100 INVITE'])
				rig.advance(1)
				expect(rig.words(PBX)).toEqual(['100 INVITE', '480 INVITE'])
			})

		test('has nothing to answer by when that is closed: 480 at once', () => {
			for (const said of [[], [100]]) {
				const { rig, phone } = frozen()
				calls(rig)
				for (const status of said) ringing(rig, phone, status)
				rig.pushed(refusals[0])
				rig.input({ type: 'flow-closed', flow: TLS })
				expect(rig.words(PBX)).toEqual(['100 INVITE', '480 INVITE'])
			}
			const { rig } = frozen()
			calls(rig)
			rig.input({ type: 'flow-closed', flow: TLS })
			expect(rig.words(PBX)).toEqual(['100 INVITE'])
			rig.pushed(refusals[0])
			expect(rig.words(PBX)).toEqual(['100 INVITE', '480 INVITE'])
		})

		test('nor where it came by another one, and that is closed before its REGISTER is stored', () => {
			const { rig, phone } = frozen()
			calls(rig)
			rig.advance(SILENCE_MS)
			rig.saving = 'waits'
			phone.flow = streamOf('198.51.100.9', 41_000, 2)
			rig.from(phone.flow, phone.register())
			rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
			rig.input({ type: 'flow-closed', flow: phone.flow })
			rig.pushed(refusals[0])
			expect(rig.words(PBX).at(-1)).toBe('480 INVITE')
		})

		test('a phone that moves from FCM to APNs meanwhile keeps its new token', () => {
			const { rig, phone } = frozen()
			calls(rig)
			phone.params = pushParamsOf('ab'.repeat(32))
			rig.advance(10)
			bind(rig, phone)
			rig.pushed({ kind: 'bad-token', status: 403, reason: 'SENDER_ID_MISMATCH' })
			expect([...rig.core.devices.all].map(({ push, tokenDead }) => [push?.provider, tokenDead])).toEqual([
				['apns', false],
			])
		})

		test('that comes back, and is silent there, is not waited for: there is no second push', () => {
			const { rig, phone } = frozen()
			calls(rig)
			rig.pushed(refusals[0])
			rig.advance(500)
			phone.flow = streamOf('198.51.100.9', 41_000, 2)
			bind(rig, phone)
			rig.advance(SILENCE_MS)
			expect([rig.words(PBX), rig.pushes.length]).toEqual([['100 INVITE', 'REGISTER', '480 INVITE'], 1])
		})
	})

	test('that said 100, so that its push was spared, is pushed to when that is closed', () => {
		const { rig, phone } = frozen()
		rig.saving = 'waits'
		calls(rig)
		rig.advance(1)
		rig.from(TLS, answerTo(rig.last(TLS, 'INVITE'), 100, { contact: phone.uri }))
		rig.saving = 'at-once'
		rig.commit()
		expect(rig.pushes).toEqual([])
		rig.input({ type: 'flow-closed', flow: TLS })
		expect([rig.pushes.length, rig.words(PBX)]).toEqual([1, ['100 INVITE']])
		rig.pushed(ACCEPTED)
		phone.flow = streamOf('198.51.100.9', 41_000, 2)
		bind(rig, phone)
		expect(rig.words(phone.flow)).toEqual(['200 REGISTER', 'INVITE'])
	})

	test('is for Android alone: an iPhone is woken first, and so is who came over UDP, or whose connection is closed', () => {
		const iphone = frozen(new Phone('1001', TLS, { token: 'ab'.repeat(32) }))
		const closed = frozen()
		closed.rig.input({ type: 'flow-closed', flow: TLS })
		for (const { rig, phone } of [iphone, closed, sleeping()]) {
			calls(rig)
			expect([rig.words(phone.flow).filter((word) => word === 'INVITE'), rig.pushes.length]).toEqual([[], 1])
		}
	})
})

describe('all that is no call', () => {
	test('a MESSAGE is data with who wrote, and nothing of what', () => {
		const { rig } = sleeping()
		rig.from(PBX, requestText('MESSAGE', { contact: '', body: 'the secret text' }))
		expect(rig.pushes.map(({ kind, provider }) => [kind, provider])).toEqual([['alert', 'fcm']])
		expect(data(rig)).toEqual({
			event: 'message',
			callId: 'call-1@192.0.2.1',
			senderName: 'Caller',
			senderNumber: '5551234',
			agent: 'sip:1001@pbx.example',
		})
	})

	test('a BYE to one that fell asleep in its call wakes it', () => {
		const { rig, phone } = android()
		calls(rig)
		const invite = rig.last(HOME, 'INVITE')
		rig.from(HOME, answerTo(invite, 200, { contact: phone.uri, toTag: 'phone' }))
		fallAsleep(rig)
		rig.clear()
		const rows = [`Route: ${invite.first(Header.RecordRoute)}`]
		rig.from(
			PBX,
			requestText('BYE', { uri: `sip:1001@${GATEWAY}`, to: `<sip:1001@${GATEWAY}>;tag=phone`, rows, cseq: 103 }),
		)
		expect([rig.words(HOME), rig.pushes.map(({ kind }) => kind), data(rig)]).toEqual([
			['BYE'],
			['background'],
			{ event: 'wake' },
		])
	})

	test('its binding is refreshed by a push in time', () => {
		const { rig } = sleeping()
		rig.advance(LEAST_REFRESHED_MS * 12)
		expect(rig.pushes.map(({ kind, provider }) => [kind, provider])).toEqual([['background', 'fcm']])
		expect(REFRESH_BEFORE_MS).toBeGreaterThan(120_000)
	})
})

describe('its one token', () => {
	test('that a message finds dead is dead for calls, after a restart too, until it registers', () => {
		const { rig, phone } = sleeping()
		rig.from(PBX, requestText('MESSAGE', { contact: '' }))
		rig.pushed({ ...GONE, timestampMs: rig.now })
		expect(rig.eventNames()).toContain('agent-unreachable')
		rig.restart()
		calls(rig)
		rig.from(PBX, requestText('MESSAGE', { contact: '', callId: 'other' }))
		expect([rig.words(PBX), rig.pushes]).toEqual([['100 INVITE', '480 INVITE', '480 MESSAGE'], []])
		bind(rig, phone)
		fallAsleep(rig)
		rig.from(PBX, requestText('INVITE', { callId: 'third', body: SDP }))
		expect(rig.pushes.length).toBe(1)
	})

	test('that a call finds dead is dead for messages', () => {
		const { rig } = sleeping()
		calls(rig)
		rig.pushed({ ...GONE, timestampMs: rig.now })
		rig.clear()
		rig.from(PBX, requestText('MESSAGE', { contact: '' }))
		expect([rig.words(PBX), rig.pushes]).toEqual([['480 MESSAGE'], []])
	})

	test('that was found dead before the phone registered again lives', () => {
		const { rig, phone } = sleeping()
		calls(rig)
		const sentAt = rig.now
		rig.advance(100)
		bind(rig, phone)
		rig.pushed({ ...GONE, timestampMs: sentAt })
		expect([...rig.core.devices.all].map(({ tokenDead }) => tokenDead)).toEqual([false])
	})

	test('is shown with its service, and never whole', () => {
		const { rig } = android()
		const [device] = rig.core.snapshot(rig.now).agents.flatMap(({ devices }) => devices)
		expect(device!.push).toMatchObject({ provider: 'fcm', environment: '', dead: false })
		expect(JSON.stringify(rig.core.snapshot(rig.now))).not.toContain(FCM_TOKEN)
	})
})

test('another service under the same prid is another token', () => {
	const rig = new Rig(BOTH)
	const phone = new Android()
	const token = 'ab'.repeat(32)
	for (const provider of ['apns', 'fcm']) {
		phone.params = pushParamsOf(token, provider).replace(/;pn-param=[^;]*/, ';pn-param=p')
		bind(rig, phone)
	}
	expect([...rig.tables.devices.values()].map(({ push }) => push?.provider)).toEqual(['fcm'])
})
