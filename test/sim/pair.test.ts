/** The world of pair.ts, seed by seed: what must hold while one machine of the PBX dies and comes back. */
import { describe, expect, test } from 'bun:test'
import { PROBE_AGAIN_MS, PROBE_PATIENCE_MS } from '../../src/core/pbx/prober.ts'
import { FIRST, machineAt, type Outcome, PairWorld, SECOND } from './pair.ts'

const SEEDS = 16

/** The interval, two questions without an answer, and the way there. */
const FOUND_OUT_MS = 5_000 + 2 * PROBE_PATIENCE_MS + 100
const BACK_MS = PROBE_AGAIN_MS + PROBE_PATIENCE_MS + 100

const worlds = Array.from({ length: SEEDS }, (_, seed) => {
	const world = new PairWorld(seed)
	world.run()
	return { seed, world, outcomes: world.outcomes() }
})

/** Of each seed, so that a failure names it. */
function perSeed(what: (world: PairWorld, outcomes: readonly Outcome[]) => readonly unknown[]): unknown[] {
	return worlds.flatMap(({ seed, world, outcomes }) => what(world, outcomes).map((one) => [seed, one]))
}

/** That machine had taken it, and then died: the one call that may be lost. */
const diedWith = (world: PairWorld, { heardFrom }: Outcome) => {
	const at = heardFrom.get(FIRST)
	return at !== undefined && at <= world.diesAt + 10
}

const requests = (world: PairWorld, method: string, from: number, to: number) =>
	world.record.entries.filter(
		(entry) => entry.kind === 'out' && entry.message.method === method && entry.at >= from && entry.at < to,
	) as Extract<PairWorld['record']['entries'][number], { kind: 'out' }>[]

describe('a PBX of two machines, one of which dies and comes back', () => {
	test('there is something to judge: calls before, while it is dead and after, and some that died with it', () => {
		const all = worlds.flatMap(({ world, outcomes }) => outcomes.map((one) => ({ world, one })))
		const dead = all.filter(({ world, one }) => one.begunAt > world.diesAt && one.begunAt < world.backAt)
		expect(dead.length).toBeGreaterThan(SEEDS * 5)
		expect(all.filter(({ one }) => one.sentTo.size === 2).length).toBeGreaterThan(SEEDS / 2)
		expect(all.filter(({ world, one }) => diedWith(world, one)).length).toBeGreaterThan(SEEDS / 10)
	})

	test('no call is lost but those in the dying machine', () => {
		const lost = perSeed((world, outcomes) =>
			outcomes.filter((one) => (one.status === 0 || [408, 500, 503].includes(one.status)) && !diedWith(world, one)),
		)
		expect(lost).toEqual([])
	})

	test('no call is taken by both machines', () => {
		const twice = perSeed((_world, outcomes) => outcomes.filter(({ heardFrom }) => heardFrom.size > 1))
		expect(twice).toEqual([])
	})

	test('once the first machine is found out, new calls and registrations go to the second alone', () => {
		const astray = perSeed((world) =>
			['INVITE', 'REGISTER'].flatMap((method) =>
				requests(world, method, world.diesAt + FOUND_OUT_MS, world.backAt).filter(
					({ peer }) => machineAt(peer) === FIRST,
				),
			),
		)
		expect(astray).toEqual([])
	})

	test('when it is back, registrations go to it again, and the calls of each agent follow its registration', () => {
		const astray = perSeed((world) => {
			const end = world.agenda.now
			const registers = requests(world, 'REGISTER', world.backAt + BACK_MS, end)
			/* every binding was refreshed by then */
			const calls = requests(world, 'INVITE', world.backAt + 75_000, end)
			expect(registers.length).toBeGreaterThan(0)
			return [...registers, ...calls].filter(({ peer }) => machineAt(peer) === SECOND)
		})
		expect(astray).toEqual([])
	})

	test('the operator hears of it once, and of its return', () => {
		const told = perSeed((world) => {
			const names = world.record.entries.flatMap((entry) =>
				entry.kind === 'event' && entry.name.startsWith('pbx-') ? [`${entry.name} ${entry.fields['port']}`] : [],
			)
			return names.join() === 'pbx-down 5060,pbx-up 5060' ? [] : [names]
		})
		expect(told).toEqual([])
	})

	test('nothing is thrown, and nothing is left', () => {
		const left = perSeed((world) => {
			const threw = world.record.entries.filter(({ kind }) => kind === 'threw')
			const { core } = world.gateway
			const open = core?.transactions.count ?? -1
			/* the question whether a machine lives may be out */
			return [...threw, ...(open > 2 ? [`${open} transactions`] : [])]
		})
		expect(left).toEqual([])
	})
})

test('with a lossy network between gateway and PBX no machine is passed over for long, and calls are answered', () => {
	for (let seed = 1_000; seed < 1_004; seed++) {
		const world = new PairWorld(seed, { loss: 0.1, duplicate: 0.05, delayMs: 5, jitterMs: 50, straggler: 0 })
		world.run()
		expect(world.record.entries.filter(({ kind }) => kind === 'threw')).toEqual([])
		const outcomes = world.outcomes()
		const unanswered = outcomes.filter((one) => one.status === 0 && !diedWith(world, one))
		expect([seed, unanswered]).toEqual([seed, []])
	}
})
