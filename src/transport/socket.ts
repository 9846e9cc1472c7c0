/**
 * One UDP socket of the runtime, which reads a socket until nothing is left: under a flood that is never, and no
 * timer and no other socket gets a turn. So each turn of the event loop may read for {@link SLICE_MS}; then the
 * descriptor is *parked*: its number means an empty socket until the next turn, the runtime finds nothing more to
 * read, and what comes in meanwhile waits in the kernel's buffer. Nothing is lost by it, and a socket that is never
 * flooded is never parked.
 */
import type { Gathered } from './batch.ts'
import { closeDescriptor, duplicate, ignoreIcmpErrors, openEmptySocket, receiveMemory, redirect } from './libc.ts'

/** The longest a socket may read in one turn. Ten of them flooded at once stay within the 50 ms a timer may be late. */
export const SLICE_MS = 5

/**
 * The clock is looked at once in so many datagrams (a power of two): the look and the immediate it arms cost as much as
 * a tenth of a datagram, and 16 of them are done in 2 ms at the worst.
 */
const CLOCK_EVERY = 16

export interface SocketOptions {
	readonly address: string
	readonly port: number
	/** With it the socket hears this far end alone. */
	readonly connect?: { readonly address: string; readonly port: number }
	onDatagram(address: string, port: number, bytes: Uint8Array): void
	/** The kernel takes datagrams again, or the socket is no longer parked. */
	onWritable(): void
	onError(error: Error): void
}

/** What this file uses of the runtime's socket, its types being incomplete. */
interface RawSocket {
	readonly fd: number
	readonly port: number
	readonly closed: boolean
	send(bytes: Uint8Array, port: number, address: string): boolean
	sendMany(packets: Gathered): number
	close(): void
}

/** Flags of the runtime's `bind`. */
const SHARE_PORT = 4
/** An IPv4 peer on an IPv6 listener would be told an address it cannot reach: IPv4 has listeners of its own. */
const IPV6_ONLY = 8

/** One for the process. */
let emptySocket: number | undefined

export class SlicedSocket {
	readonly #options: SocketOptions
	#raw!: RawSocket
	/** The port it got; the runtime forgets it when the socket is closed. */
	port = 0
	/** A second descriptor of the socket, to come back to after parking; -1: it cannot be parked. */
	#own = -1
	#parked = false
	#datagrams = 0
	/** Whether `#turnEnds` is due, and so this is still the turn that began at `#turnStart`. */
	#inTurn = false
	#turnStart = 0
	yields = 0

	private constructor(options: SocketOptions) {
		this.#options = options
	}

	/** @throws what the runtime throws: EADDRINUSE and the like, in `code` */
	static async open(options: SocketOptions): Promise<SlicedSocket> {
		const socket = new SlicedSocket(options)
		const { address, port, connect } = options
		socket.#raw = (await Bun.udpSocket({
			hostname: address,
			port,
			flags: (connect ? SHARE_PORT : 0) | (address.includes(':') ? IPV6_ONLY : 0),
			...(connect && { connect: { hostname: connect.address, port: connect.port } }),
			binaryType: 'uint8array',
			socket: socket.#handlers(),
		} as never)) as unknown as RawSocket
		socket.port = socket.#raw.port
		ignoreIcmpErrors(socket.#raw.fd)
		emptySocket ??= openEmptySocket()
		if (emptySocket >= 0) socket.#own = duplicate(socket.#raw.fd)
		return socket
	}

	/** Of the socket itself, parked or not. */
	get fd(): number {
		return this.#own >= 0 ? this.#own : this.#raw.fd
	}

	/** Whether a send has to wait for `onWritable`: from a parked socket it would leave by the empty one. */
	get parked(): boolean {
		return this.#parked
	}

	unpark(): void {
		if (!this.#parked) return
		redirect(this.#raw.fd, this.#own)
		this.#parked = false
	}

	/**
	 * False: the kernel's buffer is full, `onWritable` will come.
	 * @throws the error of the kernel, or ours for an address that is none
	 */
	send(address: string, port: number, bytes: Uint8Array): boolean {
		return this.#raw.send(bytes, port, address)
	}

	/**
	 * How many of these the kernel took: fewer than all where it has no room, or the next one is at fault.
	 * @throws the error of the kernel, when it took none
	 */
	sendMany(gathered: Gathered): number {
		return this.#raw.sendMany(gathered)
	}

	/** Datagrams that found the receive buffer full, and that buffer's size; undefined where it cannot be known. */
	receiveMemory(): ReturnType<typeof receiveMemory> {
		return this.#raw.closed ? undefined : receiveMemory(this.fd)
	}

	/** Back to its own descriptor first: the event loop knows the socket by that, and must forget that. */
	close(): void {
		if (this.#raw.closed) return
		this.unpark()
		closeDescriptor(this.#own)
		this.#own = -1
		this.#raw.close()
	}

	#handlers() {
		const { onDatagram, onWritable, onError } = this.#options
		return {
			data: (_: RawSocket, bytes: Uint8Array, port: number, address: string) => {
				if ((++this.#datagrams & (CLOCK_EVERY - 1)) === 0) this.#watchSlice()
				onDatagram(address, port, bytes)
			},
			/** After it the event loop is told to wait for no more room, by a descriptor that must be the socket's own. */
			drain: () => {
				this.unpark()
				onWritable()
			},
			/** The runtime gives the error alone, its types and other handlers say (socket, error). */
			error: (...args: unknown[]) => {
				const error = args.at(-1)
				onError(error instanceof Error ? error : new Error(String(error)))
			},
		}
	}

	#watchSlice(): void {
		if (!this.#inTurn) {
			this.#inTurn = true
			this.#turnStart = performance.now()
			setImmediate(this.#turnEnds)
		} else if (this.#own >= 0 && !this.#parked && performance.now() - this.#turnStart > SLICE_MS) this.#park()
	}

	#park(): void {
		this.#parked = redirect(this.#raw.fd, emptySocket!)
		if (this.#parked) this.yields++
	}

	readonly #turnEnds = (): void => {
		this.#inTurn = false
		if (!this.#parked) return
		this.unpark()
		this.#options.onWritable()
	}
}
