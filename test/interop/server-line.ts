/** A PBX's line over TCP or TLS: it listens, and connects to where a Contact leads when it has no connection there. */
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import type { Certificate } from '../../src/demo/certificate.ts'
import type { Endpoint } from '../../src/demo/dialog.ts'
import type { UserAgent } from '../../src/demo/ua.ts'
import { StreamFramer } from '../../src/sip/frame.ts'
import { hostPort } from '../../src/sip/uri.ts'

const TICK_MS = 10

export interface ServerLineOptions {
	readonly kind: 'tcp' | 'tls'
	readonly address: string
	readonly port: number
	/** What it shows over TLS. */
	readonly certificate?: Certificate
}

const keyOf = (address = '', port = 0): string => `${address.replace(/^::ffff:/, '')}|${port}`

export class ServerLine {
	readonly endpoint: Endpoint
	readonly #options: ServerLineOptions
	/** By their far end. */
	readonly #sockets = new Map<string, Socket>()
	#server: Server | undefined
	#onMessage: (bytes: Uint8Array, from: Endpoint) => void = () => {}
	#timer: ReturnType<typeof setInterval> | undefined
	/** Its process hangs: the kernel goes on taking connections and octets. */
	hangs = false
	/** Connections of the gateway to it, and of it to the gateway, in all. */
	accepted = 0
	dialled = 0

	private constructor(options: ServerLineOptions) {
		this.#options = options
		this.endpoint = { address: options.address, port: options.port }
	}

	static async open(options: ServerLineOptions): Promise<ServerLine> {
		const line = new ServerLine(options)
		await line.start()
		return line
	}

	/** Listens, or listens again. */
	start(): Promise<void> {
		const { kind, address, port, certificate } = this.#options
		const heard = (socket: Socket) => {
			this.accepted++
			this.#take(socket, keyOf(socket.remoteAddress, socket.remotePort))
		}
		/* both sides prove who they are, and trust this one certificate */
		const pair = { cert: certificate?.certPem, key: certificate?.keyPem, ca: certificate?.certPem, requestCert: true }
		this.#server = kind === 'tcp' ? createServer(heard) : createTlsServer(pair, heard)
		return new Promise((resolve) => this.#server!.listen(port, address, resolve))
	}

	/** The process is gone between two messages. */
	die(): void {
		this.#server?.close()
		this.#server = undefined
		for (const socket of this.#sockets.values()) socket.destroy()
		this.#sockets.clear()
	}

	/** Connections break, and the process lives. */
	breakConnections(): void {
		for (const socket of this.#sockets.values()) socket.resetAndDestroy()
		this.#sockets.clear()
	}

	connect(agent: Pick<UserAgent, 'receive' | 'tick'>, now: () => number): void {
		this.#onMessage = (bytes, from) => agent.receive(bytes, from, now())
		this.#timer = setInterval(() => agent.tick(now()), TICK_MS)
	}

	async move(): Promise<Endpoint> {
		throw new Error('a PBX stays where it is')
	}

	readonly send = (bytes: Uint8Array, to: Endpoint): void => {
		if (this.#server === undefined) return
		const key = keyOf(to.address, to.port)
		const socket = this.#sockets.get(key) ?? this.#dial(to, key)
		socket.write(this.#asStream(Buffer.from(bytes).toString('latin1')), 'latin1')
	}

	close(): void {
		clearInterval(this.#timer)
		this.die()
	}

	/** The user agent knows UDP alone: its own Via and Contact say what they go by. */
	#asStream(text: string): string {
		const { kind, address, port } = this.#options
		const own = hostPort(address, port)
		return text
			.replace(`SIP/2.0/UDP ${own}`, `SIP/2.0/${kind.toUpperCase()} ${own}`)
			.replace(/^(Contact: <[^>]*)>/m, (whole, start) => (start.endsWith(own) ? `${start};transport=${kind}>` : whole))
	}

	#dial({ address: host, port }: Endpoint, key: string): Socket {
		this.dialled++
		const { kind, address: localAddress } = this.#options
		const tcp = connectTcp({ host, port, localAddress })
		const socket = kind === 'tcp' ? tcp : connectTls({ socket: tcp, rejectUnauthorized: false })
		this.#take(socket, key)
		return socket
	}

	#take(socket: Socket, key: string): void {
		this.#sockets.set(key, socket)
		const framer = new StreamFramer()
		const [address = '', port] = key.split('|')
		socket.on('data', (bytes: Buffer) => {
			framer.push(bytes)
			for (let frame = framer.next(); frame !== undefined; frame = framer.next())
				if (frame.kind === 'message' && !this.hangs) this.#onMessage(frame.bytes, { address, port: Number(port) })
		})
		socket.on('error', () => {})
		socket.on('close', () => {
			if (this.#sockets.get(key) === socket) this.#sockets.delete(key)
		})
	}
}
