/** Character classes and the few productions of RFC 3261 §25.1 that several headers share. */

/** Bits of {@link CLASS}. */
export const TOKEN = 1
export const DIGIT = 2
/** What a parameter value may hold unquoted: token, host, and what is met in the wild; never a delimiter. */
export const VALUE = 4
/** Letters, digits, `-`, `.`, and `_`, which no RFC allows in a host and container names have. */
export const HOST = 8
/** Inside the brackets of an IPv6 reference, a zone id left out (RFC 5118 §4.10: `:::` is tolerated). */
export const IPV6 = 16
/** Any octet a URI may hold here: no controls, no white space, no `<`, `>`, `"`. */
export const URI = 32
export const ALPHA = 64
/** unreserved of RFC 3261 §25.1: alphanum and marks. */
export const UNRESERVED = 128

/** Class bits by octet. */
export const CLASS = new Uint8Array(256)
/** Lower case by octet, ASCII only. */
export const LOWER = new Uint8Array(256)

const DIGITS = '0123456789'
const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'

mark(DIGITS, DIGIT | TOKEN | HOST | IPV6 | UNRESERVED)
mark(LETTERS, ALPHA | TOKEN | HOST | UNRESERVED)
mark('abcdefABCDEF', IPV6)
mark("-.!%*_+`'~", TOKEN)
mark('-._', HOST)
mark(':.', IPV6)
mark("-_.!~*'()", UNRESERVED)
for (let code = 0; code < 256; code++) {
	const visible = code > 0x20 && code !== 0x7f
	if (visible && !'<>"'.includes(String.fromCharCode(code))) CLASS[code]! |= URI
	if (visible && !'<>";,\\'.includes(String.fromCharCode(code))) CLASS[code]! |= VALUE
	LOWER[code] = code >= 0x41 && code <= 0x5a ? code + 0x20 : code
}

function mark(chars: string, bits: number): void {
	for (let i = 0; i < chars.length; i++) CLASS[chars.charCodeAt(i)]! |= bits
}

/** First offset from `at` whose char is not of class `bits`. */
export function skipClass(text: string, at: number, bits: number): number {
	while (at < text.length && (CLASS[text.charCodeAt(at)]! & bits) !== 0) at++
	return at
}

/** First offset from `at` that is neither SP nor HT; folds are gone from a value by then. */
export function skipBlank(text: string, at: number): number {
	for (; at < text.length; at++) {
		const code = text.charCodeAt(at)
		if (code !== 0x20 && code !== 0x09) break
	}
	return at
}

/** `text[from, to)` without white space at its end. */
export function trimmedEnd(text: string, from: number, to: number): number {
	for (; to > from; to--) {
		const code = text.charCodeAt(to - 1)
		if (code !== 0x20 && code !== 0x09) break
	}
	return to
}

/** Past the quoted string that opens at `at`, or -1 where it does not end before `end`. A quoted pair may hold any octet (§25.1). */
export function skipQuoted(text: string, at: number, end = text.length): number {
	for (at++; at < end; at++) {
		const code = text.charCodeAt(at)
		if (code === 0x22) return at + 1
		if (code === 0x5c) at++
	}
	return -1
}

/** Whether `text[from, to)` is `lowerName`, ASCII case aside. */
export function isNamed(text: string, from: number, to: number, lowerName: string): boolean {
	if (to - from !== lowerName.length) return false
	for (let i = 0; i < lowerName.length; i++) {
		if (LOWER[text.charCodeAt(from + i)] !== lowerName.charCodeAt(i)) return false
	}
	return true
}

/** The digits of `text[from, to)` as a number no greater than `max`, else -1. Leading zeros are welcome (RFC 4475 §3.1.1.1). */
export function decimal(text: string, from: number, to: number, max: number): number {
	if (from >= to) return -1
	let n = 0
	for (let i = from; i < to; i++) {
		const digit = text.charCodeAt(i) - 0x30
		if (digit < 0 || digit > 9) return -1
		n = n * 10 + digit
		if (n > max) return -1
	}
	return n
}

/** The parameter {@link nextParam} last met: `text[nameAt, nameEnd)`, value at -1 for a flag. Quotes are part of the value. */
export const param = { nameAt: 0, nameEnd: 0, valueAt: -1, valueEnd: -1 }

/**
 * Reads `SWS ";" SWS name [SWS "=" SWS value]` at `at` into {@link param} (one record for all: the packet path makes no
 * garbage). Returns the offset behind it, `at` itself where no `;` follows, -1 where it is malformed. What is read ends at
 * `end`, where the text ends or a CR stands: no class of chars has CR.
 */
export function nextParam(text: string, at: number, end = text.length): number {
	const semicolon = skipBlank(text, at)
	if (text.charCodeAt(semicolon) !== 0x3b) return at
	param.nameAt = skipBlank(text, semicolon + 1)
	param.nameEnd = skipClass(text, param.nameAt, TOKEN)
	param.valueAt = param.valueEnd = -1
	if (param.nameEnd === param.nameAt) return -1
	const equals = skipBlank(text, param.nameEnd)
	if (text.charCodeAt(equals) !== 0x3d) return param.nameEnd
	param.valueAt = skipBlank(text, equals + 1)
	const quoted = text.charCodeAt(param.valueAt) === 0x22
	param.valueEnd = quoted ? skipQuoted(text, param.valueAt, end) : skipClass(text, param.valueAt, VALUE)
	return param.valueEnd > param.valueAt ? param.valueEnd : -1
}
