/** A phone's connection as the phone has it: opened when there is something to say, lost, and opened anew. */
import type { Endpoint } from '../../src/demo/dialog.ts'
import type { Chance } from './chance.ts'
import type { PhoneTransport, Stream, StreamEnd, Streams } from './streams.ts'

/** How long nothing comes through in a tunnel: a moment, or until the connection is given up. */
const TUNNEL_MS = [
	[300, 3_000],
	[3_000, 28_000],
] as const

export interface LineParts extends StreamEnd {
	readonly streams: Streams
	readonly chance: Chance
	readonly transport: Exclude<PhoneTransport, 'UDP'>
	/** As the outside sees it. */
	readonly address: string
	/** Whose it is. */
	readonly owner: string
}

export class Line {
	readonly #parts: LineParts
	#stream: Stream | undefined = undefined

	constructor(parts: LineParts) {
		this.#parts = parts
	}

	/** What the outside sees of it, while there is one. */
	get seenAs(): Endpoint | undefined {
		return this.#stream?.flow
	}

	say(bytes: Uint8Array): void {
		this.#stream ??= this.#open()
		this.#parts.streams.fromPhone(this.#stream, bytes)
	}

	/** It says that it goes. */
	hangUp(): void {
		if (this.#stream !== undefined) this.#parts.streams.closeByPhone(this.#stream)
		this.#stream = undefined
	}

	/** It goes without a word. */
	leave(): void {
		if (this.#stream !== undefined) this.#parts.streams.leave(this.#stream)
		this.#stream = undefined
	}

	/** Somebody on the way ends it. */
	drop(): void {
		if (this.#stream !== undefined) this.#parts.streams.reset(this.#stream)
	}

	/** What becomes of connections on mobile networks. */
	disturb(): void {
		const { chance, streams } = this.#parts
		const how = chance.one(['tear', 'reset', 'stall', 'stall', 'garble'] as const)
		const stream = this.#stream
		if (stream === undefined) return
		switch (how) {
			case 'tear':
				return streams.tear(stream)
			case 'reset':
				return streams.reset(stream)
			case 'stall':
				return streams.stall(stream, chance.between(...chance.one<readonly [number, number]>(TUNNEL_MS)))
			case 'garble':
				return streams.garble(stream, new TextEncoder().encode('\0\0\0\0'))
		}
	}

	#open(): Stream {
		const { streams, transport, address, owner, hear, lost } = this.#parts
		const stream: Stream = streams.open(transport, address, owner, {
			isReading: () => this.#parts.isReading(),
			hear,
			lost: () => {
				if (this.#stream !== stream) return
				this.#stream = undefined
				lost()
			},
		})
		return stream
	}
}
