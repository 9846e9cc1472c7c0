/** name-addr / addr-spec (RFC 3261 §20.10) and the parameters and lists of header values. */
import { ALPHA, CLASS, DIGIT, isNamed, nextParam, param, skipBlank, skipQuoted, trimmedEnd, URI } from './grammar.ts'

export interface NameAddr {
	/** Display name as sent, a quoted one without its quotes and escapes; '' where there is none. */
	readonly display: string
	readonly uri: string
	/** Raw header parameters from the first `;` on, or ''. */
	readonly params: string
}

const QUOTE = 0x22
const COMMA = 0x2c
const SEMICOLON = 0x3b
const LEFT = 0x3c
const RIGHT = 0x3e
const QUESTION = 0x3f
const BACKSLASH = 0x5c

/** What {@link scanNameAddr} last met: offsets into the value; tagAt is -1 where there is no tag. */
const found = { displayAt: 0, displayEnd: 0, uriAt: 0, uriEnd: 0, bracketed: false, paramsAt: 0, tagAt: -1, tagEnd: -1 }

/**
 * Walks the address at `at`, up to `end`, where the text ends or a CR stands. The offset of the comma or the end behind
 * it, -1 where it is malformed.
 */
export function scanNameAddr(text: string, at: number, end = text.length): number {
	at = scanAddress(text, skipBlank(text, at), end)
	if (at < 0 || !hasScheme(text, found.uriAt, found.uriEnd)) return -1
	found.paramsAt = skipBlank(text, at)
	at = scanParams(text, at, end)
	if (at < 0) return -1
	at = skipBlank(text, at)
	return at === end || text.charCodeAt(at) === COMMA ? at : -1
}

function scanAddress(text: string, at: number, stop: number): number {
	found.displayAt = found.displayEnd = at
	if (text.charCodeAt(at) === LEFT) return scanBracketed(text, at)
	if (text.charCodeAt(at) === QUOTE) {
		const end = skipQuoted(text, at, stop)
		if (end < 0) return -1
		found.displayEnd = end
		const left = skipBlank(text, end)
		return text.charCodeAt(left) === LEFT ? scanBracketed(text, left) : -1
	}
	return scanUnquoted(text, at, stop)
}

/** A display name of tokens before `<`, or a bare addr-spec: its `;` begins header parameters, a `?` needs brackets (§20.10). */
function scanUnquoted(text: string, at: number, stop: number): number {
	let end = at
	for (; end < stop; end++) {
		const code = text.charCodeAt(end)
		if (code === COMMA || code === SEMICOLON) break
		if (code === QUOTE || code === RIGHT || code === BACKSLASH) return -1
		if (code === LEFT) {
			found.displayEnd = trimmedEnd(text, at, end)
			return scanBracketed(text, end)
		}
	}
	found.bracketed = false
	found.uriAt = at
	found.uriEnd = trimmedEnd(text, at, end)
	for (let i = at; i < found.uriEnd; i++) {
		const code = text.charCodeAt(i)
		if ((CLASS[code]! & URI) === 0 || code === QUESTION) return -1
	}
	return end
}

function scanBracketed(text: string, left: number): number {
	let end = left + 1
	while (end < text.length && (CLASS[text.charCodeAt(end)]! & URI) !== 0) end++
	if (text.charCodeAt(end) !== RIGHT) return -1
	found.bracketed = true
	found.uriAt = left + 1
	found.uriEnd = end
	return end + 1
}

/** `ALPHA *(ALPHA / DIGIT / "+" / "-" / ".") ":"` and at least one char behind it. */
function hasScheme(text: string, from: number, to: number): boolean {
	if ((CLASS[text.charCodeAt(from)]! & ALPHA) === 0) return false
	for (let at = from + 1; at < to; at++) {
		const code = text.charCodeAt(at)
		if (code === 0x3a) return at + 1 < to
		if ((CLASS[code]! & (ALPHA | DIGIT)) === 0 && code !== 0x2b && code !== 0x2d && code !== 0x2e) return false
	}
	return false
}

/** Past all parameters, noting a tag; -1 where one is malformed or a second tag comes. */
function scanParams(text: string, at: number, end: number): number {
	found.tagAt = -1
	for (;;) {
		const next = nextParam(text, at, end)
		if (next === at || next < 0) return next
		if (isNamed(text, param.nameAt, param.nameEnd, 'tag')) {
			if (found.tagAt >= 0 || param.valueAt < 0) return -1
			found.tagAt = param.valueAt
			found.tagEnd = param.valueEnd
		}
		at = next
	}
}

/** The tag of the address {@link scanNameAddr} last walked, '' where absent. */
export function scannedTag(text: string): string {
	return found.tagAt < 0 ? '' : text.slice(found.tagAt, found.tagEnd)
}

/** Whether the address last walked had its URI in `<>`. */
export function scannedBrackets(): boolean {
	return found.bracketed
}

/** One whole header value; undefined where it is malformed or holds more than one address. */
export function parseNameAddr(value: string): NameAddr | undefined {
	if (scanNameAddr(value, 0) !== value.length) return undefined
	const { displayAt, displayEnd, uriAt, uriEnd, paramsAt } = found
	return {
		display: unquote(value.slice(displayAt, displayEnd)),
		uri: value.slice(uriAt, uriEnd),
		params: value.slice(paramsAt),
	}
}

/** A quoted string without its quotes and backslashes; any other text as it is. */
export function unquote(text: string): string {
	if (text.charCodeAt(0) !== QUOTE) return text
	const inner = text.slice(1, text.charCodeAt(text.length - 1) === QUOTE && text.length > 1 ? -1 : undefined)
	return inner.includes('\\') ? inner.replace(/\\([\s\S])/g, '$1') : inner
}

/** The values of a list header: split at commas outside quoted strings and `<>`, trimmed, in order. Total: empty values stay. */
export function splitList(value: string): string[] {
	const values: string[] = []
	let from = skipBlank(value, 0)
	for (let at = from; at < value.length; ) {
		const code = value.charCodeAt(at)
		if (code === COMMA) {
			values.push(value.slice(from, trimmedEnd(value, from, at)))
			at = from = skipBlank(value, at + 1)
		} else at = pastPart(value, at, code)
	}
	values.push(value.slice(from, trimmedEnd(value, from, value.length)))
	return values
}

/** Past one char, or the whole quoted string or `<>` part it opens. One that never closes takes the rest. */
function pastPart(value: string, at: number, code: number): number {
	if (code === QUOTE) {
		const end = skipQuoted(value, at)
		return end < 0 ? value.length : end
	}
	if (code !== LEFT) return at + 1
	const right = value.indexOf('>', at)
	return right < 0 ? value.length : right + 1
}

/**
 * The value of a header parameter: undefined where it is absent, null for a flag; a quoted value comes unquoted.
 * `params` is raw text from its first `;` on. Reading ends where the text is malformed.
 */
export function headerParam(params: string, name: string): string | null | undefined {
	if (!findParam(params, name)) return undefined
	return param.valueAt < 0 ? null : unquote(params.slice(param.valueAt, param.valueEnd))
}

/** Leaves the parameter in {@link param}; `foundFrom` and `foundTo` bound it, its `;` included. */
function findParam(params: string, name: string): boolean {
	const lower = name.toLowerCase()
	for (let at = 0; ; ) {
		const next = nextParam(params, at)
		if (next === at || next < 0) return false
		foundFrom = at
		foundTo = next
		if (isNamed(params, param.nameAt, param.nameEnd, lower)) return true
		at = next
	}
}
let foundFrom = 0
let foundTo = 0

/**
 * `params` with one parameter replaced in its place, appended, or (undefined) removed; the rest as it was.
 * `value` goes out as given: '' makes a flag, quotes are the caller's.
 */
export function setHeaderParam(params: string, name: string, value: string | undefined): string {
	const text = value === undefined ? '' : value === '' ? `;${name}` : `;${name}=${value}`
	if (!findParam(params, name)) return params + text
	return params.slice(0, foundFrom) + text + params.slice(foundTo)
}
