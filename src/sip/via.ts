/** Via values (RFC 3261 §20.42, RFC 3581). */
import { decimal, HOST, IPV6, isNamed, nextParam, param, skipBlank, skipClass, TOKEN } from './grammar.ts'

export interface Via {
	/** Upper case: `UDP`. */
	readonly transport: string
	/** Lower case; IPv6 without brackets. */
	readonly host: string
	/** 0 where absent. */
	readonly port: number
	/** '' where absent. */
	readonly branch: string
	/** '' where absent; IPv6 without brackets. */
	readonly received: string
	/** -1 where absent, 0 for the flag without a value. */
	readonly rport: number
}

export const EMPTY_VIA: Via = Object.freeze({ transport: '', host: '', port: 0, branch: '', received: '', rport: -1 })

/** A port has 16 bits (RFC 768). */
export const MAX_PORT = 65_535

/** What {@link scanVia} last met: offsets into the value. -1 where absent. */
const found = {
	transportAt: 0,
	transportEnd: 0,
	hostAt: 0,
	hostEnd: 0,
	port: 0,
	/** Behind sent-by: where the parameters start. */
	paramsAt: 0,
	branchAt: -1,
	branchEnd: -1,
	receivedAt: -1,
	receivedEnd: -1,
	rport: -1,
	/** Behind `rport`, its value included. */
	rportEnd: -1,
}

/**
 * Walks the Via value at `at`, up to `end`, where the text ends or a CR stands. The offset of the comma or the end behind
 * it, -1 where it is malformed.
 */
export function scanVia(text: string, at: number, end = text.length): number {
	at = scanSentProtocol(text, skipBlank(text, at))
	if (at >= 0) at = scanSentBy(text, at)
	if (at >= 0) at = scanViaParams(text, at, end)
	if (at < 0) return -1
	at = skipBlank(text, at)
	return at === end || text.charCodeAt(at) === COMMA ? at : -1
}

const COMMA = 0x2c
const SLASH = 0x2f
const COLON = 0x3a

/** `SIP/2.0/UDP` and the LWS behind it; LWS may stand round the slashes. Unknown transports are welcome (RFC 4475 §3.1.1.10). */
function scanSentProtocol(text: string, at: number): number {
	for (let part = 0; ; part++) {
		const end = skipClass(text, at, TOKEN)
		if (end === at) return -1
		const next = skipBlank(text, end)
		if (part === 2) {
			found.transportAt = at
			found.transportEnd = end
			return next > end ? next : -1
		}
		if (text.charCodeAt(next) !== SLASH) return -1
		at = skipBlank(text, next + 1)
	}
}

/** `host [":" port]`; LWS may stand round the colon. */
function scanSentBy(text: string, at: number): number {
	const end = skipHost(text, at)
	if (end < 0) return -1
	const bracketed = text.charCodeAt(at) === 0x5b ? 1 : 0
	found.hostAt = at + bracketed
	found.hostEnd = end - bracketed
	found.port = 0
	found.paramsAt = end
	const colon = skipBlank(text, end)
	if (text.charCodeAt(colon) !== COLON) return end
	const portAt = skipBlank(text, colon + 1)
	let portEnd = portAt
	while (portEnd < text.length && isDigit(text.charCodeAt(portEnd))) portEnd++
	found.port = decimal(text, portAt, portEnd, MAX_PORT)
	found.paramsAt = portEnd
	return found.port > 0 ? portEnd : -1
}

function isDigit(code: number): boolean {
	return code >= 0x30 && code <= 0x39
}

/** Behind the host name, IPv4 address or bracketed IPv6 reference at `at`; -1 for none. */
export function skipHost(text: string, at: number): number {
	if (text.charCodeAt(at) !== 0x5b) {
		const end = skipClass(text, at, HOST)
		return end > at ? end : -1
	}
	const end = skipClass(text, at + 1, IPV6)
	// Every address has a colon among its first five chars: a group holds four digits at most.
	const colon = text.slice(at + 1, Math.min(end, at + 6)).indexOf(':')
	return colon >= 0 && text.charCodeAt(end) === 0x5d ? end + 1 : -1
}

function scanViaParams(text: string, at: number, end: number): number {
	found.branchAt = found.receivedAt = found.rport = found.rportEnd = -1
	for (;;) {
		const next = nextParam(text, at, end)
		if (next === at || next < 0) return next
		if (!keepViaParam(text, next)) return -1
		at = next
	}
}

/** Notes a parameter the gateway reads; false where it is there twice or holds what it must not. */
function keepViaParam(text: string, next: number): boolean {
	const { nameAt, nameEnd, valueAt, valueEnd } = param
	if (isNamed(text, nameAt, nameEnd, 'branch')) {
		if (found.branchAt >= 0 || valueAt < 0) return false
		found.branchAt = valueAt
		found.branchEnd = valueEnd
	} else if (isNamed(text, nameAt, nameEnd, 'received')) {
		if (found.receivedAt >= 0 || valueAt < 0) return false
		found.receivedAt = valueAt
		found.receivedEnd = valueEnd
	} else if (isNamed(text, nameAt, nameEnd, 'rport')) {
		if (found.rport >= 0) return false
		found.rport = valueAt < 0 ? 0 : decimal(text, valueAt, valueEnd, MAX_PORT)
		found.rportEnd = next
		return found.rport >= 0
	}
	return true
}

/** The value {@link scanVia} last walked, as a record. */
export function viaRecord(text: string): Via {
	return {
		transport: transportIn(text, found.transportAt, found.transportEnd),
		host: lowerHost(text.slice(found.hostAt, found.hostEnd)),
		port: found.port,
		branch: found.branchAt < 0 ? '' : text.slice(found.branchAt, found.branchEnd),
		received: found.receivedAt < 0 ? '' : unbracketed(text.slice(found.receivedAt, found.receivedEnd)),
		rport: found.rport,
	}
}

function transportIn(text: string, from: number, to: number): string {
	return to - from === 3 && text.startsWith('UDP', from) ? 'UDP' : text.slice(from, to).toUpperCase()
}

/** The host in lower case; most are addresses, and need no copy. */
export function lowerHost(host: string): string {
	for (let i = 0; i < host.length; i++) {
		const code = host.charCodeAt(i)
		if (code >= 0x41 && code <= 0x5a) return host.toLowerCase()
	}
	return host
}

/** RFC 5118 §4.5: `received` comes with and without brackets. */
function unbracketed(host: string): string {
	return host.charCodeAt(0) === 0x5b ? host.slice(1, host.endsWith(']') ? -1 : undefined) : host
}

/**
 * The Via row value with its first value stamped as RFC 3261 §18.2.1 and RFC 3581 §4 say: `received` where sent-by is
 * another address, or `rport` is asked for; `rport` filled where asked for. A `received` or `rport` the sender made up
 * itself is overwritten. A malformed value comes back as it is.
 */
export function stampedVia(row: string, address: string, port: number): string {
	const end = scanVia(row, 0)
	if (end < 0) return row
	const { rport, rportEnd, receivedAt, receivedEnd } = found
	const sameHost = row.slice(found.hostAt, found.hostEnd) === address
	if (rport < 0 && receivedAt < 0) {
		return sameHost ? row : `${row.slice(0, end)};received=${address}${row.slice(end)}`
	}
	if (receivedAt < 0) {
		return `${row.slice(0, rportEnd - valueLength(row, rportEnd))}=${port};received=${address}${row.slice(rportEnd)}`
	}
	if (rport < 0) return `${row.slice(0, receivedAt)}${address}${row.slice(receivedEnd)}`
	return stampBoth(row, address, port)
}

/**
 * The same for what nearly every request has, an `rport` without value and no `received`, without another walk over the
 * row; undefined where it is not as plain as that. `via` is the first value of the row as it was read.
 */
export function stampedFlag(row: string, via: Via, address: string, port: number): string | undefined {
	if (via.rport !== 0 || via.received !== '') return undefined
	const at = row.indexOf(';rport')
	const end = at + ';rport'.length
	if (at < 0 || (end < row.length && row.charCodeAt(end) !== SEMICOLON) || row.includes('"')) return undefined
	return `${row.slice(0, end)}=${port};received=${address}${row.slice(end)}`
}

const SEMICOLON = 0x3b

/** Octets of `=value` before the end of the rport parameter. */
function valueLength(row: string, rportEnd: number): number {
	let at = rportEnd
	while (isDigit(row.charCodeAt(at - 1))) at--
	if (at === rportEnd) return 0
	while (row.charCodeAt(at - 1) !== 0x3d) at--
	return rportEnd - at + 1
}

/** Both parameters there already: the later one is replaced first, so that the offsets of the other stay true. */
function stampBoth(row: string, address: string, port: number): string {
	const { rportEnd, receivedAt, receivedEnd } = found
	const rportAt = rportEnd - valueLength(row, rportEnd)
	const filled = `=${port}`
	if (rportAt > receivedAt) {
		return `${row.slice(0, receivedAt)}${address}${row.slice(receivedEnd, rportAt)}${filled}${row.slice(rportEnd)}`
	}
	return `${row.slice(0, rportAt)}${filled}${row.slice(rportEnd, receivedAt)}${address}${row.slice(receivedEnd)}`
}

/** The row without its first value, '' where that was the only one. */
export function withoutFirstVia(row: string): string {
	const end = scanVia(row, 0)
	return end < 0 || end === row.length ? '' : row.slice(skipBlank(row, end + 1))
}
