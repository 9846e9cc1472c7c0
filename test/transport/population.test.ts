import { describe, expect, test } from 'bun:test'
import { Prng } from '../../src/lib/prng.ts'
import { Newcomers, Population, sourceOf } from '../../src/transport/population.ts'

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

describe('newcomers', () => {
	const one = (source: string) => ({ source, abort() {} })
	const of = (...all: ReturnType<typeof one>[]) => {
		const newcomers = new Newcomers()
		for (const newcomer of all) newcomers.add(newcomer)
		return newcomers
	}

	test('the oldest goes for a newer one, where no source has two', () => {
		const [first, second] = [one('a'), one('b')]
		const newcomers = of(first, second)
		expect(newcomers.victim()).toBe(first)
		newcomers.delete(first)
		newcomers.delete(first)
		expect(newcomers.victim()).toBe(second)
		newcomers.delete(second)
		expect(newcomers.victim()).toBeUndefined()
	})

	test('else the oldest of the source that has most, while they come and go', () => {
		const phone = one('a')
		const flood = [one('b'), one('b'), one('b')]
		const newcomers = of(phone, ...flood)
		for (const stranger of flood.slice(0, 2)) {
			expect(newcomers.victim()).toBe(stranger)
			newcomers.delete(stranger)
		}
		expect(newcomers.victim()).toBe(phone)
		const behindNat = [one('c'), one('c')]
		for (const another of behindNat) newcomers.add(another)
		expect(newcomers.victim()).toBe(behindNat[0]!)
		newcomers.delete(behindNat[1]!)
		expect(newcomers.victim()).toBe(phone)
	})

	test('as a slow search would find it, whoever comes and goes', () => {
		const prng = new Prng(3)
		const newcomers = new Newcomers()
		const there: ReturnType<typeof one>[] = []
		for (let i = 0; i < 2_000; i++) {
			if (prng.below(5) < 3) {
				there.push(one(`${prng.below(6)}`))
				newcomers.add(there.at(-1)!)
			} else if (there.length > 0) newcomers.delete(there.splice(prng.below(there.length), 1)[0]!)
			const count = (source: string | undefined) => there.filter((other) => other.source === source).length
			const most = Math.max(0, ...there.map(({ source }) => count(source)))
			const victim = newcomers.victim()
			expect(victim === undefined ? 0 : count(victim.source)).toBe(most)
			if (victim !== undefined) {
				const rivals = most > 1 ? there.filter(({ source }) => source === victim.source) : there
				expect(victim).toBe(rivals[0]!)
			}
		}
	})
})

test('a source is an IPv4 address, or the /64 of an IPv6 one', () => {
	expect(sourceOf('192.0.2.1')).toBe('192.0.2.1')
	expect(sourceOf('2001:db8:1:2:3:4:5:6')).toBe(sourceOf('2001:db8:1:2::9'))
	expect(sourceOf('2001:db8:1:2::9')).not.toBe(sourceOf('2001:db8:1:3::9'))
	expect(sourceOf('::1')).toBe(sourceOf('::2'))
})
