/** Who makes others wait for memory, and how much: so that who holds most goes first when it is too much. */

/** What may have to go. */
export interface Hoarder {
	/** Nobody vouches for it yet: it goes before all that are known. */
	readonly isNewcomer: boolean
	/** What it takes of memory, as {@link Hoards} was told last, in octets. */
	readonly told: number
}

/** An octet count has at most so many bits: {@link Hoards} tells sizes apart by their number of bits. */
const CLASSES = 33

/** By size, within a factor of two: finding who holds most must not cost more the more there are. */
export class Hoards<T extends Hoarder> {
	readonly #newcomers = classes<T>()
	readonly #known = classes<T>()
	#octets = 0

	/** Of all together. */
	get octets(): number {
		return this.#octets
	}

	/** It holds `told` now; it held `before`. */
	changed(hoarder: T, before: number): void {
		const { told } = hoarder
		this.#octets += told - before
		if (classOf(told) === classOf(before)) return
		const all = hoarder.isNewcomer ? this.#newcomers : this.#known
		all[classOf(before)]!.delete(hoarder)
		if (told > 0) all[classOf(told)]!.add(hoarder)
	}

	/** Somebody vouches for it now. */
	settled(hoarder: T): void {
		const at = classOf(hoarder.told)
		if (this.#newcomers[at]!.delete(hoarder)) this.#known[at]!.add(hoarder)
	}

	/** Who holds most; newcomers first, and of those in the same class the first. */
	largest(): T | undefined {
		return largestOf(this.#newcomers) ?? largestOf(this.#known)
	}
}

const classes = <T>(): readonly Set<T>[] => Array.from({ length: CLASSES }, () => new Set<T>())

const classOf = (octets: number): number => 32 - Math.clz32(octets)

function largestOf<T>(all: readonly Set<T>[]): T | undefined {
	for (let at = CLASSES - 1; at > 0; at--) for (const hoarder of all[at]!) return hoarder
	return undefined
}
