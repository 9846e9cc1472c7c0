/** How many connections there are, in all and of each source. Listeners may share one. */
import ipaddr from 'ipaddr.js'

export class Population {
	readonly #most: number
	readonly #mostOfOne: number
	readonly #bySource = new Map<string, number>()
	#size = 0

	constructor(most: number, mostOfOne: number) {
		this.#most = most
		this.#mostOfOne = mostOfOne
	}

	get size(): number {
		return this.#size
	}

	get isFull(): boolean {
		return this.#size >= this.#most
	}

	/** One more, whose source is not known yet. */
	enter(): void {
		this.#size++
	}

	/** The source of one that entered; false: it has too many, and this is none of them. */
	settle(source: string): boolean {
		const count = this.#bySource.get(source) ?? 0
		if (count >= this.#mostOfOne) return false
		this.#bySource.set(source, count + 1)
		return true
	}

	/** `source`: as it settled, if it did. */
	leave(source: string | undefined): void {
		this.#size--
		if (source === undefined) return
		const count = this.#bySource.get(source)! - 1
		if (count === 0) this.#bySource.delete(source)
		else this.#bySource.set(source, count)
	}
}

/** One IPv4 address, or the /64 an IPv6 one is in: a subscriber has the whole of it. */
export function sourceOf(address: string): string {
	if (!address.includes(':')) return address
	const { parts } = ipaddr.IPv6.parse(address)
	return parts
		.slice(0, 4)
		.map((part) => part.toString(16))
		.join(':')
}
