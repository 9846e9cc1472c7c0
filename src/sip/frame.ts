/**
 * Octets of a stream → messages (RFC 3261 §18.3, RFC 5626 §4.4.1). Pure: whoever owns the connection feeds it and does
 * what it says.
 */
import type { FaultCode } from './faults.ts'
import { decimal } from './grammar.ts'
import { Header } from './headers.ts'
import { decodeLatin1 } from './latin1.ts'
import { rowValue } from './message.ts'
import { FOLDED, MAX_HEAD_OCTETS, ROW, scanHead } from './rows.ts'
import { MAX_CONTENT_LENGTH } from './validate.ts'

/** One message with its body: what a datagram may hold at most (65,535 − 28 octets of IP and UDP headers). */
export const MAX_STREAM_MESSAGE = 65_507

/** What the stream holds next. */
export type Frame =
	/** One whole message. `bytes` belongs to the receiver. */
	| { readonly kind: 'message'; readonly bytes: Uint8Array }
	/** CRLFCRLF between messages: answer CRLF at once. A single CRLF is nobody's question and comes as nothing. */
	| { readonly kind: 'ping' }
	/** Where the next message begins cannot be told: answer what `head` asks for, where that can be, and close. */
	| { readonly kind: 'fault'; readonly code: FaultCode; readonly head: Uint8Array }

const CR = 0x0d
const LF = 0x0a
const NOTHING = new Uint8Array(0)
const PING: Frame = { kind: 'ping' }

/** Room kept for what is still to come of a message: it doubles, so that a message sent octet by octet costs linear time. */
const LEAST_ROOM = 1_024

export class StreamFramer {
	readonly #maxMessage: number
	/** What came and is not yet given out: `#octets[#from, #to)`. */
	#octets: Uint8Array = NOTHING
	#from = 0
	#to = 0
	/** The head was looked for up to here. */
	#searched = 0
	/** Octets of the whole message at `#from`; 0 while its head is not complete. */
	#length = 0
	#broken = false
	/** One CRLF of two has come. */
	#halfPing = false

	/** `maxMessage`: octets of one message, {@link MAX_STREAM_MESSAGE} at the most. */
	constructor(maxMessage = MAX_STREAM_MESSAGE) {
		this.#maxMessage = maxMessage
	}

	/** What is held for a message that is not complete, in octets of memory: at most twice what came of it. 0 between messages. */
	get held(): number {
		return this.#octets.length
	}

	/** More of the stream. `chunk` belongs to the framer from here on. */
	push(chunk: Uint8Array): void {
		if (this.#broken || chunk.length === 0) return
		if (this.#from === this.#to) {
			this.#octets = chunk
			this.#searched = this.#from = 0
			this.#to = chunk.length
			return
		}
		this.#makeRoom(chunk.length)
		this.#octets.set(chunk, this.#to)
		this.#to += chunk.length
	}

	/** What comes next; undefined until more is pushed. After a fault there is nothing more. */
	next(): Frame | undefined {
		if (this.#broken) return undefined
		if (this.#length === 0) {
			const keepAlive = this.#keepAlive()
			if (keepAlive !== undefined) return keepAlive
			const fault = this.#readHead()
			if (fault !== undefined) return this.#fault(fault)
		}
		if (this.#length === 0 || this.#to - this.#from < this.#length) return undefined
		const bytes = this.#octets.slice(this.#from, this.#from + this.#length)
		this.#halfPing = false
		this.#drop(this.#length)
		return { kind: 'message', bytes }
	}

	/** §7.5: CRLF before a start line is none of the message; two in a row are a ping, however the stream was cut. */
	#keepAlive(): Frame | undefined {
		while (this.#to - this.#from >= 2 && this.#octets[this.#from] === CR && this.#octets[this.#from + 1] === LF) {
			this.#drop(2)
			this.#halfPing = !this.#halfPing
			if (!this.#halfPing) return PING
		}
		return undefined
	}

	/** Finds the end of the head, and by Content-Length that of the message. */
	#readHead(): FaultCode | undefined {
		const end = this.#headEnd()
		if (end < 0)
			return this.#to - this.#from > Math.min(MAX_HEAD_OCTETS, this.#maxMessage) ? 'head-too-large' : undefined
		const octets = this.#octets.subarray(this.#from, end)
		const length = contentLength(octets)
		if (typeof length === 'string') return length
		const whole = octets.length + length
		if (whole > this.#maxMessage) return 'message-too-large'
		this.#length = whole
		return undefined
	}

	/** Offset behind the empty line; -1 where it has not come. What was searched is not searched again. */
	#headEnd(): number {
		const octets = this.#octets
		for (let at = Math.max(this.#searched, this.#from); at + 3 < this.#to; at++) {
			/* the fourth octet first: it is LF in one of twenty places, and nothing before it matters elsewhere */
			if (octets[at + 3] !== LF || octets[at + 1] !== LF) continue
			if (octets[at] === CR && octets[at + 2] === CR) return at + 4
		}
		this.#searched = Math.max(this.#from, this.#to - 3)
		return -1
	}

	#fault(code: FaultCode): Frame {
		this.#broken = true
		const end = this.#headEnd()
		const head = end < 0 ? this.#octets.slice(this.#from, this.#to) : this.#octets.slice(this.#from, end)
		this.#octets = NOTHING
		this.#from = this.#to = 0
		return { kind: 'fault', code, head }
	}

	#drop(count: number): void {
		this.#from += count
		this.#searched = this.#from
		this.#length = 0
		if (this.#from === this.#to) {
			this.#octets = NOTHING
			this.#from = this.#to = this.#searched = 0
		} else if (this.#octets.length > LEAST_ROOM && this.#to - this.#from < this.#octets.length / 2) this.#fit()
	}

	/** A rest must not keep all that it came with. Halving each time, a chunk of many messages is copied once in all. */
	#fit(): void {
		this.#octets = this.#octets.slice(this.#from, this.#to)
		this.#to -= this.#from
		this.#from = this.#searched = 0
	}

	#makeRoom(count: number): void {
		const held = this.#to - this.#from
		if (this.#to + count <= this.#octets.length) return
		const room = new Uint8Array(Math.max(LEAST_ROOM, 2 * (held + count)))
		room.set(this.#octets.subarray(this.#from, this.#to))
		this.#octets = room
		this.#searched -= this.#from
		this.#from = 0
		this.#to = held
	}
}

/** What Content-Length says of a head, in octets, or what is wrong with it: on a stream it must be there (§18.3). */
function contentLength(octets: Uint8Array): number | FaultCode {
	const text = decodeLatin1(octets)
	const { rows, count, problem } = scanHead(octets, text)
	if (problem !== undefined) return problem
	let length = -1
	for (let i = 0; i < count; i++) {
		if ((rows[i * ROW]! & ~FOLDED) !== Header.ContentLength) continue
		const value = rowValue(text, rows, i)
		const said = decimal(value, 0, value.length, MAX_CONTENT_LENGTH)
		if (said < 0) return 'length-malformed'
		if (length >= 0 && said !== length) return 'length-conflict'
		length = said
	}
	return length < 0 ? 'length-missing' : length
}
