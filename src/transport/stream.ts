/** SIP over TCP, TLS, WebSocket and secure WebSocket (RFC 3261 §18, RFC 7118): bytes and flows, no SIP meaning. */
import type { Flow } from '../core/model.ts'
import { Arrival, type ArrivalOwner, type Step } from './arrival.ts'
import { Arrivals } from './arrivals.ts'
import { type CertificateRow, Certificates, type TlsFiles } from './certificates.ts'
import { type Codec, SipCodec } from './codec.ts'
import type { StreamStats } from './connection.ts'
import { Connections, type StreamCallbacks } from './connections.ts'
import { HandshakeQueue } from './handshakes.ts'
import { boundSilence, setSendBuffer } from './libc.ts'
import { Population, sourceOf, type Threshold } from './population.ts'
import { TrustedProxies } from './proxy-protocol.ts'
import {
	KEEP_ALIVE_SEC,
	SEND_BUFFER_BYTES,
	STREAM_LIMITS,
	type StreamLimits,
	USER_TIMEOUT_MS,
} from './stream-limits.ts'
import { bindHint } from './udp.ts'
import { WebSocketCodec } from './websocket.ts'
import { NOBODY, WIRE_HANDLERS, type Wire } from './wire.ts'

export type StreamKind = 'tcp' | 'tls' | 'ws' | 'wss'

export interface StreamOptions extends StreamCallbacks {
	/** Index of the listener in the configuration: {@link Flow.listener}. */
	readonly index: number
	readonly kind: StreamKind
	/** The address to bind, IPv6 without brackets; `::` takes no IPv4. */
	readonly address: string
	/** 0: any. */
	readonly port: number
	/** For `tls` and `wss`. */
	readonly tls?: TlsFiles
	readonly limits?: Partial<StreamLimits>
	/** Where several listeners share the limits of connections; then those of `limits` do not count. */
	readonly population?: Population
	/** CIDR ranges of load balancers: what comes from there has to begin with a PROXY header, version 2. */
	readonly proxyProtocol?: readonly string[]
	/** Asked once for each connection, before anything is read of it but a PROXY header; false closes it. Default: all are let in. */
	admit?(address: string, port: number): boolean
}

export interface StreamListener {
	readonly kind: StreamKind
	readonly address: string
	/** The port it got. */
	readonly port: number
	readonly stats: Readonly<StreamStats>
	/** Open ones. */
	readonly connections: number
	/** PROXY headers, TLS handshakes and WebSocket upgrades that are not finished. */
	readonly handshakes: number
	/** Of `tls` and `wss`. */
	readonly certificates: readonly CertificateRow[]
	/**
	 * Never throws. What the kernel has no room for goes out later, in order. False: there is no such connection any
	 * more, or its far end did not read for so long that it is closed now.
	 */
	send(key: string, bytes: Uint8Array): boolean
	/**
	 * Somebody vouches for this connection: a device is bound over it, or it is a PBX's. Until then it is a newcomer, whatever
	 * it says: closed after `newcomerMs` (or `idleMs`) without an octet, and before all others where connections or memory are short. Again
	 * and of a connection that is no more: nothing.
	 */
	settle(key: string): void
	/** It takes no more messages; what was sent goes out. */
	close(key: string): void
	/** Reads the certificates anew; connections stay. A sentence where they are bad: then the old ones stay. */
	reload(): string | undefined
	/** Takes no more connections and closes those it has; what was sent goes out. */
	stop(): void
}

/** The listener, or why there is none, in a sentence with what to do. */
export async function openStreamListener(options: StreamOptions): Promise<StreamListener | string> {
	const isSecure = options.kind === 'tls' || options.kind === 'wss'
	const certificates = isSecure ? readCertificates(options) : undefined
	if (typeof certificates === 'string') return certificates
	const listener = new NativeStreamListener(options, certificates)
	try {
		listener.open()
		return listener
	} catch (error) {
		listener.stop()
		return `Cannot listen on ${nameOf(options, options.port)}: ${bindHint(error as Error)}.`
	}
}

function readCertificates({ tls, kind, address, port }: StreamOptions): Certificates | string {
	if (tls === undefined || tls.certificates.length === 0)
		return `Cannot listen on ${nameOf({ kind, address }, port)}: it needs a certificate and a key.`
	return Certificates.read(tls)
}

function nameOf({ kind, address }: Pick<StreamOptions, 'kind' | 'address'>, port: number): string {
	return `${kind.toUpperCase()} ${address} port ${port}`
}

const STEPS: Readonly<Record<StreamKind, readonly Step[]>> = {
	tcp: [],
	tls: ['hello', 'handshake'],
	ws: ['upgrade'],
	wss: ['hello', 'handshake', 'upgrade'],
}

interface NativeListener {
	readonly fd: number
	readonly port: number
	/** `false`: what it accepted lives on. */
	stop(closeAll: false): void
}

class NativeStreamListener implements StreamListener, ArrivalOwner, Threshold {
	readonly steps: readonly Step[]
	tls: Certificates | undefined
	readonly #options: StreamOptions
	readonly #connections: Connections
	readonly #population: Population
	readonly #proxies: TrustedProxies
	readonly #queue = new HandshakeQueue<Arrival>((arrival) => this.#beginTls(arrival))
	readonly #arrivals = new Arrivals<Arrival>()
	#native: NativeListener | undefined
	#port = 0

	constructor(options: StreamOptions, tls: Certificates | undefined) {
		const limits = { ...STREAM_LIMITS, ...options.limits }
		this.#options = options
		this.tls = tls
		this.steps = STEPS[options.kind]
		this.#population = options.population ?? new Population(limits.connections, limits.perSource)
		this.#proxies = new TrustedProxies(options.proxyProtocol ?? [])
		const { newcomers } = this.#population
		this.#connections = new Connections(options.index, limits, options, newcomers, ({ source }) =>
			this.#population.leave(source),
		)
		this.#population.add(this)
	}

	/** @throws what the runtime throws: EADDRINUSE and the like, in `code` */
	open(): void {
		this.#native = Bun.listen({
			hostname: this.#options.address,
			port: this.#options.port,
			ipv6Only: this.#options.address.includes(':'),
			data: NOBODY,
			socket: { ...WIRE_HANDLERS, open: (wire: unknown) => this.#accept(wire as Wire) },
		} as never) as unknown as NativeListener
		this.#port = this.#native.port
		boundSilence(this.#native.fd, KEEP_ALIVE_SEC, USER_TIMEOUT_MS)
		setSendBuffer(this.#native.fd, SEND_BUFFER_BYTES)
	}

	get kind(): StreamKind {
		return this.#options.kind
	}

	get address(): string {
		return this.#options.address
	}

	get port(): number {
		return this.#port
	}

	get stats(): Readonly<StreamStats> {
		return this.#connections.stats
	}

	get connections(): number {
		return this.#connections.size
	}

	get handshakes(): number {
		return this.#arrivals.size
	}

	get certificates(): readonly CertificateRow[] {
		return this.tls?.rows ?? []
	}

	send(key: string, bytes: Uint8Array): boolean {
		return this.#connections.send(key, bytes)
	}

	settle(key: string): void {
		this.#connections.settle(key)
	}

	close(key: string): void {
		this.#connections.close(key)
	}

	reload(): string | undefined {
		if (this.tls === undefined) return undefined
		const next = readCertificates(this.#options)
		if (typeof next === 'string') return next
		this.tls = next
		return undefined
	}

	stop(): void {
		this.#population.delete(this)
		this.#native?.stop(false)
		this.#native = undefined
		for (const arrival of this.#arrivals) arrival.drop()
		this.#connections.stop()
	}

	#accept(wire: Wire): void {
		const { stats, deadlines, limits } = this.#connections
		stats.accepted++
		/* without an address it is gone already */
		if (wire.remoteAddress === undefined || this.#native === undefined || !this.#makeRoom()) {
			stats.refused++
			wire.data = NOBODY
			wire.terminate()
			return
		}
		this.#population.enter()
		const arrival = new Arrival(this, wire, this.#proxies.trusts(wire.remoteAddress))
		this.#arrivals.add(arrival)
		deadlines.after(arrival.deadline, performance.now(), limits.setupMs)
		arrival.begin()
	}

	/** For one more: see {@link Arrivals.victim} and {@link Population.makeRoom}. */
	#makeRoom(): boolean {
		if (this.#arrivals.size >= this.#connections.limits.handshakes && !this.evictArrival()) return false
		if (this.#population.makeRoom(this)) return true
		this.#connections.report(`${this.#name()} has all the connections it may have: newer ones are refused`)
		return false
	}

	evictArrival(): boolean {
		const victim = this.#arrivals.victim()
		victim?.drop()
		return victim !== undefined
	}

	#beginTls(arrival: Arrival): void {
		this.#arrivals.await(arrival, true)
		arrival.beginTls()
	}

	#name(): string {
		return nameOf(this.#options, this.#port)
	}

	#forget(arrival: Arrival): void {
		this.#arrivals.delete(arrival)
		this.#queue.remove(arrival)
		this.#connections.deadlines.disarm(arrival.deadline)
	}

	/* For arrivals */

	admit(arrival: Arrival): boolean {
		const { address, port } = arrival
		const source = sourceOf(address)
		const isWelcome = this.#options.admit?.(address, port) !== false && this.#population.settle(source)
		if (isWelcome) {
			arrival.source = source
			this.#arrivals.settle(arrival, source)
		}
		arrival.isRefused = !isWelcome
		return isWelcome
	}

	queue(arrival: Arrival): void {
		this.#arrivals.await(arrival, false)
		this.#queue.add(arrival)
	}

	opened(arrival: Arrival, wire: Wire, rest: Uint8Array): void {
		this.#forget(arrival)
		const { kind } = this.#options
		const isWeb = kind === 'ws' || kind === 'wss'
		const { messageBytes } = this.#connections.limits
		const codec: Codec = isWeb ? new WebSocketCodec(messageBytes) : new SipCodec(messageBytes)
		this.#connections.open(wire, arrival, codec, arrival.authorized, rest)
	}

	lost(arrival: Arrival, sentence?: string): void {
		this.#forget(arrival)
		this.#population.leave(arrival.source)
		if (arrival.isRefused) this.#connections.stats.refused++
		else this.#connections.stats.setupFailed++
		if (sentence !== undefined) this.#connections.report(sentence)
	}

	failed(error: Error): void {
		this.#connections.failed(error)
	}
}
