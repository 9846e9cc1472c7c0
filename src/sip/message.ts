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

/** What the start line says. */
export interface StartLine {
	readonly method: string
	readonly uri: string
	readonly status: number
	readonly reason: string
}

/** What the rows say that every message is looked up by. */
export interface Essentials {
	readonly requestUri: SipUri | undefined
	readonly callId: string
	readonly cseq: number
	readonly cseqMethod: string
	readonly fromTag: string
	readonly toTag: string
	readonly via: Via
	readonly maxForwards: number
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

	constructor(
		bytes: Uint8Array,
		text: string,
		head: Head,
		line: StartLine,
		said: Essentials,
		fault: Fault | undefined,
	) {
		this.bytes = bytes
		this.text = text
		this.method = line.method
		this.status = line.status
		this.fault = fault
		this.bodyAt = head.bodyAt
		this.uri = line.uri
		this.requestUri = said.requestUri
		this.reason = line.reason
		this.callId = said.callId
		this.cseq = said.cseq
		this.cseqMethod = said.cseqMethod
		this.fromTag = said.fromTag
		this.toTag = said.toTag
		this.via = said.via
		this.maxForwards = said.maxForwards
		this.headerCount = head.count
		this.lineEnd = head.lineEnd
		this.rowsEnd = head.rowsEnd
		this.#rows = head.rows
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

	/** Offset of the value in {@link bytes}. */
	valueStart(i: number): number {
		return this.#rows[i * ROW + 3]!
	}

	/** Offset of what follows the value in {@link bytes}. */
	valueEnd(i: number): number {
		return this.#rows[i * ROW + 4]!
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
		const rows = this.#rows
		for (let i = from, at = from * ROW; at < rows.length; i++, at += ROW) if ((rows[at]! & ~FOLDED) === id) return i
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
