import { describe, expect, test } from 'bun:test'
import { Arrivals } from '../../src/transport/arrivals.ts'

/** `a1`: the first of source a. */
function arrived(...names: readonly string[]): Arrivals<string> {
	const arrivals = new Arrivals<string>()
	for (const name of names) {
		arrivals.add(name)
		arrivals.settle(name, name[0]!)
	}
	return arrivals
}

/** All, in the order in which they make room. */
function victims(arrivals: Arrivals<string>): string[] {
	const gone: string[] = []
	for (let victim = arrivals.victim(); victim !== undefined; victim = arrivals.victim()) {
		arrivals.delete(victim)
		gone.push(victim)
	}
	return gone
}

describe('who arrives makes room', () => {
	test('of the source that has most, the oldest first', () => {
		expect(victims(arrived('a1', 'b1', 'b2', 'b3', 'a2'))).toEqual(['b1', 'a1', 'b2', 'b3', 'a2'])
	})

	test('though it keeps nobody waiting, where its source has several: then the newest of them', () => {
		const arrivals = arrived('a1', 'b1', 'b2', 'b3')
		for (const name of ['b1', 'b2', 'b3']) arrivals.await(name, false)
		expect(victims(arrivals)).toEqual(['b3', 'b2', 'a1'])
		expect([...arrivals]).toEqual(['b1'])
		arrivals.await('b1', true)
		expect(victims(arrivals)).toEqual(['b1'])
		expect(arrivals.size).toBe(0)
	})

	test('where sources are not known, the oldest', () => {
		const arrivals = new Arrivals<string>()
		for (const name of ['x', 'y']) arrivals.add(name)
		expect(arrivals.victim()).toBe('x')
		arrivals.settle('x', 'a')
		arrivals.settle('x', 'a')
		expect(arrivals.size).toBe(2)
	})
})
