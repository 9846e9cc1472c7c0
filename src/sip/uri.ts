/** SIP and SIPS URIs (RFC 3261 §19.1). Text stays as it came: nothing is unescaped but by the functions that say so. */
import { ALPHA, CLASS, DIGIT, decimal, UNRESERVED, URI } from './grammar.ts'
import { ipv6Groups } from './ipv6.ts'
import { lowerHost, MAX_PORT, skipHost } from './via.ts'

export interface SipUri {
	/** `sip` or `sips`. */
	readonly scheme: string
	/** Raw, undefined where there is no `@`. */
	readonly user: string | undefined
	readonly password: string | undefined
	/** Lower case; IPv6 without brackets. */
	readonly host: string
	/** 0 where absent. */
	readonly port: number
	/** Raw text from the first `;` on, or ''. */
	readonly params: string
	/** Raw text from the `?` on, or ''. */
	readonly headers: string
}

/**
 * Reads a sip or sips URI; undefined for another scheme or malformed text. The user part may hold `;?/,&=+$`
 * unescaped (§25.1), so the `@` is sought first; a second one is an error.
 */
export function parseUri(text: string): SipUri | undefined {
	const scheme = sipScheme(text)
	if (scheme === '' || !isUriText(text)) return undefined
	const start = scheme.length + 1
	const at = text.indexOf('@', start)
	if (at === start || (at > 0 && text.indexOf('@', at + 1) >= 0)) return undefined
	const hostAt = at < 0 ? start : at + 1
	const hostEnd = skipHost(text, hostAt)
	if (hostEnd < 0) return undefined
	const portEnd = skipPort(text, hostEnd)
	const port = portEnd === hostEnd ? 0 : decimal(text, hostEnd + 1, portEnd, MAX_PORT)
	const next = text.charCodeAt(portEnd)
	if (port < 0 || (portEnd > hostEnd && port === 0)) return undefined
	if (portEnd < text.length && next !== SEMICOLON && next !== QUESTION) return undefined
	const question = text.indexOf('?', portEnd)
	const paramsEnd = question < 0 ? text.length : question
	const colon = at < 0 ? -1 : text.slice(0, at).indexOf(':', start)
	if (colon === start) return undefined
	const bracketed = text.charCodeAt(hostAt) === 0x5b ? 1 : 0
	return {
		scheme,
		user: at < 0 ? undefined : text.slice(start, colon < 0 ? at : colon),
		password: colon < 0 ? undefined : text.slice(colon + 1, at),
		host: lowerHost(text.slice(hostAt + bracketed, hostEnd - bracketed)),
		port,
		params: text.slice(portEnd, paramsEnd),
		headers: text.slice(paramsEnd),
	}
}

const COLON = 0x3a
const SEMICOLON = 0x3b
const EQUALS = 0x3d
const QUESTION = 0x3f

function sipScheme(text: string): string {
	if (text.startsWith('sip:')) return 'sip'
	if (text.startsWith('sips:')) return 'sips'
	const scheme = uriScheme(text)
	return scheme === 'sip' || scheme === 'sips' ? scheme : ''
}

function isUriText(text: string): boolean {
	for (let i = 0; i < text.length; i++) if ((CLASS[text.charCodeAt(i)]! & URI) === 0) return false
	return true
}

/** Behind `:digits`, or `at` where no colon stands there. */
function skipPort(text: string, at: number): number {
	if (text.charCodeAt(at) !== COLON) return at
	at++
	while (at < text.length && (CLASS[text.charCodeAt(at)]! & DIGIT) !== 0) at++
	return at
}

/** The scheme in lower case, '' where the text has none (§25.1 `scheme`). */
export function uriScheme(text: string): string {
	if ((CLASS[text.charCodeAt(0)]! & ALPHA) === 0) return ''
	for (let at = 1; at < text.length; at++) {
		const code = text.charCodeAt(at)
		if (code === COLON) return text.slice(0, at).toLowerCase()
		if ((CLASS[code]! & (ALPHA | DIGIT)) === 0 && code !== 0x2b && code !== 0x2d && code !== 0x2e) return ''
	}
	return ''
}

/**
 * The raw (still escaped) value of a URI parameter: undefined where absent, null for a flag without a value.
 * `params` is raw text from its first `;` on; the value ends at the next `;` and begins behind the first `=`.
 */
export function uriParam(params: string, name: string): string | null | undefined {
	const lower = name.toLowerCase()
	for (let at = 0; at < params.length; ) {
		const end = segmentEnd(params, at)
		const equals = equalsIn(params, at + 1, end)
		if (params.slice(at + 1, equals).toLowerCase() === lower)
			return equals === end ? null : params.slice(equals + 1, end)
		at = end
	}
	return undefined
}

/** End of the parameter whose `;` is at `at`. */
function segmentEnd(params: string, at: number): number {
	const end = params.indexOf(';', at + 1)
	return end < 0 ? params.length : end
}

/** Offset of the first `=` in `[from, to)`, `to` where there is none. */
function equalsIn(params: string, from: number, to: number): number {
	while (from < to && params.charCodeAt(from) !== EQUALS) from++
	return from
}

/**
 * The URI without the parameters `drop` says yes to (it is given each name in lower case), all else byte for byte.
 * Text that is no sip or sips URI comes back as it is.
 */
export function withoutParams(uri: string, drop: (lowerName: string) => boolean): string {
	const parsed = parseUri(uri)
	if (parsed === undefined || parsed.params === '') return uri
	const { params, headers } = parsed
	let kept = uri.slice(0, uri.length - params.length - headers.length)
	for (let at = 0; at < params.length; ) {
		const end = segmentEnd(params, at)
		if (!drop(params.slice(at + 1, equalsIn(params, at + 1, end)).toLowerCase())) kept += params.slice(at, end)
		at = end
	}
	return kept + headers
}

/** `%HH` turned into its octet, once and never again (§19.1.2). A `%` without two hex digits stays. */
// biome-ignore lint/suspicious/noShadowRestrictedNames: the RFC's own word, and the deprecated global is of no use here.
export function unescape(text: string): string {
	if (!text.includes('%')) return text
	return text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/**
 * A user part as a key: escapes of unreserved characters undone, those of reserved ones kept in upper-case hex, because
 * `%3B` and `;` are not the same there (§19.1.4).
 */
export function canonicalUser(user: string): string {
	if (!user.includes('%')) return user
	return user.replace(/%([0-9a-fA-F]{2})/g, (whole, hex: string) => {
		const code = Number.parseInt(hex, 16)
		return (CLASS[code]! & UNRESERVED) !== 0 ? String.fromCharCode(code) : whole.toUpperCase()
	})
}

/** `host:port`, or the host alone for port 0; IPv6 gets its brackets. */
export function hostPort(host: string, port: number): string {
	const bracketed = host.includes(':') ? `[${host}]` : host
	return port === 0 ? bracketed : `${bracketed}:${port}`
}

/** Parameters that make two URIs differ where only one has them (§19.1.4). */
const DECISIVE: readonly string[] = ['user', 'ttl', 'method', 'maddr', 'transport']

/** Whether two URIs are the same by RFC 3261 §19.1.4, IPv6 addresses by value (RFC 5954 §4.2). Not transitive. */
export function sameUri(a: string, b: string): boolean {
	const x = parseUri(a)
	const y = parseUri(b)
	if (x === undefined || y === undefined) return a === b
	return (
		x.scheme === y.scheme &&
		sameText(x.user, y.user) &&
		sameText(x.password, y.password) &&
		sameHost(x.host, y.host) &&
		x.port === y.port &&
		sameParams(x.params, y.params) &&
		sameHeaders(x.headers, y.headers)
	)
}

function sameText(a: string | undefined, b: string | undefined): boolean {
	return a === undefined || b === undefined ? a === b : canonicalUser(a) === canonicalUser(b)
}

function sameHost(a: string, b: string): boolean {
	return a === b || (a.includes(':') && b.includes(':') && sameGroups(ipv6Groups(a), ipv6Groups(b)))
}

function sameGroups(a: readonly number[] | undefined, b: readonly number[] | undefined): boolean {
	return a !== undefined && b !== undefined && a.every((group, i) => group === b[i])
}

function sameParams(a: string, b: string): boolean {
	const x = table(a, ';')
	const y = table(b, ';')
	for (const [name, value] of x) if (y.has(name) && y.get(name) !== value) return false
	return DECISIVE.every((name) => x.has(name) === y.has(name))
}

/** Header parts must all be there on both sides, order and the case of names aside. */
function sameHeaders(a: string, b: string): boolean {
	const x = table(a, '&')
	const y = table(b, '&')
	if (x.size !== y.size) return false
	for (const [name, value] of x) if (y.get(name) !== value) return false
	return true
}

/** `;name=value…` or `?name=value&…` by lower-case name. Values are compared without case, as §19.1.4 has it for parameters. */
function table(text: string, separator: ';' | '&'): Map<string, string> {
	const entries = new Map<string, string>()
	for (const part of text === '' ? [] : text.slice(1).split(separator)) {
		const equals = equalsIn(part, 0, part.length)
		const value = part.slice(equals + 1)
		const key = canonicalUser(part.slice(0, equals)).toLowerCase()
		entries.set(key, separator === ';' ? canonicalUser(value).toLowerCase() : canonicalUser(value))
	}
	return entries
}
