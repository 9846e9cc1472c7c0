/**
 * `./build.sh bench`: the four works of a push gateway on the compiled binary, and on Kamailio beside it where that is
 * installed; a flood, memory and the parser. docs/performance.md says how to read it.
 */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { measureFlood } from './flood.ts'
import { type GatewayKind, kamailio, pushGateway } from './gateways.ts'
import { type Outcome, WORKS, type Work } from './job.ts'
import { measureMemory } from './memory.ts'
import { type BenchOptions, benchOptions } from './options.ts'
import { canPin, pinSelf } from './processes.ts'
import { type Row, said, table } from './report.ts'
import { GENERATOR_CPU, type JobShape, measure } from './run.ts'
import { measureStreams } from './streams.ts'

const ROOT = join(import.meta.dir, '../..')

/** Agents, items at a time, packets a second: what saturates one core, and is no more than a large site has. */
const SHAPES: Readonly<Record<Work, Pick<JobShape, 'agents' | 'inFlight' | 'rate'>>> = {
	W1: { agents: 10_000, inFlight: 64, rate: 0 },
	W2: { agents: 10_000, inFlight: 600, rate: 0 },
	W3: { agents: 10_000, inFlight: 600, rate: 0 },
	W4: { agents: 0, inFlight: 64, rate: 50_000 },
}

async function measureWorks(works: readonly Work[], gateways: readonly GatewayKind[], options: BenchOptions) {
	const outcomes = new Map<string, Outcome[]>()
	for (let rep = 0; rep < options.reps; rep++)
		/* A B, then B A: a machine that gets slower hits both */
		for (const work of works)
			for (const kind of rep % 2 === 0 ? gateways : gateways.toReversed()) {
				const { seconds, warmUpSeconds } = options
				const outcome = await measure(kind, { work, seconds, warmUpSeconds, ...SHAPES[work] })
				console.log(said(work, kind.name, outcome))
				const key = `${work} ${kind.name}`
				outcomes.set(key, [...(outcomes.get(key) ?? []), outcome])
			}
	return works.flatMap((work) =>
		gateways.map((kind): Row => ({ work, gateway: kind.name, outcomes: outcomes.get(`${work} ${kind.name}`) ?? [] })),
	)
}

async function main(): Promise<number> {
	const options = benchOptions(Bun.argv.slice(2), join(ROOT, 'dist/push-gateway'))
	if (typeof options === 'string') {
		console.error(options)
		return 2
	}
	if (!existsSync(options.gateway)) {
		console.error(`There is no ${options.gateway}: ./build.sh makes dist/push-gateway.`)
		return 2
	}
	pinSelf(GENERATOR_CPU)
	const own = pushGateway(resolve(options.gateway))
	const other = options.beside ? kamailio() : undefined
	if (options.beside && other === undefined)
		console.log('Kamailio is not installed here, so there are no ratios (Debian: kamailio, kamailio-utils-modules).')
	if (!canPin()) console.log('Nothing is pinned: taskset or a second core is missing, so the figures are rough.')
	const works = WORKS.filter((work) => options.parts.includes(work))
	if (works.length > 0) {
		const rows = await measureWorks(works, other === undefined ? [own] : [own, other], options)
		console.log(`\n${table(rows, 'kamailio')}\n`)
	}
	if (options.parts.includes('flood')) console.log(await measureFlood(own))
	if (options.parts.includes('memory')) console.log(await measureMemory(own))
	if (options.parts.includes('streams')) console.log(await measureStreams(own))
	if (options.parts.includes('parser'))
		await Bun.spawn([process.execPath, join(import.meta.dir, 'parser.bench.ts')], { stdout: 'inherit' }).exited
	return 0
}

process.exit(await main())
