/** How long a call waits for a sleeping device, learnt from how long it took before. */
import { describe, expect, test } from 'bun:test'
import { SILENCE_MS } from '../../src/core/wake/device-branch.ts'
import { learntHoldMs, MAX_WAKES_KEPT, MIN_HOLD_MS, MIN_WAKES_TO_LEARN, p95Of } from '../../src/core/wake/wake-times.ts'
import { ACCEPTED, answerTo, bind, boundPhone, fallAsleep, type Phone, requestText, SDP } from './peers.ts'
import { flowOf, PBX, Rig } from './rig.ts'

const HOLD_MS = 20_000
const INVITE = { branch: 'z9hG4bKinvite', body: SDP }

/** A sleeping phone for each of these lists of wake times. */
function asleep(...known: readonly (readonly number[])[]) {
	const rig = new Rig()
	const phones = known.map((_, i) => boundPhone(rig, '1001', i.toString(16).repeat(64), 10 + i))
	fallAsleep(rig)
	for (const [i, wakeTimes] of known.entries()) rig.core.devices.device(i + 1)!.wakeTimes = wakeTimes
	return { rig, phones }
}

function call(rig: Rig, rows: readonly string[] = []): void {
	rig.from(PBX, requestText('INVITE', { ...INVITE, rows }))
	for (const push of rig.pushes) rig.pushed(ACCEPTED, push)
}

/** After how many ms the caller is told 480. */
function heldMs(rig: Rig): number {
	const begun = rig.now
	while (!rig.words(PBX).includes('480 INVITE') && rig.now < begun + 2 * HOLD_MS) rig.advance(100)
	return rig.now - begun
}

function wake(rig: Rig, phone: Phone): void {
	phone.flow = flowOf('203.0.113.9', 50_000)
	bind(rig, phone)
}

const holdOf = (rig: Rig) => rig.core.snapshot(rig.now).agents[0]!.devices[0]!.hold
const times = (count: number, ms: number) => Array.from({ length: count }, () => ms)

describe('what is learnt', () => {
	test('p95 by the nearest rank: of sixteen the longest, of none nothing', () => {
		expect([p95Of([]), p95Of([3]), p95Of([5, 1, 3]), p95Of([...times(15, 1), 9])]).toEqual([undefined, 3, 5, 9])
		expect(p95Of([...times(19, 1), 9])).toBe(1)
	})

	test('half as long again as its slow wakes, and never beyond --hold', () => {
		expect(learntHoldMs(times(8, 8_000), HOLD_MS)).toBe(12_000)
		expect(learntHoldMs(times(8, 15_000), HOLD_MS)).toBe(HOLD_MS)
	})

	test(`MIN_HOLD_MS: not below ${MIN_HOLD_MS} ms, unless --hold is`, () => {
		expect([learntHoldMs(times(8, 900), HOLD_MS), learntHoldMs(times(8, 900), 2_000)]).toEqual([MIN_HOLD_MS, 2_000])
	})

	test(`MIN_WAKES_TO_LEARN: from fewer than ${MIN_WAKES_TO_LEARN} wakes nothing is`, () => {
		const [less, enough] = [MIN_WAKES_TO_LEARN - 1, MIN_WAKES_TO_LEARN].map((count) =>
			learntHoldMs(times(count, 1_000), HOLD_MS),
		)
		expect([less, enough]).toEqual([HOLD_MS, MIN_HOLD_MS])
	})

	test(`MAX_WAKES_KEPT: the last ${MAX_WAKES_KEPT} wakes of a device, stored, and known after a restart`, () => {
		const { rig, phones } = asleep(times(MAX_WAKES_KEPT, 9_000))
		call(rig)
		rig.advance(1_000)
		wake(rig, phones[0]!)
		const expected = [...times(MAX_WAKES_KEPT - 1, 9_000), 1_000]
		expect(rig.tables.devices.get(1)!.wakeTimes).toEqual(expected)
		rig.restart()
		expect(rig.core.devices.device(1)!.wakeTimes).toEqual(expected)
		expect(holdOf(rig)).toEqual({ holdMs: 13_500, samples: MAX_WAKES_KEPT, p95Ms: 9_000 })
	})

	test('from the push that woke it, however often a queue calls again before it comes', () => {
		const { rig, phones } = asleep(times(4, 1_000))
		call(rig)
		rig.advance(6_500)
		rig.from(PBX, requestText('INVITE', { callId: 'second', branch: 'z9hG4bKsecond' }))
		rig.pushed(ACCEPTED)
		rig.advance(1_500)
		wake(rig, phones[0]!)
		expect(rig.core.devices.device(1)!.wakeTimes).toEqual([...times(4, 1_000), 8_000])
	})

	test('from a REGISTER before the answer of APNs, and once for two pushes', () => {
		const { rig, phones } = asleep([])
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.from(PBX, requestText('INVITE', { callId: 'second', branch: 'z9hG4bKsecond' }))
		rig.advance(400)
		wake(rig, phones[0]!)
		rig.advance(400)
		for (const push of rig.pushes) rig.pushed(ACCEPTED, push)
		expect([rig.core.devices.device(1)!.wakeTimes, rig.core.context.counters.wakes]).toEqual([[400], 1])
		expect(rig.tables.pushes.get(rig.pushes[0]!.pushId)!.wakeMs).toBe(400)
	})

	test('nothing from the REGISTER after an answer by SIP, before or after that of APNs', () => {
		for (const isEarly of [true, false]) {
			const rig = new Rig()
			const phone = boundPhone(rig)
			rig.from(PBX, requestText('INVITE', INVITE))
			rig.advance(SILENCE_MS)
			if (!isEarly) rig.pushed(ACCEPTED)
			rig.advance(100)
			const invite = rig.last(phone.flow, 'INVITE')
			rig.from(phone.flow, answerTo(invite, 180))
			rig.from(phone.flow, answerTo(invite, 200, { contact: phone.uri }))
			if (isEarly) rig.pushed(ACCEPTED)
			rig.advance(60_000)
			bind(rig, phone)
			expect(rig.core.devices.device(1)!.wakeTimes).toEqual([])
		}
	})

	test('is kept of a device that signs off and comes back', () => {
		const { rig, phones } = asleep(times(4, 1_000))
		bind(rig, phones[0]!, { expires: 0 })
		wake(rig, phones[0]!)
		expect(rig.tables.devices.get(1)!.wakeTimes).toEqual(times(4, 1_000))
	})

	test('a REGISTER without a push teaches nothing', () => {
		const { rig, phones } = asleep([])
		wake(rig, phones[0]!)
		expect(rig.core.devices.device(1)!.wakeTimes).toEqual([])
	})
})

describe('a wake that does not come', () => {
	test('counts as one of --hold: the next calls wait that long again', () => {
		const { rig } = asleep(times(4, 1_000))
		call(rig)
		expect(heldMs(rig)).toBe(MIN_HOLD_MS)
		expect(rig.tables.devices.get(1)!.wakeTimes).toEqual([...times(4, 1_000), HOLD_MS])
		rig.from(PBX, requestText('ACK', { branch: INVITE.branch, contact: '' }))
		rig.clear()
		rig.from(PBX, requestText('INVITE', { callId: 'second', branch: 'z9hG4bKsecond' }))
		rig.pushed(ACCEPTED)
		expect(heldMs(rig)).toBe(HOLD_MS)
	})

	test('counts once for all the calls it sleeps through, and gives way to the wake when that comes late', () => {
		const { rig, phones } = asleep(times(4, 1_000))
		call(rig)
		rig.from(PBX, requestText('INVITE', { callId: 'second', branch: 'z9hG4bKsecond' }))
		rig.pushed(ACCEPTED)
		rig.advance(MIN_HOLD_MS + 1_000)
		expect(rig.core.devices.device(1)!.wakeTimes.length).toBe(5)
		wake(rig, phones[0]!)
		expect(rig.tables.devices.get(1)!.wakeTimes).toEqual([...times(4, 1_000), MIN_HOLD_MS + 1_000])
	})

	test('is none where the Expires of the INVITE ended the hold', () => {
		const { rig } = asleep(times(4, 1_000))
		call(rig, ['Expires: 3'])
		expect(heldMs(rig)).toBe(3_000)
		expect(rig.core.devices.device(1)!.wakeTimes).toEqual(times(4, 1_000))
	})

	test('is none where APNs did not take the push, or the caller gave up first', () => {
		const { rig } = asleep(times(4, 1_000))
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.advance(3_000)
		rig.from(PBX, requestText('CANCEL', { branch: INVITE.branch, contact: '' }))
		rig.advance(HOLD_MS)
		expect(rig.core.devices.device(1)!.wakeTimes).toEqual(times(4, 1_000))
	})
})

describe('a hold', () => {
	test('is that of the slowest of the sleeping devices, and the push lasts as long', () => {
		const { rig } = asleep(times(4, 1_000), times(4, 7_000))
		call(rig)
		expect(rig.tables.calls.values().next().value!.holdUntil).toBe(rig.now + 10_500)
		expect(rig.pushes.at(-1)!.expiresAt).toBe(rig.now + 10_500)
		expect(heldMs(rig)).toBe(10_500)
	})

	test('is --hold with a device that nothing is known of', () => {
		const { rig } = asleep(times(4, 1_000), [])
		call(rig)
		expect(heldMs(rig)).toBe(HOLD_MS)
	})

	test('ends with the Expires of the INVITE (RFC 3261 §13.2.1), and is not made longer by it', () => {
		const short = asleep([])
		call(short.rig, ['Expires: 9'])
		expect(heldMs(short.rig)).toBe(9_000)
		const long = asleep([])
		call(long.rig, ['Expires: 180'])
		expect(heldMs(long.rig)).toBe(HOLD_MS)
	})

	test('a device that falls silent is given its own time from then on', () => {
		const rig = new Rig()
		boundPhone(rig)
		rig.core.devices.device(1)!.wakeTimes = times(4, 1_000)
		call(rig)
		rig.advance(SILENCE_MS)
		rig.pushed(ACCEPTED)
		expect(heldMs(rig)).toBe(MIN_HOLD_MS)
	})

	test('a phone that woke at the very end may still ring, and is waited for', () => {
		const { rig, phones } = asleep(times(4, 1_000))
		call(rig)
		rig.advance(MIN_HOLD_MS - 1)
		const [phone] = phones
		wake(rig, phone!)
		rig.advance(1_000)
		expect(rig.words(PBX)).toEqual(['100 INVITE', 'REGISTER'])
		rig.from(phone!.flow, answerTo(rig.last(phone!.flow, 'INVITE'), 200, { contact: phone!.uri }))
		expect(rig.words(PBX)).toContain('200 INVITE')
	})

	test('one that woke at the very end and is silent is not', () => {
		const { rig, phones } = asleep(times(4, 1_000))
		call(rig)
		rig.advance(MIN_HOLD_MS - 1)
		wake(rig, phones[0]!)
		rig.advance(HOLD_MS)
		expect(rig.words(PBX)).toContain('480 INVITE')
		expect(rig.core.calls.heldCount).toBe(0)
	})

	test('a phone that says 100 and nothing more is waited for until --hold is over', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		call(rig)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 100))
		expect(heldMs(rig)).toBe(HOLD_MS)
	})
})
