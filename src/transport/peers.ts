/** One connection to each machine of the PBX that is spoken to over TCP or TLS: opened, kept, and opened again. */
import type { Flow } from '../core/model.ts'
import { openStreamConnector, type StreamConnector, type StreamTarget } from './connect.ts'
import type { StreamStats } from './connection.ts'
import type { StreamCallbacks } from './connections.ts'
import type { StreamLimits } from './stream-limits.ts'

/** The first wait before a machine that took no connection is tried again; it doubles. */
export const PEER_RETRY_MIN_MS = 250
/** And does not grow beyond this: calls come back to a machine within seconds. */
export const PEER_RETRY_MAX_MS = 4_000
/** What waits for a connection that is being opened, some 200 messages: more is a machine that hangs. */
export const MAX_PEER_QUEUE_BYTES = 256 << 10
/** Machines that are remembered: those of `--pbx`, as many that it named before, and further ones that calls are with. */
export const MAX_PEERS = 64

export interface PeersOptions extends Omit<StreamCallbacks, 'onOpen'> {
	/** What {@link Flow.listener} says of its flows. */
	readonly index: number
	readonly limits?: Partial<StreamLimits>
	/** How a machine is connected to that was not named: what speaks TLS proves its address. */
	target(address: string, port: number): StreamTarget
	/** It stands. */
	onConnected(flow: Flow): void
	/** None could be opened, `reason` follows "no connection: ". What waited for it is lost. */
	onUnreachable(address: string, port: number, reason: string): void
}

export class Peers {
	readonly #options: PeersOptions
	readonly #connector: StreamConnector
	readonly #peers = new Map<string, Peer>()
	readonly #byKey = new Map<string, Peer>()
	#stopped = false

	constructor(options: PeersOptions) {
		this.#options = options
		this.#connector = openStreamConnector({
			...options,
			onMessage: (flow, bytes) => {
				this.#byKey.get(flow.key)?.heard()
				options.onMessage(flow, bytes)
			},
			onClose: (flow) => {
				const peer = this.#byKey.get(flow.key)
				this.#byKey.delete(flow.key)
				/* the one who is told first may send already */
				peer?.closed(flow)
				options.onClose?.(flow)
			},
		})
	}

	get stats(): Readonly<StreamStats> {
		return this.#connector.stats
	}

	/** Open connections. */
	get connections(): number {
		return this.#connector.connections
	}

	/** Machines that are remembered. */
	get size(): number {
		return this.#peers.size
	}

	/** These are connected to from now on, whether or not there is anything to say. */
	keep(places: readonly { readonly address: string; readonly port: number }[]): void {
		const kept = new Set(places.map(placeKey))
		for (const [key, peer] of this.#peers) peer.isKept = kept.has(key)
		for (const { address, port } of places) this.#peer(address, port).keep()
	}

	/** On the connection to that machine, which is opened where there is none. Never throws. */
	send(address: string, port: number, bytes: Uint8Array): void {
		if (!this.#stopped) this.#peer(address, port).send(bytes)
	}

	/** As {@link StreamConnector.send}. */
	sendOn(key: string, bytes: Uint8Array): boolean {
		return this.#connector.send(key, bytes)
	}

	close(key: string): void {
		this.#connector.close(key)
	}

	/** Closes them all; what was sent goes out. */
	stop(): void {
		this.#stopped = true
		for (const peer of this.#peers.values()) peer.stop()
		this.#connector.stop()
	}

	#peer(address: string, port: number): Peer {
		const key = placeKey({ address, port })
		const known = this.#peers.get(key)
		if (known !== undefined) return known
		const peer = new Peer(address, port, {
			connect: () => this.#connector.connect(this.#options.target(address, port)),
			opened: (flow) => {
				this.#byKey.set(flow.key, peer)
				this.#options.onConnected(flow)
			},
			send: (key, bytes) => this.#connector.send(key, bytes),
			close: (key) => this.#connector.close(key),
			unreachable: (reason) => {
				if (!this.#stopped) this.#options.onUnreachable(address, port, reason)
			},
		})
		this.#makeRoom()
		this.#peers.set(key, peer)
		return peer
	}

	#makeRoom(): void {
		if (this.#peers.size < MAX_PEERS) return
		const left = [...this.#peers].filter(([, { isKept }]) => !isKept)
		const gone = left.find(([, { isBusy }]) => !isBusy) ?? left[0]
		if (gone === undefined) return
		gone[1].stop()
		this.#peers.delete(gone[0])
	}
}

function placeKey({ address, port }: { readonly address: string; readonly port: number }): string {
	return `${address}|${port}`
}

interface PeerOwner {
	connect(): Promise<Flow | string>
	opened(flow: Flow): void
	send(key: string, bytes: Uint8Array): boolean
	close(key: string): void
	unreachable(reason: string): void
}

/** `idle` → `connecting` → `open`; a failure → `waiting`, until it may be tried again. */
class Peer {
	readonly address: string
	readonly port: number
	isKept = false
	readonly #owner: PeerOwner
	#state: 'idle' | 'connecting' | 'open' | 'waiting' | 'stopped' = 'idle'
	#flow: Flow | undefined
	#queue: Uint8Array[] = []
	#queuedBytes = 0
	#waitMs = PEER_RETRY_MIN_MS
	#timer: ReturnType<typeof setTimeout> | undefined
	/** Why the last attempt failed. */
	#reason = 'it does not take a connection in time'
	/** On the connection there is. */
	#hasSpoken = false
	#isTelling = false

	constructor(address: string, port: number, owner: PeerOwner) {
		this.address = address
		this.port = port
		this.#owner = owner
	}

	get isBusy(): boolean {
		return this.#state === 'open' || this.#state === 'connecting'
	}

	keep(): void {
		this.isKept = true
		if (this.#state === 'idle') void this.#connect()
	}

	send(bytes: Uint8Array): void {
		if (this.#state === 'open') this.#sendOn(this.#flow!, bytes)
		else if (this.#state === 'waiting' || this.#queuedBytes + bytes.length > MAX_PEER_QUEUE_BYTES) this.#tell()
		else {
			this.#queue.push(bytes)
			this.#queuedBytes += bytes.length
			if (this.#state === 'idle') void this.#connect()
		}
	}

	/** It is a SIP server that speaks: should it close the connection, it may be tried at once. */
	heard(): void {
		this.#waitMs = PEER_RETRY_MIN_MS
		this.#hasSpoken = true
	}

	closed(flow: Flow): void {
		if (this.#flow?.key !== flow.key || this.#state !== 'open') return
		this.#flow = undefined
		if (!this.#hasSpoken) return this.#fail('it closes connections without a word')
		this.#state = 'idle'
		if (this.isKept) void this.#connect()
	}

	stop(): void {
		this.#state = 'stopped'
		clearTimeout(this.#timer)
		if (this.#flow !== undefined) this.#owner.close(this.#flow.key)
	}

	async #connect(): Promise<void> {
		this.#state = 'connecting'
		const flow = await this.#owner.connect()
		if (this.#isStopped()) return void (typeof flow === 'string' || this.#owner.close(flow.key))
		if (typeof flow === 'string') return this.#fail(flow)
		this.#state = 'open'
		this.#flow = flow
		this.#hasSpoken = false
		this.#owner.opened(flow)
		for (const bytes of this.#takeQueue()) this.#sendOn(flow, bytes)
	}

	/** It may be closed already, and who sent this hears of that. */
	#sendOn(flow: Flow, bytes: Uint8Array): void {
		if (!this.#owner.send(flow.key, bytes)) this.closed(flow)
	}

	#isStopped(): boolean {
		return this.#state === 'stopped'
	}

	#fail(reason: string): void {
		this.#state = 'waiting'
		this.#reason = reason
		this.#takeQueue()
		this.#timer = setTimeout(() => this.#again(), this.#waitMs)
		this.#waitMs = Math.min(2 * this.#waitMs, PEER_RETRY_MAX_MS)
		this.#tell()
	}

	#again(): void {
		this.#state = 'idle'
		if (this.isKept) void this.#connect()
	}

	#takeQueue(): readonly Uint8Array[] {
		const queue = this.#queue
		this.#queue = []
		this.#queuedBytes = 0
		return queue
	}

	/** Once for all that was sent in this turn, and not to one who is still sending. */
	#tell(): void {
		if (this.#isTelling) return
		this.#isTelling = true
		queueMicrotask(() => {
			this.#isTelling = false
			this.#owner.unreachable(this.#reason)
		})
	}
}
