/** What a stream carries, and how: SIP as it is, or in WebSocket frames. */
import type { FaultCode } from '../sip/faults.ts'
import { type Frame, StreamFramer } from '../sip/frame.ts'

/** What a stream holds next. */
export type Item =
	/** `bytes` belongs to the receiver. */
	| { readonly kind: 'message'; readonly bytes: Uint8Array }
	/** The far end asked for a sign of life: these go back, or those of a later one that has come already. */
	| { readonly kind: 'answer'; readonly bytes: Uint8Array }
	/** Something that asks for nothing, a pong for one. */
	| { readonly kind: 'nothing' }
	/** Framing is lost: what `head` asks for may be answered, and the stream is closed. */
	| { readonly kind: 'fault'; readonly code: FaultCode; readonly head: Uint8Array }
	/** The far end says good-bye or breaks the rules of WebSocket: `bytes` go back, and the stream is closed. */
	| { readonly kind: 'end'; readonly bytes: Uint8Array }

export interface Codec {
	/** What a message that is not complete takes of memory, in octets; 0 between messages. */
	readonly held: number
	/** What the far end has to answer, asleep or not; undefined where only SIP can ask. */
	readonly ping: Uint8Array | undefined
	/** More of the stream. `chunk` belongs to the codec from here on. */
	push(chunk: Uint8Array): void
	/** Undefined until more is pushed. */
	next(): Item | undefined
	/** A SIP message as it goes out. */
	encode(message: Uint8Array): Uint8Array
	/** What goes out before a close; undefined: nothing. */
	farewell(): Uint8Array | undefined
}

const CRLF = Uint8Array.of(0x0d, 0x0a)
/** RFC 5626 §4.4.1: the server's half of a keep-alive. */
const PONG: Item = { kind: 'answer', bytes: CRLF }

/** SIP over TCP or TLS (RFC 3261 §18.3). */
export class SipCodec implements Codec {
	readonly ping = undefined
	readonly #framer: StreamFramer

	/** `maxMessage`: octets of one message. */
	constructor(maxMessage: number) {
		this.#framer = new StreamFramer(maxMessage)
	}

	get held(): number {
		return this.#framer.held
	}

	push(chunk: Uint8Array): void {
		this.#framer.push(chunk)
	}

	next(): Item | undefined {
		const frame: Frame | undefined = this.#framer.next()
		return frame?.kind === 'ping' ? PONG : frame
	}

	encode(message: Uint8Array): Uint8Array {
		return message
	}

	farewell(): undefined {
		return undefined
	}
}
