import { describe, expect, test } from 'bun:test'
import { Backlog, DATAGRAM_COST, MAX_BACKLOG_BYTES } from '../../src/transport/backlog.ts'

describe('the backlog of a listener', () => {
	test('gives back in order what was put in', () => {
		const backlog = new Backlog()
		for (const octet of [1, 2, 3]) backlog.put('192.0.2.1', 5060, Uint8Array.of(octet))
		const octets: number[] = []
		for (let first = backlog.peek(); first !== undefined; first = backlog.peek()) {
			octets.push(first.bytes[0]!)
			backlog.remove(first)
		}
		expect(octets).toEqual([1, 2, 3])
		expect(backlog.size).toBe(0)
	})

	test('refuses the newest when it is full, and has room again for what was taken', () => {
		const backlog = new Backlog()
		const big = new Uint8Array(MAX_BACKLOG_BYTES / 2 - DATAGRAM_COST)
		expect(backlog.put('192.0.2.1', 1, big)).toBe(true)
		expect(backlog.put('192.0.2.1', 2, big)).toBe(true)
		expect(backlog.put('192.0.2.1', 3, new Uint8Array())).toBe(false)
		backlog.remove(backlog.peek()!)
		expect(backlog.put('192.0.2.1', 4, big)).toBe(true)
		expect(backlog.peek()!.port).toBe(2)
	})

	test('is bounded for empty datagrams too', () => {
		const backlog = new Backlog()
		let taken = 0
		while (backlog.put('192.0.2.1', 5060, new Uint8Array())) taken++
		expect(taken).toBe(MAX_BACKLOG_BYTES / DATAGRAM_COST)
	})

	test('removing the same one twice changes nothing', () => {
		const backlog = new Backlog()
		backlog.put('192.0.2.1', 5060, new Uint8Array(MAX_BACKLOG_BYTES - DATAGRAM_COST))
		const first = backlog.peek()!
		backlog.remove(first)
		backlog.remove(first)
		expect(backlog.put('192.0.2.1', 5060, new Uint8Array(MAX_BACKLOG_BYTES - DATAGRAM_COST))).toBe(true)
		expect(backlog.put('192.0.2.1', 5060, new Uint8Array())).toBe(false)
	})
})
