import { describe, expect, test } from 'bun:test'
import { parse } from '../../src/sip/parse.ts'
import { SIXTY_FOUR_T1, T1, T2 } from '../../src/transaction/timers.ts'
import { FAR, octets, Rig, requestOf } from './rig.ts'

const INVITE = requestOf('INVITE')
const BYE = requestOf('BYE')

/** A rig whose INVITE (or other request) is out. */
function opened(request = INVITE) {
	const rig = new Rig()
	const client = rig.open(request)
	return { rig, client }
}

describe('INVITE client transaction (RFC 3261 §17.1.1)', () => {
	test('timer A: the interval doubles with every retransmission, from T1 and without a cap', () => {
		const { rig } = opened()
		rig.advance(SIXTY_FOUR_T1 - 1)
		expect(rig.times()).toEqual([0, 1, 3, 7, 15, 31, 63].map((n) => n * T1))
	})

	test('timer B: 64*T1 without an answer ends it, and its user hears of it once', () => {
		const { rig, client } = opened()
		rig.advance(SIXTY_FOUR_T1)
		expect([rig.timeouts, client.state, rig.layer.count]).toEqual([1, 'terminated', 0])
		rig.times()
		rig.advance(SIXTY_FOUR_T1)
		expect([rig.timeouts, rig.times()]).toEqual([1, []])
	})

	test('a provisional response ends retransmissions, and timer B with them', () => {
		const { rig, client } = opened()
		rig.answer(INVITE, 100)
		rig.answer(INVITE, 180)
		rig.advance(10 * SIXTY_FOUR_T1)
		expect([rig.times(), rig.timeouts, client.state]).toEqual([[0], 0, 'proceeding'])
		expect(rig.answers).toEqual([100, 180])
	})

	test('300–699: an ACK goes out by the client itself, and the response up once', () => {
		const { rig, client } = opened()
		rig.answer(INVITE, 486)
		expect(rig.answers).toEqual([486])
		expect(rig.words()).toEqual(['INVITE sip:1001@gw.example', 'ACK sip:1001@gw.example'])
		rig.answer(INVITE, 486)
		expect(rig.answers).toEqual([486])
		expect(rig.words()).toEqual(['ACK sip:1001@gw.example'])
		expect(client.state).toBe('completed')
	})

	test('the ACK has the one Via and the branch of the INVITE, and the To of the response', () => {
		const { rig } = opened()
		rig.answer(INVITE, 603)
		const ack = parse(octets(rig.sent.at(-1)!.text))
		expect([ack.via.branch, ack.toTag, ack.cseq, ack.cseqMethod]).toEqual([INVITE.via.branch, 'tt', 1, 'ACK'])
	})

	test('timer D: 32 s after the final response it is gone', () => {
		const { rig } = opened()
		rig.answer(INVITE, 404)
		rig.advance(SIXTY_FOUR_T1 - 1)
		expect(rig.answer(INVITE, 404)).toBe(true)
		rig.advance(1)
		expect(rig.answer(INVITE, 404)).toBe(false)
		expect(rig.layer.count).toBe(0)
	})

	test('timer M: each 2xx goes up for 64*T1, also from another branch of a fork, and nothing else does', () => {
		const { rig } = opened()
		rig.answer(INVITE, 200)
		rig.advance(SIXTY_FOUR_T1 - 1)
		rig.answer(INVITE, 200)
		rig.answer(INVITE, 486)
		rig.answer(INVITE, 180)
		expect(rig.answers).toEqual([200, 200])
		rig.advance(1)
		expect(rig.answer(INVITE, 200)).toBe(false)
	})

	test('no ACK of ours to a 2xx: that is the business of the core', () => {
		const { rig } = opened()
		rig.answer(INVITE, 200)
		expect(rig.words()).toEqual(['INVITE sip:1001@gw.example'])
	})

	test('parked, nothing is sent and nothing times out; what answers all the same counts', () => {
		const { rig, client } = opened()
		rig.advance(1800)
		rig.times()
		client.park(rig.now)
		rig.advance(10 * SIXTY_FOUR_T1)
		expect([rig.times(), rig.timeouts, client.state]).toEqual([[], 0, 'parked'])
		rig.answer(INVITE, 180)
		expect([rig.answers, client.state]).toEqual([[180], 'proceeding'])
	})

	test('redirected, the same branch goes elsewhere with fresh timers A and B', () => {
		const { rig, client } = opened()
		const elsewhere = { listener: 0, address: '203.0.113.5', port: 6000 }
		client.park(rig.now)
		rig.advance(7000)
		rig.times()
		client.redirect(INVITE.bytes, elsewhere, rig.now)
		expect(rig.sent[0]!.to).toEqual(elsewhere)
		expect(parse(octets(rig.sent[0]!.text)).via.branch).toBe(INVITE.via.branch)
		rig.advance(SIXTY_FOUR_T1)
		expect(rig.times()).toEqual([0, 1, 3, 7, 15, 31, 63].map((n) => 7000 + n * T1))
		expect(rig.timeouts).toBe(1)
	})

	test('what has answered is redirected no more', () => {
		const { rig, client } = opened()
		rig.answer(INVITE, 180)
		rig.times()
		client.redirect(INVITE.bytes, { listener: 0, address: '203.0.113.5', port: 6000 }, rig.now)
		expect([rig.times(), client.to.address]).toEqual([[], '192.0.2.9'])
	})

	test('taken up after a restart it is parked: silent until redirected, and old answers find it', () => {
		const rig = new Rig()
		const client = rig.layer.reopen(INVITE.via.branch, INVITE.bytes, { listener: 0, address: '::1', port: 9 }, rig)
		rig.advance(SIXTY_FOUR_T1)
		expect(rig.times()).toEqual([])
		expect(rig.answer(INVITE, 200)).toBe(true)
		expect(client.state).toBe('accepted')
	})

	test('a forgotten one neither sends nor hears', () => {
		const { rig, client } = opened()
		rig.layer.forget(client)
		rig.times()
		rig.advance(SIXTY_FOUR_T1)
		expect([rig.times(), rig.timeouts, rig.answer(INVITE, 200), rig.layer.count]).toEqual([[], 0, false, 0])
	})

	test('forgotten while it lingers, nothing of it is left', () => {
		const { rig, client } = opened()
		rig.answer(INVITE, 200)
		rig.layer.forget(client)
		expect([rig.layer.count, rig.layer.nextLinger()]).toEqual([0, Infinity])
	})
})

describe('non-INVITE client transaction (RFC 3261 §17.1.2)', () => {
	test('timer E: the interval doubles up to T2', () => {
		const { rig } = opened(BYE)
		rig.advance(16_000)
		expect(rig.times()).toEqual([0, 500, 1500, 3500, 7500, 11_500, 15_500])
	})

	test('after a provisional response timer E runs at T2', () => {
		const { rig } = opened(BYE)
		rig.advance(100)
		rig.answer(BYE, 100)
		rig.advance(10_000)
		expect(rig.times()).toEqual([0, 500, 500 + T2, 500 + 2 * T2])
		expect(rig.answers).toEqual([100])
	})

	test('timer F: 64*T1 without a final response ends it, provisional or not', () => {
		for (const provisional of [false, true]) {
			const { rig } = opened(BYE)
			if (provisional) rig.answer(BYE, 100)
			rig.advance(SIXTY_FOUR_T1)
			expect([rig.timeouts, rig.layer.count]).toEqual([1, 0])
		}
	})

	test('the final response goes up once; a retransmitted one finds nothing (timer K is 0)', () => {
		const { rig } = opened(BYE)
		expect(rig.answer(BYE, 200)).toBe(true)
		expect(rig.answer(BYE, 200)).toBe(false)
		rig.times()
		rig.advance(SIXTY_FOUR_T1)
		expect([rig.answers, rig.times(), rig.timeouts]).toEqual([[200], [], 0])
	})
})

describe('matching responses (RFC 3261 §17.1.3)', () => {
	test('by branch and by the method in CSeq', () => {
		const { rig } = opened()
		expect(rig.answer(requestOf('INVITE', { branch: 'z9hG4bKother' }), 200)).toBe(false)
		expect(rig.answer(requestOf('OPTIONS'), 200)).toBe(false)
		expect(rig.answer(INVITE, 200)).toBe(true)
	})

	test('a CANCEL shares the branch of its INVITE, and its answer is not the answer of the INVITE', () => {
		const { rig } = opened()
		const cancel = requestOf('CANCEL')
		rig.open(cancel)
		expect(rig.layer.count).toBe(2)
		rig.answer(cancel, 200)
		expect(rig.layer.count).toBe(1)
		rig.answer(INVITE, 487)
		expect(rig.answers).toEqual([200, 487])
	})
})

describe('over a reliable transport', () => {
	const STREAM = { listener: 1, address: '192.0.2.9', port: 5070, key: '1|192.0.2.9|5070|1' }

	test('timers A and E never fire; B and F do', () => {
		for (const method of ['INVITE', 'MESSAGE']) {
			const rig = new Rig()
			rig.open(requestOf(method), STREAM)
			rig.advance(SIXTY_FOUR_T1)
			expect(rig.times()).toEqual([0])
			expect(rig.timeouts).toBe(1)
			expect(rig.layer.count).toBe(0)
		}
	})

	test('timer D is 0: the ACK goes out and nothing is left', () => {
		const rig = new Rig()
		const invite = requestOf('INVITE')
		rig.open(invite, STREAM)
		rig.answer(invite, 486)
		expect(rig.words()).toEqual(['INVITE sip:1001@gw.example', 'ACK sip:1001@gw.example'])
		expect(rig.answers).toEqual([486])
		expect(rig.layer.count).toBe(0)
	})

	test('after a provisional answer nothing is repeated either', () => {
		const rig = new Rig()
		const message = requestOf('MESSAGE')
		rig.open(message, STREAM)
		rig.answer(message, 100)
		rig.advance(20_000)
		expect(rig.times()).toEqual([0])
	})

	test('a request that comes over from UDP is repeated no more, and one that goes to UDP is', () => {
		const rig = new Rig()
		const invite = requestOf('INVITE')
		const client = rig.open(invite)
		client.redirect(invite.bytes, STREAM, rig.now)
		rig.advance(3_000)
		expect(rig.times()).toEqual([0, 0])
		client.redirect(invite.bytes, FAR, rig.now)
		rig.advance(600)
		expect(rig.times()).toEqual([3_000, 3_500])
	})
})
