import { describe, expect, test } from 'bun:test'
import { Octets, restOf } from '../../src/transport/octets.ts'

describe('octets that wait', () => {
	test('take at most twice their length of memory, whatever they came with', () => {
		const octets = new Octets()
		octets.push(new Uint8Array(40_000).fill(7))
		for (let left = 40_000; left > 1_000; left -= 500) {
			expect(octets.held).toBeLessThanOrEqual(2 * left)
			octets.drop(500)
			expect([octets.length, octets.at(0), octets.at(left - 501)]).toEqual([left - 500, 7, 7])
		}
		octets.drop(octets.length)
		expect(octets.held).toBe(0)
	})

	test('of a message that was sent in part are copied where they are less than half', () => {
		const message = Uint8Array.from({ length: 1_000 }, (_, i) => i & 0xff)
		for (const from of [1, 500, 501, 999]) {
			const rest = restOf(message, from)
			expect(rest).toEqual(message.slice(from))
			expect(rest.buffer.byteLength).toBeLessThanOrEqual(2 * rest.length)
		}
	})
})
