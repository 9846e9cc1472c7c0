/**
 * For a client that knows TCP alone and one connection in its life: whoever dials the relay speaks over the same connection
 * to the gateway, one after the other, and over TLS where that is wanted.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface RelayOptions {
	/** Where the gateway's connection comes from. */
	readonly from: string
	/** Port of the gateway. */
	readonly to: number
	readonly secure: boolean
}

export class Relay {
	readonly #server: Server
	readonly #far: Socket
	#near: Socket | undefined
	isClosed = false

	private constructor(far: Socket) {
		this.#far = far
		this.#server = createServer((near) => this.#take(near))
		far.on('data', (bytes) => this.#near?.write(bytes))
		far.on('error', () => {})
		far.on('close', () => {
			this.isClosed = true
		})
	}

	static async open({ from, to, secure }: RelayOptions): Promise<Relay> {
		const tcp = connect({ host: '127.0.0.1', port: to, localAddress: from })
		const relay = new Relay(secure ? connectTls({ socket: tcp, rejectUnauthorized: false }) : tcp)
		await new Promise<void>((resolve) => relay.#server.listen(0, '127.0.0.1', resolve))
		return relay
	}

	/** Where clients dial. */
	get port(): number {
		return (this.#server.address() as { port: number }).port
	}

	close(): void {
		this.#server.close()
		this.#near?.destroy()
		this.#far.destroy()
	}

	#take(near: Socket): void {
		this.#near = near
		near.on('data', (bytes) => this.#far.write(bytes))
		near.on('error', () => {})
	}
}
