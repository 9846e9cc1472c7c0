/** Strangers with a TCP connection each, from addresses of their own. */
import { connect, createServer, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export class Crowd {
	readonly #sockets: Socket[] = []
	closed = 0
	/** What came, of all together. */
	heard = ''

	/** So many from each address, who say that at once. Resolves when all are connected, or were turned away. */
	static async open(port: number, addresses: readonly string[], each: number, says = ''): Promise<Crowd> {
		const crowd = new Crowd()
		const all = addresses.flatMap((address) => Array.from({ length: each }, () => crowd.#dial(port, address, says)))
		await Promise.all(all)
		return crowd
	}

	get size(): number {
		return this.#sockets.length
	}

	say(text: string): void {
		for (const socket of this.#sockets) if (!socket.destroyed) socket.write(text, 'latin1')
	}

	close(): void {
		for (const socket of this.#sockets) socket.destroy()
	}

	#dial(port: number, localAddress: string, says: string): Promise<void> {
		const socket = connect({ host: '127.0.0.1', port, localAddress })
		this.#sockets.push(socket)
		socket.on('error', () => {})
		socket.on('data', (bytes) => {
			this.heard += bytes.toString('latin1')
		})
		return new Promise((resolve) => {
			socket.once('connect', () => {
				if (says !== '') socket.write(says, 'latin1')
				resolve()
			})
			socket.once('close', () => {
				this.closed++
				resolve()
			})
		})
	}
}

/** What a TLS client says first. */
export function clientHello(): Promise<string> {
	return new Promise((resolve) => {
		const server = createServer((socket) => {
			socket.on('error', () => {})
			socket.once('data', (bytes) => {
				resolve(bytes.toString('latin1'))
				socket.destroy()
				server.close()
			})
		})
		server.listen(0, '127.0.0.1', () => {
			const { port } = server.address() as { port: number }
			connectTls({ host: '127.0.0.1', port, servername: 'gw.example', rejectUnauthorized: false }).on('error', () => {})
		})
	})
}

/** A request of a stranger; `rows` stand behind those every request has. */
export function stranger(method: string, user: string, ...rows: readonly string[]): string {
	const id = Math.random().toString(36).slice(2)
	const address = `<sip:${user}@pbx.example>`
	return [
		`${method} sip:pbx.example SIP/2.0`,
		`Via: SIP/2.0/TCP 192.0.2.9:5060;rport;branch=z9hG4bK${id}`,
		'Max-Forwards: 70',
		`From: ${address};tag=${id}`,
		`To: ${address}`,
		`Call-ID: ${id}`,
		`CSeq: 1 ${method}`,
		`Contact: <sip:${user}@192.0.2.9:5060>`,
		...rows,
		'Content-Length: 0',
		'\r\n',
	].join('\r\n')
}
