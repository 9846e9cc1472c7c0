/** The world's one clock, and what happens when. Two things at the same time happen in the order they were planned. */

interface Plan {
	readonly at: number
	readonly order: number
	readonly run: () => void
}

export class Agenda {
	/** ms since the epoch, as the gateway sees it. */
	now: number
	readonly #heap: Plan[] = []
	#order = 0

	constructor(now: number) {
		this.now = now
	}

	at(time: number, run: () => void): void {
		this.#push({ at: Math.max(time, this.now), order: this.#order++, run })
	}

	after(ms: number, run: () => void): void {
		this.at(this.now + ms, run)
	}

	/** Lets time go by until then, with all that happens meanwhile. */
	runUntil(time: number): void {
		for (let next = this.#heap[0]; next !== undefined && next.at <= time; next = this.#heap[0]) {
			this.#pop()
			this.now = next.at
			next.run()
		}
		this.now = time
	}

	#push(plan: Plan): void {
		const heap = this.#heap
		let place = heap.length
		while (place > 0) {
			const parent = (place - 1) >> 1
			if (!before(plan, heap[parent]!)) break
			heap[place] = heap[parent]!
			place = parent
		}
		heap[place] = plan
	}

	#pop(): void {
		const heap = this.#heap
		const last = heap.pop()!
		if (heap.length === 0) return
		let place = 0
		for (;;) {
			let child = 2 * place + 1
			if (child >= heap.length) break
			if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
			if (!before(heap[child]!, last)) break
			heap[place] = heap[child]!
			place = child
		}
		heap[place] = last
	}
}

function before(a: Plan, b: Plan): boolean {
	return a.at < b.at || (a.at === b.at && a.order < b.order)
}
