/** Octets → message. Total: whatever comes, a {@link SipMessage} goes out, its `fault` says what is wrong with it. */
import { type FaultCode, fault } from './faults.ts'
import { CLASS, DIGIT, decimal, isNamed, skipClass, TOKEN } from './grammar.ts'
import { decodeLatin1 } from './latin1.ts'
import { SipMessage, type StartLine } from './message.ts'
import { methodIn } from './methods.ts'
import { type Head, MAX_ROWS, scanHead } from './rows.ts'
import { Reading } from './validate.ts'

export type { Fault, FaultCode } from './faults.ts'

const CR = 0x0d
const LF = 0x0a

/** A datagram this short is someone's way to keep a NAT open (RFC 5626 §4.4, and four NULs or a dot in the wild). */
const KEEP_ALIVE_OCTETS = 4

/** RFC 8489 §5, at octet 4. */
const STUN_COOKIE = [0x21, 0x12, 0xa4, 0x42] as const
/** RFC 8489 §5: no STUN message is shorter. */
const STUN_HEADER_OCTETS = 20

/** Whether the datagram only keeps a NAT open: empty, CR and LF alone, up to four octets, or STUN. */
export function isKeepAlive(bytes: Uint8Array): boolean {
	return bytes.length <= KEEP_ALIVE_OCTETS || afterBlankLines(bytes) === bytes.length || isStun(bytes)
}

/** RFC 5626 §8: the first octet tells it from SIP, which begins with a letter. */
function isStun(bytes: Uint8Array): boolean {
	if (bytes[0]! >= 0x40 || bytes.length < STUN_HEADER_OCTETS) return false
	return STUN_COOKIE.every((octet, i) => bytes[4 + i] === octet)
}

/** §7.5: CRLF before the start line is ignored. */
function afterBlankLines(bytes: Uint8Array): number {
	let at = 0
	while (bytes[at] === CR || bytes[at] === LF) at++
	return at
}

/** The start line, and what is wrong with it. */
interface ReadLine extends StartLine {
	readonly code: FaultCode | undefined
}

/**
 * Reads the one message of a datagram (RFC 3261 §18.3). The result shares the memory of `bytes`: who parses must not
 * write to it afterwards. Size: `bytes.length` up to 65,535; beyond `MAX_HEAD_OCTETS` and `maxRows` it is a fault.
 */
export function parse(bytes: Uint8Array, maxRows = MAX_ROWS): SipMessage {
	const from = afterBlankLines(bytes)
	const octets = from === 0 ? bytes : bytes.subarray(from)
	const text = decodeLatin1(octets)
	const head = scanHead(octets, text, maxRows)
	const line = startLine(text, head.lineEnd)
	const reading = new Reading(text, head, line.method)
	if (line.method !== '') reading.judgeRequest(line.method, line.uri)
	return assemble(octets, text, head, line, reading)
}

function assemble(octets: Uint8Array, text: string, head: Head, line: ReadLine, reading: Reading): SipMessage {
	const end = head.bodyAt + Math.max(reading.contentLength, 0)
	const short = end > octets.length ? 'body-short' : undefined
	const code = line.code ?? head.problem ?? short ?? reading.code
	// §17.1.1.3: an ACK is never answered; nor is a response, nor what has no Via to answer to.
	const silent = line.method === '' || line.method === 'ACK' || reading.unanswerable
	const verdict = code === undefined ? undefined : fault(code, silent)
	if (reading.contentLength < 0 || end >= octets.length)
		return new SipMessage(octets, text, head, line, reading, verdict)
	return new SipMessage(octets.subarray(0, end), text.slice(0, end), head, line, reading, verdict)
}

/** §7.1, §7.2: the line `text[0, end)`. The version is compared without case. */
function startLine(text: string, end: number): ReadLine {
	return isSipVersion(text, 0) ? statusLine(text.slice(0, end)) : requestLine(text, end)
}

/** `Method SP Request-URI SP SIP-Version`, exactly one SP each. */
function requestLine(text: string, end: number): ReadLine {
	const methodEnd = skipClass(text, 0, TOKEN)
	const uriEnd = text.indexOf(' ', methodEnd + 1)
	const wellSpaced = methodEnd > 0 && text.charCodeAt(methodEnd) === SPACE && uriEnd > methodEnd + 1
	if (!wellSpaced || uriEnd >= end || !isSipVersion(text, uriEnd + 1) || skipVisible(text, uriEnd + 1) < end)
		return misreadRequest(text.slice(0, end))
	const code = end === uriEnd + 8 && text.startsWith('2.0', uriEnd + 5) ? undefined : 'version'
	const uri = text.slice(methodEnd + 1, uriEnd)
	return { method: methodIn(text, 0, methodEnd), uri, status: 0, reason: '', code }
}

function skipVisible(text: string, at: number): number {
	while (at < text.length && text.charCodeAt(at) > SPACE) at++
	return at
}

const SPACE = 0x20

/** A line that means to be a request line gets its method back, for the 400; anything else is not SIP. */
function misreadRequest(line: string): ReadLine {
	const words = line.split(/[ \t]+/)
	const version = words[words.length - 1] === '' ? words[words.length - 2] : words[words.length - 1]
	const method = words[0]!
	const meant = words.length > 2 && method !== '' && skipClass(method, 0, TOKEN) === method.length
	if (!meant || !isSipVersion(version!, 0)) return { method: '', uri: '', status: 0, reason: '', code: 'not-sip' }
	return { method: method, uri: '', status: 0, reason: '', code: 'request-line' }
}

/** `SIP-Version SP 3DIGIT SP Reason-Phrase`; the last SP may be missing where the phrase is empty. */
function statusLine(line: string): ReadLine {
	const status = decimal(line, 8, 11, 699)
	const separated = line.length === 11 || line.charCodeAt(11) === 0x20
	const good = line.slice(4, 8) === '2.0 ' && line.length >= 11 && status >= 100 && separated
	if (!good) return { method: '', uri: '', status: 0, reason: '', code: 'status-line' }
	return { method: '', uri: '', status, reason: line.slice(12), code: undefined }
}

/** Whether `SIP/` stands at `at`, case aside, and a digit behind it. */
function isSipVersion(line: string, at: number): boolean {
	return isNamed(line, at, at + 4, 'sip/') && (CLASS[line.charCodeAt(at + 4)]! & DIGIT) !== 0
}
