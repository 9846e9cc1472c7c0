/** The head of a message as rows of offsets: one walk over the octets, no string made (RFC 3261 §7.3.1). */
import { CLASS, TOKEN } from './grammar.ts'
import { headerId } from './headers.ts'

/**
 * Header rows of one message. Real messages have under 40, RFC 4475's longest 48 (34 of them Vias); 256 leaves room for
 * 70 hops of Via and Record-Route each and keeps what one datagram can cost in memory small.
 */
export const MAX_ROWS = 256

/** Octets of start line and headers together. RFC 4475's longest has 3.4 kB; what is longer gets a 513. */
export const MAX_HEAD_OCTETS = 32_768

/** Ints of one row in {@link Head.rows}: id (+ {@link FOLDED}), start, name end, value start, value end. */
export const ROW = 5
export const FOLDED = 0x100

export type HeadProblem = 'head-too-large' | 'too-many-headers' | 'line-end' | 'header-line' | 'head-unfinished'

export interface Head {
	readonly rows: Int32Array
	readonly count: number
	/** End of the start line, before its CRLF. */
	readonly lineEnd: number
	/** Start of the empty line: the end of the last row. */
	readonly rowsEnd: number
	/** Octets of the head, empty line included: where the body starts. */
	readonly bodyAt: number
	readonly problem: HeadProblem | undefined
}

const CR = 0x0d
const LF = 0x0a
const SP = 0x20
const HT = 0x09

/** One for all parses: a parse copies its rows out at the end, and none runs inside another. */
const scratch = new Int32Array(MAX_ROWS * ROW)

/** Reads the head of the message that starts at `bytes[0]`. Total: what is wrong is named, what came before it is kept. */
export function scanHead(bytes: Uint8Array): Head {
	const limit = Math.min(bytes.length, MAX_HEAD_OCTETS)
	const lineEnd = endOfLine(bytes, 0, limit)
	let at = lineEnd
	let count = 0
	let problem = lineEnd < 0 ? unended(bytes, 0, limit) : undefined
	if (lineEnd >= 0) {
		for (at = lineEnd + 2; ; count++) {
			if (bytes[at] === CR && bytes[at + 1] === LF) break
			if (count === MAX_ROWS) problem = 'too-many-headers'
			if (problem !== undefined) break
			const next = scanRow(bytes, at, limit, count * ROW)
			if (next < 0) problem = next === MALFORMED ? 'header-line' : unended(bytes, at, limit)
			if (next < 0) break
			at = next
		}
	}
	const bodyAt = problem === undefined ? at + 2 : bytes.length
	const end = lineEnd < 0 ? bytes.length : lineEnd
	return { rows: scratch.slice(0, count * ROW), count, lineEnd: end, rowsEnd: Math.max(at, 0), bodyAt, problem }
}

const MALFORMED = -2

/** Writes the row at `at` to the scratch; the start of the next one, -1 where it does not end, or {@link MALFORMED}. */
function scanRow(bytes: Uint8Array, at: number, limit: number, slot: number): number {
	let nameEnd = at
	while (nameEnd < limit && (CLASS[bytes[nameEnd]!]! & TOKEN) !== 0) nameEnd++
	let colon = nameEnd
	while (colon < limit && (bytes[colon] === SP || bytes[colon] === HT)) colon++
	if (nameEnd === at || bytes[colon] !== 0x3a) return MALFORMED
	let end = endOfLine(bytes, colon + 1, limit)
	if (end < 0) return -1
	let folded = 0
	while (bytes[end + 2] === SP || bytes[end + 2] === HT) {
		folded = FOLDED
		end = endOfLine(bytes, end + 3, limit)
		if (end < 0) return -1
	}
	let from = colon + 1
	while (from < end && isLws(bytes[from]!)) from++
	let to = end
	while (to > from && isLws(bytes[to - 1]!)) to--
	scratch[slot] = headerId(bytes, at, nameEnd) | folded
	scratch[slot + 1] = at
	scratch[slot + 2] = nameEnd
	scratch[slot + 3] = from
	scratch[slot + 4] = to
	return end + 2
}

/** Offset of the CRLF that ends the line; -1 where a bare CR or LF, or the limit, comes first. */
function endOfLine(bytes: Uint8Array, at: number, limit: number): number {
	for (; at < limit; at++) {
		const octet = bytes[at]!
		if (octet === CR) return bytes[at + 1] === LF ? at : -1
		if (octet === LF) return -1
	}
	return -1
}

/** Why no CRLF was found. A bare CR or LF is no line end here: two readers that differ on it can be played off (smuggling). */
function unended(bytes: Uint8Array, at: number, limit: number): HeadProblem {
	for (; at < limit; at++) {
		const bare = bytes[at] === LF || (bytes[at] === CR && bytes[at + 1] !== LF && at + 1 < bytes.length)
		if (bare) return 'line-end'
		if (bytes[at] === CR) at++
	}
	return limit < bytes.length ? 'head-too-large' : 'head-unfinished'
}

function isLws(octet: number): boolean {
	return octet === SP || octet === HT || octet === CR || octet === LF
}

/** Replaces each fold (LWS with a CRLF in it) by one SP (§7.3.1). */
export function unfold(text: string): string {
	const parts: string[] = []
	let at = 0
	for (let fold = text.indexOf('\r\n'); fold >= 0; fold = text.indexOf('\r\n', at)) {
		let to = fold
		while (to > at && isLws(text.charCodeAt(to - 1))) to--
		parts.push(text.slice(at, to))
		at = fold + 2
		while (at < text.length && isLws(text.charCodeAt(at))) at++
	}
	parts.push(text.slice(at))
	return parts.join(' ')
}
