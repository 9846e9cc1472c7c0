/** Header field names the gateway looks at, and how to recognise them in one look. */
import { LOWER } from './grammar.ts'

export const Header = {
	Other: 0,
	Via: 1,
	From: 2,
	To: 3,
	CallId: 4,
	CSeq: 5,
	Contact: 6,
	MaxForwards: 7,
	Route: 8,
	RecordRoute: 9,
	ContentLength: 10,
	ContentType: 11,
	Expires: 12,
	Require: 13,
	ProxyRequire: 14,
	Supported: 15,
	Unsupported: 16,
	Authorization: 17,
	ProxyAuthorization: 18,
	WwwAuthenticate: 19,
	ProxyAuthenticate: 20,
	UserAgent: 21,
	Server: 22,
	Path: 23,
	FeatureCaps: 24,
	MinExpires: 25,
	Reason: 26,
	Event: 27,
	RetryAfter: 28,
	PAssertedIdentity: 29,
	PPreferredIdentity: 30,
	RemotePartyId: 31,
	Warning: 32,
	Allow: 33,
	Replaces: 34,
	ReferTo: 35,
	SessionExpires: 36,
	Date: 37,
	MaxBreadth: 38,
} as const

export type HeaderId = (typeof Header)[keyof typeof Header]

/** Canonical names, by id. */
const NAMES: readonly string[] = [
	'',
	'Via',
	'From',
	'To',
	'Call-ID',
	'CSeq',
	'Contact',
	'Max-Forwards',
	'Route',
	'Record-Route',
	'Content-Length',
	'Content-Type',
	'Expires',
	'Require',
	'Proxy-Require',
	'Supported',
	'Unsupported',
	'Authorization',
	'Proxy-Authorization',
	'WWW-Authenticate',
	'Proxy-Authenticate',
	'User-Agent',
	'Server',
	'Path',
	'Feature-Caps',
	'Min-Expires',
	'Reason',
	'Event',
	'Retry-After',
	'P-Asserted-Identity',
	'P-Preferred-Identity',
	'Remote-Party-ID',
	'Warning',
	'Allow',
	'Replaces',
	'Refer-To',
	'Session-Expires',
	'Date',
	'Max-Breadth',
]

/** RFC 3261 §7.3.3, RFC 6665 §8.2.1 (o), RFC 3515 §2.1 (r), RFC 4028 §4 (x). */
const COMPACT: ReadonlyArray<readonly [letter: string, id: HeaderId]> = [
	['v', Header.Via],
	['f', Header.From],
	['t', Header.To],
	['i', Header.CallId],
	['m', Header.Contact],
	['l', Header.ContentLength],
	['c', Header.ContentType],
	['k', Header.Supported],
	['o', Header.Event],
	['r', Header.ReferTo],
	['x', Header.SessionExpires],
]

/** Spellings by length and first letter: two at most share a cell, so a look is one comparison of letters. */
const cells: { readonly lower: Uint8Array; readonly id: HeaderId }[][] = Array.from({ length: 1024 }, () => [])

for (const id of Object.values(Header)) if (id !== Header.Other) learn(NAMES[id]!.toLowerCase(), id)
for (const [letter, id] of COMPACT) learn(letter, id)

function learn(lower: string, id: HeaderId): void {
	const letters = Uint8Array.from(lower, (char) => char.charCodeAt(0))
	cells[cell(letters.length, letters[0]!)]!.push({ lower: letters, id })
}

function cell(length: number, firstLetter: number): number {
	return ((length & 31) << 5) | (firstLetter & 31)
}

/** The id of the name `bytes[from, to)`, long or compact, in any case; `Header.Other` for one not listed. */
export function headerId(bytes: Uint8Array, from: number, to: number): HeaderId {
	const candidates = cells[cell(to - from, bytes[from]!)]!
	for (let i = 0; i < candidates.length; i++) {
		if (isSpelt(bytes, from, to, candidates[i]!.lower)) return candidates[i]!.id
	}
	return Header.Other
}

function isSpelt(bytes: Uint8Array, from: number, to: number, lower: Uint8Array): boolean {
	if (to - from !== lower.length) return false
	for (let i = 0; i < lower.length; i++) if (LOWER[bytes[from + i]!] !== lower[i]) return false
	return true
}

/** The canonical long name: `Call-ID`. '' for `Header.Other`. */
export function headerName(id: HeaderId): string {
	return NAMES[id]!
}
