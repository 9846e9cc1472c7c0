/** How long the caller of a call that rings waits for the phones' final responses: timer C, and the grace after the end. */
import { Deadline } from '../../lib/deadlines.ts'
import type { Due, Timed } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import { TIMER_C_MS } from '../proxy/pass.ts'

/** How long the caller waits for the 487 of a ringing phone after its CANCEL before it gets ours. */
export const CANCEL_GRACE_MS = 5_000

export class Patience {
	readonly #context: Context
	readonly #owner: Timed
	#deadline: Deadline<Due> | undefined = undefined
	/** The ringing phones were cancelled, and owe their 487. */
	#inGrace = false

	/** @param owner its `due` is called with `timer-c` when the time is over */
	constructor(context: Context, owner: Timed) {
		this.#context = context
		this.#owner = owner
	}

	/** RFC 3261 §16.7 step 2: a phone rings, and has this long from now. */
	rings(now: number): void {
		if (!this.#inGrace) this.#arm(TIMER_C_MS, now)
	}

	/** The first end of a call sets the time: a CANCEL after a 6xx, or a second 6xx, makes nobody wait longer. */
	ends(now: number): void {
		if (this.#inGrace) return
		this.#inGrace = true
		this.#arm(CANCEL_GRACE_MS, now)
	}

	over(): void {
		if (this.#deadline !== undefined) this.#context.deadlines.disarm(this.#deadline)
	}

	#arm(durationMs: number, now: number): void {
		this.#deadline ??= new Deadline<Due>({ owner: this.#owner, event: 'timer-c' })
		this.#context.deadlines.after(this.#deadline, now, durationMs)
	}
}
