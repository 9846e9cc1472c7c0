/**
 * Stops pushes for a while once a push service has refused its key again and again: each would be refused too, and APNs
 * punishes those who go on. The calls get the same answer at once.
 */
import type { PushOutcome } from '../core/inputs.ts'

/** Refusals in a row; one or two may be a hiccup of the service. */
export const BREAKER_REFUSALS = 5
/** Short, so that calls work again soon after the operator (or the service) has put it right. */
export const BREAKER_PAUSE_MS = 10_000

export class KeyBreaker {
	#refusals = 0
	#last: PushOutcome | undefined
	#openUntil = 0

	/** The outcome to give instead of pushing; undefined while pushes may go. `now`: monotonic ms. */
	verdict(now: number): PushOutcome | undefined {
		return now < this.#openUntil ? this.#last : undefined
	}

	/** After the pause the count stands: one more refusal opens it again. */
	refused(outcome: PushOutcome, now: number): void {
		this.#refusals++
		this.#last = outcome
		if (this.#refusals >= BREAKER_REFUSALS) this.#openUntil = now + BREAKER_PAUSE_MS
	}

	/** The service has taken the key. */
	accepted(): void {
		this.#refusals = 0
		this.#openUntil = 0
	}
}
