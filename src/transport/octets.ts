/** Octets that came and are not used yet: chunks in, a prefix out. */

const NOTHING = new Uint8Array(0)

/** Room kept for what is still to come: it doubles, so that octets that come one by one cost linear time. */
const LEAST_ROOM = 512

/** What is behind `from`; a copy, where it is less than half and would keep the rest in memory. */
export function restOf(bytes: Uint8Array, from: number): Uint8Array {
	return 2 * from > bytes.length ? bytes.slice(from) : bytes.subarray(from)
}

export class Octets {
	/** `#bytes[#from, #to)` */
	#bytes: Uint8Array = NOTHING
	#from = 0
	#to = 0

	get length(): number {
		return this.#to - this.#from
	}

	/** What they take of memory: at most twice {@link length}, or {@link LEAST_ROOM}. */
	get held(): number {
		return this.#bytes.length
	}

	at(index: number): number {
		return this.#bytes[this.#from + index]!
	}

	/** `chunk` belongs to this object from here on. */
	push(chunk: Uint8Array): void {
		if (chunk.length === 0) return
		if (this.length === 0) {
			this.#bytes = chunk
			this.#from = 0
			this.#to = chunk.length
			return
		}
		if (this.#to + chunk.length > this.#bytes.length) this.#makeRoom(chunk.length)
		this.#bytes.set(chunk, this.#to)
		this.#to += chunk.length
	}

	/** All of them, to look at: not to be kept nor changed. */
	view(): Uint8Array {
		return this.#bytes.subarray(this.#from, this.#to)
	}

	/** A copy. */
	slice(from: number, length: number): Uint8Array {
		return this.#bytes.slice(this.#from + from, this.#from + from + length)
	}

	drop(count: number): void {
		this.#from += count
		if (this.#from >= this.#to) {
			this.#bytes = NOTHING
			this.#from = this.#to = 0
		} else if (this.#bytes.length > LEAST_ROOM && this.length < this.#bytes.length / 2) {
			/* a rest must not keep all that it came with; halving each time, a chunk is copied once in all */
			this.#bytes = this.view().slice()
			this.#to = this.length
			this.#from = 0
		}
	}

	/** A copy of all of them, and nothing is left. */
	take(): Uint8Array {
		const all = this.slice(0, this.length)
		this.drop(all.length)
		return all
	}

	#makeRoom(count: number): void {
		const { length } = this
		const room = new Uint8Array(Math.max(LEAST_ROOM, 2 * (length + count)))
		room.set(this.view())
		this.#bytes = room
		this.#from = 0
		this.#to = length
	}
}
