import { describe, expect, test } from 'bun:test'
import { FlowCache } from '../../src/transport/flows.ts'

describe('the cache of flows', () => {
	test('finds each port of an address by itself', () => {
		const cache = new FlowCache(1)
		const flows = [5060, 40_000, 40_001].map((port) => cache.make('192.0.2.1', port))
		for (const flow of flows) expect(cache.find('192.0.2.1', flow.port)).toBe(flow)
		expect(cache.find('192.0.2.1', 40_002)).toBeUndefined()
		expect(cache.find('192.0.2.2', 5060)).toBeUndefined()
	})

	test('keeps what is asked for through a flood of others, and forgets those', () => {
		const cache = new FlowCache(0, 100)
		const phone = cache.make('192.0.2.1', 5060)
		const first = cache.make('198.51.100.1', 1)
		for (let i = 0; i < 10_000; i++) {
			cache.make('203.0.113.7', i)
			if (i % 50 === 0) expect(cache.find('192.0.2.1', 5060)).toBe(phone)
		}
		expect(cache.find(first.address, first.port)).toBeUndefined()
	})

	test('never holds more than two generations', () => {
		const cache = new FlowCache(0, 100)
		for (let i = 0; i < 1000; i++) cache.make(`198.51.100.${i % 250}`, i)
		let held = 0
		for (let i = 0; i < 1000; i++) if (cache.find(`198.51.100.${i % 250}`, i) !== undefined) held++
		expect(held).toBeLessThanOrEqual(200)
		expect(held).toBeGreaterThanOrEqual(100)
	})
})
