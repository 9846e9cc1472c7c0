/** Datagrams the kernel would not take yet, in their order. */

/**
 * Bytes waiting on one listener, each datagram counted with {@link DATAGRAM_COST}. Some 9,000 SIP messages, more
 * than a second of a gateway at its limit: what waits longer is retransmitted by RFC 3261 timers before it goes out.
 */
export const MAX_BACKLOG_BYTES = 8 << 20

/** What keeping one datagram costs beside its bytes: objects, and the address. So that empty ones are bounded too. */
export const DATAGRAM_COST = 256

export interface Waiting {
	readonly address: string
	readonly port: number
	readonly bytes: Uint8Array
}

export class Backlog {
	/** A Set keeps the order and gives up its first without moving the rest. */
	readonly #waiting = new Set<Waiting>()
	#bytes = 0

	get size(): number {
		return this.#waiting.size
	}

	/** False when it is full: the newest is refused, for the older ones belong to transactions further on. */
	put(address: string, port: number, bytes: Uint8Array): boolean {
		const cost = bytes.length + DATAGRAM_COST
		if (this.#bytes + cost > MAX_BACKLOG_BYTES) return false
		this.#bytes += cost
		this.#waiting.add({ address, port, bytes })
		return true
	}

	peek(): Waiting | undefined {
		for (const first of this.#waiting) return first
		return undefined
	}

	/** Removes what {@link peek} showed. */
	remove(waiting: Waiting): void {
		if (this.#waiting.delete(waiting)) this.#bytes -= waiting.bytes.length + DATAGRAM_COST
	}
}
