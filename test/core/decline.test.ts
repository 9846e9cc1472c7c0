/** The address in a push: whether the call still rings, and declining it before the phone has registered. */
import { describe, expect, test } from 'bun:test'
import { MAX_PAYLOAD_BYTES } from '../../src/core/effects.ts'
import { GHOST_MS } from '../../src/core/wake/device-branch.ts'
import { CANCEL_GRACE_MS } from '../../src/core/wake/patience.ts'
import { Header } from '../../src/sip/headers.ts'
import { ACCEPTED, answerTo, bind, boundPhone, fallAsleep, type Phone, requestText, SDP } from './peers.ts'
import { flowOf, PBX, Rig } from './rig.ts'

const INVITE = { branch: 'z9hG4bKinvite', body: SDP }
const URL_START = 'https://gw.example/c/'
const HOLD_MS = 20_000

const statusOf = (push: { payload: string }): string => JSON.parse(push.payload).status
const tokenOf = (push: { payload: string }): string => statusOf(push).slice(URL_START.length)

/** A call for sleeping phones whose pushes APNs took, with the token each got. */
function held(count = 1) {
	const rig = new Rig({ publicUrl: 'https://gw.example' })
	const phones = Array.from({ length: count }, (_, i) => boundPhone(rig, '1001', i.toString(16).repeat(64), 10 + i))
	fallAsleep(rig)
	rig.from(PBX, requestText('INVITE', INVITE))
	const tokens = rig.pushes.map(tokenOf)
	for (const push of rig.pushes) rig.pushed(ACCEPTED, push)
	return { rig, phones, phone: phones[0]!, token: tokens[0]!, tokens }
}

const look = (rig: Rig, token: string) => rig.core.calls.look(token, rig.now)

/** As the HTTP side does it. */
function decline(rig: Rig, token: string): void {
	const verdict = look(rig, token)
	if (verdict.kind !== 'ringing') throw new Error(`it does not ring: ${JSON.stringify(verdict)}`)
	rig.input({ type: 'decline', callId: verdict.callId, deviceId: verdict.deviceId })
}

function wake(rig: Rig, phone: Phone, port = 50_000): void {
	phone.flow = flowOf('203.0.113.9', port)
	bind(rig, phone)
}

describe('the address', () => {
	test('stands in the payload with --public-url, one for each device, and not without it', () => {
		const { rig, tokens } = held(2)
		expect(rig.pushes.map((push) => statusOf(push).startsWith(URL_START))).toEqual([true, true])
		expect(new Set(tokens).size).toBe(2)
		const plain = new Rig()
		boundPhone(plain)
		fallAsleep(plain)
		plain.from(PBX, requestText('INVITE', INVITE))
		expect(statusOf(plain.pushes[0]!)).toBeUndefined()
	})

	test('is left out of the minimal payload, and the longest caller leaves room for it', () => {
		const rig = new Rig({ publicUrl: `https://${'g'.repeat(253)}` })
		boundPhone(rig)
		fallAsleep(rig)
		rig.from(PBX, requestText('INVITE', { from: `"${'x'.repeat(3000)}" <sip:1@pbx.example>;tag=t` }))
		expect(rig.pushes[0]!.payload.length).toBeLessThanOrEqual(MAX_PAYLOAD_BYTES)
		expect(statusOf(rig.pushes[0]!)).toStartWith('https://ggg')
		expect(rig.pushes[0]!.minimalPayload).not.toContain('https')
	})

	test('says that the call rings to a phone whose push had no answer, while another phone rings: it may join, and decline', () => {
		const rig = new Rig({ publicUrl: 'https://gw.example' })
		const sleeper = boundPhone(rig, '1001', 'aa'.repeat(32), 10)
		fallAsleep(rig)
		const awake = boundPhone(rig, '1001', 'bb'.repeat(32), 11)
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.from(awake.flow, answerTo(rig.last(awake.flow, 'INVITE'), 180))
		rig.pushed({ kind: 'failed', status: 0, reason: 'timeout' })
		const token = tokenOf(rig.pushes[0]!)
		expect(look(rig, token).kind).toBe('ringing')
		wake(rig, sleeper)
		expect(rig.words(sleeper.flow)).toContain('INVITE')
		decline(rig, token)
		expect(rig.words(awake.flow)).toContain('CANCEL')
	})

	test('with any character changed it is forged', () => {
		const { rig, token } = held()
		for (let i = 0; i < token.length; i++) {
			const other = token[i] === 'a' ? 'b' : 'a'
			expect(look(rig, token.slice(0, i) + other + token.slice(i + 1)).kind).toBe('forged')
		}
		for (const text of ['', 'x', `${token}0`, token.slice(1), 'a'.repeat(100_000)])
			expect(look(rig, text).kind).toBe('forged')
	})

	test('of one device does not speak for another', () => {
		const { rig, tokens } = held(2)
		const [first, second] = tokens.map((token) => token.split('.'))
		expect(look(rig, [first![0], second![1], first![2], first![3]].join('.')).kind).toBe('forged')
	})

	test('is good until a ghost may wake no more, and survives a restart', () => {
		const { rig, token } = held()
		rig.restart()
		expect(look(rig, token).kind).toBe('ringing')
		rig.advance(HOLD_MS + GHOST_MS - 1)
		expect(look(rig, token)).toEqual({ kind: 'ended', reason: 'unanswered' })
		rig.advance(1)
		expect(look(rig, token).kind).toBe('forged')
	})
})

describe('does it still ring', () => {
	test('held and ringing it does', () => {
		const { rig, phone, token } = held()
		expect(look(rig, token).kind).toBe('ringing')
		wake(rig, phone)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		expect(look(rig, token).kind).toBe('ringing')
	})

	test('cancelled, or answered by another phone, it does not', () => {
		const cancelled = held()
		cancelled.rig.from(PBX, requestText('CANCEL', { branch: INVITE.branch, contact: '' }))
		expect(look(cancelled.rig, cancelled.token)).toEqual({ kind: 'ended', reason: 'cancelled' })
		const { rig, phones, tokens } = held(2)
		wake(rig, phones[0]!)
		rig.from(phones[0]!.flow, answerTo(rig.last(phones[0]!.flow, 'INVITE'), 200, { contact: phones[0]!.uri }))
		expect(look(rig, tokens[1]!)).toEqual({ kind: 'ended', reason: 'answered' })
	})

	test('cancelled with a Reason of Q.850 alone it is cancelled, also after a restart', () => {
		const { rig, token } = held()
		rig.from(PBX, requestText('CANCEL', { branch: INVITE.branch, contact: '', rows: ['Reason: Q.850;cause=16'] }))
		expect(look(rig, token)).toEqual({ kind: 'ended', reason: 'cancelled' })
		rig.restart()
		expect(look(rig, token)).toEqual({ kind: 'ended', reason: 'cancelled' })
	})

	test('who asks is awake: the push has not missed it', () => {
		const { rig, token } = held()
		rig.advance(500)
		look(rig, token)
		rig.advance(HOLD_MS + GHOST_MS)
		expect(rig.tables.devices.get(1)!.missedWakes).toBe(0)
	})

	test('of a call nobody remembers it is over', () => {
		const { rig, phone, token } = held()
		wake(rig, phone)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 486))
		expect([rig.core.calls.count, look(rig, token)]).toEqual([0, { kind: 'ended', reason: 'over' }])
	})
})

describe('declining', () => {
	test('603 to the PBX at once, and nothing to the phone, which has shown the call and ended it', () => {
		const { rig, phone, token } = held()
		decline(rig, token)
		expect(rig.words(PBX)).toEqual(['100 INVITE', '603 INVITE'])
		expect(rig.core.context.counters.callsDeclined).toBe(1)
		wake(rig, phone)
		expect([rig.words(phone.flow), rig.core.calls.count, rig.tables.calls.size]).toEqual([['200 REGISTER'], 0, 0])
	})

	test('once: the address says afterwards that the call is over', () => {
		const { rig, token } = held()
		const verdict = look(rig, token)
		decline(rig, token)
		expect(look(rig, token).kind).toBe('ended')
		rig.clear()
		if (verdict.kind === 'ringing') rig.input({ type: 'decline', callId: verdict.callId, deviceId: verdict.deviceId })
		expect(rig.sent).toEqual([])
	})

	test('once, also while the phone still owes its 487: a second time nobody waits longer', () => {
		const { rig, phone, token } = held()
		wake(rig, phone)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		decline(rig, token)
		rig.advance(CANCEL_GRACE_MS - 1)
		expect(look(rig, token)).toEqual({ kind: 'ended', reason: 'declined' })
		rig.input({ type: 'decline', callId: [...rig.tables.calls.keys()][0]!, deviceId: 1 })
		rig.advance(1)
		expect(rig.words(PBX)).toContain('603 INVITE')
	})

	test('is a sign of life: an agent who declines on the lock screen is not suspect', () => {
		const { rig } = held()
		for (let i = 0; i < 4; i++) {
			rig.advance(HOLD_MS + GHOST_MS)
			rig.from(PBX, requestText('INVITE', { branch: `z9hG4bKagain${i}`, callId: `again${i}` }))
			rig.advance(500)
			decline(rig, tokenOf(rig.pushes.at(-1)!))
			/* APNs may answer after the phone has */
			rig.pushed(ACCEPTED)
		}
		rig.advance(HOLD_MS + GHOST_MS)
		expect([rig.eventNames().includes('device-suspect'), rig.tables.devices.get(1)!.missedWakes]).toEqual([false, 0])
	})

	test('teaches nothing of how long the phone takes to wake', () => {
		const { rig, phone, token } = held()
		decline(rig, token)
		rig.advance(30_000)
		wake(rig, phone)
		expect(rig.core.devices.device(1)!.wakeTimes).toEqual([])
	})

	test('on one device it ends the call on the others: a sleeping one is told when it wakes', () => {
		const { rig, phones, tokens } = held(2)
		decline(rig, tokens[0]!)
		expect([rig.words(PBX), look(rig, tokens[1]!)]).toEqual([
			['100 INVITE', '603 INVITE'],
			{ kind: 'ended', reason: 'declined' },
		])
		wake(rig, phones[1]!)
		rig.from(phones[1]!.flow, answerTo(rig.last(phones[1]!.flow, 'INVITE'), 180))
		expect(rig.last(phones[1]!.flow, 'CANCEL').first(Header.Reason)).toBe('SIP;cause=603;text="Decline"')
	})

	test('one that rings is cancelled, and may answer before the CANCEL reaches it', () => {
		for (const status of [487, 200]) {
			const { rig, phones, tokens } = held(2)
			wake(rig, phones[1]!)
			const invite = rig.last(phones[1]!.flow, 'INVITE')
			rig.from(phones[1]!.flow, answerTo(invite, 180))
			decline(rig, tokens[0]!)
			expect(rig.words(phones[1]!.flow).at(-1)).toBe('CANCEL')
			rig.from(phones[1]!.flow, answerTo(invite, status, { contact: phones[1]!.uri }))
			expect(rig.words(PBX).at(-1)).toBe(status === 200 ? '200 INVITE' : '603 INVITE')
		}
	})

	test('a phone that does not confirm the CANCEL is not waited for', () => {
		const { rig, phones, tokens } = held(2)
		wake(rig, phones[1]!)
		rig.from(phones[1]!.flow, answerTo(rig.last(phones[1]!.flow, 'INVITE'), 180))
		decline(rig, tokens[0]!)
		rig.advance(CANCEL_GRACE_MS)
		expect(rig.words(PBX)).toContain('603 INVITE')
	})

	test('while it rings itself: CANCEL, and its 487 stays here', () => {
		const { rig, phone, token } = held()
		wake(rig, phone)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		decline(rig, token)
		expect(rig.words(phone.flow).at(-1)).toBe('CANCEL')
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 487))
		expect(rig.words(PBX).filter((word) => word.endsWith('INVITE'))).toEqual(['100 INVITE', '180 INVITE', '603 INVITE'])
	})
})
