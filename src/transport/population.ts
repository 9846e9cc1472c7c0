/**
 * How many connections there are, in all and of each source, and who of them makes room for a newer one. Listeners may
 * share one.
 */
import ipaddr from 'ipaddr.js'

/** What goes for a newer one. */
export interface Leaver {
	/** At once. */
	abort(): void
}

/** A listener, of which some are not connections yet. */
export interface Threshold {
	/** One of them goes for a newer one; false where there is none that may. */
	evictArrival(): boolean
}

export class Population {
	/** Connections that nobody vouches for yet, oldest first. */
	readonly newcomers = new Set<Leaver>()
	readonly #thresholds = new Set<Threshold>()
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

	add(threshold: Threshold): void {
		this.#thresholds.add(threshold)
	}

	delete(threshold: Threshold): void {
		this.#thresholds.delete(threshold)
	}

	/**
	 * For one more: the oldest that nobody vouches for goes, on whichever listener; where there is none, one of those that
	 * are not connections yet, of the newcomer's own listener before others. False: all the places are taken for good.
	 */
	makeRoom(own: Threshold): boolean {
		if (!this.isFull) return true
		for (const newcomer of this.newcomers) {
			newcomer.abort()
			return true
		}
		if (own.evictArrival()) return true
		for (const other of this.#thresholds) if (other !== own && other.evictArrival()) return true
		return false
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
