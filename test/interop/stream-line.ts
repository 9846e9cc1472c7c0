/** A phone's line over TCP, TLS or WebSocket: one connection at a time, opened when there is something to say. */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Endpoint } from '../../src/demo/dialog.ts'
import type { UserAgent } from '../../src/demo/ua.ts'
import { StreamFramer } from '../../src/sip/frame.ts'
import { hostPort } from '../../src/sip/uri.ts'

export type StreamKind = 'tcp' | 'tls' | 'ws' | 'wss'

const TICK_MS = 10

interface Wire {
	write(bytes: Uint8Array): void
	/** Without a word to the far end's application. */
	end(): void
	/** What comes stays in the kernel. */
	pause?(): void
}

export interface StreamLineOptions {
	/** PEM: its own certificate, for a gateway that asks for one. */
	readonly cert?: string
	readonly key?: string
	/** Said before anything else: of a load balancer. */
	readonly preface?: Uint8Array
}

export class StreamLine {
	readonly #kind: StreamKind
	readonly #gateway: Endpoint
	readonly #options: StreamLineOptions
	#self: Endpoint
	#wire: Wire | undefined
	#agent: { readonly receive: (bytes: Uint8Array) => void } | undefined
	#timer: ReturnType<typeof setInterval> | undefined
	/** How many of its connections the gateway closed. */
	closedByGateway = 0

	constructor(kind: StreamKind, address: string, gateway: Endpoint, options: StreamLineOptions = {}) {
		this.#kind = kind
		this.#gateway = gateway
		this.#options = options
		this.#self = { address, port: 5060 }
	}

	get endpoint(): Endpoint {
		return this.#self
	}

	get isOpen(): boolean {
		return this.#wire !== undefined
	}

	connect(agent: UserAgent, now: () => number): void {
		this.#agent = { receive: (bytes) => agent.receive(bytes, this.#gateway, now()) }
		this.#timer = setInterval(() => agent.tick(now()), TICK_MS)
	}

	/** Another network: the old connection stays as it is, and nobody hears what comes by it. */
	async move(address: string): Promise<Endpoint> {
		this.#wire = undefined
		this.#self = { address, port: this.#self.port + 1 }
		return this.#self
	}

	readonly send = (bytes: Uint8Array): void => {
		this.#wire ??= this.#open()
		this.#wire.write(bytes)
	}

	/** Its connection is TCP or TLS. */
	stopReading(): void {
		this.#wire?.pause?.()
	}

	/** The app ends the connection. */
	hangUp(): void {
		this.#wire?.end()
		this.#wire = undefined
	}

	close(): void {
		clearInterval(this.#timer)
		this.hangUp()
	}

	#open(): Wire {
		return this.#kind === 'tcp' || this.#kind === 'tls' ? this.#openStream() : this.#openWeb()
	}

	#closed(wire: Wire): void {
		this.closedByGateway++
		if (this.#wire === wire) this.#wire = undefined
	}

	#openStream(): Wire {
		const { address: host, port } = this.#gateway
		const to = { host, port, localAddress: this.#self.address }
		const { preface, cert, key } = this.#options
		const tcp = connectTcp(to)
		if (preface !== undefined) tcp.write(preface)
		const identity = cert === undefined ? {} : { cert, key: key! }
		const socket: Socket =
			this.#kind === 'tcp' ? tcp : connectTls({ socket: tcp, rejectUnauthorized: false, ...identity })
		const framer = new StreamFramer()
		const wire: Wire = {
			write: (bytes) => void socket.write(bytes),
			end: () => socket.destroy(),
			pause: () => void socket.pause(),
		}
		socket.on('data', (bytes: Buffer) => {
			framer.push(bytes)
			for (let frame = framer.next(); frame !== undefined; frame = framer.next())
				if (frame.kind === 'message' && this.#wire === wire) this.#agent?.receive(frame.bytes)
		})
		socket.on('error', () => {})
		socket.on('end', () => this.#closed(wire))
		return wire
	}

	#openWeb(): Wire {
		const { address, port } = this.#gateway
		const options = { protocols: ['sip'], tls: { rejectUnauthorized: false } }
		const socket = new WebSocket(`${this.#kind}://${hostPort(address, port)}/`, options as never)
		socket.binaryType = 'arraybuffer'
		const early: Uint8Array[] = []
		const send = (bytes: Uint8Array) => socket.send(bytes as Uint8Array<ArrayBuffer>)
		let isOurs = false
		const wire: Wire = {
			write: (bytes) => (socket.readyState === WebSocket.CONNECTING ? void early.push(bytes) : send(bytes)),
			end: () => {
				isOurs = true
				socket.terminate()
			},
		}
		socket.onopen = () => early.forEach(send)
		socket.onmessage = ({ data }) => {
			if (this.#wire === wire) this.#agent?.receive(new Uint8Array(data as ArrayBuffer))
		}
		socket.onclose = () => !isOurs && this.#closed(wire)
		return wire
	}
}
