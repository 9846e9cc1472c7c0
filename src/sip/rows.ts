/** The head of a message as rows of offsets: one walk over the octets, no string made (RFC 3261 §7.3.1). */
import { CLASS, TOKEN } from './grammar.ts'
import { headerId } from './headers.ts'

/**
 * Header rows of one message. Real messages have under 40, RFC 4475's longest 48 (34 of them Vias); 256 leaves room for
 * 70 hops of Via and Record-Route each and keeps what one datagram can cost in memory small. `--max-headers` may be less.
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

/** One for all parses: a parse copies its rows out at the end, and none runs inside another. */
const scratch = new Int32Array(MAX_ROWS * ROW)

/**
 * Reads the head of the message that `bytes` starts with; `text` is the same as text. Total: what is wrong is named, what
 * came before it is kept. The octets are walked, not the text: measured at a third of the time. `maxRows`: {@link MAX_ROWS} at the most.
 */
export function scanHead(bytes: Uint8Array, text: string, maxRows = MAX_ROWS): Head {
	const lineEnd = endOfLine(bytes, 0)
	let at = lineEnd + 2
	let count = 0
	let problem = lineEnd < 0 ? unended(text, 0) : undefined
	for (; problem === undefined && !isLineEnd(bytes, at); count++) {
		const next = count >= maxRows ? TOO_MANY : scanRow(bytes, at, count * ROW)
		if (next < 0) {
			problem = next === TOO_MANY ? 'too-many-headers' : next === MALFORMED ? 'header-line' : unended(text, at)
			break
		}
		at = next
	}
	if (problem === undefined && at > MAX_HEAD_OCTETS) problem = 'head-too-large'
	return {
		rows: scratch.slice(0, count * ROW),
		count,
		lineEnd: lineEnd < 0 ? text.length : lineEnd,
		rowsEnd: lineEnd < 0 ? text.length : at,
		bodyAt: problem === undefined ? at + 2 : text.length,
		problem,
	}
}

const CR = 0x0d
const LF = 0x0a
const COLON = 0x3a
const UNENDED = -1
const MALFORMED = -2
const TOO_MANY = -3

/** Writes the row at `at` to the scratch; the start of the next one, {@link UNENDED} or {@link MALFORMED}. */
function scanRow(bytes: Uint8Array, at: number, slot: number): number {
	let nameEnd = at
	while (nameEnd < bytes.length && (CLASS[bytes[nameEnd]!]! & TOKEN) !== 0) nameEnd++
	let colon = nameEnd
	while (isBlank(bytes[colon])) colon++
	if (nameEnd === at || bytes[colon] !== COLON) return endOfLine(bytes, at) < 0 ? UNENDED : MALFORMED
	const id = headerId(bytes, at, nameEnd)
	let end = endOfLine(bytes, colon)
	let folded = 0
	while (end >= 0 && isBlank(bytes[end + 2])) {
		folded = FOLDED
		end = endOfLine(bytes, end + 3)
	}
	if (end < 0) return UNENDED
	let from = colon + 1
	while (from < end && isLws(bytes[from])) from++
	let to = end
	while (to > from && isLws(bytes[to - 1])) to--
	scratch[slot] = id | folded
	scratch[slot + 1] = at
	scratch[slot + 2] = nameEnd
	scratch[slot + 3] = from
	scratch[slot + 4] = to
	return end + 2
}

/** Offset of the CRLF that ends the line; -1 where a bare CR or LF comes first, or none. */
function endOfLine(bytes: Uint8Array, at: number): number {
	/* nearly every octet is above CR: one comparison each */
	while (bytes[at]! > CR || (at < bytes.length && bytes[at] !== CR && bytes[at] !== LF)) at++
	return isLineEnd(bytes, at) ? at : -1
}

/** Why no CRLF was found. A bare CR or LF is no line end here: two readers that differ on it can be played off (smuggling). */
function unended(text: string, at: number): HeadProblem {
	const rest = text.slice(at, MAX_HEAD_OCTETS)
	// The last octet may be half a CRLF.
	if (/\r[^\n]|[^\r]\n|^\n/.test(rest)) return 'line-end'
	return text.length > MAX_HEAD_OCTETS ? 'head-too-large' : 'head-unfinished'
}

function isLineEnd(bytes: Uint8Array, at: number): boolean {
	return bytes[at] === CR && bytes[at + 1] === LF
}

function isBlank(code: number | undefined): boolean {
	return code === 0x20 || code === 0x09
}

function isLws(code: number | undefined): boolean {
	return isBlank(code) || code === CR || code === LF
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
