/** Connections the gateway opens, to a PBX over TCP or TLS: the same framing and bounds, and the far end proven. */
import type { Flow } from '../core/model.ts'
import { SipCodec } from './codec.ts'
import type { StreamStats } from './connection.ts'
import { Connections, type StreamCallbacks } from './connections.ts'
import { boundSilence, setSendBuffer } from './libc.ts'
import { Newcomers } from './population.ts'
import {
	CONNECT_MS,
	KEEP_ALIVE_SEC,
	SEND_BUFFER_BYTES,
	STREAM_LIMITS,
	type StreamLimits,
	USER_TIMEOUT_MS,
} from './stream-limits.ts'
import { NOBODY, type Party, WIRE_HANDLERS, type Wire } from './wire.ts'

export interface ConnectorOptions extends StreamCallbacks {
	/** What {@link Flow.listener} says of its flows. */
	readonly index: number
	/** Of these only the times and the queue count. A PBX need not say anything first: `firstMessageMs` and `newcomerMs` are its `idleMs`. */
	readonly limits?: Partial<StreamLimits>
}

export interface StreamTarget {
	readonly address: string
	readonly port: number
	/** Default: TCP. */
	readonly tls?: {
		/** The certificate has to be for this name, or IP address. */
		readonly serverName: string
		/** PEM of the authorities; default: those of the runtime. */
		readonly ca?: string
		/** PEM of our own certificate and key, where the far end wants one. */
		readonly cert?: string
		readonly key?: string
	}
	/** Default {@link CONNECT_MS}. */
	readonly timeoutMs?: number
}

export interface StreamConnector {
	readonly stats: Readonly<StreamStats>
	/** Open ones. */
	readonly connections: number
	/** Never rejects: the flow, or why there is none, as what follows "Cannot connect to it: ". When to try again is the caller's to know. */
	connect(target: StreamTarget): Promise<Flow | string>
	/** As {@link StreamListener.send}. */
	send(key: string, bytes: Uint8Array): boolean
	/** It takes no more messages; what was sent goes out. */
	close(key: string): void
	/** Closes them all; what was sent goes out. */
	stop(): void
}

export function openStreamConnector(options: ConnectorOptions): StreamConnector {
	return new NativeConnector(options)
}

class NativeConnector implements StreamConnector {
	readonly #connections: Connections
	readonly #attempts = new Set<Attempt>()
	#stopped = false

	constructor(options: ConnectorOptions) {
		const limits = { ...STREAM_LIMITS, ...options.limits }
		this.#connections = new Connections(
			options.index,
			{ ...limits, firstMessageMs: limits.idleMs, newcomerMs: limits.idleMs },
			options,
			new Newcomers(),
			() => undefined,
		)
	}

	get stats(): Readonly<StreamStats> {
		return this.#connections.stats
	}

	get connections(): number {
		return this.#connections.size
	}

	async connect(target: StreamTarget): Promise<Flow | string> {
		const attempt = new Attempt(target)
		this.#attempts.add(attempt)
		const wire = await attempt.made
		this.#attempts.delete(attempt)
		if (typeof wire === 'string') {
			this.#connections.stats.setupFailed++
			return wire
		}
		return this.#open(target, attempt, wire)
	}

	send(key: string, bytes: Uint8Array): boolean {
		return this.#connections.send(key, bytes)
	}

	close(key: string): void {
		this.#connections.close(key)
	}

	stop(): void {
		this.#stopped = true
		for (const attempt of this.#attempts) attempt.giveUp('the gateway stops')
		this.#connections.stop()
	}

	#open(target: StreamTarget, attempt: Attempt, wire: Wire): Flow | string {
		if (this.#stopped || attempt.isClosed) {
			wire.terminate()
			return 'it was closed at once'
		}
		return this.#connections.open(
			wire,
			target,
			new SipCodec(this.#connections.limits.messageBytes),
			target.tls !== undefined,
			attempt.rest,
		)
	}
}

/** Reasons of the runtime that need words. */
const REASONS: ReadonlyMap<string, string> = new Map([
	['ECONNREFUSED', 'nothing listens there'],
	['EPROTO', 'it does not speak TLS, or not as the gateway does'],
	['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is for another name'],
	['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'its certificate is of an authority that is not trusted'],
	['UNABLE_TO_GET_ISSUER_CERT', 'its certificate is of an authority that is not trusted'],
	['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'its certificate is of an authority that is not trusted'],
	['DEPTH_ZERO_SELF_SIGNED_CERT', 'its certificate is signed by itself and not trusted'],
	['SELF_SIGNED_CERT_IN_CHAIN', 'its certificate is of an authority that is not trusted'],
	['CERT_HAS_EXPIRED', 'its certificate has expired'],
])

function reasonOf(error: Error | undefined): string {
	const code = String((error as (Error & { code?: unknown }) | undefined)?.code ?? '')
	return REASONS.get(code) ?? (error === undefined ? 'it closed the connection' : `${error.message} ${code}`.trim())
}

/** One connection on its way. */
class Attempt implements Party {
	/** The connection, proven where TLS proves it, or why there is none. */
	readonly made: Promise<Wire | string>
	/** Octets that came before the promise was heard. */
	rest: Uint8Array = new Uint8Array(0)
	isClosed = false
	readonly #isSecure: boolean
	readonly #timer: ReturnType<typeof setTimeout>
	#settle!: (made: Wire | string) => void
	#isSettled = false
	#wire: Wire | undefined

	constructor(target: StreamTarget) {
		this.#isSecure = target.tls !== undefined
		this.made = new Promise((settle) => {
			this.#settle = settle
		})
		this.#timer = setTimeout(() => this.giveUp('it does not answer'), target.timeoutMs ?? CONNECT_MS)
		this.#dial(target)
	}

	giveUp(why: string): void {
		this.#finish(why)
		this.#wire?.terminate()
	}

	received(bytes: Uint8Array): void {
		this.rest = Buffer.concat([this.rest, bytes])
	}

	drained(): void {}

	handshaken(succeeded: boolean, error: Error | undefined): void {
		if (succeeded && error === undefined && this.#wire!.authorized) this.#finish(this.#wire!)
		else this.giveUp(reasonOf(error))
	}

	closed(error: Error | undefined): void {
		this.isClosed = true
		this.#finish(reasonOf(error))
	}

	failed(error: Error): void {
		this.giveUp(reasonOf(error))
	}

	#dial({ address, port, tls }: StreamTarget): void {
		Bun.connect({
			hostname: address,
			port,
			...(tls && { tls: { ...tls, rejectUnauthorized: true } }),
			data: this,
			socket: {
				...WIRE_HANDLERS,
				open: (wire: unknown) => this.#connected(wire as Wire),
				connectError: (_: unknown, error: Error) => this.#finish(reasonOf(error)),
			},
		} as never).catch((error: Error) => this.#finish(reasonOf(error)))
	}

	#connected(wire: Wire): void {
		this.#wire = wire
		if (this.#isSettled) {
			wire.data = NOBODY
			wire.terminate()
			return
		}
		boundSilence(wire.fd, KEEP_ALIVE_SEC, USER_TIMEOUT_MS)
		setSendBuffer(wire.fd, SEND_BUFFER_BYTES)
		if (!this.#isSecure) this.#finish(wire)
	}

	#finish(made: Wire | string): void {
		if (this.#isSettled) return
		this.#isSettled = true
		clearTimeout(this.#timer)
		this.#settle(made)
	}
}
