/** Header field names the gateway looks at, and how to recognise them in one look at the octets. */
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

/** Slots of the table: a power of two, sparse for some fifty names. */
const SLOTS = 1024
/** Spelling number by slot, 0 free; collisions go to the next slot. */
const slots = new Uint8Array(SLOTS)
const spellings: { readonly octets: Uint8Array; readonly id: HeaderId }[] = [
	{ octets: new Uint8Array(0), id: Header.Other },
]

for (const id of Object.values(Header)) if (id !== Header.Other) learn(NAMES[id]!, id)
for (const [letter, id] of COMPACT) learn(letter, id)

function learn(name: string, id: HeaderId): void {
	const octets = Uint8Array.from(name, (c) => LOWER[c.charCodeAt(0)]!)
	let slot = nameHash(octets, 0, octets.length) & (SLOTS - 1)
	while (slots[slot] !== 0) slot = (slot + 1) & (SLOTS - 1)
	slots[slot] = spellings.push({ octets, id }) - 1
}

/** Hash of a name, ASCII case aside. {@link headerId} takes the same from a caller that walks the octets anyway. */
function nameHash(bytes: Uint8Array, from: number, to: number): number {
	let hash = 0
	for (let i = from; i < to; i++) hash = (Math.imul(hash, 31) + LOWER[bytes[i]!]!) | 0
	return hash
}

/** The id of the name in `bytes[from, to)`, long or compact, in any case; `Header.Other` for one not listed. */
export function headerId(bytes: Uint8Array, from: number, to: number): HeaderId {
	let slot = nameHash(bytes, from, to) & (SLOTS - 1)
	for (let known = slots[slot]!; known !== 0; known = slots[slot]!) {
		const { octets, id } = spellings[known]!
		if (spells(octets, bytes, from, to)) return id
		slot = (slot + 1) & (SLOTS - 1)
	}
	return Header.Other
}

function spells(octets: Uint8Array, bytes: Uint8Array, from: number, to: number): boolean {
	if (octets.length !== to - from) return false
	for (let i = 0; i < octets.length; i++) if (LOWER[bytes[from + i]!] !== octets[i]) return false
	return true
}

/** The canonical long name: `Call-ID`. '' for `Header.Other`. */
export function headerName(id: HeaderId): string {
	return NAMES[id]!
}
