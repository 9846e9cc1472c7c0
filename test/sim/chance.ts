/** All chance of the world comes from one seed, in words a scenario is written in. */
import { Prng } from '../../src/lib/prng.ts'

export class Chance {
	readonly #prng: Prng

	constructor(seed: number) {
		this.#prng = new Prng(seed)
	}

	readonly random32 = (): number => this.#prng.next32()

	/** Another one, that is the same for the same seed and draws by itself. */
	fork(): Chance {
		return new Chance(this.random32())
	}

	/** Uniform in [0, 1). */
	readonly random = (): number => this.#prng.next32() / 0x1_0000_0000

	/** True with this probability. */
	is(probability: number): boolean {
		return this.random() < probability
	}

	/** A whole number, both ends included. */
	between(least: number, most: number): number {
		return least + this.#prng.below(most - least + 1)
	}

	one<T>(of: readonly T[]): T {
		return of[this.#prng.below(of.length)]!
	}

	hex(digits: number): string {
		let text = ''
		for (let i = 0; i < digits; i++) text += '0123456789abcdef'[this.#prng.below(16)]
		return text
	}
}
