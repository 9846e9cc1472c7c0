/** Datagrams between everybody: lost, late, twice, out of order, and through NATs that forget. */
import type { Endpoint } from '../../src/demo/dialog.ts'
import type { Agenda } from './agenda.ts'
import type { Chance } from './chance.ts'

/** How one side of the network treats datagrams; probabilities for each of them. */
export interface Weather {
	readonly loss: number
	readonly duplicate: number
	readonly delayMs: number
	readonly jitterMs: number
	/** Comes up to {@link STRAGGLER_MS} later than the rest. */
	readonly straggler: number
}

const STRAGGLER_MS = 3_000

export const CALM: Weather = { loss: 0, duplicate: 0, delayMs: 5, jitterMs: 0, straggler: 0 }

type Receive = (bytes: Uint8Array, from: Endpoint) => void

export class Network {
	/** Between the gateway and the PBX. */
	lan: Weather
	/** Between the gateway and everybody else. */
	wan: Weather
	readonly #agenda: Agenda
	readonly #chance: Chance
	readonly #receivers = new Map<string, Receive>()
	/** Inside address → what the outside sees, and back. */
	readonly #outside = new Map<string, Endpoint>()
	readonly #inside = new Map<string, string>()
	readonly #lanAddress: string
	/** When the last datagram between two endpoints comes, of those under way. */
	readonly #lastComes = new Map<string, number>()
	/** What it did to datagrams so far. */
	lost = 0
	duplicated = 0
	overtaken = 0

	constructor(agenda: Agenda, chance: Chance, lanAddress: string, lan: Weather, wan: Weather) {
		this.#agenda = agenda
		this.#chance = chance
		this.#lanAddress = lanAddress
		this.lan = lan
		this.wan = wan
	}

	/** `nat`: the public address of the NAT it is behind. */
	attach(endpoint: Endpoint, receive: Receive, nat?: string): void {
		this.#receivers.set(keyOf(endpoint), receive)
		if (nat !== undefined) this.#map(endpoint, nat)
	}

	detach(endpoint: Endpoint): void {
		const key = keyOf(endpoint)
		this.#receivers.delete(key)
		const outside = this.#outside.get(key)
		this.#outside.delete(key)
		if (outside !== undefined) this.#inside.delete(keyOf(outside))
	}

	/** The NAT forgets, and gives another port: false where there is none. */
	rebind(endpoint: Endpoint): boolean {
		const old = this.#outside.get(keyOf(endpoint))
		if (old === undefined) return false
		this.#inside.delete(keyOf(old))
		this.#map(endpoint, old.address)
		return true
	}

	/** What the outside sees of it. */
	seenAs(endpoint: Endpoint): Endpoint {
		return this.#outside.get(keyOf(endpoint)) ?? endpoint
	}

	send(bytes: Uint8Array, from: Endpoint, to: Endpoint): void {
		const weather = from.address === this.#lanAddress || to.address === this.#lanAddress ? this.lan : this.wan
		const source = this.seenAs(from)
		if (this.#chance.is(weather.loss)) this.lost++
		else this.#fly(bytes, source, to, weather)
		if (!this.#chance.is(weather.duplicate)) return
		this.duplicated++
		this.#fly(bytes, source, to, weather)
	}

	#fly(bytes: Uint8Array, from: Endpoint, to: Endpoint, weather: Weather): void {
		const late = this.#chance.is(weather.straggler) ? this.#chance.between(0, STRAGGLER_MS) : 0
		const delayMs = weather.delayMs + this.#chance.between(0, weather.jitterMs) + late
		this.#noteOrder(`${keyOf(from)} ${keyOf(to)}`, this.#agenda.now + delayMs)
		this.#agenda.after(delayMs, () => {
			const key = keyOf(to)
			this.#receivers.get(this.#inside.get(key) ?? key)?.(bytes, from)
		})
	}

	#noteOrder(path: string, comesAt: number): void {
		const last = this.#lastComes.get(path) ?? 0
		if (comesAt < last) this.overtaken++
		else this.#lastComes.set(path, comesAt)
	}

	#map(endpoint: Endpoint, nat: string): void {
		let outside: Endpoint
		do outside = { address: nat, port: this.#chance.between(20_000, 60_000) }
		while (this.#inside.has(keyOf(outside)))
		this.#outside.set(keyOf(endpoint), outside)
		this.#inside.set(keyOf(outside), keyOf(endpoint))
	}
}

export function keyOf({ address, port }: Endpoint): string {
	return `${address}|${port}`
}
