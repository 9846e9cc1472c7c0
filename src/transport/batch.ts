/**
 * Sends gathered under load. One system call for many datagrams costs a third less than one for each, and the code that
 * makes them stays in the cache; at rest a datagram goes out at once, for nothing is worth waiting for.
 */

/** More sends than this within {@link WINDOW_MS} are load: the rest of the turn is gathered. */
export const DIRECT_SENDS = 6
export const WINDOW_MS = 1

/** A gathered batch goes out when it has so many, or at the end of the turn. Linux takes up to 1024 at once. */
export const BATCH_DATAGRAMS = 64

/** Three entries for each datagram, as the runtime's `sendMany` takes them. */
export type Gathered = (Uint8Array | number | string)[]

export class Batch {
	readonly #flush: (gathered: Gathered) => void
	#gathered: Gathered = []
	#windowStart = 0
	#sent = 0
	#armed = false

	/** @param flush sends what was gathered; called at the end of the turn at the latest */
	constructor(flush: (gathered: Gathered) => void) {
		this.#flush = flush
	}

	get size(): number {
		return this.#gathered.length / 3
	}

	/** True: it is gathered and will go out. False: there is no load, send it directly. */
	takes(address: string, port: number, bytes: Uint8Array): boolean {
		if (this.#gathered.length === 0 && !this.#isLoad()) return false
		this.#gathered.push(bytes, port, address)
		if (this.#gathered.length >= 3 * BATCH_DATAGRAMS) this.flush()
		else if (!this.#armed) {
			this.#armed = true
			setImmediate(this.#turnEnds)
		}
		return true
	}

	flush(): void {
		if (this.#gathered.length === 0) return
		const gathered = this.#gathered
		this.#gathered = []
		this.#flush(gathered)
	}

	#isLoad(): boolean {
		const now = performance.now()
		if (now - this.#windowStart > WINDOW_MS) {
			this.#windowStart = now
			this.#sent = 0
		}
		return ++this.#sent > DIRECT_SENDS
	}

	readonly #turnEnds = (): void => {
		this.#armed = false
		this.flush()
	}
}
