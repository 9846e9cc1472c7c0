/** Finished transactions that are remembered for a while, to absorb what is still under way for them (timers D, I, J, L, M). */
import { Deadline, Deadlines } from '../lib/deadlines.ts'
import { MAX_LINGERING } from './timers.ts'
import type { Transaction } from './transaction.ts'

/** Who forgets a transaction whose time is over. */
export interface Forgetful {
	lingered(t: Transaction, now: number): void
}

/** At most {@link MAX_LINGERING}: the one whose time is over first makes room. */
export class Lingering {
	readonly #deadlines = new Deadlines<Transaction>()
	readonly #owner: Forgetful
	#count = 0

	constructor(owner: Forgetful) {
		this.#owner = owner
	}

	/** When the first one's time is over, ms; Infinity where there is none. */
	next(): number {
		return this.#deadlines.next()
	}

	add(t: Transaction, durationMs: number, now: number): void {
		this.remove(t)
		t.lingering = new Deadline<Transaction>(t)
		this.#deadlines.after(t.lingering, now, durationMs)
		if (++this.#count > MAX_LINGERING) this.#end(Infinity, now)
	}

	remove(t: Transaction): void {
		if (t.lingering === undefined || !t.lingering.armed) return
		this.#deadlines.disarm(t.lingering)
		this.#count--
	}

	/** Forgets all whose time is over. */
	sweep(now: number): void {
		while (this.#end(now, now)) {}
	}

	/** Forgets the first one due by `until`; false where there is none. */
	#end(until: number, now: number): boolean {
		const first = this.#deadlines.take(until)
		if (first === undefined) return false
		this.#count--
		this.#owner.lingered(first.what, now)
		return true
	}
}
