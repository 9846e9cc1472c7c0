/** One SIP message: its octets, where its rows are, and the few values every message is looked up by. */
import { splitList } from './address.ts'
import type { Fault } from './faults.ts'
import { isNamed } from './grammar.ts'
import type { HeaderId } from './headers.ts'
import { FOLDED, type Head, ROW, unfold } from './rows.ts'
import type { SipUri } from './uri.ts'
import type { Via } from './via.ts'

export type { Via } from './via.ts'
export { EMPTY_VIA } from './via.ts'

/** What the parser hands to {@link SipMessage}. */
export interface Parts {
	readonly bytes: Uint8Array
	readonly text: string
	readonly head: Head
	readonly method: string
	readonly status: number
	readonly uri: string
	readonly requestUri: SipUri | undefined
	readonly reason: string
	readonly callId: string
	readonly cseq: number
	readonly cseqMethod: string
	readonly fromTag: string
	readonly toTag: string
	readonly via: Via
	readonly maxForwards: number
	readonly fault: Fault | undefined
}

/** Read-only. Made by `parse`; a message with a {@link SipMessage.fault} carries what could be read. */
export class SipMessage {
	/** Exactly one message: what is behind its Content-Length is cut off (RFC 3261 §18.3). */
	readonly bytes: Uint8Array
	/** The same as text, one char an octet. */
	readonly text: string
	/** As sent, case-sensitive; '' for a response. */
	readonly method: string
	/** 0 for a request. */
	readonly status: number
	readonly fault: Fault | undefined
	/** Offset of the body in {@link bytes}. */
	readonly bodyAt: number
	/** Request-URI; '' for a response. */
	readonly uri: string
	/** The same, read; undefined for a response and where it is no good sip or sips URI. */
	readonly requestUri: SipUri | undefined
	/** Reason phrase of a response. */
	readonly reason: string
	readonly callId: string
	readonly cseq: number
	readonly cseqMethod: string
	/** '' where absent. */
	readonly fromTag: string
	/** '' where absent. */
	readonly toTag: string
	/** The topmost Via; `EMPTY_VIA` where there is none, or a malformed one. */
	readonly via: Via
	/** -1 where absent or above 255 (RFC 4475 §3.1.2.4). */
	readonly maxForwards: number
	readonly headerCount: number
	/** End of the start line, before its CRLF. */
	readonly lineEnd: number
	/** End of the last row, CRLF included. */
	readonly rowsEnd: number
	readonly #rows: Int32Array

	constructor(parts: Parts) {
		this.bytes = parts.bytes
		this.text = parts.text
		this.method = parts.method
		this.status = parts.status
		this.fault = parts.fault
		this.bodyAt = parts.head.bodyAt
		this.uri = parts.uri
		this.requestUri = parts.requestUri
		this.reason = parts.reason
		this.callId = parts.callId
		this.cseq = parts.cseq
		this.cseqMethod = parts.cseqMethod
		this.fromTag = parts.fromTag
		this.toTag = parts.toTag
		this.via = parts.via
		this.maxForwards = parts.maxForwards
		this.headerCount = parts.head.count
		this.lineEnd = parts.head.lineEnd
		this.rowsEnd = parts.head.rowsEnd
		this.#rows = parts.head.rows
	}

	id(i: number): HeaderId {
		return (this.#rows[i * ROW]! & ~FOLDED) as HeaderId
	}

	/** The name as sent. */
	name(i: number): string {
		return this.text.slice(this.#rows[i * ROW + 1]!, this.#rows[i * ROW + 2]!)
	}

	/** Without white space round it, each fold as one SP. */
	value(i: number): string {
		return rowValue(this.text, this.#rows, i)
	}

	/** Offset of the row in {@link bytes}; for `headerCount`, the end of the last row. */
	rowStart(i: number): number {
		return i === this.headerCount ? this.rowsEnd : this.#rows[i * ROW + 1]!
	}

	/** Whether row `i` has this name, case aside: for headers without an id. */
	isNamed(i: number, lowerName: string): boolean {
		return isNamed(this.text, this.#rows[i * ROW + 1]!, this.#rows[i * ROW + 2]!, lowerName)
	}

	/** The first row of that id, from row `from` on; -1 where there is none. */
	find(id: HeaderId, from = 0): number {
		for (let i = from; i < this.headerCount; i++) if ((this.#rows[i * ROW]! & ~FOLDED) === id) return i
		return -1
	}

	/** The value of the first row of that id. */
	first(id: HeaderId): string | undefined {
		const i = this.find(id)
		return i < 0 ? undefined : this.value(i)
	}

	/** The value of each row of that id. */
	rows(id: HeaderId): string[] {
		const values: string[] = []
		for (let i = this.find(id); i >= 0; i = this.find(id, i + 1)) values.push(this.value(i))
		return values
	}

	/** The values of a list header over all its rows, in order; not for the four authentication headers (§7.3.1). */
	list(id: HeaderId): string[] {
		const values: string[] = []
		for (let i = this.find(id); i >= 0; i = this.find(id, i + 1)) values.push(...splitList(this.value(i)))
		return values
	}

	/** The octets of the body: a view, not a copy. */
	body(): Uint8Array {
		return this.bytes.subarray(this.bodyAt)
	}
}

/** The value of row `i` of a head: trimmed, each fold as one SP. */
export function rowValue(text: string, rows: Int32Array, i: number): string {
	const value = text.slice(rows[i * ROW + 3]!, rows[i * ROW + 4]!)
	return (rows[i * ROW]! & FOLDED) === 0 ? value : unfold(value)
}
