/** SIP in WebSocket frames (RFC 6455 §5, RFC 7118 §5): one message in each, the server's half. Pure but for UTF-8. */
import { isUtf8 } from 'node:buffer'
import { MAX_STREAM_MESSAGE } from '../sip/frame.ts'
import type { Codec, Item } from './codec.ts'
import { Octets } from './octets.ts'

/** A message may come in pieces; browsers send it whole. Without a bound, empty pieces would cost memory for ever. */
export const MAX_FRAGMENTS = 64

/** RFC 6455 §5.5. */
const MAX_CONTROL_OCTETS = 125

const CONTINUATION = 0x0
const TEXT = 0x1
const BINARY = 0x2
const CLOSE = 0x8
const PING = 0x9
const PONG = 0xa
const FIN = 0x80
const RESERVED = 0x70
const MASKED = 0x80
/** §5.2: a client's mask has 32 bits. */
const MASK_OCTETS = 4

/** RFC 6455 §7.4.1. */
const NORMAL = 1000
const PROTOCOL_ERROR = 1002
const NOT_UTF8 = 1007
const TOO_MANY_PIECES = 1008
const TOO_BIG = 1009

const NOTHING = new Uint8Array(0)
const PING_FRAME = frame(PING, NOTHING)
const BLANK: Item = { kind: 'nothing' }

/** What the two first octets and the length behind them say of a frame. */
interface Head {
	readonly isLast: boolean
	readonly opcode: number
	/** Octets before the payload, the mask included. */
	readonly octets: number
	readonly length: number
}

export class WebSocketCodec implements Codec {
	readonly ping = PING_FRAME
	readonly #octets = new Octets()
	readonly #maxMessage: number
	#pieces: Uint8Array[] = []
	#piecesLength = 0
	/** Opcode of the message whose pieces came; CONTINUATION between messages. */
	#opcode = CONTINUATION
	/** What the far end sends it can read: browsers' phones send text. */
	#speaks = TEXT
	#broken = false

	/** `maxMessage`: octets of one message. */
	constructor(maxMessage = MAX_STREAM_MESSAGE) {
		this.#maxMessage = maxMessage
	}

	get held(): number {
		return this.#octets.held + (this.#opcode === CONTINUATION ? 0 : this.#piecesLength + 1)
	}

	push(chunk: Uint8Array): void {
		if (!this.#broken) this.#octets.push(chunk)
	}

	next(): Item | undefined {
		while (!this.#broken) {
			const head = this.#readHead()
			if (typeof head === 'number') return this.#end(head)
			if (head === undefined || this.#octets.length < head.octets + head.length) return undefined
			const item = this.#readFrame(head)
			if (item !== undefined) return item
		}
		return undefined
	}

	encode(message: Uint8Array): Uint8Array {
		return frame(this.#speaks === TEXT && isUtf8(message) ? TEXT : BINARY, message)
	}

	farewell(): Uint8Array {
		return closeFrame(NORMAL)
	}

	/** A code of §7.4.1 where the frame breaks the rules; undefined while its head is not complete. */
	#readHead(): Head | number | undefined {
		const octets = this.#octets
		if (octets.length < 2) return undefined
		const first = octets.at(0)
		const opcode = first & 0x0f
		const fault = this.#headFault(first, octets.at(1))
		if (fault !== undefined) return fault
		const short = octets.at(1) & 0x7f
		const lengthOctets = short === 126 ? 2 : short === 127 ? 8 : 0
		if (octets.length < 2 + lengthOctets) return undefined
		let length = lengthOctets === 0 ? short : 0
		for (let i = 0; i < lengthOctets; i++) length = length * 256 + octets.at(2 + i)
		if (opcode < CLOSE && this.#piecesLength + length > this.#maxMessage) return TOO_BIG
		return { isLast: first >= FIN, opcode, octets: 2 + lengthOctets + MASK_OCTETS, length }
	}

	/** §5.1: masked; §5.2: no extension agreed on; §5.4: pieces in order; §5.5: control frames are short and whole. */
	#headFault(first: number, second: number): number | undefined {
		const opcode = first & 0x0f
		if ((first & RESERVED) !== 0 || (second & MASKED) === 0) return PROTOCOL_ERROR
		if (opcode === CLOSE || opcode === PING || opcode === PONG)
			return first < FIN || (second & 0x7f) > MAX_CONTROL_OCTETS ? PROTOCOL_ERROR : undefined
		if (opcode > BINARY || (opcode === CONTINUATION) !== (this.#opcode !== CONTINUATION)) return PROTOCOL_ERROR
		return this.#pieces.length >= MAX_FRAGMENTS ? TOO_MANY_PIECES : undefined
	}

	#readFrame({ isLast, opcode, octets, length }: Head): Item | undefined {
		const payload = this.#octets.slice(octets, length)
		unmask(payload, this.#octets, octets - MASK_OCTETS)
		this.#octets.drop(octets + length)
		if (opcode === PING) return { kind: 'answer', bytes: frame(PONG, payload) }
		if (opcode === PONG) return BLANK
		if (opcode === CLOSE) return this.#closed(payload)
		if (opcode !== CONTINUATION) this.#opcode = opcode
		this.#pieces.push(payload)
		this.#piecesLength += length
		return isLast ? this.#message() : undefined
	}

	#message(): Item {
		const bytes = this.#pieces.length === 1 ? this.#pieces[0]! : joined(this.#pieces, this.#piecesLength)
		const opcode = this.#opcode
		this.#pieces = []
		this.#piecesLength = 0
		this.#opcode = CONTINUATION
		if (opcode === TEXT && !isUtf8(bytes)) return this.#end(NOT_UTF8)
		this.#speaks = opcode
		if (!isBlank(bytes)) return { kind: 'message', bytes }
		/* RFC 5626 §4.4.1 is for streams, yet browsers' phones send its CRLFCRLF here too */
		return bytes.length === 4 ? { kind: 'answer', bytes: frame(opcode, bytes.subarray(2)) } : BLANK
	}

	/** §5.5.1: the code comes back; one octet is no code. */
	#closed(payload: Uint8Array): Item {
		if (payload.length === 1) return this.#end(PROTOCOL_ERROR)
		this.#broken = true
		return { kind: 'end', bytes: frame(CLOSE, payload.subarray(0, 2)) }
	}

	#end(code: number): Item {
		this.#broken = true
		return { kind: 'end', bytes: closeFrame(code) }
	}
}

function unmask(payload: Uint8Array, octets: Octets, at: number): void {
	const mask = [octets.at(at), octets.at(at + 1), octets.at(at + 2), octets.at(at + 3)] as const
	for (let i = 0; i < payload.length; i++) payload[i]! ^= mask[i & 3]!
}

/** Nothing but CRLF. */
function isBlank(bytes: Uint8Array): boolean {
	for (const octet of bytes) if (octet !== 0x0d && octet !== 0x0a) return false
	return true
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
	const all = new Uint8Array(length)
	let at = 0
	for (const piece of pieces) {
		all.set(piece, at)
		at += piece.length
	}
	return all
}

const closeFrame = (code: number): Uint8Array => frame(CLOSE, Uint8Array.of(code >> 8, code & 0xff))

/** A whole, unmasked frame: a server's. */
function frame(opcode: number, payload: Uint8Array): Uint8Array {
	const { length } = payload
	const head = length < 126 ? [FIN | opcode, length] : longHead(opcode, length)
	const bytes = new Uint8Array(head.length + length)
	bytes.set(head)
	bytes.set(payload, head.length)
	return bytes
}

function longHead(opcode: number, length: number): number[] {
	if (length < 65_536) return [FIN | opcode, 126, length >> 8, length & 0xff]
	return [FIN | opcode, 127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff]
}
