/**
 * How many connections there are, in all and of each source, and who of them makes room for a newer one. Listeners may
 * share one.
 */
import ipaddr from 'ipaddr.js'

/** What goes for a newer one. */
export interface Leaver {
	/** As {@link Population.settle} was told. */
	readonly source: string | undefined
	/** At once. */
	abort(): void
}

/** Connections that nobody vouches for yet. */
export class Newcomers {
	/** Oldest first, these two. */
	readonly #all = new Set<Leaver>()
	readonly #bySource = new Map<string | undefined, Set<Leaver>>()
	/** Sources that have so many: who has most must be found at once, however many there are. */
	readonly #byCount: Set<string | undefined>[] = []
	#most = 0

	add(newcomer: Leaver): void {
		const { source } = newcomer
		const same = this.#bySource.get(source) ?? new Set()
		this.#all.add(newcomer)
		this.#bySource.set(source, same.add(newcomer))
		this.#counted(source, same.size - 1, same.size)
	}

	delete(newcomer: Leaver): void {
		if (!this.#all.delete(newcomer)) return
		const { source } = newcomer
		const same = this.#bySource.get(source)!
		same.delete(newcomer)
		if (same.size === 0) this.#bySource.delete(source)
		this.#counted(source, same.size + 1, same.size)
	}

	/** Who goes for a newer one: of a source that has most, the oldest, so that one source alone takes nobody else's place. */
	victim(): Leaver | undefined {
		if (this.#most > 1) for (const source of this.#byCount[this.#most]!) return first(this.#bySource.get(source)!)
		return first(this.#all)
	}

	#counted(source: string | undefined, before: number, now: number): void {
		this.#byCount[before]?.delete(source)
		if (now > 0) this.#byCount[now] = (this.#byCount[now] ?? new Set()).add(source)
		if (now > this.#most) this.#most = now
		else if (before === this.#most && this.#byCount[before]!.size === 0) this.#most = now
	}
}

function first<T>(set: ReadonlySet<T>): T | undefined {
	for (const one of set) return one
	return undefined
}

/** A listener, of which some are not connections yet. */
export interface Threshold {
	/** One of them goes for a newer one; false where there is none that may. */
	evictArrival(): boolean
}

export class Population {
	readonly newcomers = new Newcomers()
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
	 * For one more: one that nobody vouches for goes ({@link Newcomers.victim}), on whichever listener; where
	 * there is none, one of those that are not connections yet, of its own listener before others. False: all the places are
	 * taken for good.
	 */
	makeRoom(own: Threshold): boolean {
		if (!this.isFull) return true
		const victim = this.newcomers.victim()
		if (victim !== undefined) {
			victim.abort()
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
