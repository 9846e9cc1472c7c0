/** A changed copy of a message: one pass, and every row nobody touched goes out byte for byte, in its order (RFC 3261 §16.6(1)). */
import { splitList } from './address.ts'
import { Header, type HeaderId, headerName } from './headers.ts'
import { encodeLatin1 } from './latin1.ts'
import type { SipMessage } from './message.ts'
import { stampedFlag, stampedVia, withoutFirstVia } from './via.ts'

/** Instead of a row's value: the row is gone. */
const GONE = null

/**
 * Changes to one message. Calls may come in any order; `finish` makes the bytes. Values are latin1 text without CR and LF;
 * they are the caller's own or come from a parsed message.
 */
export class Edit {
	readonly #message: SipMessage
	#uri: string | undefined
	/** New value by row; undefined: untouched. */
	readonly #values: (string | null | undefined)[]
	/** New rows by the row they go above; index `headerCount`: at the end. */
	readonly #above: (string | undefined)[]
	#appended = ''

	constructor(message: SipMessage) {
		this.#message = message
		// One more than there are rows: the loop of `finish` reads both to the same end.
		this.#values = new Array(message.headerCount + 1)
		this.#above = new Array(message.headerCount + 1)
	}

	/** A new Request-URI. */
	uri(text: string): this {
		this.#uri = text
		return this
	}

	/** A new row `Via: value` above all others. */
	pushVia(value: string): this {
		return this.#insert(Math.max(this.#message.find(Header.Via), 0), 'Via', value)
	}

	/** Drops the topmost Via value of the received message: the row, or the first of its comma list. */
	popVia(): this {
		const i = this.#live(Header.Via)
		if (i < 0) return this
		const rest = withoutFirstVia(this.#current(i))
		this.#values[i] = rest === '' ? GONE : rest
		return this
	}

	/** Stamps the topmost received Via value with where it came from (§18.2.1, RFC 3581 §4). */
	stampVia(address: string, port: number): this {
		const i = this.#live(Header.Via)
		if (i < 0) return this
		const row = this.#current(i)
		this.#values[i] = stampedFlag(row, this.#message.via, address, port) ?? stampedVia(row, address, port)
		return this
	}

	/** The first row gets the value, further rows of that id go; a new row at the end where there is none. */
	set(id: HeaderId, value: string): this {
		const first = this.#message.find(id)
		if (first < 0) return this.append(headerName(id), value)
		this.#values[first] = value
		for (let i = this.#message.find(id, first + 1); i >= 0; i = this.#message.find(id, i + 1)) this.#values[i] = GONE
		return this
	}

	/** Drops all rows of that id. */
	remove(id: HeaderId): this {
		for (let i = this.#message.find(id); i >= 0; i = this.#message.find(id, i + 1)) this.#values[i] = GONE
		return this
	}

	/** Drops all rows of that name: for headers without an id. */
	removeNamed(lowerName: string): this {
		for (let i = 0; i < this.#message.headerCount; i++) if (this.#message.isNamed(i, lowerName)) this.#values[i] = GONE
		return this
	}

	/** Drops the first value of a list header. */
	popFirst(id: HeaderId): this {
		const i = this.#live(id)
		if (i < 0) return this
		const rest = splitList(this.#current(i)).slice(1)
		this.#values[i] = rest.length === 0 ? GONE : rest.join(', ')
		return this
	}

	/** A new row directly above the first row of that id, or below the Vias where there is none. */
	push(id: HeaderId, value: string): this {
		const first = this.#message.find(id)
		return this.#insert(first >= 0 ? first : this.#belowVias(), headerName(id), value)
	}

	/** A new row at the end of the head: above Content-Length where that is the last row. */
	append(name: string, value: string): this {
		this.#appended += `${name}: ${value}\r\n`
		return this
	}

	/** A message that came without Content-Length gets one, which a stream needs (RFC 3261 §16.6 step 9, §20.14). */
	addLength(): this {
		const { text, bodyAt } = this.#message
		return this.#message.find(Header.ContentLength) < 0
			? this.append('Content-Length', `${text.length - bodyAt}`)
			: this
	}

	/** Row `i` gets the value. */
	row(i: number, value: string): this {
		this.#values[i] = value
		return this
	}

	/** The changed message in a fresh array. */
	finish(): Uint8Array {
		const message = this.#message
		const { text, headerCount } = message
		if (this.#appended !== '') this.#placeAppended()
		let out = this.#startLine()
		/** Start of the run of untouched octets not yet in `out`. */
		let from = this.#uri === undefined ? 0 : message.lineEnd
		for (let i = 0; i <= headerCount; i++) {
			const above = this.#above[i]
			const value = this.#values[i]
			if (above === undefined && value === undefined) continue
			if (above !== undefined) {
				const start = message.rowStart(i)
				out += text.slice(from, start) + above
				from = start
			}
			if (value === undefined) continue
			if (value === GONE) {
				out += text.slice(from, message.rowStart(i))
				from = message.rowStart(i + 1)
			} else {
				out += text.slice(from, message.valueStart(i)) + value
				from = message.valueEnd(i)
			}
		}
		return encodeLatin1(out + text.slice(from))
	}

	/** Appended rows go below all others, but above a Content-Length that is the last one. */
	#placeAppended(): void {
		const { headerCount } = this.#message
		const last = headerCount - 1
		const i = last >= 0 && this.#message.id(last) === Header.ContentLength ? last : headerCount
		this.#above[i] = (this.#above[i] ?? '') + this.#appended
		this.#appended = ''
	}

	#startLine(): string {
		return this.#uri === undefined ? '' : `${this.#message.method} ${this.#uri} SIP/2.0`
	}

	/** The first row of that id that is not gone. */
	#live(id: HeaderId): number {
		let i = this.#message.find(id)
		while (i >= 0 && this.#values[i] === GONE) i = this.#message.find(id, i + 1)
		return i
	}

	#current(i: number): string {
		return this.#values[i] ?? this.#message.value(i)
	}

	#insert(i: number, name: string, value: string): this {
		this.#above[i] = `${name}: ${value}\r\n${this.#above[i] ?? ''}`
		return this
	}

	/** The row behind the last Via. */
	#belowVias(): number {
		let below = 0
		for (let i = this.#message.find(Header.Via); i >= 0; i = this.#message.find(Header.Via, i + 1)) below = i + 1
		return below
	}
}
