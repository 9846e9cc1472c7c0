/**
 * A seeded generator for tests and simulations: the same seed gives the same numbers everywhere (sfc32, PractRand's small
 * fast counting generator). Not for secrets.
 */
export class Prng {
	#a: number
	#b: number
	#c = 0x9e3779b9
	#counter = 1

	constructor(seed: number) {
		this.#a = seed | 0
		this.#b = (seed / 0x1_0000_0000) | 0
		// sfc32 forgets how close two seeds were within 12 rounds.
		for (let i = 0; i < 12; i++) this.next32()
	}

	/** 0 … 2^32 - 1. */
	next32(): number {
		const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
		this.#counter = (this.#counter + 1) | 0
		this.#a = this.#b ^ (this.#b >>> 9)
		this.#b = (this.#c + (this.#c << 3)) | 0
		this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
		return sum >>> 0
	}

	/** 0 … n - 1, for n up to 2^32. The bias is below n / 2^32. */
	below(n: number): number {
		return Math.floor((this.next32() / 0x1_0000_0000) * n)
	}

	/** True with probability `p`. */
	chance(p: number): boolean {
		return this.next32() < p * 0x1_0000_0000
	}
}
