/** The name a TLS client wants to speak to, read before any of TLS is begun (RFC 8446 §4.1.2, §5.1; RFC 6066 §3). Pure. */

export type ClientHello =
	/** Not complete yet. */
	| { readonly kind: 'partial' }
	/** `serverName` in lower case; undefined where the client names none. */
	| { readonly kind: 'hello'; readonly serverName: string | undefined }
	/** No ClientHello, or one larger than {@link MAX_HELLO_OCTETS}: not worth a handshake. */
	| { readonly kind: 'malformed' }

/** A hello with post-quantum key shares and a session ticket has 2 kB, in records that may hold 16 kB. */
export const MAX_HELLO_OCTETS = 16_384

const HANDSHAKE_RECORD = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const HOST_NAME = 0
const RECORD_HEAD = 5
/** Type and length of the handshake message, version, random. */
const BEFORE_SESSION_ID = 4 + 2 + 32

const PARTIAL: ClientHello = { kind: 'partial' }
const MALFORMED: ClientHello = { kind: 'malformed' }

export function readClientHello(octets: Uint8Array): ClientHello {
	const message = handshakeMessage(octets)
	if (typeof message === 'string') return message === 'partial' ? PARTIAL : MALFORMED
	return { kind: 'hello', serverName: serverName(message) }
}

/** The first handshake message, out of as many records as it takes. */
function handshakeMessage(octets: Uint8Array): Uint8Array | 'partial' | 'malformed' {
	const pieces: Uint8Array[] = []
	let have = 0
	let whole = Infinity
	for (let at = 0; have < whole; ) {
		if (at > MAX_HELLO_OCTETS) return 'malformed'
		if (octets.length < at + RECORD_HEAD)
			return at < octets.length && octets[at] !== HANDSHAKE_RECORD ? 'malformed' : 'partial'
		const length = (octets[at + 3]! << 8) | octets[at + 4]!
		if (octets[at] !== HANDSHAKE_RECORD || octets[at + 1] !== 3) return 'malformed'
		if (length === 0 || length > MAX_HELLO_OCTETS) return 'malformed'
		const piece = octets.subarray(at + RECORD_HEAD, at + RECORD_HEAD + length)
		if (at === 0 && piece.length > 0 && piece[0] !== CLIENT_HELLO) return 'malformed'
		pieces.push(piece)
		have += piece.length
		at += RECORD_HEAD + length
		if (whole === Infinity && have >= 4) whole = 4 + messageLength(pieces)
		if (whole !== Infinity && whole > MAX_HELLO_OCTETS) return 'malformed'
		if (piece.length < length && have < whole) return 'partial'
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
