/** A phone that says 100 Trying and nothing more yet: it is there, it rings nowhere, and it may lose the INVITE still. */
import { describe, expect, test } from 'bun:test'
import { GHOST_MS, SILENCE_MS, TRYING_MS } from '../../src/core/wake/device-branch.ts'
import { HOLD_OVER } from '../../src/core/wake/reasons.ts'
import { Header } from '../../src/sip/headers.ts'
import { ACCEPTED, answerTo, bind, boundPhone, fallAsleep, type Phone, requestText, SDP } from './peers.ts'
import { flowOf, PBX, Rig } from './rig.ts'

const INVITE = { branch: 'z9hG4bKinvite', body: SDP }
const HOLD_MS = 20_000

/** Called, and it said 100. */
function trying() {
	const rig = new Rig()
	const phone = boundPhone(rig)
	rig.from(PBX, requestText('INVITE', INVITE))
	const invite = rig.last(phone.flow, 'INVITE')
	rig.from(phone.flow, answerTo(invite, 100))
	rig.clear()
	return { rig, phone, invite, old: phone.flow }
}

const cancel = (rig: Rig) => rig.from(PBX, requestText('CANCEL', { branch: INVITE.branch, contact: '' }))

function moves(rig: Rig, phone: Phone): void {
	phone.flow = flowOf('203.0.113.9', 50_000)
	bind(rig, phone)
}

/** Finals to the caller, copies once. */
const answers = (rig: Rig) => [...new Set(rig.words(PBX).filter((word) => /^[2-6].* INVITE$/.test(word)))]

describe('a phone that said 100', () => {
	test('and whose 180 is lost is cancelled at once when the caller gives up (RFC 3261 §9.1)', () => {
		const { rig, phone } = trying()
		cancel(rig)
		expect([rig.words(phone.flow), answers(rig)]).toEqual([['CANCEL'], ['487 INVITE']])
	})

	test('is cancelled when another phone answers, and when the hold is over', () => {
		const rig = new Rig()
		const [a, b] = [boundPhone(rig, '1001', 'aa'.repeat(32), 10), boundPhone(rig, '1001', 'bb'.repeat(32), 11)]
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.from(b.flow, answerTo(rig.last(b.flow, 'INVITE'), 100))
		rig.from(a.flow, answerTo(rig.last(a.flow, 'INVITE'), 200, { contact: a.uri }))
		expect(rig.words(b.flow)).toEqual(['INVITE', 'CANCEL'])
		const held = trying()
		held.rig.advance(HOLD_MS)
		expect(held.rig.words(held.phone.flow)).toContain('CANCEL')
		expect(answers(held.rig)).toEqual(['480 INVITE'])
	})

	test('is cancelled when the hold is over beside one that rings, whose answer nobody waits longer for then', () => {
		const rig = new Rig()
		const [a, b] = [boundPhone(rig, '1001', 'aa'.repeat(32), 10), boundPhone(rig, '1001', 'bb'.repeat(32), 11)]
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.from(a.flow, answerTo(rig.last(a.flow, 'INVITE'), 180))
		rig.from(b.flow, answerTo(rig.last(b.flow, 'INVITE'), 100))
		rig.advance(HOLD_MS - 1)
		expect(rig.words(b.flow)).not.toContain('CANCEL')
		rig.advance(1)
		expect([rig.words(a.flow), rig.words(b.flow)].map((words) => words.includes('CANCEL'))).toEqual([false, true])
		expect(rig.last(b.flow, 'CANCEL').first(Header.Reason)).toBe(HOLD_OVER[0]!)
		rig.from(a.flow, answerTo(rig.last(a.flow, 'INVITE'), 486))
		expect(answers(rig)).toEqual(['486 INVITE'])
	})

	test('TRYING_MS: but has its time to ring where it came late, and is waited for no longer than that', () => {
		const rig = new Rig()
		const late = boundPhone(rig, '1001', 'bb'.repeat(32), 11)
		fallAsleep(rig)
		const a = boundPhone(rig, '1001', 'aa'.repeat(32), 10)
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.from(a.flow, answerTo(rig.last(a.flow, 'INVITE'), 180))
		rig.advance(HOLD_MS - 1_000)
		moves(rig, late)
		rig.from(late.flow, answerTo(rig.last(late.flow, 'INVITE'), 100))
		rig.advance(TRYING_MS)
		expect(rig.words(late.flow)).not.toContain('CANCEL')
		rig.from(a.flow, answerTo(rig.last(a.flow, 'INVITE'), 486))
		expect(answers(rig)).toEqual([])
		rig.advance(TRYING_MS)
		expect([rig.words(late.flow).includes('CANCEL'), answers(rig)]).toEqual([true, ['486 INVITE']])
	})

	test('that was started anew meanwhile gets the INVITE of a call that is over, and its CANCEL, on registering', () => {
		const { rig, phone } = trying()
		cancel(rig)
		moves(rig, phone)
		expect(rig.words(phone.flow)).toEqual(['200 REGISTER', 'INVITE'])
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		expect(rig.words(phone.flow).at(-1)).toBe('CANCEL')
	})

	test('and registers from elsewhere gets the same INVITE there, and no push', () => {
		const { rig, phone, invite } = trying()
		rig.advance(1_000)
		moves(rig, phone)
		expect(rig.words(phone.flow)).toEqual(['200 REGISTER', 'INVITE'])
		expect(rig.last(phone.flow, 'INVITE').via.branch).toBe(invite.via.branch)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		rig.advance(SILENCE_MS)
		expect(rig.pushes).toEqual([])
	})

	test('and rings after it moved is cancelled where it is now', () => {
		const { rig, phone, invite, old } = trying()
		moves(rig, phone)
		rig.clear()
		rig.from(phone.flow, answerTo(invite, 180))
		cancel(rig)
		expect([rig.words(old), rig.words(phone.flow)]).toEqual([[], ['CANCEL']])
	})

	test('and falls silent where it moved to is woken', () => {
		const { rig, phone } = trying()
		moves(rig, phone)
		rig.advance(SILENCE_MS)
		expect(rig.pushes.length).toBe(1)
	})
})

describe('a phone that said nothing yet when the call ends', () => {
	test('gets copies for as long as it would have been waited for, and is cancelled when one is answered', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.advance(300)
		cancel(rig)
		rig.advance(SILENCE_MS - 300)
		expect([rig.words(phone.flow), answers(rig)]).toEqual([['INVITE', 'INVITE', 'INVITE'], ['487 INVITE']])
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		expect(rig.words(phone.flow).at(-1)).toBe('CANCEL')
	})

	test('gets none after that, until it registers', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('INVITE', INVITE))
		cancel(rig)
		rig.advance(SILENCE_MS)
		rig.clear()
		rig.advance(GHOST_MS - SILENCE_MS - 1_000)
		expect(rig.words(phone.flow)).not.toContain('INVITE')
		moves(rig, phone)
		expect(rig.words(phone.flow)).toContain('INVITE')
	})

	test('and registers elsewhere gets copies there as any call does', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('INVITE', INVITE))
		cancel(rig)
		moves(rig, phone)
		rig.advance(SILENCE_MS + 2_000)
		expect(rig.words(phone.flow).filter((word) => word === 'INVITE').length).toBe(4)
	})
})

describe('a phone whose 100 comes when it is being woken already', () => {
	function late() {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.advance(SILENCE_MS)
		rig.pushed(ACCEPTED)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 100))
		rig.clear()
		return { rig, phone }
	}

	test('is waited for no longer than the hold, and cancelled then', () => {
		const { rig, phone } = late()
		rig.advance(HOLD_MS)
		expect([answers(rig), rig.words(phone.flow).includes('CANCEL')]).toEqual([['480 INVITE'], true])
	})

	test('has the INVITE where it registers', () => {
		const { rig, phone } = late()
		moves(rig, phone)
		expect(rig.words(phone.flow)).toEqual(['200 REGISTER', 'INVITE'])
	})
})
