/** A call for a device whose last sign of life is old, and pushes that turn out not to be needed. */
import { describe, expect, test } from 'bun:test'
import { PROBE_AGAIN_MS, PROBE_MS } from '../../src/core/reach/probes.ts'
import { SILENCE_MS } from '../../src/core/wake/device-branch.ts'
import { ACCEPTED, answerTo, BAD_TOKEN, bind, boundPhone, fallAsleep, type Phone, requestText, SDP } from './peers.ts'
import { flowOf, PBX, Rig } from './rig.ts'

const INVITE = { branch: 'z9hG4bKinvite', body: SDP }
const WITHDRAWN = { kind: 'withdrawn', status: 0, reason: '' } as const
const FRESH_MS = 3_000
const cancelText = () => requestText('CANCEL', { branch: INVITE.branch, contact: '' })

/** Nothing was heard of the phone for `--fresh` and a moment, and its turn to be pinged has not come. */
function stale(settings = {}, token?: string) {
	const rig = new Rig({ pingIntervalMs: 60_000, freshMs: FRESH_MS, ...settings })
	const phone = boundPhone(rig, '1001', token)
	rig.advance(FRESH_MS + 1)
	rig.clear()
	return { rig, phone }
}

/** The same, and a call has come for it. */
function probed(settings = {}) {
	const { rig, phone } = stale(settings)
	rig.from(PBX, requestText('INVITE', INVITE))
	return { rig, phone }
}

const pong = (rig: Rig, phone: Phone) => rig.from(phone.flow, answerTo(rig.last(phone.flow, 'OPTIONS'), 200))

describe('a probe', () => {
	test('--fresh: within it the INVITE goes out at once; beyond it a ping, and neither INVITE nor push', () => {
		const { rig, phone } = stale()
		rig.now -= 1
		rig.from(PBX, requestText('INVITE', INVITE))
		expect(rig.words(phone.flow)).toEqual(['INVITE'])
		const later = probed()
		expect([later.rig.words(later.phone.flow), later.rig.pushes]).toEqual([['OPTIONS'], []])
		expect([later.rig.core.context.counters.probes, later.rig.core.snapshot(later.rig.now).calls[0]!.state]).toEqual([
			1,
			'held',
		])
	})

	test('a pong within its budget: the INVITE, and no push ever', () => {
		const { rig, phone } = probed()
		rig.advance(PROBE_MS - 1)
		pong(rig, phone)
		expect(rig.words(phone.flow)).toEqual(['OPTIONS', 'OPTIONS', 'INVITE'])
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		rig.advance(60_000)
		expect([rig.pushes, rig.tables.calls.size]).toEqual([[], 0])
	})

	test(`PROBE_MS: no pong in ${PROBE_MS} ms → background, held, pushed; the phone has seen no INVITE`, () => {
		const { rig, phone } = probed()
		rig.advance(PROBE_MS - 1)
		expect(rig.pushes).toEqual([])
		rig.advance(1)
		expect([rig.pushes.length, rig.tables.devices.get(1)!.reach, rig.words(phone.flow)]).toEqual([
			1,
			'background',
			['OPTIONS', 'OPTIONS'],
		])
		phone.flow = flowOf('203.0.113.9', 50_000)
		bind(rig, phone)
		expect(rig.words(phone.flow)).toEqual(['200 REGISTER', 'INVITE'])
	})

	test(`PROBE_AGAIN_MS: the same ping goes out once more after ${PROBE_AGAIN_MS} ms, and the pong to either counts`, () => {
		const { rig, phone } = probed()
		rig.advance(PROBE_AGAIN_MS)
		const [first, second] = rig.to(phone.flow)
		expect(second!.text).toBe(first!.text)
		rig.from(phone.flow, answerTo(first!.message, 200))
		expect(rig.words(phone.flow)).toEqual(['OPTIONS', 'OPTIONS', 'INVITE'])
	})

	test('a ping that is out already is repeated, so that its pong is not in vain', () => {
		const { rig, phone } = stale({ pingIntervalMs: 5_000 })
		rig.advance(200)
		const before = rig.to(phone.flow).at(-1)!
		rig.now += 100
		rig.from(PBX, requestText('INVITE', INVITE))
		expect(rig.to(phone.flow).at(-1)!.text).toBe(before.text)
	})

	test('any other message of the phone tells as well, and two calls share one probe', () => {
		const { rig, phone } = probed()
		rig.from(PBX, requestText('INVITE', { callId: 'second' }))
		expect(rig.words(phone.flow)).toEqual(['OPTIONS'])
		rig.from(phone.flow, phone.request('MESSAGE', { uri: 'sip:1002@pbx.example', to: '<sip:1002@pbx.example>' }))
		expect(rig.words(phone.flow)).toEqual(['OPTIONS', 'INVITE', 'INVITE'])
		expect(rig.core.context.counters.probes).toBe(1)
	})

	test('who cannot be woken is called without asking, and so is nobody with --ping-interval 0', () => {
		const { rig, phone } = stale({}, '')
		rig.from(PBX, requestText('INVITE', INVITE))
		expect(rig.words(phone.flow)).toEqual(['INVITE'])
		const blind = probed({ pingIntervalMs: 0 })
		expect([blind.rig.words(blind.phone.flow), blind.rig.pushes.length]).toEqual([[], 1])
	})

	test('CANCEL meanwhile: 487 at once, and nothing goes to the phone, not even when it answers', () => {
		const { rig, phone } = probed()
		rig.from(PBX, cancelText())
		expect(rig.words(PBX)).toEqual(['100 INVITE', '200 CANCEL', '487 INVITE'])
		pong(rig, phone)
		rig.advance(60_000)
		expect([rig.words(phone.flow).includes('INVITE'), rig.pushes, rig.core.calls.count]).toEqual([false, [], 0])
	})

	test('a REGISTER from elsewhere meanwhile: the INVITE goes there, once', () => {
		const { rig, phone } = probed()
		phone.flow = flowOf('203.0.113.9', 50_000)
		bind(rig, phone)
		rig.advance(PROBE_MS)
		expect([rig.words(phone.flow), rig.pushes]).toEqual([['200 REGISTER', 'INVITE', 'INVITE'], []])
		expect(
			new Set(
				rig
					.to(phone.flow)
					.slice(1)
					.map(({ text }) => text),
			).size,
		).toBe(1)
	})

	test('it signs off meanwhile: 480 at once', () => {
		const { rig, phone } = probed()
		bind(rig, phone, { expires: 0 })
		expect(rig.words(PBX)).toContain('480 INVITE')
		rig.advance(PROBE_MS)
		expect(rig.core.calls.count).toBe(0)
	})

	test('the token dies meanwhile: it is called after all, as one that cannot be woken', () => {
		const { rig, phone } = probed()
		rig.core.devices.device(1)!.tokenDead = true
		rig.advance(PROBE_MS)
		expect([rig.words(PBX), rig.pushes, rig.words(phone.flow)]).toEqual([
			['100 INVITE', '480 INVITE'],
			[],
			['OPTIONS', 'OPTIONS'],
		])
	})

	test('a kill meanwhile, beside a hold that is stored: the device gets the INVITE at once, and again where it registers', () => {
		const rig = new Rig({ freshMs: FRESH_MS })
		boundPhone(rig, '1001', 'aa'.repeat(32), 10)
		fallAsleep(rig)
		const awake = boundPhone(rig, '1001', 'bb'.repeat(32), 11)
		rig.advance(FRESH_MS + 1)
		rig.clear()
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.pushed(ACCEPTED)
		rig.restart()
		expect([rig.words(awake.flow), rig.pushes]).toEqual([['INVITE'], []])
		bind(rig, awake)
		expect(rig.words(awake.flow)).toEqual(['INVITE', '200 REGISTER', 'INVITE'])
	})

	test('after a restart a device is asked unless it registered a moment ago', () => {
		const { rig, phone } = stale()
		rig.restart()
		rig.clear()
		rig.from(PBX, requestText('INVITE', INVITE))
		expect(rig.words(phone.flow)).toEqual(['OPTIONS'])
	})
})

describe('a push that is not needed any more', () => {
	/** Called, silent, and its push is on the way to APNs. */
	function silent() {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.advance(SILENCE_MS)
		return { rig, phone, pushId: rig.pushes[0]!.pushId }
	}

	test.each([180, 183, 100, 486])('the phone says %i to the INVITE after all: it is taken back', (status) => {
		const { rig, phone, pushId } = silent()
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), status))
		expect(rig.cancelled).toEqual([pushId])
	})

	test('its hold is being stored still: it never goes out', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.saving = 'waits'
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.advance(SILENCE_MS)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		rig.commit()
		expect([rig.pushes, rig.cancelled]).toEqual([[], []])
	})

	test('taken back in time, it is no refusal: the phone rings on, and what became of it is told and stored', () => {
		const { rig, phone, pushId } = silent()
		const invite = rig.last(phone.flow, 'INVITE')
		const [push] = rig.pushes
		rig.from(phone.flow, answerTo(invite, 180))
		rig.clear()
		expect(rig.pushed(WITHDRAWN, push)).toEqual([])
		expect([rig.eventNames(), rig.core.context.counters.pushesWithdrawn]).toEqual([['push-withdrawn'], 1])
		expect(rig.tables.pushes.get(pushId)!.result).toBe('withdrawn')
		rig.from(phone.flow, answerTo(invite, 200, { contact: phone.uri }))
		expect(rig.words(PBX)).toContain('200 INVITE')
	})

	test('too late, its result is what it is: a dead token is remembered, and the phone rings on', () => {
		const { rig, phone } = silent()
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		rig.pushed(BAD_TOKEN)
		expect([rig.tables.devices.get(1)!.tokenDead, rig.words(PBX)]).toEqual([true, ['100 INVITE', '180 INVITE']])
	})

	test('APNs has answered: there is nothing to take back', () => {
		const { rig, phone } = silent()
		rig.pushed(ACCEPTED)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		expect(rig.cancelled).toEqual([])
	})

	test('the phone registers by itself, and falls silent again: the one taken back may be followed by another', () => {
		const { rig, phone } = silent()
		bind(rig, phone)
		expect(rig.cancelled.length).toBe(1)
		rig.pushed(WITHDRAWN)
		rig.advance(SILENCE_MS)
		expect(rig.pushes.length).toBe(2)
	})

	test('CANCEL of a call that is held: the push is taken back, and a phone that never had one gets nothing', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		fallAsleep(rig)
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.from(PBX, cancelText())
		expect(rig.cancelled.length).toBe(1)
		rig.pushed(WITHDRAWN)
		bind(rig, phone)
		expect([rig.words(phone.flow), rig.core.calls.count, rig.tables.calls.size]).toEqual([['200 REGISTER'], 0, 0])
	})

	test('with copies of the INVITE in its socket it is still told of the end', () => {
		const { rig, phone } = silent()
		rig.from(PBX, cancelText())
		rig.pushed(WITHDRAWN)
		bind(rig, phone)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		expect(rig.words(phone.flow).at(-1)).toBe('CANCEL')
	})
})
