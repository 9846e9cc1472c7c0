/** One {@link Flow} object for each far address and port, so that a datagram of a known one costs one look-up. */
import type { Flow } from '../core/model.ts'

/**
 * Flows of one generation. The gateway is built for some 50,000 devices, each heard from every few seconds: all of
 * them stay. Two generations of forged sources are what a flood can fill: 131,072 flows, about 30 MB.
 */
export const FLOWS_PER_GENERATION = 65_536

/** Most addresses have one port; a second (a NAT with many phones behind it) brings the table. */
interface Entry {
	readonly first: Flow
	others: Map<number, Flow> | undefined
}

/**
 * Bounded by generations: what is asked for moves to the young one; when that is full it becomes the old one and the
 * old one is let go as a whole. No bookkeeping on a hit, unlike an LRU.
 */
export class FlowCache {
	readonly #listener: number
	readonly #perGeneration: number
	#young = new Map<string, Entry>()
	#old = new Map<string, Entry>()
	#youngSize = 0

	/** `listener`: its index in the configuration, see {@link Flow}. */
	constructor(listener: number, perGeneration = FLOWS_PER_GENERATION) {
		this.#listener = listener
		this.#perGeneration = perGeneration
	}

	/** The flow, if it was heard from lately. */
	find(address: string, port: number): Flow | undefined {
		const flow = look(this.#young, address, port)
		if (flow !== undefined) return flow
		const older = look(this.#old, address, port)
		if (older !== undefined) this.#keep(older)
		return older
	}

	/** Makes the flow and keeps it. Only for one that {@link find} does not know. */
	make(address: string, port: number): Flow {
		const flow: Flow = { key: `${this.#listener}|${address}|${port}`, listener: this.#listener, address, port }
		this.#keep(flow)
		return flow
	}

	#keep(flow: Flow): void {
		if (this.#youngSize >= this.#perGeneration) this.#turnGeneration()
		this.#youngSize++
		const entry = this.#young.get(flow.address)
		if (entry === undefined) this.#young.set(flow.address, { first: flow, others: undefined })
		else if (entry.others === undefined) entry.others = new Map([[flow.port, flow]])
		else entry.others.set(flow.port, flow)
	}

	#turnGeneration(): void {
		this.#old = this.#young
		this.#young = new Map()
		this.#youngSize = 0
	}
}

function look(generation: Map<string, Entry>, address: string, port: number): Flow | undefined {
	const entry = generation.get(address)
	if (entry === undefined) return undefined
	return entry.first.port === port ? entry.first : entry.others?.get(port)
}
