/** One open connection: messages in, messages out, and what waits for a slow reader. */
import type { Flow } from '../core/model.ts'
import { Deadline, type Deadlines } from '../lib/deadlines.ts'
import type { Codec, Item } from './codec.ts'
import type { Hoarder } from './hoards.ts'
import { restOf } from './octets.ts'
import { CLOSE_MS, MAX_TURN_ITEMS, type StreamLimits } from './stream-limits.ts'
import type { Party, Wire } from './wire.ts'

/** Something whose time is up. */
export interface Expiring {
	expire(): void
}

/** Counts since the start. */
export interface StreamStats {
	accepted: number
	/** Turned away at once: too many, too many of one source, or not admitted. */
	refused: number
	/** TLS, PROXY header or WebSocket upgrade came to nothing. */
	setupFailed: number
	messages: number
	sent: number
	/** No such connection any more, or it was closed over it. */
	sendFailed: number
	/** Closed: their time for a first or a whole message, or for any octet, was up. */
	timedOut: number
	/** Closed: too much waited for them. */
	slowReaders: number
	/** Closed: what waited of all together was too much, and they held most of it, or were no more than newcomers. */
	crowdedOut: number
	/** Closed: their framing was lost. */
	faults: number
}

/** What a connection needs of the house. */
export interface ConnectionOwner {
	readonly limits: StreamLimits
	readonly stats: StreamStats
	readonly deadlines: Deadlines<Expiring>
	message(connection: Connection, bytes: Uint8Array): void
	fault(connection: Connection, item: Item & { kind: 'fault' }): void
	/** What waits for the rest of a message, or for the kernel, was `before` and is {@link Connection.told}. May abort it. */
	waiting(connection: Connection, before: number): void
	/** It takes no more messages. Once. */
	left(connection: Connection): void
	/** Its socket is gone, after {@link left}. Once. */
	gone(connection: Connection): void
	failed(error: Error): void
}

type State = 'open' | 'closing' | 'closed'
/** What the deadline is for. */
type Awaits = 'first' | 'rest' | 'quiet' | 'any' | 'close'

/** Of {@link setImmediate}: one for all connections. */
const goOn = (connection: Connection): void => connection.goOn()

export class Connection implements Party, Expiring, Hoarder {
	readonly flow: Flow
	/** As the population knows it. */
	readonly source: string | undefined
	readonly #owner: ConnectionOwner
	readonly #wire: Wire
	readonly #codec: Codec
	readonly #deadline = new Deadline<Expiring>(this)
	#state: State = 'open'
	#awaits: Awaits = 'first'
	/** Octets the kernel had no room for, oldest first. */
	#queue: Uint8Array[] | undefined
	#queued = 0
	#told = 0
	#isNewcomer = true
	/** There is more in the codec than one turn may take: the wire is paused. */
	#isBusy = false
	/** Octets that say this end lives, as the far end asked. */
	#answer: Uint8Array | undefined

	constructor(owner: ConnectionOwner, wire: Wire, flow: Flow, source: string | undefined, codec: Codec) {
		this.#owner = owner
		this.#wire = wire
		this.#codec = codec
		this.flow = flow
		this.source = source
		wire.data = this
		const { firstMessageMs, idleMs } = owner.limits
		if (firstMessageMs < idleMs) this.#await('first', firstMessageMs)
		else this.#awaitAny()
	}

	/** Of the octets that wait the owner knows of so many. */
	get told(): number {
		return this.#told
	}

	/** Until {@link settle}. */
	get isNewcomer(): boolean {
		return this.#isNewcomer
	}

	get #isClosed(): boolean {
		return this.#state === 'closed'
	}

	/** Somebody vouches for it: it may be silent for `idleMs`. False: it was settled, or is closed. */
	settle(): boolean {
		if (!this.#isNewcomer || this.#state !== 'open') return false
		this.#isNewcomer = false
		if (this.#awaits !== 'rest') this.#awaitAny()
		return true
	}

	/** Too much waits of all together, and it holds most. */
	crowdOut(): void {
		this.#owner.stats.crowdedOut++
		this.abort()
	}

	/** False: it is closed, or was over this. */
	send(message: Uint8Array): boolean {
		return this.#state === 'open' && this.#write(this.#codec.encode(message))
	}

	/** What was sent goes out, for {@link CLOSE_MS} at the most. */
	close(): void {
		if (this.#state !== 'open') return
		const farewell = this.#codec.farewell()
		if (farewell !== undefined && !this.#write(farewell)) return
		this.#leave()
	}

	/** At once. */
	abort(): void {
		if (this.#state === 'closed') return
		this.#wire.terminate()
		this.closed()
	}

	expire(): void {
		if (this.#awaits === 'quiet') return this.#ping()
		if (this.#awaits !== 'close') this.#owner.stats.timedOut++
		this.abort()
	}

	received(bytes: Uint8Array): void {
		if (this.#state !== 'open') return
		this.#codec.push(bytes)
		if (!this.#isBusy) this.#work()
	}

	/** A turn later. */
	goOn(): void {
		if (this.#state === 'open') this.#work()
		else this.#settleDown()
	}

	drained(): void {
		const queue = this.#queue
		if (queue === undefined) return
		let done = 0
		for (const bytes of queue) {
			const taken = this.#wire.write(bytes)
			if (taken < 0) return this.abort()
			this.#queued -= taken
			if (taken < bytes.length) {
				queue[done] = restOf(bytes, taken)
				break
			}
			done++
		}
		queue.splice(0, done)
		this.#tellWaiting()
		if (queue.length > 0) return
		this.#queue = undefined
		if (this.#state === 'closing') this.#wire.shutdown()
	}

	handshaken(): void {}

	closed(): void {
		if (this.#state === 'closed') return
		const wasOpen = this.#state === 'open'
		this.#state = 'closed'
		this.#queue = undefined
		this.#tell(0)
		this.#owner.deadlines.disarm(this.#deadline)
		if (wasOpen) this.#owner.left(this)
		this.#owner.gone(this)
	}

	failed(error: Error): void {
		this.#owner.failed(error)
	}

	/** At most {@link MAX_TURN_ITEMS}: a far end that says much at once must not keep all others waiting. */
	#work(): void {
		for (let i = 0; i < MAX_TURN_ITEMS; i++) {
			const item = this.#codec.next()
			if (item === undefined) return this.#worked()
			this.#perform(item)
			if (this.#state !== 'open') return this.#settleDown()
		}
		if (!this.#tellWaiting()) return
		if (!this.#isBusy) this.#wire.pause()
		this.#isBusy = true
		setImmediate(goOn, this)
	}

	#worked(): void {
		this.#settleDown()
		const answer = this.#answer
		this.#answer = undefined
		if (answer !== undefined && !this.#write(answer)) return
		if (this.#tellWaiting()) this.#awaitMore()
	}

	#settleDown(): void {
		if (!this.#isBusy) return
		this.#isBusy = false
		if (this.#state !== 'closed') this.#wire.resume()
	}

	#perform(item: Item): void {
		switch (item.kind) {
			case 'message':
				if (this.#awaits === 'first') this.#awaits = 'any'
				this.#owner.stats.messages++
				return this.#owner.message(this, item.bytes)
			case 'answer':
				/* one for all that came at once, the last (RFC 6455 §5.5.3) */
				this.#answer = item.bytes
				return
			case 'nothing':
				return
			case 'end':
				if (this.#write(item.bytes)) this.#leave()
				return
			case 'fault':
				this.#owner.stats.faults++
				this.#owner.fault(this, item)
				return this.close()
		}
	}

	/** False: too much waits, and the connection is gone. */
	#write(bytes: Uint8Array): boolean {
		if (this.#queue !== undefined) return this.#enqueue(bytes)
		const taken = this.#wire.write(bytes)
		if (taken === bytes.length) return true
		if (taken >= 0) return this.#enqueue(taken === 0 ? bytes : restOf(bytes, taken))
		this.abort()
		return false
	}

	#enqueue(bytes: Uint8Array): boolean {
		this.#queued += bytes.length
		if (this.#queued > this.#owner.limits.queuedBytes) {
			this.#owner.stats.slowReaders++
			this.abort()
			return false
		}
		this.#queue ??= []
		this.#queue.push(bytes)
		return this.#tellWaiting()
	}

	/** False: of all connections too much waits, this one holds most of it, and is gone. */
	#tellWaiting(): boolean {
		if (this.#isClosed) return false
		this.#tell(this.#codec.held + this.#queued)
		return !this.#isClosed
	}

	#tell(waiting: number): void {
		const before = this.#told
		if (waiting === before) return
		this.#told = waiting
		this.#owner.waiting(this, before)
	}

	/** No more messages either way; the socket goes when what waits is sent. */
	#leave(): void {
		this.#state = 'closing'
		this.#await('close', CLOSE_MS)
		this.#owner.left(this)
		if (this.#queue === undefined) this.#wire.shutdown()
	}

	/** A first message and the rest of one have their time from when they were due, whatever comes meanwhile. */
	#awaitMore(): void {
		if (this.#awaits === 'first') return
		if (this.#codec.held === 0) this.#awaitAny()
		else if (this.#awaits !== 'rest') this.#await('rest', this.#owner.limits.partialMs)
	}

	/** A newcomer is not pinged: it would have only to stay. */
	#awaitAny(): void {
		const { idleMs, newcomerMs, quietMs } = this.#owner.limits
		if (this.#isNewcomer) this.#await('any', Math.min(newcomerMs, idleMs))
		else if (this.#codec.ping !== undefined && quietMs < idleMs) this.#await('quiet', quietMs)
		else this.#await('any', idleMs)
	}

	/** Whatever comes back counts; nothing at all is a half-open connection, perhaps one that a proxy on the way keeps. */
	#ping(): void {
		const { idleMs, quietMs, pongMs } = this.#owner.limits
		if (this.#write(this.#codec.ping!)) this.#await('any', Math.min(pongMs, idleMs - quietMs))
	}

	#await(what: Awaits, durationMs: number): void {
		this.#awaits = what
		this.#owner.deadlines.after(this.#deadline, performance.now(), durationMs)
	}
}
