/** TLS handshakes waiting for their turn: under a flood of them, everything else has turns too. */

/** What handshakes may take of one turn of the event loop: an RSA signature takes 1 ms, the PBX's packets wait meanwhile. */
export const HANDSHAKE_SLICE_MS = 4

export class HandshakeQueue<T> {
	readonly #begin: (waiting: T) => void
	/** A Set keeps the order, and lets go of one in the middle. */
	readonly #waiting = new Set<T>()
	#armed = false
	#used = 0

	/** @param begin does the arithmetic of one handshake */
	constructor(begin: (waiting: T) => void) {
		this.#begin = begin
	}

	get size(): number {
		return this.#waiting.size
	}

	/** At once, where this turn has time left and nobody waits; else in a later turn, in order. */
	add(newcomer: T): void {
		this.#waiting.add(newcomer)
		if (!this.#armed) {
			this.#armed = true
			setImmediate(this.#turn)
		}
		if (this.#waiting.size === 1) this.#work()
	}

	remove(waiting: T): void {
		this.#waiting.delete(waiting)
	}

	#work(): void {
		for (const waiting of this.#waiting) {
			if (this.#used >= HANDSHAKE_SLICE_MS) return
			const start = performance.now()
			this.#waiting.delete(waiting)
			this.#begin(waiting)
			this.#used += performance.now() - start
		}
	}

	readonly #turn = (): void => {
		this.#used = 0
		this.#work()
		this.#armed = this.#waiting.size > 0 || this.#used > 0
		if (this.#armed) setImmediate(this.#turn)
	}
}
