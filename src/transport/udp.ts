/** SIP over UDP (RFC 3261 §18): bytes and flows, no SIP meaning. */
import type { PbxAddress } from '../core/inputs.ts'
import type { Flow } from '../core/model.ts'
import { Bucket } from '../lib/bucket.ts'
import { Backlog } from './backlog.ts'
import { Batch, type Gathered } from './batch.ts'
import { FlowCache } from './flows.ts'
import { hasLibc, setPortSharing, setReceiveBuffer } from './libc.ts'
import { SlicedSocket } from './socket.ts'

/** Some 6,500 SIP messages: 20 ms of a flood of 300,000 a second, and a second of 50,000 devices registering in 8. */
export const RECEIVE_BUFFER_BYTES = 4 << 20

/** One pending error of the kernel may hit a send it has nothing to do with; a second one is about this send. */
export const SEND_ATTEMPTS = 2

/** A PBX behind more addresses than this shares the listener's receive buffer for the others. */
export const MAX_CONNECTED_PEERS = 8

/** Faults told one by one, and how many more each minute: a fault for each packet of a flood is no news. */
export const FAULT_LIMITS = { burst: 5, perSecond: 6 / 60 }

/** Far ends that are gone. What is to be done about that, SIP's timers know. */
const UNREACHABLE = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN'])

export interface UdpOptions {
	/** Index of the listener in the configuration: {@link Flow.listener}. */
	readonly index: number
	/** The address to bind, IPv6 without brackets; `::` takes no IPv4. */
	readonly address: string
	/** 0: any. */
	readonly port: number
	/** Default {@link RECEIVE_BUFFER_BYTES}. */
	readonly receiveBufferBytes?: number
	/**
	 * Asked once for each datagram of a 4-tuple not heard from lately, before anything is kept of it; false drops it.
	 * Default: all are let in.
	 */
	admit?(address: string, port: number, bytes: Uint8Array): boolean
	/** `bytes` belongs to the receiver. The same 4-tuple comes with the same `flow` object while it is in use. */
	onDatagram(flow: Flow, bytes: Uint8Array): void
	/** What an operator should know, in a sentence; at most {@link FAULT_LIMITS}. */
	onError(sentence: string): void
}

/** Counts since the start, except where they say now. */
export interface UdpStats {
	received: number
	/** Refused by `admit`. */
	refused: number
	sent: number
	/** Given up: an error of the kernel, or the backlog full. */
	sendFailed: number
	/** Errors that said a far end is gone. */
	unreachable: number
}

export interface UdpListener {
	readonly address: string
	/** The port it got. */
	readonly port: number
	readonly stats: Readonly<UdpStats>
	/** Sends waiting for the kernel, now. */
	readonly backlog: number
	/** How often a flood had to be interrupted for everything else. */
	readonly yields: number
	/** Never throws. What the kernel has no room for goes out later, in order, up to a bound (backlog.ts). */
	send(address: string, port: number, bytes: Uint8Array): void
	/**
	 * Gives each of these far ends a receive buffer of its own, so that a flood of others cannot crowd it out, and
	 * takes it from those not named. Their datagrams come by `onDatagram` as ever. Never rejects: where it cannot be
	 * had, they share the listener's.
	 */
	connectPeers(peers: readonly PbxAddress[]): Promise<void>
	/** Datagrams that found the receive buffer full; undefined where it cannot be known. */
	kernelDrops(): number | undefined
	/** As granted, which net.core.rmem_max bounds; undefined where it cannot be known. */
	receiveBufferBytes(): number | undefined
	close(): void
}

/** The listener, or why there is none, in a sentence with what to do. */
export async function openUdpListener(options: UdpOptions): Promise<UdpListener | string> {
	const listener = new NativeUdpListener(options)
	try {
		await listener.open()
		return listener
	} catch (error) {
		return bindFault(options, error as Error)
	}
}

class NativeUdpListener implements UdpListener {
	readonly stats: UdpStats = { received: 0, refused: 0, sent: 0, sendFailed: 0, unreachable: 0 }
	readonly #options: UdpOptions
	readonly #flows: FlowCache
	readonly #backlog = new Backlog()
	readonly #batch = new Batch((gathered) => this.#transmitMany(gathered))
	readonly #faults = new Bucket(FAULT_LIMITS, performance.now())
	readonly #peers = new Map<string, SlicedSocket>()
	/** Changes of the peers come one after the other. */
	#peersChange: Promise<void> = Promise.resolve()
	/** Of peers that were closed. */
	#formerDrops = 0
	#formerYields = 0
	#socket!: SlicedSocket
	#closed = false

	constructor(options: UdpOptions) {
		this.#options = options
		this.#flows = new FlowCache(options.index)
	}

	async open(): Promise<void> {
		this.#socket = await this.#openSocket(this.#options.port)
	}

	get address(): string {
		return this.#options.address
	}

	get port(): number {
		return this.#socket.port
	}

	get backlog(): number {
		return this.#backlog.size
	}

	get yields(): number {
		let yields = this.#formerYields + this.#socket.yields
		for (const peer of this.#peers.values()) yields += peer.yields
		return yields
	}

	send(address: string, port: number, bytes: Uint8Array): void {
		if (this.#closed) this.#giveUp(address, port, bytes, 'the listener is closed')
		else if (this.#socket.parked || this.#backlog.size > 0) this.#wait(address, port, bytes)
		else if (!this.#batch.takes(address, port, bytes) && !this.#transmit(address, port, bytes))
			this.#wait(address, port, bytes)
	}

	connectPeers(peers: readonly PbxAddress[]): Promise<void> {
		this.#peersChange = this.#peersChange.then(() => this.#changePeers(peers))
		return this.#peersChange
	}

	kernelDrops(): number | undefined {
		const own = this.#socket.receiveMemory()
		if (own === undefined) return undefined
		let drops = this.#formerDrops + own.drops
		for (const peer of this.#peers.values()) drops += peer.receiveMemory()?.drops ?? 0
		return drops
	}

	receiveBufferBytes(): number | undefined {
		return this.#socket.receiveMemory()?.bufferBytes
	}

	close(): void {
		if (this.#closed) return
		this.#socket.unpark()
		this.#flush()
		this.#batch.flush()
		this.#closed = true
		for (const key of [...this.#peers.keys()]) this.#disconnect(key)
		this.#socket.close()
	}

	async #openSocket(port: number, connect?: PbxAddress): Promise<SlicedSocket> {
		const socket = await SlicedSocket.open({
			address: this.#options.address,
			port,
			...(connect && { connect }),
			onDatagram: this.#receive,
			onWritable: this.#flush,
			onError: this.#receiveFault,
		})
		setReceiveBuffer(socket.fd, this.#options.receiveBufferBytes ?? RECEIVE_BUFFER_BYTES)
		return socket
	}

	readonly #receive = (address: string, port: number, bytes: Uint8Array): void => {
		this.stats.received++
		let flow = this.#flows.find(address, port)
		if (flow === undefined) {
			if (this.#options.admit?.(address, port, bytes) === false) {
				this.stats.refused++
				return
			}
			flow = this.#flows.make(address, port)
		}
		this.#options.onDatagram(flow, bytes)
	}

	readonly #receiveFault = (error: Error): void => {
		if (UNREACHABLE.has(codeOf(error))) this.stats.unreachable++
		else this.#report(`${this.#name()} had a fault: ${error.message}`)
	}

	/** False: the kernel has no room now. */
	#transmit(address: string, port: number, bytes: Uint8Array): boolean {
		for (let attempt = 1; ; attempt++) {
			try {
				if (!this.#socket.send(address, port, bytes)) return false
				this.stats.sent++
				return true
			} catch (error) {
				if (attempt < SEND_ATTEMPTS) continue
				this.#giveUp(address, port, bytes, (error as Error).message)
				return true
			}
		}
	}

	/** All of them in one go; what the kernel did not take of it, one by one and in order. */
	readonly #transmitMany = (gathered: Gathered): void => {
		let sent = 0
		try {
			if (!this.#socket.parked && this.#backlog.size === 0) sent = this.#socket.sendMany(gathered)
		} catch {
			/* which of them was at fault shows when each is sent by itself */
		}
		this.stats.sent += sent
		for (let i = 3 * sent; i < gathered.length; i += 3) {
			const [bytes, port, address] = gathered.slice(i, i + 3) as [Uint8Array, number, string]
			const mustWait = this.#socket.parked || this.#backlog.size > 0
			if (mustWait || !this.#transmit(address, port, bytes)) this.#wait(address, port, bytes)
		}
	}

	#wait(address: string, port: number, bytes: Uint8Array): void {
		if (!this.#backlog.put(address, port, bytes)) this.#giveUp(address, port, bytes, 'too much is waiting already')
	}

	readonly #flush = (): void => {
		if (this.#closed) return
		for (let first = this.#backlog.peek(); first !== undefined; first = this.#backlog.peek()) {
			if (this.#socket.parked || !this.#transmit(first.address, first.port, first.bytes)) return
			this.#backlog.remove(first)
		}
	}

	#giveUp(address: string, port: number, bytes: Uint8Array, why: string): void {
		this.stats.sendFailed++
		this.#report(`${this.#name()} could not send ${bytes.length} bytes to ${address} port ${port}: ${why}`)
	}

	#report(sentence: string): void {
		if (this.#faults.take(performance.now())) this.#options.onError(sentence)
	}

	#name(): string {
		return `UDP ${this.#options.address} port ${this.port}`
	}

	async #changePeers(peers: readonly PbxAddress[]): Promise<void> {
		const wanted = new Map(peers.slice(0, MAX_CONNECTED_PEERS).map((peer) => [`${peer.address}|${peer.port}`, peer]))
		for (const key of [...this.#peers.keys()]) if (!wanted.has(key)) this.#disconnect(key)
		for (const [key, peer] of wanted) if (!this.#peers.has(key)) await this.#connect(key, peer)
	}

	/**
	 * A connected socket on the same port: the kernel prefers it for what its peer sends. The port is shared only
	 * while it opens, so that a second gateway started by mistake still finds it taken.
	 */
	async #connect(key: string, peer: PbxAddress): Promise<void> {
		const sameFamily = peer.address.includes(':') === this.#options.address.includes(':')
		if (this.#closed || !hasLibc || !sameFamily) return
		this.#sharePort(true)
		try {
			const socket = await this.#openSocket(this.port, peer)
			if (this.#closed) socket.close()
			else this.#peers.set(key, socket)
		} catch (error) {
			const why = (error as Error).message
			this.#report(`${this.#name()} has no receive buffer apart for ${peer.address} port ${peer.port}: ${why}`)
		}
		this.#sharePort(false)
	}

	/** All that are bound to it must agree. */
	#sharePort(shared: boolean): void {
		if (this.#closed) return
		setPortSharing(this.#socket.fd, shared)
		for (const peer of this.#peers.values()) setPortSharing(peer.fd, shared)
	}

	#disconnect(key: string): void {
		const socket = this.#peers.get(key)
		if (socket === undefined) return
		this.#peers.delete(key)
		this.#formerDrops += socket.receiveMemory()?.drops ?? 0
		this.#formerYields += socket.yields
		socket.close()
	}
}

const codeOf = (error: Error): string => String((error as Error & { code?: unknown }).code ?? '')

const BIND_HINTS: ReadonlyMap<string, string> = new Map([
	['EADDRINUSE', 'another program has it, perhaps a gateway that is running already'],
	['EADDRNOTAVAIL', 'this machine does not have that address'],
	['EACCES', 'ports below 1024 need CAP_NET_BIND_SERVICE'],
])

function bindFault({ address, port }: UdpOptions, error: Error): string {
	return `Cannot listen on UDP ${address} port ${port}: ${bindHint(error)}.`
}

/** Why a socket cannot be bound, in words. */
export function bindHint(error: Error): string {
	return BIND_HINTS.get(codeOf(error)) ?? error.message
}
