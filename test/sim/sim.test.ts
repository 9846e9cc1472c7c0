import { expect, test } from 'bun:test'
import { INVARIANTS, violations } from './invariants.ts'
import { ladder } from './ladder.ts'
import { PINNED } from './pinned.ts'
import type { Scenario } from './scenario.ts'
import { World } from './world.ts'

/** As many seeds as a slow core runs in about 20 s. */
const SEEDS = 400

/** In one test, so that a failure is found and named soon. */
const SEEDS_A_TEST = 50

/** `SEED=n bun test test/sim` runs that one. */
const { SEED } = process.env

/** What fails, with the ladder of what it is about. */
function report(seed: number, change?: (scenario: Scenario) => Scenario): string {
	const world = new World(seed, change)
	world.run()
	const found = violations(world)
	if (found.length === 0) return ''
	const sentences = found.map(({ invariant, sentence }) => `${invariant}: ${sentence}`)
	const about = found.flatMap(({ sentence }) => sentence.match(/[0-9a-f]{16,}/g) ?? [])
	return [`seed ${seed}: replay it by SEED=${seed} bun test test/sim`, ...sentences, ladder(world, about)].join('\n')
}

const killedOften = (scenario: Scenario): Scenario => ({
	...scenario,
	events: { ...scenario.events, kills: 8, calls: 8 },
})

if (SEED !== undefined) {
	test(`seed ${SEED}`, () => {
		expect(report(Number(SEED))).toBe('')
	})
} else {
	for (let first = 0; first < SEEDS; first += SEEDS_A_TEST)
		test(`what always holds, holds with the seeds from ${first} to ${first + SEEDS_A_TEST - 1}`, () => {
			for (let seed = first; seed < first + SEEDS_A_TEST; seed++) expect(report(seed)).toBe('')
		}, 60_000)

	test('what always holds, holds with a gateway that is killed again and again', () => {
		for (let seed = 0; seed < SEEDS_A_TEST; seed++) expect(report(seed, killedOften)).toBe('')
	}, 60_000)

	for (const { seed, sentence } of PINNED)
		test(`seed ${seed}: ${sentence}`, () => {
			expect(report(seed)).toBe('')
		})

	test('the same seed gives the same run, to the last octet', () => {
		const [a, b] = [new World(7), new World(7)]
		a.run()
		b.run()
		expect(ladder(a)).toBe(ladder(b))
		expect(a.record.entries.length).toBeGreaterThan(100)
	})

	test('every invariant has its check', () => {
		for (let number = 1; number <= 13; number++)
			expect(Object.keys(INVARIANTS).some((name) => name.startsWith(`${number}. `))).toBe(true)
	})
}
