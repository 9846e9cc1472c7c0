/** The name a TLS client wants to speak to, read before any of TLS is begun (RFC 8446 §4.1.2, §5.1; RFC 6066 §3). Pure. */

export type ClientHello =
	/** Not complete yet: fewer octets than `needed` in all say no more than these. */
	| { readonly kind: 'partial'; readonly needed: number }
	/** `serverName` in lower case; undefined where the client names none. */
	| { readonly kind: 'hello'; readonly serverName: string | undefined }
	/** No ClientHello, or one beyond {@link MAX_HELLO_OCTETS} or {@link MAX_HELLO_RECORDS}: not worth a handshake. */
	| { readonly kind: 'malformed' }

/** A hello with post-quantum key shares and a session ticket has 2 kB, in records that may hold 16 kB. */
export const MAX_HELLO_OCTETS = 16_384

/** Clients send one record; some cut it in two or three, to pass what reads names on the way. */
export const MAX_HELLO_RECORDS = 8

const HANDSHAKE_RECORD = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const HOST_NAME = 0
const RECORD_HEAD = 5
/** Type and length of the handshake message. */
const MESSAGE_HEAD = 4
/** Type and length of the handshake message, version, random. */
const BEFORE_SESSION_ID = MESSAGE_HEAD + 2 + 32

const MALFORMED: ClientHello = { kind: 'malformed' }

export function readClientHello(octets: Uint8Array): ClientHello {
	const message = handshakeMessage(octets)
	if (typeof message === 'number') return { kind: 'partial', needed: message }
	if (message === undefined) return MALFORMED
	return { kind: 'hello', serverName: serverName(message) }
}

/** The first handshake message, out of as many records as it takes; how many octets it needs; undefined: it is none. */
function handshakeMessage(octets: Uint8Array): Uint8Array | number | undefined {
	const pieces: Uint8Array[] = []
	let have = 0
	let whole = Infinity
	for (let at = 0; have < whole; ) {
		if (at > MAX_HELLO_OCTETS || pieces.length === MAX_HELLO_RECORDS) return undefined
		if (at < octets.length && octets[at] !== HANDSHAKE_RECORD) return undefined
		if (octets.length < at + RECORD_HEAD) return at + RECORD_HEAD
		const length = (octets[at + 3]! << 8) | octets[at + 4]!
		if (octets[at + 1] !== 3 || length === 0 || length > MAX_HELLO_OCTETS) return undefined
		const piece = octets.subarray(at + RECORD_HEAD, at + RECORD_HEAD + length)
		if (at === 0 && piece.length > 0 && piece[0] !== CLIENT_HELLO) return undefined
		pieces.push(piece)
		if (whole === Infinity && have + piece.length >= MESSAGE_HEAD) whole = MESSAGE_HEAD + messageLength(pieces)
		if (whole !== Infinity && whole > MAX_HELLO_OCTETS) return undefined
		const wanted = Math.min(length, (whole === Infinity ? MESSAGE_HEAD : whole) - have)
		if (piece.length < wanted) return at + RECORD_HEAD + wanted
		have += piece.length
		at += RECORD_HEAD + length
	}
	return join(pieces).subarray(0, whole)
}

/** 24 bits, which may lie in several records. */
function messageLength(pieces: readonly Uint8Array[]): number {
	const head = pieces.length === 1 ? pieces[0]! : join(pieces)
	return (head[1]! << 16) | (head[2]! << 8) | head[3]!
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
	if (pieces.length === 1) return pieces[0]!
	const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
	let at = 0
	for (const piece of pieces) {
		all.set(piece, at)
		at += piece.length
	}
	return all
}

/** What is wrong inside is for TLS to say: here it means no name. */
function serverName(hello: Uint8Array): string | undefined {
	const word = (at: number) => (hello[at]! << 8) | hello[at + 1]!
	let at = BEFORE_SESSION_ID
	at += 1 + hello[at]!
	at += 2 + word(at)
	at += 1 + hello[at]!
	at += 2
	while (at + 4 <= hello.length) {
		const length = word(at + 2)
		if (word(at) === SERVER_NAME) return hostName(hello.subarray(at + 4, at + 4 + length))
		at += 4 + length
	}
	return undefined
}

/** RFC 6066 §3: a list with one name of the type host_name. */
function hostName(list: Uint8Array): string | undefined {
	const length = (list[3]! << 8) | list[4]!
	if (list.length < 5 || list[2] !== HOST_NAME || list.length < 5 + length) return undefined
	return String.fromCharCode(...list.subarray(5, 5 + length)).toLowerCase()
}
