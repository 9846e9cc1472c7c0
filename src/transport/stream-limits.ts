/** What strangers may cost a stream listener. */
import { MAX_STREAM_MESSAGE } from '../sip/frame.ts'

/** Each an option of the listener; the defaults below say why. */
export interface StreamLimits {
	/** Default {@link MAX_CONNECTIONS}. */
	readonly connections: number
	/** Default {@link MAX_CONNECTIONS_PER_SOURCE}. */
	readonly perSource: number
	/** Default {@link MAX_HANDSHAKES}. */
	readonly handshakes: number
	/** Default {@link SETUP_MS}. */
	readonly setupMs: number
	/** Default {@link FIRST_MESSAGE_MS}. */
	readonly firstMessageMs: number
	/** Default {@link NEWCOMER_MS}. */
	readonly newcomerMs: number
	/** Default {@link PARTIAL_MESSAGE_MS}. */
	readonly partialMs: number
	/** Default {@link IDLE_MS}. */
	readonly idleMs: number
	/** Default {@link QUIET_MS}. */
	readonly quietMs: number
	/** Default {@link PONG_MS}. */
	readonly pongMs: number
	/** Default {@link MAX_STREAM_MESSAGE}. */
	readonly messageBytes: number
	/** Default {@link MAX_QUEUED_BYTES}. */
	readonly queuedBytes: number
	/** Default {@link MAX_WAITING_BYTES}. */
	readonly waitingBytes: number
}

/** The gateway is built for some 50,000 devices, each with one connection; at 7 kB each over TLS that is 350 MB. */
export const MAX_CONNECTIONS = 50_000

/** One source is one IPv4 address or IPv6 /64: a contact centre of 1,000 seats behind one NAT, twice while it moves. */
export const MAX_CONNECTIONS_PER_SOURCE = 2_000

/** PROXY header, TLS handshake or WebSocket upgrade not finished. Some 30 kB each; half a second of ECDSA handshakes. */
export const MAX_HANDSHAKES = 1_024

/** From accept until the connection can carry SIP: a TLS handshake over a bad mobile network takes three seconds. */
export const SETUP_MS = 10_000

/** A phone opens a connection to say something. One that says nothing holds memory for nobody. */
export const FIRST_MESSAGE_MS = 10_000

/** Without an octet, while nobody vouches for it: a REGISTER may wait 32 s for its PBX (RFC 3261's timer F), and for 8 s more. */
export const NEWCOMER_MS = 40_000

/** From the first octet of a message to its last: 65 kB over the slowest mobile network there is. */
export const PARTIAL_MESSAGE_MS = 10_000

/** Without an octet from the far end: eight times what a phone by itself leaves between keep-alives (RFC 5626 §4.4.1). */
export const IDLE_MS = 960_000

/** A WebSocket this long without an octet is pinged (RFC 7118 §6): a page cannot do it, and proxies on the way close what is silent for 60 s. */
export const QUIET_MS = 45_000

/** From that ping to any octet: the far end's network process answers by itself, and a segment lost three times comes after 7 s. */
export const PONG_MS = 10_000

/** Some 200 SIP messages that a far end does not read, beside {@link SEND_BUFFER_BYTES} in the kernel: it is gone or hostile. */
export const MAX_QUEUED_BYTES = 256 << 10

/**
 * Of all connections of a listener: memory of unfinished messages, and what slow readers have not read. A phone's message
 * comes whole and is read at once, so that those who wait are few; a hundred thousand of them are an attack. Who holds
 * most goes then, newcomers before all others.
 */
export const MAX_WAITING_BYTES = 64 << 20

/**
 * Items (messages, pings) out of what came of one connection, before everything else has a turn; the connection is not
 * read meanwhile. A phone has one or two; at the 60 µs that a dear message takes, these take 4 ms.
 */
export const MAX_TURN_ITEMS = 64

/** Of the kernel, for each connection; it books twice that. By itself it would take 4 MB from a far end that never reads. */
export const SEND_BUFFER_BYTES = 128 << 10

/** What was sent and is not acknowledged in this time never will be: as long as RFC 3261's timer F, and no call waits longer. */
export const USER_TIMEOUT_MS = 32_000

/** A silent far end is asked by the kernel after this. For the sake of NATs on the way, and of half-open connections. */
export const KEEP_ALIVE_SEC = 60

/** How long a connection may take to carry its last octets away. */
export const CLOSE_MS = 2_000

/** Connecting to a PBX, TLS handshake included: two SYNs lost, and a second to spare (RFC 6298: 1 s, 2 s). */
export const CONNECT_MS = 4_000

/** Deadlines are looked at this often: none above is shorter than eight of these. */
export const SWEEP_MS = 250

export const STREAM_LIMITS: StreamLimits = {
	connections: MAX_CONNECTIONS,
	perSource: MAX_CONNECTIONS_PER_SOURCE,
	handshakes: MAX_HANDSHAKES,
	setupMs: SETUP_MS,
	firstMessageMs: FIRST_MESSAGE_MS,
	newcomerMs: NEWCOMER_MS,
	partialMs: PARTIAL_MESSAGE_MS,
	idleMs: IDLE_MS,
	quietMs: QUIET_MS,
	pongMs: PONG_MS,
	messageBytes: MAX_STREAM_MESSAGE,
	queuedBytes: MAX_QUEUED_BYTES,
	waitingBytes: MAX_WAITING_BYTES,
}
