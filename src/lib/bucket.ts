/** A token bucket: `burst` at once, `perSecond` on average. It keeps no clock; time comes with each call. */

/** Shared by all buckets of one kind, so that a bucket itself is three fields. */
export interface BucketLimits {
	/** Tokens that come back in a second; 0 for a bucket that never refills. */
	readonly perSecond: number
	/** Tokens it holds when full, and at first. */
	readonly burst: number
}

export class Bucket {
	readonly #limits: BucketLimits
	#tokens: number
	/** ms, of the last refill. */
	#at: number

	/** A full bucket; `now` in ms, of any clock, as long as it is the same for every call. */
	constructor(limits: BucketLimits, now: number) {
		this.#limits = limits
		this.#tokens = limits.burst
		this.#at = now
	}

	/** Takes one token; false when there is none. A clock that went back refills nothing. */
	take(now: number): boolean {
		this.#refill(now)
		if (this.#tokens < 1) return false
		this.#tokens--
		return true
	}

	/** Gives the token of an earlier {@link take} back, because what it paid for turned out well. Never above the burst. */
	refund(): void {
		this.#tokens = Math.min(this.#limits.burst, this.#tokens + 1)
	}

	/** True when it would not differ from a new one: then whoever holds it may forget it. */
	full(now: number): boolean {
		this.#refill(now)
		return this.#tokens >= this.#limits.burst
	}

	#refill(now: number): void {
		if (now <= this.#at) return
		const { perSecond, burst } = this.#limits
		this.#tokens = Math.min(burst, this.#tokens + ((now - this.#at) * perSecond) / 1000)
		this.#at = now
	}
}
