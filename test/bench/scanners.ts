/** W4: junk at a fixed rate, since what is dropped has no end to wait for. */
import { PORTS } from './job.ts'
import { junk } from './messages.ts'

/** 127.0.0.66 and the next: scanners have addresses of their own. */
const FIRST_ADDRESS = 66
const SOURCES = 16
/** Different messages of each source, sent in turn. */
const MESSAGES = 300
const BATCH = 25
const TICK_MS = 1

export class Scanners {
	sent = 0
	readonly #rate: number
	#sockets: Bun.udp.Socket<'buffer'>[] = []
	readonly #batches: (Uint8Array | number | string)[][] = []
	#timer: ReturnType<typeof setInterval> | undefined
	#turn = 0

	constructor(rate: number) {
		this.#rate = rate
	}

	async open(): Promise<void> {
		for (let i = 0; i < SOURCES; i++) {
			const hostname = `127.0.0.${FIRST_ADDRESS + i}`
			const socket = await Bun.udpSocket({ hostname, port: 0, socket: { data() {}, error() {} } })
			this.#sockets.push(socket)
			for (let n = 0; n < MESSAGES; n += BATCH)
				this.#batches.push(
					Array.from({ length: BATCH }, (_, k) => [
						Buffer.from(junk(i * MESSAGES + n + k, hostname, socket.port), 'latin1'),
						PORTS.gateway,
						'127.0.0.1',
					]).flat(),
				)
		}
	}

	start(): void {
		const startedAt = performance.now()
		const before = this.sent
		this.#timer = setInterval(() => {
			const due = before + ((performance.now() - startedAt) * this.#rate) / 1000
			while (this.sent < due) this.#sendBatch()
		}, TICK_MS)
	}

	stop(): void {
		clearInterval(this.#timer)
	}

	close(): void {
		this.stop()
		for (const socket of this.#sockets) socket.close()
	}

	#sendBatch(): void {
		/* next source, and after all of them the next batch of each */
		const turn = this.#turn++
		const source = turn % SOURCES
		const batches = MESSAGES / BATCH
		const batch = this.#batches[source * batches + (Math.floor(turn / SOURCES) % batches)]!
		this.sent += this.#sockets[source]!.sendMany(batch as never)
	}
}
