/** The row a held call has in the store, and what it named when it was last written. */
import type { CommitWaiter, Context } from '../context.ts'
import type { HeldCallRecord } from '../model.ts'

export class StoredCall {
	readonly #context: Context
	readonly #id: string
	/** Branches the row names; -1 where there is no row. */
	#branches = -1

	constructor(context: Context, id: string) {
		this.#context = context
		this.#id = id
	}

	get stored(): boolean {
		return this.#branches >= 0
	}

	/** It came from the store. */
	isStored(record: HeldCallRecord): void {
		this.#branches = record.branches.length
	}

	put(record: HeldCallRecord, waiter?: CommitWaiter): void {
		this.#branches = record.branches.length
		this.#context.save([{ table: 'call', op: 'put', row: record }], waiter)
	}

	/**
	 * The row names who is still waited for. After a restart nobody waits for a phone whose push was refused, and none
	 * that has confirmed the end gets the INVITE again: it would absorb the CANCEL as a retransmission, and ring on.
	 */
	putAgain(record: () => HeldCallRecord): void {
		if (!this.stored) return
		const row = record()
		if (row.branches.length !== this.#branches) this.put(row)
	}

	/** The caller has its answer; phones may still wake for it. */
	end({ at, reason }: { readonly at: number; readonly reason: string }): void {
		if (this.stored) this.#context.save([{ table: 'call', op: 'end', id: this.#id, at, reason }])
	}

	remove(): void {
		if (!this.stored) return
		this.#branches = -1
		this.#context.save([{ table: 'call', op: 'delete', id: this.#id }])
	}
}
