import { describe, expect, test } from 'bun:test'
import { Population, sourceOf } from '../../src/transport/population.ts'

describe('a population', () => {
	test('is full with as many as it may have, and has room when one leaves', () => {
		const population = new Population(2, 9)
		population.enter()
		expect(population.isFull).toBe(false)
		population.enter()
		expect(population.isFull).toBe(true)
		population.leave(undefined)
		expect(population.isFull).toBe(false)
	})

	test('has so many of one source, each counted once', () => {
		const population = new Population(9, 2)
		for (let i = 0; i < 4; i++) population.enter()
		expect([population.settle('a'), population.settle('a'), population.settle('a'), population.settle('b')]).toEqual([
			true,
			true,
			false,
			true,
		])
		population.leave('a')
		population.leave(undefined)
		expect(population.settle('a')).toBe(true)
		expect(population.settle('a')).toBe(false)
		expect(population.size).toBe(2)
	})
})

test('a source is an IPv4 address, or the /64 of an IPv6 one', () => {
	expect(sourceOf('192.0.2.1')).toBe('192.0.2.1')
	expect(sourceOf('2001:db8:1:2:3:4:5:6')).toBe(sourceOf('2001:db8:1:2::9'))
	expect(sourceOf('2001:db8:1:2::9')).not.toBe(sourceOf('2001:db8:1:3::9'))
	expect(sourceOf('::1')).toBe(sourceOf('::2'))
})
