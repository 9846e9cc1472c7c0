/** Every transport behind one face: a listener, and far ends that say SIP messages to it and hear them. */
import type { Flow } from '../../src/core/model.ts'
import type { StreamKind, StreamListener } from '../../src/transport/stream.ts'
import { bytesOf, listen, peer } from './loopback.ts'
import { dial, Ear, KINDS, listenStream, unwrap, wrap } from './streams.ts'

export type RoadKind = 'udp' | StreamKind
export const ROADS: readonly RoadKind[] = ['udp', ...KINDS]

export interface RoadOptions {
	/** Of its flows; 0 unless told. */
	readonly index?: number
	readonly address?: string
	readonly port?: number
	/** False: what comes from there is not heard. */
	readonly admit?: (address: string, port: number) => boolean
}

export interface FarEnd {
	readonly port: number
	say(message: string): void
	/** All that came, one message after the other. */
	heard(): string
	/** Without a word. */
	leave(): void
}

export interface Road {
	readonly port: number
	readonly ear: Ear
	send(flow: Flow, message: string): void
	/** Sends and failed sends, of all far ends. */
	readonly stats: { readonly sent: number; readonly sendFailed: number }
	call(): Promise<FarEnd>
	stop(): void
}

/** Rejects with the sentence where it cannot be opened. Whatever it opens is closed after the test. */
export function openRoad(kind: RoadKind, options: RoadOptions = {}): Promise<Road> {
	return kind === 'udp' ? openUdp(options) : openStream(kind, options)
}

async function openUdp(options: RoadOptions): Promise<Road> {
	const ear = new Ear()
	const { address = '127.0.0.1' } = options
	const { listener } = await listen({ ...options, onDatagram: ear.onMessage, onError: ear.onError })
	return {
		...{ port: listener.port, ear, stats: listener.stats },
		send: (flow, message) => listener.send(flow.address, flow.port, bytesOf(message)),
		call: async () => {
			const host = address === '::' ? '::1' : address
			const { socket, texts, port } = await peer(host)
			return {
				port,
				say: (message) => void socket.send(bytesOf(message), listener.port, host),
				heard: () => texts.join(''),
				leave: () => socket.close(),
			}
		},
		stop: () => listener.close(),
	}
}

async function openStream(kind: StreamKind, options: RoadOptions): Promise<Road> {
	const { listener, ear } = await listenStream(kind, options)
	return {
		...{ port: listener.port, ear, stats: listener.stats },
		send: ({ key }, message) => void listener.send(key, bytesOf(message)),
		call: () => callStream(kind, listener, options.address),
		stop: () => listener.stop(),
	}
}

async function callStream(kind: StreamKind, listener: StreamListener, address = '127.0.0.1'): Promise<FarEnd> {
	const client = await dial(listener, { address: address === '::' ? '::1' : address })
	return {
		port: client.socket.localPort ?? 0,
		say: (message) => client.write(wrap(kind, message)),
		heard: () => unwrap(kind, client),
		leave: () => client.socket.destroy(),
	}
}
