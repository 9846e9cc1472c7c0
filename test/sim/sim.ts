/**
 * The simulated world, seed after seed, until told to stop: `./build.sh sim [--seconds N] [--seed N] [--from N]`.
 * `--seed` runs that one and prints its ladder whatever comes of it. Exit status 1 where a seed failed.
 */
import { parseArgs } from 'node:util'
import { violations } from './invariants.ts'
import { ladder } from './ladder.ts'
import { World } from './world.ts'

/** Seeds of the suite are below this; the endless run starts beyond them. */
const FIRST_SEED = 1_000_000

/** Failed seeds after which there is enough to look at. */
const ENOUGH = 5

const { values } = parseArgs({
	options: { seconds: { type: 'string' }, seed: { type: 'string' }, from: { type: 'string' } },
})

function runOne(seed: number): boolean {
	const world = new World(seed)
	world.run()
	const found = violations(world)
	for (const { invariant, sentence } of found) console.log(`seed ${seed}: ${invariant}\n    ${sentence}`)
	if (values.seed !== undefined) console.log(ladder(world))
	return found.length === 0
}

function runMany(from: number, seconds: number): number {
	const until = performance.now() + seconds * 1_000
	let failed = 0
	let seed = from
	for (; performance.now() < until && failed < ENOUGH; seed++) if (!runOne(seed)) failed++
	console.log(
		`${seed - from} seeds from ${from}, ${failed} failed; SEED=n bun test test/sim replays one with its ladder`,
	)
	return failed
}

const failed =
	values.seed === undefined
		? runMany(Number(values.from ?? FIRST_SEED), Number(values.seconds ?? Infinity))
		: Number(!runOne(Number(values.seed)))
process.exit(failed === 0 ? 0 : 1)
