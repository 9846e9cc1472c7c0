import { describe, expect, test } from 'bun:test'
import { HANDSHAKE_SLICE_MS, HandshakeQueue } from '../../src/transport/handshakes.ts'
import { holds } from './loopback.ts'

function work(ms: number): void {
	for (const end = performance.now() + ms; performance.now() < end; );
}

describe('TLS handshakes', () => {
	test('one begins at once', () => {
		const begun: number[] = []
		new HandshakeQueue<number>((one) => begun.push(one)).add(1)
		expect(begun).toEqual([1])
	})

	test('many take turns with everything else, in order, HANDSHAKE_SLICE_MS of each', async () => {
		const begun: number[] = []
		const queue = new HandshakeQueue<number>((one) => {
			work(1)
			begun.push(one)
		})
		const atTurn: number[] = []
		const watch = () => {
			atTurn.push(begun.length)
			if (begun.length < 40) setImmediate(watch)
		}
		setImmediate(watch)
		for (let i = 0; i < 40; i++) queue.add(i)
		expect(begun.length).toBeLessThanOrEqual(HANDSHAKE_SLICE_MS)
		expect(queue.size).toBe(40 - begun.length)
		expect(await holds(() => begun.length === 40)).toBe(true)
		expect(begun).toEqual(Array.from({ length: 40 }, (_, i) => i))
		const steps = atTurn.map((count, i) => count - (atTurn[i - 1] ?? 0))
		expect(Math.max(...steps)).toBeLessThanOrEqual(2 * HANDSHAKE_SLICE_MS)
		expect(queue.size).toBe(0)
	})

	test('one that left meanwhile is not begun', async () => {
		const begun: number[] = []
		const queue = new HandshakeQueue<number>((one) => {
			work(HANDSHAKE_SLICE_MS + 1)
			begun.push(one)
		})
		for (let i = 0; i < 3; i++) queue.add(i)
		queue.remove(1)
		expect(await holds(() => begun.length === 2)).toBe(true)
		expect(begun).toEqual([0, 2])
	})
})
