/** Connections that are closed, and whose they were: the gateway never connects to a phone (docs/deviations.md). */
import { Lru } from '../lib/lru.ts'
import type { Destination } from '../transaction/transactions.ts'
import type { Flow } from './model.ts'
import type { Device } from './registrar/devices.ts'

/**
 * Closed connections that are remembered, about 200 bytes each: those of a minute in which every phone of the largest contact
 * centre moves. What is meant for one that is forgotten finds no connection at all.
 */
export const MAX_DEPARTED = 16_384

/** Those of the PBX: a machine has a few at once, and an answer is due for as long as a phone rings. */
export const MAX_DEPARTED_MACHINES = 1_024

/** A flow that no connection has: the transport counts from 1. */
export function closedFlow(flow: Flow): Flow {
	const { listener, address, port } = flow
	return { key: `${listener}|${address}|${port}|0`, listener, address, port }
}

export class Departed {
	readonly #phones = new Lru<string, readonly Device[]>(MAX_DEPARTED)
	readonly #machines = new Lru<string, Destination>(MAX_DEPARTED_MACHINES)

	has(key: string): boolean {
		return this.#phones.peek(key) !== undefined
	}

	/** Who was known to be there stays known. */
	note(key: string, devices: readonly Device[]): void {
		if (devices.length > 0 || !this.has(key)) this.#phones.set(key, devices)
	}

	/** One of the PBX: what is due there goes to the machine by another. */
	noteMachine(key: string, machine: Destination): void {
		this.#machines.set(key, machine)
	}

	/** Where to send what was meant to go there; undefined: its phone is nowhere. */
	follow(to: Destination): Destination | undefined {
		const devices = to.key === undefined ? undefined : this.#phones.peek(to.key)
		if (devices === undefined) return this.#machines.peek(to.key ?? '') ?? to
		return devices.find(({ isCut, flow }) => !isCut && flow.key !== to.key)?.flow
	}
}
