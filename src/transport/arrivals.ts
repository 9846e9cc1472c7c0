/** Who is on its way to carrying SIP, by source; and who of them makes room when there are too many. */

/** What all are whose source is not known yet: the load balancer's, before its PROXY header. */
const UNKNOWN = ''

/** Oldest first, each set. */
interface OfSource<T> {
	/** Their far ends have to say something next. */
	readonly awaited: Set<T>
	/** We do. */
	readonly queued: Set<T>
}

export class Arrivals<T> {
	readonly #bySource = new Map<string, OfSource<T>>()
	readonly #sourceOf = new Map<T, string>()

	get size(): number {
		return this.#sourceOf.size
	}

	/** Its far end has to say something next. */
	add(arrival: T): void {
		this.#put(arrival, UNKNOWN)
	}

	/** Its source is known now. */
	settle(arrival: T, source: string): void {
		this.delete(arrival)
		this.#put(arrival, source)
	}

	/** Whether its far end has to say something next. */
	await(arrival: T, isAwaited: boolean): void {
		const { awaited, queued } = this.#bySource.get(this.#sourceOf.get(arrival)!)!
		const [from, to] = isAwaited ? [queued, awaited] : [awaited, queued]
		from.delete(arrival)
		to.add(arrival)
	}

	delete(arrival: T): void {
		const source = this.#sourceOf.get(arrival)
		if (source === undefined) return
		this.#sourceOf.delete(arrival)
		const same = this.#bySource.get(source)!
		same.awaited.delete(arrival)
		same.queued.delete(arrival)
		if (sizeOf(same) === 0) this.#bySource.delete(source)
	}

	/**
	 * Who goes for a newer one: of the source that has most, the oldest that keeps us waiting, else the newest that we keep
	 * waiting; so that one source alone takes nobody else's place. Where none has two, the oldest that keeps us waiting.
	 */
	victim(): T | undefined {
		let most: OfSource<T> | undefined
		for (const same of this.#bySource.values()) if (most === undefined || sizeOf(same) > sizeOf(most)) most = same
		if (most === undefined) return undefined
		if (sizeOf(most) > 1) return first(most.awaited) ?? last(most.queued)
		for (const [arrival, source] of this.#sourceOf) if (this.#bySource.get(source)!.awaited.has(arrival)) return arrival
		return undefined
	}

	[Symbol.iterator](): IterableIterator<T> {
		return this.#sourceOf.keys()
	}

	#put(arrival: T, source: string): void {
		this.#sourceOf.set(arrival, source)
		let same = this.#bySource.get(source)
		if (same === undefined) {
			same = { awaited: new Set(), queued: new Set() }
			this.#bySource.set(source, same)
		}
		same.awaited.add(arrival)
	}
}

const sizeOf = ({ awaited, queued }: OfSource<unknown>): number => awaited.size + queued.size

function first<T>(set: ReadonlySet<T>): T | undefined {
	for (const one of set) return one
	return undefined
}

function last<T>(set: ReadonlySet<T>): T | undefined {
	let one: T | undefined
	for (one of set);
	return one
}
