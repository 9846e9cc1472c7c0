/** A wire in memory under a fake clock: datagrams arrive after a fixed delay, unless `loses` says they are lost. */
import type { Endpoint } from '../../src/demo/dialog.ts'
import type { UaEvent } from '../../src/demo/party.ts'
import { Pbx, type PbxOptions } from '../../src/demo/pbx.ts'
import { Phone, type PhoneOptions } from '../../src/demo/phone.ts'
import type { UserAgent } from '../../src/demo/ua.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { parse } from '../../src/sip/parse.ts'

export const PBX: Endpoint = { address: '127.0.0.10', port: 5060 }
export const PHONE: Endpoint = { address: '127.0.0.21', port: 5080 }
const DELAY_MS = 10

interface Datagram {
	readonly at: number
	readonly bytes: Uint8Array
	readonly from: Endpoint
	readonly to: Endpoint
}

export class Wire {
	now = 1_000_000
	loses: (message: SipMessage, from: Endpoint) => boolean = () => false
	readonly #agents: UserAgent[] = []
	#flying: Datagram[] = []

	attach(agent: UserAgent): void {
		this.#agents.push(agent)
	}

	readonly send = (bytes: Uint8Array, to: Endpoint, from: Endpoint): void => {
		if (!this.loses(parse(bytes), from)) this.#flying.push({ at: this.now + DELAY_MS, bytes, from, to })
	}

	/** Lets so much time go by. */
	run(ms: number): void {
		const until = this.now + ms
		for (let next = this.#next(); next <= until; next = this.#next()) {
			this.now = Math.max(next, this.now)
			for (const agent of this.#agents) agent.tick(this.now)
			const due = this.#flying.filter((datagram) => datagram.at <= this.now)
			this.#flying = this.#flying.filter((datagram) => datagram.at > this.now)
			for (const { bytes, from, to } of due) this.#at(to)?.receive(bytes, from, this.now)
		}
		this.now = until
	}

	#next(): number {
		const deadlines = this.#agents.map((agent) => agent.nextDeadline() ?? Number.POSITIVE_INFINITY)
		return Math.min(...deadlines, ...this.#flying.map(({ at }) => at))
	}

	#at(to: Endpoint): UserAgent | undefined {
		return this.#agents.find(({ address: { address, port } }) => address === to.address && port === to.port)
	}
}

/** The same numbers in each run (mulberry32). */
export function seeded(seed: number): () => number {
	let state = seed
	return () => {
		state = (state + 0x6d2b79f5) | 0
		let t = Math.imul(state ^ (state >>> 15), 1 | state)
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296
	}
}

/** A PBX and a phone of agent 1001 on one wire, the phone as if the PBX were its gateway. */
export function pair(options: { phone?: Partial<PhoneOptions>; pbx?: Partial<PbxOptions> } = {}) {
	const wire = new Wire()
	const phoneEvents: UaEvent[] = []
	const pbxEvents: UaEvent[] = []
	const pbx = new Pbx({
		self: PBX,
		product: 'Test PBX',
		random: seeded(1),
		send: wire.send,
		onEvent: (event) => pbxEvents.push(event),
		domain: 'pbx.example',
		agents: new Map([['1001', 'secret']]),
		...options.pbx,
	})
	const phone = new Phone({
		self: PHONE,
		product: 'Test phone',
		random: seeded(2),
		send: wire.send,
		onEvent: (event) => phoneEvents.push(event),
		agent: '1001',
		domain: 'pbx.example',
		password: 'secret',
		gateway: PBX,
		instance: 'urn:uuid:14c0b9a6-5529-4c86-b8eb-634ef579fc35',
		push: { dialect: 'rfc8599', provider: 'apns', param: 'TEAM.com.example.voip', prid: 'ab12:voip' },
		expiresSec: 600,
		...options.phone,
	})
	wire.attach(pbx)
	wire.attach(phone)
	return { wire, pbx, phone, pbxEvents, phoneEvents }
}

/** The same, registered. */
export function registeredPair(options: Parameters<typeof pair>[0] = {}) {
	const all = pair(options)
	all.phone.register(all.wire.now)
	all.wire.run(200)
	return all
}

export const types = (events: readonly UaEvent[]): string[] => events.map((event) => event.type)

/** Start lines of one direction, `INVITE` or `180 INVITE`. */
export function traffic(agent: UserAgent, direction: 'in' | 'out'): string[] {
	return agent.recorded
		.filter((entry) => entry.direction === direction)
		.map(({ message }) => (message.method === '' ? `${message.status} ${message.cseqMethod}` : message.method))
}
