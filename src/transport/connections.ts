/** The open connections of a listener or a connector, by their keys; their deadlines; and what is told of them. */
import type { Flow } from '../core/model.ts'
import { Bucket } from '../lib/bucket.ts'
import { Deadlines } from '../lib/deadlines.ts'
import type { FaultCode } from '../sip/faults.ts'
import type { Codec, Item } from './codec.ts'
import { Connection, type ConnectionOwner, type Expiring, type StreamStats } from './connection.ts'
import { Hoards } from './hoards.ts'
import type { Newcomers } from './population.ts'
import { type StreamLimits, SWEEP_MS } from './stream-limits.ts'
import { FAULT_LIMITS } from './udp.ts'
import type { Wire } from './wire.ts'

/** What is told of connections. Never from within a call of their listener or connector. */
export interface StreamCallbacks {
	/** It can carry messages. `authorized`: the far end has a certificate of the authority that was given. */
	onOpen?(flow: Flow, authorized: boolean): void
	/** `bytes` belongs to the receiver; one whole message, as far as framing can tell. */
	onMessage(flow: Flow, bytes: Uint8Array): void
	/** The framing is lost. What `head` asks for may be answered at once by `send`; then the connection is closed. */
	onFault?(flow: Flow, code: FaultCode, head: Uint8Array): void
	/** Once for each `onOpen`, whoever closed it. */
	onClose?(flow: Flow): void
	/** What an operator should know, in a sentence; at most {@link FAULT_LIMITS}. */
	onError(sentence: string): void
}

export class Connections implements ConnectionOwner {
	readonly limits: StreamLimits
	readonly deadlines = new Deadlines<Expiring>()
	readonly stats: StreamStats = {
		accepted: 0,
		refused: 0,
		setupFailed: 0,
		messages: 0,
		sent: 0,
		sendFailed: 0,
		timedOut: 0,
		slowReaders: 0,
		crowdedOut: 0,
		faults: 0,
	}
	readonly #index: number
	readonly #callbacks: StreamCallbacks
	readonly #onGone: (connection: Connection) => void
	readonly #reports = new Bucket(FAULT_LIMITS, performance.now())
	readonly #byKey = new Map<string, Connection>()
	/** Perhaps of other listeners too. */
	readonly #newcomers: Newcomers
	/** All whose socket lives. */
	readonly #alive = new Set<Connection>()
	readonly #hoards = new Hoards<Connection>()
	#opened = 0
	#sweeps: ReturnType<typeof setInterval> | undefined
	#stopped = false

	/** `index`: see {@link Flow.listener}. `onGone`: a connection's socket is no more. */
	constructor(
		index: number,
		limits: StreamLimits,
		callbacks: StreamCallbacks,
		newcomers: Newcomers,
		onGone: (connection: Connection) => void,
	) {
		this.#newcomers = newcomers
		this.#index = index
		this.limits = limits
		this.#callbacks = callbacks
		this.#onGone = onGone
		this.#sweeps = setInterval(this.#sweep, SWEEP_MS)
	}

	/** Open ones. */
	get size(): number {
		return this.#byKey.size
	}

	/** `rest`: octets that came already. */
	open(
		wire: Wire,
		far: { address: string; port: number; source?: string | undefined },
		codec: Codec,
		authorized: boolean,
		rest: Uint8Array,
	): Flow {
		const { address, port, source } = far
		const key = `${this.#index}|${address}|${port}|${++this.#opened}`
		const flow: Flow = { key, listener: this.#index, address, port }
		const connection = new Connection(this, wire, flow, source, codec)
		this.#byKey.set(key, connection)
		this.#newcomers.add(connection)
		this.#alive.add(connection)
		this.#tell(() => this.#callbacks.onOpen?.(flow, authorized))
		if (rest.length > 0) connection.received(rest)
		return flow
	}

	send(key: string, bytes: Uint8Array): boolean {
		const isSent = this.#byKey.get(key)?.send(bytes) ?? false
		if (isSent) this.stats.sent++
		else this.stats.sendFailed++
		return isSent
	}

	close(key: string): void {
		this.#byKey.get(key)?.close()
	}

	/** See {@link StreamListener.settle}. */
	settle(key: string): void {
		const connection = this.#byKey.get(key)
		if (!connection?.settle()) return
		this.#newcomers.delete(connection)
		this.#hoards.settled(connection)
	}

	/** All are closed; what was sent goes out. */
	stop(): void {
		this.#stopped = true
		for (const connection of this.#alive) connection.close()
		this.#endSweeps()
	}

	report(sentence: string): void {
		if (this.#reports.take(performance.now())) this.#callbacks.onError(sentence)
	}

	/* For connections */

	message(connection: Connection, bytes: Uint8Array): void {
		try {
			this.#callbacks.onMessage(connection.flow, bytes)
		} catch (error) {
			this.failed(error as Error)
		}
	}

	fault(connection: Connection, { code, head }: Item & { kind: 'fault' }): void {
		this.#tell(() => this.#callbacks.onFault?.(connection.flow, code, head))
	}

	waiting(connection: Connection, before: number): void {
		this.#hoards.changed(connection, before)
		if (connection.told <= before) return
		while (this.#hoards.octets > this.limits.waitingBytes) this.#hoards.largest()!.crowdOut()
	}

	/** Told in a moment: whoever closed it is in the middle of something. */
	left(connection: Connection): void {
		this.#byKey.delete(connection.flow.key)
		queueMicrotask(() => this.#tell(() => this.#callbacks.onClose?.(connection.flow)))
	}

	gone(connection: Connection): void {
		this.#alive.delete(connection)
		/* until now: one that takes its time to go must not keep a newer one out */
		this.#newcomers.delete(connection)
		this.#onGone(connection)
		this.#endSweeps()
	}

	failed(error: Error): void {
		this.report(`A connection had a fault: ${error.message}`)
	}

	/** A bug of who is told must end nothing here. */
	#tell(what: () => void): void {
		try {
			what()
		} catch (error) {
			this.failed(error as Error)
		}
	}

	readonly #sweep = (): void => {
		const now = performance.now()
		for (let due = this.deadlines.take(now); due !== undefined; due = this.deadlines.take(now)) due.what.expire()
	}

	#endSweeps(): void {
		if (this.#stopped && this.#alive.size === 0) clearInterval(this.#sweeps)
	}
}
