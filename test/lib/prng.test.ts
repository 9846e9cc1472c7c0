import { expect, test } from 'bun:test'
import { Prng } from '../../src/lib/prng.ts'

const take = (seed: number, n: number): number[] => {
	const prng = new Prng(seed)
	return Array.from({ length: n }, () => prng.next32())
}

test('the same seed gives the same numbers, another seed others', () => {
	expect(take(7, 5)).toEqual(take(7, 5))
	expect(take(7, 5)).not.toEqual(take(8, 5))
	expect(take(2 ** 40, 5)).not.toEqual(take(0, 5))
})

test('numbers are 32 bits without a sign, and spread', () => {
	const numbers = take(1, 10_000)
	expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0)
	expect(Math.max(...numbers)).toBeLessThan(2 ** 32)
	const mean = numbers.reduce((sum, n) => sum + n / 2 ** 32, 0) / numbers.length
	expect(Math.abs(mean - 0.5)).toBeLessThan(0.02)
})

test('below(n) reaches every number under n and no other', () => {
	const prng = new Prng(3)
	const seen = new Set(Array.from({ length: 1000 }, () => prng.below(7)))
	expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 5, 6])
})

test('chance(0) never comes, chance(1) always, chance(p) about p', () => {
	const prng = new Prng(4)
	const hits = (p: number) => Array.from({ length: 4000 }, () => prng.chance(p)).filter(Boolean).length
	expect([hits(0), hits(1)]).toEqual([0, 4000])
	expect(Math.abs(hits(0.25) - 1000)).toBeLessThan(150)
})
