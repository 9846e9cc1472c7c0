/** How often what happened in the world: of one run, and summed over many. */

/** Times by sentence, of one run. */
export type Counts = ReadonlyMap<string, number>

export interface Sum {
	/** Over all runs. */
	times: number
	/** Runs in which it happened at all. */
	seeds: number
}

/** Survives a message between workers. */
export type Tally = Map<string, Sum>

export function addRun(tally: Tally, counts: Counts): void {
	for (const [what, times] of counts) add(tally, what, { times, seeds: times > 0 ? 1 : 0 })
}

export function merge(into: Tally, from: Tally): void {
	for (const [what, sum] of from) add(into, what, sum)
}

function add(tally: Tally, what: string, { times, seeds }: Sum): void {
	const known = tally.get(what)
	if (known === undefined) tally.set(what, { times, seeds })
	else {
		known.times += times
		known.seeds += seeds
	}
}
