/** Real sockets on this machine, closed after each test of the file that imports this. */
import { afterEach } from 'bun:test'
import type { Flow } from '../../src/core/model.ts'
import { openUdpListener, type UdpListener, type UdpOptions } from '../../src/transport/udp.ts'

export interface Received {
	readonly flow: Flow
	readonly bytes: Uint8Array
}

export interface Opened {
	readonly listener: UdpListener
	readonly received: Received[]
	readonly errors: string[]
}

const open: { close(): void }[] = []
afterEach(() => {
	for (const socket of open.splice(0)) socket.close()
})

export async function listen(options: Partial<UdpOptions> = {}): Promise<Opened> {
	const received: Received[] = []
	const errors: string[] = []
	const listener = await openUdpListener({
		index: 0,
		address: '127.0.0.1',
		port: 0,
		onDatagram: (flow, bytes) => received.push({ flow, bytes }),
		onError: (sentence) => errors.push(sentence),
		...options,
	})
	if (typeof listener === 'string') throw new Error(listener)
	open.push(listener)
	return { listener, received, errors }
}

/** A socket of the runtime, which knows nothing of the code under test. */
export async function peer(hostname = '127.0.0.1', port = 0) {
	const texts: string[] = []
	const from: number[] = []
	const socket = await Bun.udpSocket({
		hostname,
		port,
		socket: {
			data(_, bytes, sourcePort) {
				texts.push(bytes.toString('latin1'))
				from.push(sourcePort)
			},
			error() {},
		},
	})
	open.push(socket)
	return { socket, texts, from, port: socket.port }
}

/** Waits for what other sockets do; true as soon as it holds, false after two seconds, or so many ms. */
export async function holds(condition: () => boolean, withinMs = 2000): Promise<boolean> {
	for (const end = performance.now() + withinMs; performance.now() < end; await Bun.sleep(2))
		if (condition()) return true
	return condition()
}

export const bytesOf = (text: string) => new TextEncoder().encode(text)
