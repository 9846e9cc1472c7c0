/**
 * A Map that never holds more than `capacity` entries: the one not used for longest makes room.
 * For what strangers can make grow. It rests on a Map's order of insertion: the first key is the oldest.
 */
export class Lru<K, V> {
	readonly #entries = new Map<K, V>()
	readonly capacity: number

	/** @throws RangeError unless `capacity` is a positive integer */
	constructor(capacity: number) {
		if (!Number.isInteger(capacity) || capacity < 1)
			throw new RangeError(`capacity ${capacity} is not a positive integer`)
		this.capacity = capacity
	}

	get size(): number {
		return this.#entries.size
	}

	/** The value, which counts as a use. */
	get(key: K): V | undefined {
		const value = this.#entries.get(key)
		if (value === undefined) return undefined
		this.#entries.delete(key)
		this.#entries.set(key, value)
		return value
	}

	/** The value, without counting as a use. */
	peek(key: K): V | undefined {
		return this.#entries.get(key)
	}

	/** Puts or replaces, which counts as a use. True when another entry had to go for it. */
	set(key: K, value: V): boolean {
		const isNew = !this.#entries.delete(key)
		const evicts = isNew && this.#entries.size >= this.capacity
		if (evicts) this.#evictOldest()
		this.#entries.set(key, value)
		return evicts
	}

	delete(key: K): boolean {
		return this.#entries.delete(key)
	}

	/** From the one not used for longest to the newest. */
	entries(): MapIterator<[K, V]> {
		return this.#entries.entries()
	}

	#evictOldest(): void {
		for (const key of this.#entries.keys()) {
			this.#entries.delete(key)
			return
		}
	}
}
