/** One seed: the run, its checks, and what it says where one of them fails. */
import { judge } from './invariants.ts'
import { ladder } from './ladder.ts'
import type { Counts } from './tally.ts'
import { VARIANTS, type Variant } from './variants.ts'
import { World } from './world.ts'

export interface Outcome {
	readonly seed: number
	/** The sentences of what does not hold, and the ladder of what they are about; '' where all holds. */
	readonly report: string
	/** What the run met, and how often each check had something to judge. */
	readonly counts: Counts
}

export function runSeed(seed: number, variant: Variant = 'plain'): Outcome {
	const world = new World(seed, VARIANTS[variant])
	world.run()
	const { violations, counts } = judge(world)
	if (violations.length === 0) return { seed, report: '', counts }
	const sentences = violations.map(({ invariant, sentence }) => `${invariant}: ${sentence}`)
	const about = violations.flatMap(({ sentence }) => sentence.match(/[0-9a-f]{16,}/g) ?? [])
	const again = `seed ${seed}${variant === 'plain' ? '' : ` (${variant})`}: replay it by SEED=${seed} bun test test/sim`
	return { seed, report: [again, ...sentences, ladder(world, about)].join('\n'), counts }
}
