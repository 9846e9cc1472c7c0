import { describe, expect, test } from 'bun:test'
import { Deadline, Deadlines } from '../../src/lib/deadlines.ts'
import { Prng } from '../../src/lib/prng.ts'

const drain = (deadlines: Deadlines<string>, now: number): string[] => {
	const taken: string[] = []
	for (let d = deadlines.take(now); d !== undefined; d = deadlines.take(now)) taken.push(d.what)
	return taken
}

describe('deadlines', () => {
	test('nothing armed: the next one is never', () => {
		const deadlines = new Deadlines<string>()
		expect(deadlines.next()).toBe(Infinity)
		expect(deadlines.take(Infinity)).toBeUndefined()
	})

	test('one is due at its time, not a millisecond before', () => {
		const deadlines = new Deadlines<string>()
		deadlines.after(new Deadline('a'), 1000, 500)
		expect(deadlines.next()).toBe(1500)
		expect(drain(deadlines, 1499)).toEqual([])
		expect(drain(deadlines, 1500)).toEqual(['a'])
		expect(deadlines.next()).toBe(Infinity)
	})

	test('they come by time, whichever way they were armed', () => {
		const deadlines = new Deadlines<string>()
		deadlines.after(new Deadline('late'), 0, 32_000)
		deadlines.at(new Deadline('between'), 700)
		deadlines.after(new Deadline('early'), 0, 500)
		deadlines.after(new Deadline('early too'), 10, 500)
		deadlines.at(new Deadline('first'), 3)
		expect(drain(deadlines, 40_000)).toEqual(['first', 'early', 'early too', 'between', 'late'])
	})

	test('a disarmed one never comes, and may be disarmed again', () => {
		const deadlines = new Deadlines<string>()
		const [a, b, c] = ['a', 'b', 'c'].map((name) => new Deadline(name))
		for (const d of [a!, b!, c!]) deadlines.after(d, 0, 100)
		deadlines.disarm(b!)
		deadlines.disarm(b!)
		expect([a!.armed, b!.armed]).toEqual([true, false])
		expect(drain(deadlines, 100)).toEqual(['a', 'c'])
	})

	test('head, middle and tail of a list can go in any order', () => {
		for (const gone of ['abc', 'cba', 'bac', 'acb']) {
			const deadlines = new Deadlines<string>()
			const byName = new Map([...'abcd'].map((name) => [name, new Deadline(name)]))
			for (const d of byName.values()) deadlines.after(d, 0, 100)
			for (const name of gone) deadlines.disarm(byName.get(name)!)
			expect(drain(deadlines, 100)).toEqual(['d'])
		}
	})

	test('arming anew moves it, and it comes once', () => {
		const deadlines = new Deadlines<string>()
		const d = new Deadline('a')
		deadlines.after(d, 0, 500)
		deadlines.after(d, 100, 1000)
		expect(deadlines.next()).toBe(1100)
		deadlines.at(d, 50)
		expect(drain(deadlines, 5000)).toEqual(['a'])
		expect(d.armed).toBe(false)
	})

	test('one taken may be armed again by whoever took it', () => {
		const deadlines = new Deadlines<string>()
		deadlines.after(new Deadline('a'), 0, 10)
		const taken = deadlines.take(10)!
		deadlines.after(taken, 10, 10)
		expect(deadlines.next()).toBe(20)
	})

	test('a thousand armed, moved and disarmed at random come in the order of a plain sort', () => {
		const prng = new Prng(7)
		const deadlines = new Deadlines<string>()
		const expected = new Map<Deadline<string>, number>()
		const all = Array.from({ length: 300 }, (_, i) => new Deadline(`${i}`))
		for (let step = 0; step < 3000; step++) {
			const d = all[prng.below(all.length)]!
			if (prng.chance(0.2)) {
				deadlines.disarm(d)
				expected.delete(d)
			} else {
				const at = prng.below(10_000)
				deadlines.at(d, at)
				expected.set(d, at)
			}
			const least = Math.min(Infinity, ...expected.values())
			if (step % 50 === 0) expect(deadlines.next()).toBe(least)
		}
		const times: number[] = []
		for (let d = deadlines.take(Infinity); d !== undefined; d = deadlines.take(Infinity)) {
			expect(d.at).toBe(expected.get(d)!)
			times.push(d.at)
		}
		expect(times).toEqual([...expected.values()].sort((a, b) => a - b))
	})
})
