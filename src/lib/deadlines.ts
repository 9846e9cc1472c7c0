/**
 * Timers as data: what is due when, and one next deadline for the host to sleep until.
 *
 * SIP has about a dozen durations, so each duration has a FIFO of its own: arming appends, disarming unlinks, both
 * O(1) and without a heap. Times that are no fixed duration ahead (an expiry in an hour, a phase of the pings) go
 * through {@link Deadlines.at}, a binary heap.
 */

/** One timer: at most once armed at a time. `T` says what it is for. */
export class Deadline<T> {
	readonly what: T
	/** When it is due, ms; meaningless while not armed. */
	at = 0
	/** @internal the list it is in, or the heap */
	queue: Fifo<T> | Heap<T> | undefined = undefined
	/** @internal */
	before: Deadline<T> | undefined = undefined
	/** @internal */
	after: Deadline<T> | undefined = undefined
	/** @internal place in the heap */
	place = -1

	constructor(what: T) {
		this.what = what
	}

	get armed(): boolean {
		return this.queue !== undefined
	}
}

class Fifo<T> {
	head: Deadline<T> | undefined = undefined
	tail: Deadline<T> | undefined = undefined

	append(d: Deadline<T>): void {
		d.queue = this
		d.before = this.tail
		if (this.tail === undefined) this.head = d
		else this.tail.after = d
		this.tail = d
	}

	remove(d: Deadline<T>): void {
		if (d.before === undefined) this.head = d.after
		else d.before.after = d.after
		if (d.after === undefined) this.tail = d.before
		else d.after.before = d.before
		d.before = undefined
		d.after = undefined
		d.queue = undefined
	}
}

class Heap<T> {
	readonly #rows: Deadline<T>[] = []

	get head(): Deadline<T> | undefined {
		return this.#rows[0]
	}

	append(d: Deadline<T>): void {
		d.queue = this
		this.#rows.push(d)
		this.#up(d, this.#rows.length - 1)
	}

	remove(d: Deadline<T>): void {
		const last = this.#rows.pop()
		if (last !== undefined && last !== d) {
			const place = d.place
			this.#up(last, place)
			this.#down(last, last.place)
		}
		d.place = -1
		d.queue = undefined
	}

	#up(d: Deadline<T>, place: number): void {
		while (place > 0) {
			const parentPlace = (place - 1) >> 1
			const parent = this.#rows[parentPlace]!
			if (parent.at <= d.at) break
			this.#put(parent, place)
			place = parentPlace
		}
		this.#put(d, place)
	}

	#down(d: Deadline<T>, place: number): void {
		const rows = this.#rows
		for (;;) {
			let childPlace = 2 * place + 1
			if (childPlace >= rows.length) break
			if (childPlace + 1 < rows.length && rows[childPlace + 1]!.at < rows[childPlace]!.at) childPlace++
			const child = rows[childPlace]!
			if (d.at <= child.at) break
			this.#put(child, place)
			place = childPlace
		}
		this.#put(d, place)
	}

	#put(d: Deadline<T>, place: number): void {
		this.#rows[place] = d
		d.place = place
	}
}

export class Deadlines<T> {
	readonly #fifos = new Map<number, Fifo<T>>()
	/** The same lists, for a walk without an iterator. */
	readonly #lists: Fifo<T>[] = []
	readonly #heap = new Heap<T>()

	/** Due `durationMs` after `now`. For a duration out of a small fixed set; `now` never goes back. */
	after(d: Deadline<T>, now: number, durationMs: number): void {
		this.disarm(d)
		d.at = now + durationMs
		this.#fifo(durationMs).append(d)
	}

	/** Due at the time `at`, ms. For any time. */
	at(d: Deadline<T>, at: number): void {
		this.disarm(d)
		d.at = at
		this.#heap.append(d)
	}

	disarm(d: Deadline<T>): void {
		d.queue?.remove(d)
	}

	/** The earliest deadline, ms; Infinity when nothing is armed. */
	next(): number {
		return this.#first()?.at ?? Infinity
	}

	/** Takes out the earliest one due at `now`, or undefined. Call it until it gives nothing. */
	take(now: number): Deadline<T> | undefined {
		const first = this.#first()
		if (first === undefined || first.at > now) return undefined
		this.disarm(first)
		return first
	}

	#first(): Deadline<T> | undefined {
		let first = this.#heap.head
		for (const { head } of this.#lists)
			if (head !== undefined && (first === undefined || head.at < first.at)) first = head
		return first
	}

	#fifo(durationMs: number): Fifo<T> {
		let fifo = this.#fifos.get(durationMs)
		if (fifo === undefined) {
			fifo = new Fifo<T>()
			this.#fifos.set(durationMs, fifo)
			this.#lists.push(fifo)
		}
		return fifo
	}
}
