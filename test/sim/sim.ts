/**
 * The simulated world, seed after seed, until told to stop: `./build.sh sim [--seconds N] [--seed N] [--from N]`.
 * `--seed` runs that one and prints its ladder whatever comes of it. Exit status 1 where a seed failed.
 */
import { parseArgs } from 'node:util'
import { judge } from './invariants.ts'
import { ladder } from './ladder.ts'
import { chunksOf, runAll } from './pool.ts'
import { World } from './world.ts'

/** Seeds of the suite are below this; the endless run starts beyond them. */
const FIRST_SEED = 1_000_000

/** Failed seeds after which there is enough to look at. */
const ENOUGH = 5

/** A chunk takes half a second. */
const SEEDS_A_CHUNK = 25

const { values } = parseArgs({
	options: { seconds: { type: 'string' }, seed: { type: 'string' }, from: { type: 'string' } },
})

function runOne(seed: number): number {
	const world = new World(seed)
	world.run()
	const { violations } = judge(world)
	for (const { invariant, sentence } of violations) console.log(`seed ${seed}: ${invariant}\n    ${sentence}`)
	console.log(ladder(world))
	return violations.length
}

async function runMany(from: number, seconds: number): Promise<number> {
	const until = performance.now() + seconds * 1_000
	const chunks = chunksOf([{ from, to: Number.POSITIVE_INFINITY, variant: 'plain' }], SEEDS_A_CHUNK)
	let [seeds, failed, stopped] = [0, 0, false]
	/* once: the second ^C ends it at once */
	process.once('SIGINT', () => {
		stopped = true
	})
	const isOver = () => stopped || failed >= ENOUGH || performance.now() >= until
	await runAll(
		() => (isOver() ? undefined : chunks.next().value),
		({ chunk, reports }) => {
			seeds += chunk.to - chunk.from
			failed += reports.length
			for (const report of reports) console.log(report)
		},
	)
	console.log(`${seeds} seeds from ${from}, ${failed} failed`)
	return failed
}

const failed =
	values.seed === undefined
		? await runMany(Number(values.from ?? FIRST_SEED), Number(values.seconds ?? Number.POSITIVE_INFINITY))
		: runOne(Number(values.seed))
process.exit(failed === 0 ? 0 : 1)
