/** Calls of the PBX to phones that sleep. */
import { describe, expect, test } from 'bun:test'
import type { PushOutcome } from '../../src/core/inputs.ts'
import { GHOST_MS, SIGN_ON_MS, SILENCE_MS } from '../../src/core/wake/device-branch.ts'
import { MAX_PUSHES_SHOWN, tokenDied } from '../../src/core/wake/pushes.ts'
import { Header } from '../../src/sip/headers.ts'
import { ACCEPTED, answerTo, BAD_TOKEN, bind, boundPhone, fallAsleep, grant, Phone, requestText, SDP } from './peers.ts'
import { flowOf, PBX, Rig } from './rig.ts'

const INVITE = { branch: 'z9hG4bKinvite', body: SDP }
const HOLD_MS = 20_000

/** Sleeping phones of one agent and an INVITE for it; the pushes are out unless `settings` or `saving` say otherwise. */
function held(count = 1, settings = {}, shape = {}) {
	const rig = new Rig(settings)
	const phones = Array.from({ length: count }, (_, i) => boundPhone(rig, '1001', i.toString(16).repeat(64), 10 + i))
	fallAsleep(rig)
	rig.from(PBX, requestText('INVITE', { ...INVITE, ...shape }))
	return { rig, phones, phone: phones[0]! }
}

/** A sleeping phone, then one that is awake, of one agent. */
function heldAndAwake() {
	const rig = new Rig()
	const asleep = boundPhone(rig, '1001', 'aa'.repeat(32), 10)
	fallAsleep(rig)
	const awake = boundPhone(rig, '1001', 'bb'.repeat(32), 11)
	rig.from(PBX, requestText('INVITE', INVITE))
	return { rig, asleep, awake, invite: rig.last(awake.flow, 'INVITE') }
}

const cancelText = (rows: readonly string[] = []) => requestText('CANCEL', { branch: INVITE.branch, contact: '', rows })
const invitesTo = (rig: Rig, phone: Phone) => rig.words(phone.flow).filter((word) => word === 'INVITE').length

/** The phone wakes somewhere else. */
function wake(rig: Rig, phone: Phone, port = 50_000) {
	phone.flow = flowOf('203.0.113.9', port)
	return bind(rig, phone)
}

describe('a hold', () => {
	test('100, stored, committed, and only then the push; nothing to the phone', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		fallAsleep(rig)
		rig.saving = 'waits'
		rig.from(PBX, requestText('INVITE', INVITE))
		expect(rig.order).toEqual(['send 100 INVITE', 'save call'])
		rig.commit()
		expect(rig.order).toEqual(['send 100 INVITE', 'save call', 'push'])
		expect([rig.words(phone.flow), rig.tables.calls.size]).toEqual([[], 1])
		expect(rig.core.snapshot(rig.now).calls[0]).toMatchObject({
			state: 'held',
			caller: '5551234',
			holdUntil: rig.now + HOLD_MS,
		})
	})

	test('a hold that cannot be stored pushes all the same', () => {
		const rig = new Rig()
		boundPhone(rig)
		fallAsleep(rig)
		rig.saving = 'fails'
		rig.from(PBX, requestText('INVITE', INVITE))
		expect(rig.pushes.length).toBe(1)
	})

	test('the push names topic, environment, token and the end of the hold', () => {
		const { rig } = held()
		const [push] = rig.pushes
		expect(push).toMatchObject({
			provider: 'apns',
			environment: 'production',
			topic: 'com.example.app.voip',
			expiresAt: rig.now + HOLD_MS,
		})
		expect(push!.token.reveal()).toBe('0'.repeat(64))
		expect(push!.pushId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
	})

	test('the PBX says 2xx to the REGISTER: the INVITE goes out on the new flow, at once and once', () => {
		const { rig, phone } = held()
		rig.pushed(ACCEPTED)
		rig.advance(2_000)
		rig.clear()
		wake(rig, phone)
		expect(rig.order).toEqual([
			'send REGISTER',
			'save device',
			'send 200 REGISTER',
			'save push',
			'save device',
			'send INVITE',
		])
		expect([rig.words(phone.flow), rig.last(phone.flow, 'INVITE').uri]).toEqual([['200 REGISTER', 'INVITE'], phone.uri])
		expect(rig.eventNames()).toEqual(['device-foreground', 'device-woke', 'call-released'])
		expect([...rig.tables.pushes.values()].map(({ wakeMs }) => wakeMs)).toEqual([2_000])
	})

	test('a REGISTER that is challenged or refused releases nothing', () => {
		const { rig, phone } = held()
		phone.flow = flowOf('203.0.113.9', 50_000)
		for (const status of [401, 403]) {
			rig.from(phone.flow, phone.register())
			rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), status))
		}
		expect(rig.words(phone.flow)).toEqual(['401 REGISTER', '403 REGISTER'])
	})

	test('only the commit of that REGISTER releases it', () => {
		const { rig, phone } = held()
		rig.saving = 'waits'
		phone.flow = flowOf('203.0.113.9', 50_000)
		rig.from(phone.flow, phone.register())
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
		expect(invitesTo(rig, phone)).toBe(0)
		rig.commit()
		expect(invitesTo(rig, phone)).toBe(1)
	})

	test('a phone whose REGISTER is accepted while the hold is being stored is awake: no push, and the INVITE once that is stored', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		fallAsleep(rig)
		rig.saving = 'waits'
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.advance(1)
		rig.from(phone.flow, phone.register())
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
		rig.commit()
		expect(rig.pushes).toEqual([])
		expect(invitesTo(rig, phone)).toBe(1)
		/* it answers nothing: now it is woken */
		rig.advance(SILENCE_MS)
		rig.commit()
		expect(rig.pushes.length).toBe(1)
	})

	test('three REGISTERs in a row: one INVITE for each flow it is on, all the same request, and no second branch', () => {
		const { rig, phone } = held()
		rig.pushed(ACCEPTED)
		rig.clear()
		const branches = new Set<string>()
		for (const port of [50_000, 50_000, 50_001]) {
			wake(rig, phone, port)
			branches.add(rig.last(phone.flow, 'INVITE').via.branch)
		}
		expect(branches.size).toBe(1)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		rig.clear()
		wake(rig, phone, 50_002)
		expect(rig.words(phone.flow)).toEqual(['200 REGISTER'])
	})

	test('the REGISTER of another device of the agent, or of another agent, releases nothing', () => {
		const { rig, phone } = held()
		bind(rig, new Phone('1001', flowOf('203.0.113.20', 1), { token: 'cc'.repeat(32) }))
		bind(rig, new Phone('1002', flowOf('203.0.113.21', 1), { token: 'dd'.repeat(32) }))
		expect(rig.sent.filter(({ word }) => word === 'INVITE')).toEqual([])
		wake(rig, phone)
		expect(invitesTo(rig, phone)).toBe(1)
	})

	test('--hold: nobody wakes → 480, then nothing more', () => {
		const { rig } = held()
		rig.pushed(ACCEPTED)
		rig.advance(HOLD_MS - 1)
		expect(rig.words(PBX)).toEqual(['100 INVITE'])
		rig.advance(1)
		expect(rig.words(PBX)).toEqual(['100 INVITE', '480 INVITE'])
		expect(rig.core.context.counters.callsUnanswered).toBe(1)
		rig.from(PBX, requestText('ACK', { branch: INVITE.branch }))
		expect(rig.advance(GHOST_MS).filter(({ to }) => to.key === PBX.key)).toEqual([])
		expect([rig.core.calls.count, rig.tables.calls.size]).toEqual([0, 0])
	})

	test('a REGISTER without a push is a wake as well', () => {
		const { rig, phone } = held()
		wake(rig, phone)
		expect(invitesTo(rig, phone)).toBe(1)
	})

	test('a phone that woke and is silent again is not pushed twice', () => {
		const { rig, phone } = held()
		rig.pushed(ACCEPTED)
		wake(rig, phone)
		rig.advance(SILENCE_MS)
		expect(rig.pushes.length).toBe(1)
		wake(rig, phone, 50_001)
		expect(invitesTo(rig, phone)).toBe(1)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 200, { contact: phone.uri }))
		expect(rig.words(PBX)).toContain('200 INVITE')
	})

	test('it un-REGISTERs instead: 480 when it has stayed away for SIGN_ON_MS', () => {
		const { rig, phone } = held()
		rig.pushed(ACCEPTED)
		bind(rig, phone, { expires: 0 })
		rig.advance(SIGN_ON_MS - 1)
		expect(rig.words(PBX)).not.toContain('480 INVITE')
		rig.advance(1)
		expect(rig.words(PBX)).toContain('480 INVITE')
	})

	test('it un-REGISTERs and registers after that: it hears of the call, and of its end', () => {
		const { rig, phone } = held()
		rig.pushed(ACCEPTED)
		bind(rig, phone, { expires: 0 })
		rig.advance(SIGN_ON_MS + 500)
		rig.clear()
		wake(rig, phone)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		expect(rig.words(phone.flow)).toEqual(['200 REGISTER', 'INVITE', 'CANCEL'])
	})

	test('it un-REGISTERs and registers as it wakes: the hold goes on, and it gets the INVITE', () => {
		const { rig, phone } = held()
		rig.pushed(ACCEPTED)
		bind(rig, phone, { expires: 0 })
		wake(rig, phone)
		expect(invitesTo(rig, phone)).toBe(1)
		rig.advance(SIGN_ON_MS)
		expect(rig.words(PBX)).not.toContain('480 INVITE')
	})

	test('a phone whose binding lapsed with the INVITE in its socket is told of the end when it registers again', () => {
		const rig = new Rig()
		const plain = boundPhone(rig, '1001', '', 10)
		const awake = boundPhone(rig, '1001', 'bb'.repeat(32), 11)
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.from(awake.flow, answerTo(rig.last(awake.flow, 'INVITE'), 180))
		rig.advance(SILENCE_MS)
		rig.from(awake.flow, answerTo(rig.last(awake.flow, 'INVITE'), 200))
		bind(rig, plain, { expires: 0 })
		rig.clear()
		bind(rig, plain)
		expect(rig.words(plain.flow)).toEqual(['200 REGISTER', 'INVITE'])
		rig.from(plain.flow, answerTo(rig.last(plain.flow, 'INVITE'), 180))
		expect(rig.words(plain.flow)).toEqual(['200 REGISTER', 'INVITE', 'CANCEL'])
	})

	test('two calls for one sleeping phone are two pushes and two INVITEs', () => {
		const { rig, phone } = held()
		rig.from(PBX, requestText('INVITE', { callId: 'second' }))
		expect(rig.pushes.length).toBe(2)
		wake(rig, phone)
		expect(invitesTo(rig, phone)).toBe(2)
	})

	test('--ping-interval 0: a phone with push is always woken, one without always called', () => {
		const rig = new Rig({ pingIntervalMs: 0 })
		const pushed = boundPhone(rig, '1001', 'aa'.repeat(32), 10)
		const plain = boundPhone(rig, '1001', '', 11)
		rig.from(PBX, requestText('INVITE', INVITE))
		expect([invitesTo(rig, pushed), invitesTo(rig, plain), rig.pushes.length]).toEqual([0, 1, 1])
		rig.advance(10_000)
		expect(rig.words(PBX)).toEqual(['100 INVITE'])
	})

	test('a MESSAGE is held for nobody: 480 when all sleep', () => {
		const { rig } = held()
		rig.clear()
		rig.from(PBX, requestText('MESSAGE', { contact: '' }))
		expect([rig.words(PBX), rig.pushes]).toEqual([['480 MESSAGE'], []])
	})
})

describe('several phones', () => {
	test('one is awake and one asleep: the first rings, the other is pushed and joins', () => {
		const { rig, asleep, awake, invite } = heldAndAwake()
		expect([invitesTo(rig, awake), invitesTo(rig, asleep), rig.pushes.length]).toEqual([1, 0, 1])
		rig.from(awake.flow, answerTo(invite, 180))
		rig.pushed(ACCEPTED)
		wake(rig, asleep)
		expect(invitesTo(rig, asleep)).toBe(1)
	})

	test('the awake one declines: the sleeping one is still waited for, until the hold is over', () => {
		const { rig, awake, invite } = heldAndAwake()
		rig.pushed(ACCEPTED)
		rig.from(awake.flow, answerTo(invite, 486))
		expect(rig.words(PBX)).toEqual(['100 INVITE'])
		rig.advance(HOLD_MS)
		expect(rig.words(PBX)).toEqual(['100 INVITE', '486 INVITE'])
	})

	test('the hold runs out while one rings: that one goes on, and its answer is the end', () => {
		const { rig, awake, invite } = heldAndAwake()
		rig.pushed(ACCEPTED)
		rig.from(awake.flow, answerTo(invite, 180))
		rig.advance(HOLD_MS + 5_000)
		expect(rig.words(PBX)).toEqual(['100 INVITE', '180 INVITE'])
		rig.from(awake.flow, answerTo(invite, 486))
		expect(rig.words(PBX)).toEqual(['100 INVITE', '180 INVITE', '486 INVITE'])
	})

	test('the awake one answers: the pushed one that wakes later gets INVITE and CANCEL with cause=200', () => {
		const { rig, asleep, awake, invite } = heldAndAwake()
		rig.pushed(ACCEPTED)
		rig.from(awake.flow, answerTo(invite, 200, { contact: awake.uri }))
		rig.advance(3_000)
		wake(rig, asleep)
		const ghost = rig.last(asleep.flow, 'INVITE')
		rig.from(asleep.flow, answerTo(ghost, 180))
		const cancel = rig.last(asleep.flow, 'CANCEL')
		expect([cancel.via.branch, cancel.first(Header.Reason)]).toEqual([
			ghost.via.branch,
			'SIP;cause=200;text="Call completed elsewhere"',
		])
		rig.from(asleep.flow, answerTo(ghost, 487))
		expect(rig.words(PBX).filter((word) => word.endsWith('INVITE'))).toEqual(['100 INVITE', '200 INVITE'])
		expect([rig.core.calls.count, rig.tables.calls.size]).toEqual([0, 0])
	})

	test('it answers before the push was even out: nothing is pushed, nothing replayed', () => {
		const rig = new Rig()
		const asleep = boundPhone(rig, '1001', 'aa'.repeat(32), 10)
		fallAsleep(rig)
		const awake = boundPhone(rig, '1001', 'bb'.repeat(32), 11)
		rig.saving = 'waits'
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.from(awake.flow, answerTo(rig.last(awake.flow, 'INVITE'), 200, { contact: awake.uri }))
		rig.commit()
		rig.saving = 'at-once'
		wake(rig, asleep)
		expect([rig.pushes, invitesTo(rig, asleep), rig.core.calls.count, rig.tables.calls.size]).toEqual([[], 0, 0, 0])
	})
})

describe('a push refused', () => {
	const refused: readonly PushOutcome[] = [
		BAD_TOKEN,
		{ kind: 'gone', status: 410, reason: 'Unregistered', timestampMs: 0 },
		{ kind: 'misconfigured', status: 403, reason: 'InvalidProviderToken', hint: 'Look at --apns-key.' },
		{ kind: 'failed', status: 500, reason: 'InternalServerError' },
	]
	for (const outcome of refused) {
		test(`${outcome.kind}: 480 within the same input`, () => {
			const { rig } = held()
			expect(rig.pushed(outcome).map(({ word }) => word)).toEqual(['480 INVITE'])
			expect([...rig.tables.pushes.values()].map(({ reason }) => reason)).toEqual([
				outcome.kind === 'accepted' ? '' : outcome.reason,
			])
			expect([rig.core.calls.count, rig.tables.calls.size]).toEqual([0, 0])
		})
	}

	test('without any answer of APNs: 480 at once, and a phone that wakes all the same hears of the call', () => {
		const { rig, phone } = held()
		expect(rig.pushed({ kind: 'failed', status: 0, reason: 'timeout' }).map(({ word }) => word)).toEqual(['480 INVITE'])
		wake(rig, phone)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		expect(rig.words(phone.flow)).toEqual(['200 REGISTER', 'INVITE', 'CANCEL'])
	})

	test('after its call is gone: the token is dead all the same', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.advance(SILENCE_MS)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 486))
		rig.pushed(BAD_TOKEN)
		expect([rig.core.calls.count, rig.core.calls.unfinished, rig.tables.calls.size]).toEqual([0, 0, 0])
		expect([rig.tables.devices.get(1)!.tokenDead, rig.tables.pushes.size]).toEqual([true, 1])
	})

	test('throttled: the token is good, and the phone may come by itself', () => {
		const { rig, phone } = held()
		rig.pushed({ kind: 'throttled', status: 429, reason: 'TooManyRequests' })
		expect(rig.words(PBX)).toEqual(['100 INVITE'])
		wake(rig, phone)
		expect(invitesTo(rig, phone)).toBe(1)
	})

	test('with another device that can still answer, the call goes on', () => {
		const { rig, phones } = held(2)
		rig.pushed(BAD_TOKEN, rig.pushes[0]!)
		expect(rig.words(PBX)).toEqual(['100 INVITE'])
		rig.pushed(BAD_TOKEN, rig.pushes[1]!)
		expect(rig.words(PBX)).toEqual(['100 INVITE', '480 INVITE'])
		expect(phones.map((phone) => invitesTo(rig, phone))).toEqual([0, 0])
	})

	test('a dead token is stored as dead, and not pushed to again until a new REGISTER', () => {
		const { rig, phone } = held()
		rig.pushed(BAD_TOKEN)
		expect(rig.tables.devices.get(1)!.tokenDead).toBe(true)
		expect(rig.core.snapshot(rig.now).agents[0]!.devices[0]!.push!.dead).toBe(true)
		rig.clear()
		rig.from(PBX, requestText('INVITE', { callId: 'next' }))
		rig.advance(SILENCE_MS)
		expect([rig.pushes, rig.words(PBX).slice(0, 2)]).toEqual([[], ['100 INVITE', '480 INVITE']])
		bind(rig, phone)
		expect(rig.tables.devices.get(1)!.tokenDead).toBe(false)
	})

	test('410: the token is dead unless a REGISTER came after its time', () => {
		const gone = (timestampMs: number) => ({ kind: 'gone', status: 410, reason: 'Unregistered', timestampMs }) as const
		expect([tokenDied(gone(1000), 999), tokenDied(gone(1000), 1000), tokenDied(gone(1000), 1001)]).toEqual([
			true,
			true,
			false,
		])
		expect(tokenDied(gone(0), 5_000)).toBe(true)
		expect(tokenDied({ kind: 'failed', status: 0, reason: 'timeout' }, 0)).toBe(false)
	})

	test('another environment took it: remembered and stored', () => {
		const { rig } = held()
		rig.pushed({ ...ACCEPTED, environment: 'sandbox' })
		expect(rig.tables.devices.get(1)!.push!.environment).toBe('sandbox')
		rig.clear()
		rig.from(PBX, requestText('INVITE', { callId: 'next' }))
		expect(rig.pushes[0]!.environment).toBe('sandbox')
	})

	test('a phone that came by itself before the refusal rings on', () => {
		const { rig, phone } = held()
		wake(rig, phone)
		rig.pushed(BAD_TOKEN)
		expect(rig.words(PBX)).not.toContain('480 INVITE')
	})

	for (const outcome of [BAD_TOKEN, { kind: 'failed', status: 0, reason: 'timeout' } as const])
		test(`${outcome.kind}: a phone whose REGISTER is accepted, and waits to be stored, has the call then`, () => {
			const { rig, phone } = held()
			rig.advance(5)
			rig.saving = 'waits'
			phone.flow = flowOf('203.0.113.9', 50_000)
			rig.from(phone.flow, phone.register())
			rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
			rig.pushed(outcome)
			expect(rig.words(PBX)).not.toContain('480 INVITE')
			rig.saving = 'at-once'
			rig.commit()
			expect([invitesTo(rig, phone), rig.words(PBX)]).toEqual([1, ['100 INVITE', 'REGISTER']])
			rig.advance(SILENCE_MS)
			expect([rig.words(PBX).at(-1), rig.pushes.length]).toEqual(['480 INVITE', 1])
		})

	test('after it has brought another token it says nothing of that, whatever it says', () => {
		for (const outcome of [BAD_TOKEN, { ...ACCEPTED, environment: 'sandbox' } as const]) {
			const rig = new Rig()
			const renewed = (token: string) =>
				bind(rig, new Phone('1001', flowOf('203.0.113.9', 50_000), { token, instance: 'urn:uuid:one' }))
			renewed('ab'.repeat(32))
			fallAsleep(rig)
			rig.from(PBX, requestText('INVITE', INVITE))
			const [push] = rig.pushes
			rig.advance(5)
			renewed('cd'.repeat(32))
			rig.pushed(outcome, push)
			const [row] = rig.tables.devices.values()
			expect([row!.tokenDead, row!.push!.environment]).toEqual([false, 'production'])
		}
	})

	test('a result nobody waits for is nothing', () => {
		const { rig } = held()
		const [push] = rig.pushes
		rig.pushed(ACCEPTED, push)
		rig.clear()
		rig.pushed(BAD_TOKEN, push)
		expect([rig.sent, rig.events]).toEqual([[], []])
	})

	test(`MAX_PUSHES_SHOWN: the page shows the newest ${MAX_PUSHES_SHOWN}`, () => {
		const { rig } = held()
		for (let i = 0; i <= MAX_PUSHES_SHOWN; i++) {
			rig.from(PBX, requestText('INVITE', { callId: `n${i}` }))
			rig.pushed(ACCEPTED)
		}
		const { pushes } = rig.core.snapshot(rig.now)
		expect([pushes.length, pushes[0]!.callId]).toEqual([MAX_PUSHES_SHOWN, `n${MAX_PUSHES_SHOWN}`])
	})
})

describe('CANCEL while held', () => {
	test('200 and 487 at once', () => {
		const { rig } = held()
		rig.pushed(ACCEPTED)
		rig.clear()
		rig.from(PBX, cancelText())
		expect(rig.words(PBX)).toEqual(['200 CANCEL', '487 INVITE'])
	})

	test('a phone that wakes for it gets INVITE and CANCEL with the Reason of the caller', () => {
		const { rig, phone } = held()
		rig.pushed(ACCEPTED)
		rig.from(PBX, cancelText(['Reason: SIP;cause=200;text="Call completed elsewhere"']))
		rig.advance(GHOST_MS - 1)
		wake(rig, phone)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 100))
		expect(rig.last(phone.flow, 'CANCEL').first(Header.Reason)).toBe('SIP;cause=200;text="Call completed elsewhere"')
		expect(rig.core.context.counters.ghostsReplayed).toBe(1)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 487))
		expect([rig.words(phone.flow).slice(-2), rig.core.calls.count]).toEqual([['CANCEL', 'ACK'], 0])
	})

	test('GHOST_MS: after 60 s it gets nothing', () => {
		const { rig, phone } = held()
		rig.pushed(ACCEPTED)
		rig.from(PBX, cancelText())
		rig.advance(GHOST_MS)
		wake(rig, phone)
		expect([invitesTo(rig, phone), rig.core.calls.count, rig.tables.calls.size]).toEqual([0, 0, 0])
	})

	test('the ghost answers at once: ACK and BYE', () => {
		const { rig, phone } = held()
		rig.pushed(ACCEPTED)
		rig.from(PBX, cancelText())
		wake(rig, phone)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 200, { contact: phone.uri }))
		expect(rig.words(phone.flow).slice(-2)).toEqual(['ACK', 'BYE'])
		expect(rig.core.calls.count).toBe(0)
	})

	test('refused afterwards, it never rang: nothing is replayed', () => {
		const { rig, phone } = held()
		rig.from(PBX, cancelText())
		rig.pushed(BAD_TOKEN)
		wake(rig, phone)
		expect([invitesTo(rig, phone), rig.core.calls.count, rig.tables.calls.size]).toEqual([0, 0, 0])
	})

	test('before the push was out: no push, no ghost', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		fallAsleep(rig)
		rig.saving = 'waits'
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.from(PBX, cancelText())
		rig.commit()
		rig.saving = 'at-once'
		wake(rig, phone)
		expect([rig.pushes, invitesTo(rig, phone), rig.tables.calls.size, rig.core.calls.count]).toEqual([[], 0, 0, 0])
	})

	test('a ghost after the hold ran out tells of 480', () => {
		const { rig, phone } = held()
		rig.pushed(ACCEPTED)
		rig.advance(HOLD_MS)
		wake(rig, phone)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		expect(rig.last(phone.flow, 'CANCEL').first(Header.Reason)).toBe('SIP;cause=480;text="Temporarily Unavailable"')
	})
})

describe('--ringing-on-push', () => {
	test('180 with a To-tag of its own when APNs has accepted, once', () => {
		const { rig, phones } = held(2, { ringingOnPush: true })
		for (const push of rig.pushes) rig.pushed(ACCEPTED, push)
		expect(rig.words(PBX)).toEqual(['100 INVITE', '180 INVITE'])
		const ringing = rig.last(PBX, '180 INVITE')
		expect(ringing.toTag).not.toBe('')
		wake(rig, phones[0]!)
		rig.from(phones[0]!.flow, answerTo(rig.last(phones[0]!.flow, 'INVITE'), 200, { contact: phones[0]!.uri }))
		expect(rig.last(PBX, '200 INVITE').toTag).toBe('remote')
	})

	test('not where the caller requires reliable provisionals (RFC 3262 §3), and not by default', () => {
		const required = held(1, { ringingOnPush: true }, { rows: ['Require: 100rel'] }).rig
		const plain = held().rig
		for (const rig of [required, plain]) {
			rig.pushed(ACCEPTED)
			expect(rig.words(PBX)).toEqual(['100 INVITE'])
		}
	})
})

describe('a restart', () => {
	test('a phone that had registered and had the INVITE gets it again, where it is, and no second push', () => {
		const { rig, phone } = held()
		rig.pushed(ACCEPTED)
		rig.advance(1_500)
		wake(rig, phone)
		const { branch } = rig.last(phone.flow, 'INVITE').via
		rig.restart()
		expect([rig.words(phone.flow), rig.pushes]).toEqual([['INVITE'], []])
		expect(rig.last(phone.flow, 'INVITE').via.branch).toBe(branch)
	})

	test('takes a held call up: its phone registers and gets the very request, the caller its answer', () => {
		const { rig, phone } = held()
		rig.pushed(ACCEPTED)
		const stored = [...rig.tables.calls.values()][0]!.branches[0]!.branch
		rig.now += 3_000
		rig.restart()
		expect(rig.pushes).toEqual([])
		wake(rig, phone)
		const invite = rig.last(phone.flow, 'INVITE')
		expect([invite.via.branch, invitesTo(rig, phone)]).toEqual([stored, 1])
		rig.from(phone.flow, answerTo(invite, 200, { contact: phone.uri }))
		expect(rig.last(PBX, '200 INVITE').via.branch).toBe(INVITE.branch)
		expect([rig.core.calls.count, rig.tables.calls.size]).toEqual([0, 0])
	})

	test('a push that was stored but not answered for goes out again as the same push, and only once', () => {
		const { rig } = held()
		const [sent] = rig.pushes
		rig.restart()
		expect(rig.pushes.map(({ pushId }) => pushId)).toEqual([sent!.pushId])
		rig.pushed(ACCEPTED)
		rig.restart()
		expect(rig.pushes).toEqual([])
	})

	test('a phone whose token died meanwhile gets neither push nor INVITE: the caller has 480', () => {
		const { rig, phone } = held()
		rig.from(PBX, requestText('INVITE', { branch: 'z9hG4bKother', callId: 'other' }))
		rig.pushed(BAD_TOKEN, rig.pushes[0])
		rig.clear()
		rig.restart()
		expect([rig.words(PBX), rig.words(phone.flow), rig.pushes]).toEqual([['100 INVITE', '480 INVITE'], [], []])
	})

	test('nor does a phone that registered before the kill get a push', () => {
		const { rig, phone } = held()
		rig.now += 500
		wake(rig, phone)
		rig.restart()
		expect(rig.pushes).toEqual([])
	})

	test('the hold goes on from where it was', () => {
		const { rig } = held()
		rig.now += 12_000
		rig.restart()
		rig.advance(7_999)
		expect(rig.words(PBX)).toEqual(['100 INVITE'])
		rig.advance(1)
		expect(rig.words(PBX)).toEqual(['100 INVITE', '480 INVITE'])
	})

	test('a hold that ran out meanwhile is 480 at once', () => {
		const { rig } = held()
		rig.now += HOLD_MS
		rig.restart()
		expect(rig.words(PBX)).toContain('480 INVITE')
	})

	test('a CANCEL and a retransmitted INVITE find the call', () => {
		const { rig } = held()
		rig.restart()
		rig.clear()
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.from(PBX, cancelText())
		expect(rig.words(PBX)).toEqual(['100 INVITE', '200 CANCEL', '487 INVITE'])
	})

	test('a ghost is still told, with the Reason, and not after its 60 s', () => {
		for (const [later, replayed] of [
			[GHOST_MS - 1, 1],
			[GHOST_MS, 0],
		] as const) {
			const { rig, phone } = held()
			rig.pushed(ACCEPTED)
			rig.from(PBX, cancelText(['Reason: Q.850;cause=16, SIP;cause=200']))
			rig.now += later
			rig.restart()
			expect(rig.words(PBX)).toEqual([])
			wake(rig, phone)
			expect(invitesTo(rig, phone)).toBe(replayed)
			if (replayed === 0) continue
			rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
			expect(rig.last(phone.flow, 'CANCEL').first(Header.Reason)).toBe('Q.850;cause=16, SIP;cause=200')
			rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 487))
			rig.advance(60_000)
			expect([rig.core.calls.count, rig.tables.calls.size, rig.core.transactions.count]).toEqual([0, 0, 0])
		}
	})

	test('a phone that rang beside a held one can still answer, and be cancelled', () => {
		const { rig, awake, invite } = heldAndAwake()
		rig.pushed(ACCEPTED)
		rig.from(awake.flow, answerTo(invite, 180))
		rig.restart()
		rig.from(awake.flow, answerTo(invite, 200, { contact: awake.uri }))
		expect(rig.words(PBX)).toContain('200 INVITE')
	})

	test('who was called beside a held one and lapsed meanwhile is not called: nobody knows who is at its address', () => {
		const { rig, awake } = heldAndAwake()
		rig.pushed(ACCEPTED)
		for (const [id, row] of rig.tables.devices)
			if (row.flow.key === awake.flow.key) rig.tables.devices.set(id, { ...row, expiresAt: rig.now + 500 })
		rig.now += 1_000
		rig.restart()
		expect(rig.words(awake.flow)).toEqual([])
		expect(rig.words(PBX)).toEqual(['100 INVITE'])
	})

	test('a stored INVITE that cannot be read is left out', () => {
		const { rig } = held()
		for (const [id, row] of rig.tables.calls) rig.tables.calls.set(id, { ...row, invite: Buffer.from('nonsense') })
		rig.restart()
		expect(rig.core.calls.count).toBe(0)
	})

	test('the outcomes of pushes are shown again', () => {
		const { rig } = held()
		rig.pushed(ACCEPTED)
		const before = rig.core.snapshot(rig.now).pushes
		rig.restart()
		expect(rig.core.snapshot(rig.now).pushes).toEqual(before)
	})
})

describe('drain', () => {
	test('new calls get 503; a stored hold is left for the restart', () => {
		const { rig, phone } = held()
		rig.pushed(ACCEPTED)
		rig.clear()
		rig.input({ type: 'drain' })
		rig.from(PBX, requestText('INVITE', { callId: 'next' }))
		expect(rig.words(PBX)).toEqual(['503 INVITE'])
		expect([rig.core.snapshot(rig.now).draining, rig.tables.calls.size, rig.core.calls.unfinished]).toEqual([
			true,
			1,
			0,
		])
		rig.restart()
		wake(rig, phone)
		expect(invitesTo(rig, phone)).toBe(1)
	})

	test('a hold the store does not have gets 480', () => {
		const rig = new Rig()
		boundPhone(rig)
		fallAsleep(rig)
		rig.saving = 'fails'
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.input({ type: 'drain' })
		expect(rig.words(PBX)).toEqual(['100 INVITE', '480 INVITE'])
	})

	test('a phone that rings may go on ringing, and is counted as unfinished', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.input({ type: 'drain' })
		expect([rig.words(PBX), rig.core.calls.unfinished]).toEqual([['100 INVITE'], 1])
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 200, { contact: phone.uri }))
		expect(rig.core.calls.unfinished).toBe(0)
	})

	test('a push that APNs has not answered yet is waited for', () => {
		const { rig } = held()
		rig.input({ type: 'drain' })
		expect(rig.core.unfinished).toBe(1)
		rig.pushed(ACCEPTED)
		expect(rig.core.unfinished).toBe(0)
	})

	test('at the end a phone that still rings is cancelled, and the caller gets 480', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180, { contact: phone.uri }))
		rig.clear()
		rig.input({ type: 'drain' })
		rig.input({ type: 'end' })
		expect([rig.words(PBX), rig.words(phone.flow)]).toEqual([['480 INVITE'], ['CANCEL']])
	})

	test.each([false, true])('at the end a stored hold is left alone, with --ringing-on-push %p', (ringingOnPush) => {
		const { rig, phone } = held(1, { ringingOnPush })
		rig.pushed(ACCEPTED)
		rig.clear()
		rig.input({ type: 'drain' })
		expect(rig.core.unfinished).toBe(0)
		rig.input({ type: 'end' })
		expect(rig.words(PBX)).toEqual([])
		rig.restart()
		wake(rig, phone)
		expect(invitesTo(rig, phone)).toBe(1)
	})

	test("an agent's own call: counted while it rings, 503 at the end, and no new ones", () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const from = '<sip:1001@pbx.example>;tag=f'
		const dial = (callId: string) =>
			requestText('INVITE', { callId, uri: 'sip:600@pbx.example', from, to: '<sip:600@pbx.example>' })
		rig.from(phone.flow, dial('first'))
		rig.from(PBX, answerTo(rig.last(PBX, 'INVITE'), 180))
		rig.input({ type: 'drain' })
		expect(rig.core.unfinished).toBe(1)
		rig.clear()
		rig.from(phone.flow, dial('second'))
		expect(rig.words(phone.flow)).toEqual(['503 INVITE'])
		rig.input({ type: 'end' })
		expect([rig.words(PBX), rig.words(phone.flow)]).toEqual([['CANCEL'], ['503 INVITE', '503 INVITE']])
	})
})
