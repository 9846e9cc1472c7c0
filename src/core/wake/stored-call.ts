/** The row a held call has in the store, and what it named when it was last written. */
import type { CommitWaiter, Context } from '../context.ts'
import type { HeldCallRecord } from '../model.ts'

export class StoredCall {
	readonly #context: Context
	readonly #id: string
	/** none: no row. storing: the first one is being written. stored: there is one, perhaps an older one. */
	#state: 'none' | 'storing' | 'stored' = 'none'
	/** Branches the row names. */
	#branches = 0

	constructor(context: Context, id: string) {
		this.#context = context
		this.#id = id
	}

	/** Will a restart find it? */
	get stored(): boolean {
		return this.#state === 'stored'
	}

	/** Was it ever to be stored? */
	get begun(): boolean {
		return this.#state !== 'none'
	}

	/** It came from the store, or is there now. */
	isStored(record?: HeldCallRecord): void {
		this.#state = 'stored'
		if (record !== undefined) this.#branches = record.branches.length
	}

	put(record: HeldCallRecord, waiter?: CommitWaiter): void {
		if (this.#state === 'none') this.#state = 'storing'
		this.#branches = record.branches.length
		this.#context.save([{ table: 'call', op: 'put', row: record }], waiter)
	}

	/**
	 * The row names who is still waited for. After a restart nobody waits for a phone whose push was refused, and none
	 * that has confirmed the end gets the INVITE again: it would absorb the CANCEL as a retransmission, and ring on.
	 */
	putAgain(record: () => HeldCallRecord): void {
		if (!this.begun) return
		const row = record()
		if (row.branches.length !== this.#branches) this.put(row)
	}

	/** It was not stored after all. */
	lost(): void {
		if (this.#state === 'storing') this.#state = 'none'
	}

	/** The caller has its answer; phones may still wake for it. */
	end({ at, reason }: { readonly at: number; readonly reason: string }): void {
		if (this.begun) this.#context.save([{ table: 'call', op: 'end', id: this.#id, at, reason }])
	}

	remove(): void {
		if (!this.begun) return
		this.#state = 'none'
		this.#context.save([{ table: 'call', op: 'delete', id: this.#id }])
	}
}
