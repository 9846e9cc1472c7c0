/**
 * Connections of phones to the gateway (TCP, TLS, WebSocket). Nothing in them is lost, doubled or overtaken, but they end in many
 * ways, with messages under way, and not everybody is told. The gateway opens none.
 */

import type { Flow } from '../../src/core/model.ts'
import type { Transport } from '../../src/core/settings.ts'
import type { Endpoint } from '../../src/demo/dialog.ts'
import type { Agenda } from './agenda.ts'
import type { Chance } from './chance.ts'
import type { Weather } from './network.ts'

/** How phones come; the gateway has a listener for each. */
export type PhoneTransport = Extract<Transport, 'UDP' | 'TLS' | 'WS'>
export const LISTENERS = { UDP: 0, TLS: 1, WS: 2 } as const satisfies Record<PhoneTransport, number>

/** Ports of connections, apart from those NATs give to datagrams: each connection of a run has its own. */
const FIRST_PORT = 60_001

/** A lost segment is sent again after this. */
const AGAIN_MS = [200, 1_000] as const

/** Handshakes are over, and a first message is there, this many ways later. */
const OPENING_WAYS = 3

/** A far end that is gone without a word is noticed after this, by what was sent there and by TCP_USER_TIMEOUT. */
const NOTICED_MS = [1_000, 32_000] as const

/** One that was silent for longer is given up. */
const GIVEN_UP_MS = 20_000

/** Messages that an end which reads nothing takes before the transport calls it a slow reader. */
const UNREAD = [4, 40] as const

/** Now and then one ends soon after something was said by it, or in the moment when that is being dealt with. */
const UNLUCKY = 0.04
const UNLUCKY_MS = [5, 400] as const
const DEALT_WITH_MS = [0, 8] as const

/** The phone's end. */
export interface StreamEnd {
	isReading(): boolean
	hear(bytes: Uint8Array): void
	/** It is closed, by the other side or on the way. */
	lost(): void
}

export interface Stream {
	readonly flow: Flow
	readonly end: StreamEnd
	readonly roomFor: number
	/** The gateway has it. */
	isOpen: boolean
	/** The phone has it. */
	isHeard: boolean
	/** Nothing comes through any more. */
	isTorn: boolean
	unread: number
	/** When the last octet comes, each way. */
	up: number
	down: number
}

export interface StreamGateway {
	/** False: it is not there. */
	message(flow: Flow, bytes: Uint8Array): boolean
	/** Octets that are no SIP. */
	garbled(flow: Flow, bytes: Uint8Array): boolean
	closed(flow: Flow): void
}

export class Streams {
	readonly #agenda: Agenda
	readonly #open = new Map<string, Stream>()
	#chance!: Chance
	#gateway!: StreamGateway
	#weather!: () => Weather
	readonly #owners = new Map<number, string>()
	#opened = 0
	#numbered = 0
	/** How many ended, and how. */
	readonly ends = { byPhone: 0, byGateway: 0, left: 0, torn: 0, reset: 0, garbled: 0, unread: 0, killed: 0, refused: 0 }
	stalls = 0
	/** Nothing ends by accident any more. */
	isCalm = false

	constructor(agenda: Agenda) {
		this.#agenda = agenda
	}

	begin(chance: Chance, gateway: StreamGateway, weather: () => Weather): void {
		this.#chance = chance
		this.#gateway = gateway
		this.#weather = weather
	}

	open(transport: Exclude<PhoneTransport, 'UDP'>, address: string, owner: string, end: StreamEnd): Stream {
		const listener = LISTENERS[transport]
		const port = FIRST_PORT + this.#opened++
		const key = `${listener}|${address}|${port}|${++this.#numbered}`
		const { now } = this.#agenda
		const stream: Stream = {
			flow: { key, listener, address, port },
			end,
			roomFor: this.#chance.between(...UNREAD),
			...{ isOpen: true, isHeard: true, isTorn: false, unread: 0, up: now, down: now },
		}
		for (let way = 0; way < OPENING_WAYS; way++) stream.up += this.#delay()
		this.#open.set(key, stream)
		this.#owners.set(port, owner)
		return stream
	}

	/** Who opened it. */
	ownerOf({ port }: Endpoint): string | undefined {
		return this.#owners.get(port)
	}

	fromPhone(stream: Stream, bytes: Uint8Array): void {
		this.#up(stream, () => this.#gateway.message(stream.flow, bytes))
		if (!this.isCalm && this.#chance.is(UNLUCKY)) this.#endSoon(stream)
	}

	/** The framing is lost by it, and the gateway's transport closes the connection. */
	garble(stream: Stream, bytes: Uint8Array): void {
		this.#up(stream, () => {
			if (!this.#gateway.garbled(stream.flow, bytes)) return false
			this.ends.garbled++
			if (stream.isOpen) this.#cut(stream)
			return true
		})
	}

	toPhone(key: string, bytes: Uint8Array): void {
		const stream = this.#open.get(key)
		if (stream === undefined || stream.isTorn) return
		const { end } = stream
		if (!end.isReading() && ++stream.unread > stream.roomFor) {
			this.ends.unread++
			return this.#cut(stream)
		}
		if (end.isReading()) stream.unread = 0
		stream.down = Math.max(stream.down, this.#agenda.now + this.#delay())
		this.#agenda.at(stream.down, () => {
			if (stream.isHeard && !stream.isTorn) end.hear(bytes)
		})
	}

	/** What was sent goes out before. */
	closeByGateway(key: string): void {
		const stream = this.#open.get(key)
		if (stream === undefined) return
		this.ends.byGateway++
		this.#cut(stream)
	}

	closeByPhone(stream: Stream): void {
		stream.isHeard = false
		if (!stream.isOpen) return
		this.ends.byPhone++
		stream.up = Math.max(stream.up, this.#agenda.now + this.#delay())
		this.#agenda.at(stream.up, () => this.#gone(stream))
	}

	/** The phone is where the connection does not lead: nobody is told, and the gateway finds out some time. */
	leave(stream: Stream): void {
		stream.isHeard = false
		this.ends.left++
		this.#notice(stream)
	}

	/** A NAT on the way forgets it: octets vanish, and each end finds out some time. */
	tear(stream: Stream): void {
		stream.isTorn = true
		this.ends.torn++
		this.#notice(stream)
		this.#agenda.after(this.#chance.between(...NOTICED_MS), () => this.#lose(stream))
	}

	/** Somebody on the way ends it, with all that is under way; the gateway hears of it so much later. */
	reset(stream: Stream, ms = this.#delay()): void {
		if (!stream.isOpen || stream.isTorn) return
		stream.isTorn = true
		this.ends.reset++
		this.#agenda.after(ms, () => this.#gone(stream))
		this.#agenda.after(this.#delay(), () => this.#lose(stream))
	}

	/** A tunnel: nothing comes through for a while, and then all of it; or the gateway has given it up. */
	stall(stream: Stream, ms: number): void {
		const until = this.#agenda.now + ms
		this.stalls++
		stream.up = Math.max(stream.up, until)
		stream.down = Math.max(stream.down, until)
		if (ms > GIVEN_UP_MS) this.#agenda.after(GIVEN_UP_MS, () => this.#gone(stream))
	}

	/** The gateway's process has ended. */
	cutAll(): void {
		for (const stream of this.#open.values()) {
			this.ends.killed++
			stream.isOpen = false
			this.#farewell(stream)
		}
		this.#open.clear()
		this.#numbered = 0
	}

	#endSoon(stream: Stream): void {
		if (this.#chance.is(0.5)) this.#agenda.after(this.#chance.between(...UNLUCKY_MS), () => this.reset(stream))
		else this.#agenda.at(stream.up + this.#chance.between(...DEALT_WITH_MS), () => this.reset(stream, 0))
	}

	#up(stream: Stream, arrive: () => boolean): void {
		stream.up = Math.max(stream.up, this.#agenda.now + this.#delay())
		this.#agenda.at(stream.up, () => {
			if (stream.isTorn || (stream.isOpen && arrive())) return
			if (stream.isOpen) this.ends.refused++
			this.#shut(stream)
			this.#lose(stream)
		})
	}

	/** The gateway has it no more, and is told in a moment, as src/transport/connections.ts has it. */
	#cut(stream: Stream): void {
		this.#shut(stream)
		this.#farewell(stream)
		this.#agenda.after(0, () => this.#gateway.closed(stream.flow))
	}

	#farewell(stream: Stream): void {
		stream.down = Math.max(stream.down, this.#agenda.now + this.#delay())
		if (!stream.isTorn) this.#agenda.at(stream.down, () => this.#lose(stream))
	}

	#notice(stream: Stream): void {
		this.#agenda.after(this.#chance.between(...NOTICED_MS), () => this.#gone(stream))
	}

	#gone(stream: Stream): void {
		if (!stream.isOpen) return
		this.#shut(stream)
		this.#gateway.closed(stream.flow)
	}

	#shut(stream: Stream): void {
		stream.isOpen = false
		this.#open.delete(stream.flow.key)
	}

	#lose(stream: Stream): void {
		if (!stream.isHeard) return
		stream.isHeard = false
		stream.end.lost()
	}

	#delay(): number {
		const { delayMs, jitterMs, loss } = this.#weather()
		const again = this.#chance.is(loss) ? this.#chance.between(...AGAIN_MS) : 0
		return delayMs + this.#chance.between(0, jitterMs) + again
	}
}

/** Is it a connection? They have ports of their own. */
export function isStream({ port }: Endpoint): boolean {
	return port >= FIRST_PORT
}
