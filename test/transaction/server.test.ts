import { describe, expect, test } from 'bun:test'
import { MAX_LINGERING, SIXTY_FOUR_T1, T1, T2 } from '../../src/transaction/timers.ts'
import { answerDestination } from '../../src/transaction/transactions.ts'
import { FAR, Rig, requestOf } from './rig.ts'

const INVITE = requestOf('INVITE')
const ACK = requestOf('ACK')
const OPTIONS = requestOf('OPTIONS')

/** An INVITE (or other request) that got these answers. */
function served(request = INVITE, ...statuses: readonly number[]) {
	const rig = new Rig()
	const server = rig.serve(request)
	for (const status of statuses) rig.respond(server, request, status)
	rig.sent.length = 0
	return { rig, server }
}

describe('INVITE server transaction (RFC 3261 §17.2.1)', () => {
	test('a retransmitted INVITE gets the most recent provisional response again', () => {
		const { rig, server } = served(INVITE, 100, 180)
		rig.layer.absorb(server, INVITE, rig.now)
		expect(rig.words()).toEqual(['SIP/2.0 180'])
		expect(rig.counters).toEqual({ retransmissionsSent: 1, retransmissionsAbsorbed: 1 })
	})

	test('before any response a retransmission is swallowed', () => {
		const { rig, server } = served()
		rig.layer.absorb(server, INVITE, rig.now)
		expect(rig.words()).toEqual([])
	})

	test('timer G: a final response is repeated after T1, 2*T1, … at most every T2', () => {
		const { rig } = served(INVITE, 486)
		rig.advance(16_000)
		expect(rig.times()).toEqual([T1, 1500, 3500, 3500 + T2, 3500 + 2 * T2, 3500 + 3 * T2])
	})

	test('a final response is sent again for a repeated INVITE', () => {
		const { rig, server } = served(INVITE, 486)
		rig.layer.absorb(server, INVITE, rig.now)
		expect(rig.words()).toEqual(['SIP/2.0 486'])
	})

	test('timer H: without an ACK it gives up after 64*T1', () => {
		const { rig, server } = served(INVITE, 486)
		rig.advance(SIXTY_FOUR_T1)
		rig.times()
		rig.advance(SIXTY_FOUR_T1)
		expect([rig.times(), server.state, rig.layer.count]).toEqual([[], 'terminated', 0])
	})

	test('timer I: the ACK ends retransmissions, and T4 later it is gone', () => {
		const { rig, server } = served(INVITE, 486)
		rig.layer.absorb(server, ACK, rig.now)
		/* as table 4 of RFC 3261 has it, whatever the constant says */
		rig.advance(5_000 - 1)
		rig.layer.absorb(server, ACK, rig.now)
		expect([rig.times(), server.state, rig.layer.count]).toEqual([[], 'confirmed', 1])
		rig.advance(1)
		expect([server.state, rig.layer.count]).toEqual(['terminated', 0])
	})

	test('a second final response of the transaction user goes nowhere', () => {
		const { rig, server } = served(INVITE, 486)
		rig.respond(server, INVITE, 480)
		rig.respond(server, INVITE, 200)
		rig.respond(server, INVITE, 180)
		expect([rig.words(), server.finalStatus]).toEqual([[], 486])
	})

	test('timer L (RFC 6026 §7.1): after 2xx retransmitted INVITEs are absorbed in silence for 64*T1', () => {
		const { rig, server } = served(INVITE, 200)
		rig.advance(SIXTY_FOUR_T1 - 1)
		rig.layer.absorb(server, INVITE, rig.now)
		expect([rig.words(), rig.layer.findServer(INVITE) === server]).toEqual([[], true])
		rig.advance(1)
		expect(rig.layer.findServer(INVITE)).toBeUndefined()
	})

	test('RFC 6026 §7.1: more 2xx go on upstream, other responses do not', () => {
		const { rig, server } = served(INVITE, 200)
		rig.respond(server, INVITE, 200)
		rig.respond(server, INVITE, 486)
		rig.respond(server, INVITE, 180)
		expect(rig.words()).toEqual(['SIP/2.0 200'])
	})

	test('the request is let go of when it lingers', () => {
		const { rig, server } = served(INVITE, 486)
		expect(server.request).toBe(INVITE)
		rig.layer.absorb(server, ACK, rig.now)
		expect(server.request).toBeUndefined()
	})

	test('an abandoned one is gone at once, timers and all', () => {
		const { rig, server } = served(INVITE, 486)
		rig.layer.abandon(server)
		rig.advance(SIXTY_FOUR_T1)
		expect([rig.words(), rig.layer.count]).toEqual([[], 0])
	})
})

describe('non-INVITE server transaction (RFC 3261 §17.2.2)', () => {
	test('in Trying a retransmission is discarded, in Proceeding it gets the provisional response', () => {
		const { rig, server } = served(OPTIONS)
		rig.layer.absorb(server, OPTIONS, rig.now)
		expect(rig.words()).toEqual([])
		rig.respond(server, OPTIONS, 183)
		rig.layer.absorb(server, OPTIONS, rig.now)
		expect(rig.words()).toEqual(['SIP/2.0 183', 'SIP/2.0 183'])
	})

	test('timer J: a retransmission gets the final response for 64*T1, and none goes out by itself', () => {
		const { rig, server } = served(OPTIONS, 200)
		rig.advance(SIXTY_FOUR_T1 - 1)
		expect(rig.words()).toEqual([])
		rig.layer.absorb(server, OPTIONS, rig.now)
		expect(rig.words()).toEqual(['SIP/2.0 200'])
		rig.advance(1)
		expect(rig.layer.findServer(OPTIONS)).toBeUndefined()
	})

	test('any other final response of the transaction user is discarded', () => {
		const { rig, server } = served(OPTIONS, 404)
		rig.respond(server, OPTIONS, 200)
		rig.layer.absorb(server, OPTIONS, rig.now)
		expect(rig.words()).toEqual(['SIP/2.0 404'])
	})
})

describe('matching requests (RFC 3261 §17.2.3)', () => {
	const found = (known: ReturnType<typeof requestOf>, request: ReturnType<typeof requestOf>) => {
		const rig = new Rig()
		const server = rig.serve(known)
		return rig.layer.findServer(request) === server
	}

	test('branch, sent-by and method must match', () => {
		expect(found(INVITE, requestOf('INVITE', { fromTag: 'other' }))).toBe(true)
		expect(found(INVITE, requestOf('INVITE', { branch: 'z9hG4bKtwo' }))).toBe(false)
		expect(found(INVITE, requestOf('INVITE', { sentBy: '192.0.2.9:5071' }))).toBe(false)
		expect(found(INVITE, requestOf('OPTIONS'))).toBe(false)
	})

	test('an ACK belongs to the INVITE, and never to another method', () => {
		expect(found(INVITE, ACK)).toBe(true)
		expect(found(OPTIONS, ACK)).toBe(false)
	})

	test('a CANCEL is a transaction of its own, and names its INVITE (§9.2)', () => {
		const rig = new Rig()
		const server = rig.serve(INVITE)
		const cancel = requestOf('CANCEL')
		expect(rig.layer.findServer(cancel)).toBeUndefined()
		expect(rig.layer.cancelled(cancel)).toBe(server)
		expect(rig.layer.cancelled(requestOf('CANCEL', { branch: 'z9hG4bKtwo' }))).toBeUndefined()
		const own = rig.serve(cancel)
		expect([rig.layer.findServer(cancel) === own, rig.layer.cancelled(cancel) === server]).toEqual([true, true])
	})

	for (const [what, branch] of [
		['no branch', ''],
		['a branch of RFC 2543', '1'],
		['the bare cookie', 'z9hG4bK'],
	] as const) {
		test(`with ${what}: Request-URI, From-tag, Call-ID, CSeq and Via decide (RFC 2543 matching)`, () => {
			const known = requestOf('INVITE', { branch })
			expect(found(known, requestOf('INVITE', { branch }))).toBe(true)
			expect(found(known, requestOf('ACK', { branch, toTag: 'tt', cseq: '1 ACK' }))).toBe(true)
			expect(found(known, requestOf('INVITE', { branch, fromTag: 'other' }))).toBe(false)
			expect(found(known, requestOf('INVITE', { branch, cseq: '2 INVITE' }))).toBe(false)
			expect(found(known, requestOf('INVITE', { branch, uri: 'sip:1002@gw.example' }))).toBe(false)
			expect(found(known, requestOf('INVITE', { branch, sentBy: '192.0.2.10:5070' }))).toBe(false)
		})
	}
})

describe('where answers go (RFC 3261 §18.2.2, RFC 3581 §4)', () => {
	const source = { listener: 1, address: '192.0.2.200', port: 40_000 }

	test('rport, or a peer behind a NAT: to the very address and port the request came from', () => {
		expect(answerDestination(requestOf('OPTIONS', { rport: true }), source, false)).toEqual(source)
		expect(answerDestination(requestOf('OPTIONS'), source, true)).toEqual(source)
	})

	test('without rport: to the port of sent-by, 5060 where it names none, and always to the source address', () => {
		expect(answerDestination(requestOf('OPTIONS'), source, false)).toEqual({ ...source, port: 5070 })
		const portless = requestOf('OPTIONS', { sentBy: 'victim.example' })
		expect(answerDestination(portless, source, false)).toEqual({ ...source, port: 5060 })
	})

	test('a port that is the same needs no new record', () => {
		const same = { ...FAR }
		expect(answerDestination(requestOf('OPTIONS'), same, false)).toBe(same)
	})
})

describe('the memory of finished transactions', () => {
	test(`holds ${MAX_LINGERING}; the oldest is forgotten for one more`, () => {
		const rig = new Rig()
		const request = (i: number) => requestOf('OPTIONS', { branch: `z9hG4bK${i}` })
		for (let i = 0; i <= MAX_LINGERING; i++) {
			const options = request(i)
			rig.respond(rig.serve(options), options, 200)
		}
		expect(rig.layer.count).toBe(MAX_LINGERING)
		expect(rig.layer.findServer(request(0))).toBeUndefined()
		expect(rig.layer.findServer(request(1))).toBeDefined()
		expect(rig.layer.findServer(request(MAX_LINGERING))).toBeDefined()
		rig.advance(SIXTY_FOUR_T1)
		expect(rig.layer.count).toBe(0)
	})
})

describe('over a reliable transport', () => {
	const STREAM = { listener: 1, address: '192.0.2.9', port: 5070, key: '1|192.0.2.9|5070|1' }

	test('timer G never fires, H does, and I is 0', () => {
		const rig = new Rig()
		const invite = requestOf('INVITE')
		const server = rig.serve(invite, STREAM)
		rig.respond(server, invite, 486)
		rig.advance(10_000)
		expect(rig.times()).toEqual([0])
		rig.layer.absorb(server, requestOf('ACK'), rig.now)
		expect(rig.layer.count).toBe(0)
		const other = rig.serve(requestOf('INVITE', { branch: 'z9hG4bKtwo' }), STREAM)
		rig.respond(other, invite, 486)
		rig.advance(SIXTY_FOUR_T1)
		expect(rig.layer.count).toBe(0)
	})

	test('timer J is 0; timer L is not', () => {
		const rig = new Rig()
		const message = requestOf('MESSAGE')
		rig.respond(rig.serve(message, STREAM), message, 200)
		expect(rig.layer.count).toBe(0)
		const invite = requestOf('INVITE')
		rig.respond(rig.serve(invite, STREAM), invite, 200)
		expect(rig.layer.count).toBe(1)
		rig.advance(SIXTY_FOUR_T1)
		expect(rig.layer.count).toBe(0)
	})
})
