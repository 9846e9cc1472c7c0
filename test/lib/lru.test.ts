import { describe, expect, test } from 'bun:test'
import { Lru } from '../../src/lib/lru.ts'

function filled(): Lru<string, number> {
	const lru = new Lru<string, number>(3)
	lru.set('a', 1)
	lru.set('b', 2)
	lru.set('c', 3)
	return lru
}

const keys = (lru: Lru<string, number>) => [...lru.entries()].map(([key]) => key)

describe('a bounded Map', () => {
	test('never holds more than its capacity', () => {
		const lru = new Lru<number, number>(10)
		for (let i = 0; i < 1000; i++) lru.set(i, i)
		expect(lru.size).toBe(10)
		expect([...lru.entries()].map(([key]) => key)).toEqual([990, 991, 992, 993, 994, 995, 996, 997, 998, 999])
	})

	test('says whether another entry had to go', () => {
		const lru = filled()
		expect(lru.set('b', 20)).toBe(false)
		expect(lru.set('d', 4)).toBe(true)
		lru.delete('d')
		expect(lru.set('e', 5)).toBe(false)
	})

	test('evicts the one not used for longest: get and set are uses', () => {
		const lru = filled()
		expect(lru.get('a')).toBe(1)
		lru.set('b', 20)
		lru.set('d', 4)
		expect(keys(lru)).toEqual(['a', 'b', 'd'])
	})

	test('peek is no use', () => {
		const lru = filled()
		expect(lru.peek('a')).toBe(1)
		lru.set('d', 4)
		expect(lru.peek('a')).toBeUndefined()
	})

	test('a missing key is undefined and does not enter', () => {
		const lru = filled()
		expect(lru.get('x')).toBeUndefined()
		expect(lru.delete('x')).toBe(false)
		expect(keys(lru)).toEqual(['a', 'b', 'c'])
	})

	test('refuses a capacity that is not a positive integer', () => {
		for (const capacity of [0, -1, 1.5, NaN]) expect(() => new Lru(capacity)).toThrow(RangeError)
	})
})
