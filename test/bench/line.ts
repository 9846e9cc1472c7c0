/** A UDP socket of the generator: texts in, and texts out in batches. */
import { setReceiveBuffer } from '../../src/transport/libc.ts'

/** Six thousand messages: what the gateway sends in one turn must not be lost here and be held against it. */
const RECEIVE_BUFFER_BYTES = 4 << 20
/** Beyond this the batch goes out in the middle of a turn, so that the gateway need not wait for the end of it. */
const BATCH = 16

export class Line {
	readonly port: number
	readonly #socket: Bun.udp.Socket<'buffer'>
	/** text, port, address, text, port, address, … as sendMany wants it. */
	#waiting: (string | number)[] = []
	#due = false

	private constructor(socket: Bun.udp.Socket<'buffer'>) {
		this.#socket = socket
		this.port = socket.port
		setReceiveBuffer((socket as unknown as { fd: number }).fd, RECEIVE_BUFFER_BYTES)
	}

	static async open(address: string, port: number, onText: (text: string, from: number) => void): Promise<Line> {
		const socket = await Bun.udpSocket({
			hostname: address,
			port,
			socket: {
				data: (_, bytes, from) => onText(bytes.toString('latin1'), from),
				error() {},
			},
		})
		return new Line(socket)
	}

	send(text: string, port: number): void {
		this.#waiting.push(text, port, '127.0.0.1')
		if (this.#waiting.length >= 3 * BATCH) this.#flush()
		else if (!this.#due) {
			this.#due = true
			setImmediate(this.#flushLater)
		}
	}

	close(): void {
		this.#socket.close()
	}

	readonly #flushLater = (): void => {
		this.#due = false
		this.#flush()
	}

	#flush(): void {
		const batch = this.#waiting
		if (batch.length === 0) return
		const sent = this.#socket.sendMany(batch as never)
		this.#waiting = 3 * sent >= batch.length ? [] : batch.slice(3 * sent)
		if (this.#waiting.length > 0 && !this.#due) {
			this.#due = true
			setImmediate(this.#flushLater)
		}
	}
}
