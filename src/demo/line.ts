/** A user agent's UDP socket, which can be exchanged for one on another address as a phone changes its network. */
import type { Endpoint } from './dialog.ts'
import type { UserAgent } from './ua.ts'

type Socket = Bun.udp.Socket<'uint8array'>

/** How late a retransmission may be: a fiftieth of the shortest one (T1). */
const TICK_MS = 10

export class Line {
	#socket: Socket
	#onDatagram: (bytes: Uint8Array, from: Endpoint) => void = () => {}
	#timer: ReturnType<typeof setInterval> | undefined

	private constructor(socket: Socket) {
		this.#socket = socket
	}

	/** Rejects where the machine has no such address. */
	static async open(address: string): Promise<Line> {
		const line: Line = new Line(await bind(address, (bytes, from) => line.#onDatagram(bytes, from)))
		return line
	}

	get endpoint(): Endpoint {
		return { address: this.#socket.hostname, port: this.#socket.port }
	}

	/** Lets the agent hear and act. `now`: ms. */
	connect(agent: UserAgent, now: () => number): void {
		this.#onDatagram = (bytes, from) => agent.receive(bytes, from, now())
		this.#timer = setInterval(() => agent.tick(now()), TICK_MS)
	}

	/** A new socket; the old one is closed, and what was on its way to it is lost. */
	async move(address: string): Promise<Endpoint> {
		const old = this.#socket
		this.#socket = await bind(address, (bytes, from) => this.#onDatagram(bytes, from))
		old.close()
		return this.endpoint
	}

	/** A datagram that cannot leave is a lost one: SIP repeats it. */
	readonly send = (bytes: Uint8Array, to: Endpoint): void => {
		try {
			this.#socket.send(bytes, to.port, to.address)
		} catch {}
	}

	close(): void {
		clearInterval(this.#timer)
		this.#socket.close()
	}
}

function bind(address: string, onDatagram: (bytes: Uint8Array, from: Endpoint) => void): Promise<Socket> {
	return Bun.udpSocket({
		hostname: address,
		port: 0,
		binaryType: 'uint8array',
		socket: {
			data: (_socket, bytes, port, from) => onDatagram(bytes, { address: from, port }),
			// Without it an ICMP "port unreachable" ends the process.
			error: () => {},
		},
	})
}
