/**
 * One HTTP/2 connection to APNs. It finds out by itself that it is of no more use, in every way a connection can
 * die: refused, GOAWAY, closed, or silent. Bun's stream and session timeouts are late or never fire, so all
 * timers here are our own.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2'

/** TCP, TLS and SETTINGS; then dial anew. */
export const DIAL_TIMEOUT_MS = 2500
/** After so long without a word from APNs a ping: keeps NATs open and finds silent loss before a call does. */
export const IDLE_PING_MS = 30_000
/** Pushes wait for the pong, so it must be well inside one attempt; APNs answers within 300 ms. */
export const PONG_TIMEOUT_MS = 1500
/** A retired session may finish what it has for one attempt (ANSWER_TIMEOUT_MS of host.ts) and a bit. */
export const RETIRED_FOR_MS = 3000

/**
 * `dialling` → `open` ⇄ `probing` (a ping is out) → `retired` (finishes what it has, takes no more) → `dead`.
 * Only `open` takes requests; after `dead` nothing happens any more.
 */
export type SessionState = 'dialling' | 'open' | 'probing' | 'retired' | 'dead'

export interface SessionEvents {
	/** It takes requests: connected (`isNew`), or the pong has come. */
	opened(session: ApnsSession, isNew: boolean): void
	/** It takes no more. `reason` is a code or APNs' word. Called once. */
	lost(session: ApnsSession, reason: string): void
	/** It is dead, after `lost`. Called once. */
	ended(session: ApnsSession): void
}

export class ApnsSession {
	readonly #native: ClientHttp2Session
	readonly #events: SessionEvents
	#state: SessionState = 'dialling'
	/** One timer: what it does is said by the state it was set in. */
	#timer: ReturnType<typeof setTimeout> | undefined
	/** Monotonic ms. */
	#heardAt = 0

	/** Dials at once. `ca` undefined: the public roots. The certificate is always verified. */
	constructor(url: string, ca: string | undefined, events: SessionEvents) {
		this.#events = events
		this.#native = connect(url, { ...(ca === undefined ? {} : { ca }), rejectUnauthorized: true })
		this.#arm(DIAL_TIMEOUT_MS, () => this.#die('dial timeout'))
		this.#native.on('connect', () => this.#open())
		this.#native.on('goaway', (code, _last, opaque) => this.retire(goawayReason(code, opaque)))
		this.#native.on('error', (error) => this.#die(codeOf(error)))
		this.#native.on('close', () => this.#die('closed'))
	}

	get state(): SessionState {
		return this.#state
	}

	/** Nothing heard for so long that a push must not trust it. Timers may have been late (a suspended machine). */
	isStale(now: number): boolean {
		return now - this.#heardAt > 1.5 * IDLE_PING_MS
	}

	/**
	 * Opens a stream and sends the request. Only in state `open`; undefined where it turns out to be of no use
	 * after all (it is then retired, and nothing has been sent).
	 */
	request(headers: Record<string, string>, body: string): ClientHttp2Stream | undefined {
		try {
			const stream = this.#native.request(headers)
			stream.end(body)
			return stream
		} catch (error) {
			this.retire(codeOf(error))
			return undefined
		}
	}

	/** An answer came on it. */
	heard(now: number): void {
		this.#heardAt = now
	}

	/** Sends a ping; until the pong it takes no requests, and without one it is dead. */
	probe(): void {
		if (this.#state !== 'open') return
		this.#state = 'probing'
		this.#arm(PONG_TIMEOUT_MS, () => this.#die('no pong'))
		try {
			this.#native.ping((error: Error | null) => (error === null ? this.#open() : this.#die(codeOf(error))))
		} catch (error) {
			this.#die(codeOf(error))
		}
	}

	/** No more requests; streams under way may end. Idempotent: GOAWAY may come twice. */
	retire(reason: string): void {
		if (this.#state === 'retired' || this.#state === 'dead') return
		this.#state = 'retired'
		this.#arm(RETIRED_FOR_MS, () => this.#die('retired'))
		this.#events.lost(this, reason)
		this.#native.close()
	}

	/** Ends it at once, and all streams with it. */
	destroy(): void {
		this.#die('stopped')
	}

	#open(): void {
		if (this.#state !== 'dialling' && this.#state !== 'probing') return
		const isNew = this.#state === 'dialling'
		this.#state = 'open'
		this.#heardAt = performance.now()
		this.#arm(IDLE_PING_MS, () => this.#whenIdle())
		this.#events.opened(this, isNew)
	}

	/** Pings only where nothing else has been heard in the meantime. */
	#whenIdle(): void {
		const idle = performance.now() - this.#heardAt
		if (idle >= IDLE_PING_MS) this.probe()
		else this.#arm(IDLE_PING_MS - idle, () => this.#whenIdle())
	}

	#die(reason: string): void {
		if (this.#state === 'dead') return
		const wasRetired = this.#state === 'retired'
		this.#state = 'dead'
		clearTimeout(this.#timer)
		this.#native.destroy()
		if (!wasRetired) this.#events.lost(this, reason)
		this.#events.ended(this)
	}

	#arm(ms: number, then: () => void): void {
		clearTimeout(this.#timer)
		this.#timer = setTimeout(then, ms)
	}
}

/** The code of an error of node:net, node:tls or node:http2; its message where it has none. */
export function codeOf(error: unknown): string {
	const { code, message } = error as { code?: unknown; message?: unknown }
	return typeof code === 'string' ? code : String(message ?? error).slice(0, 64)
}

/** GOAWAY carries the same JSON as a refusal; without one, the error code. */
function goawayReason(code: number, opaque: Uint8Array | undefined): string {
	const text = opaque === undefined ? '' : new TextDecoder().decode(opaque)
	const reason = /"reason"\s*:\s*"(\w{1,64})"/.exec(text)?.[1]
	return reason === undefined ? `GOAWAY ${code}` : `GOAWAY ${reason}`
}
