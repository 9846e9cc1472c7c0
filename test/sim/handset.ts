/** A phone of the simulated world: src/demo's strict user agent, a hand that uses it, and an operating system that freezes it. */
import type { DeviceRecord } from '../../src/core/model.ts'
import type { Endpoint } from '../../src/demo/dialog.ts'
import type { Call, UaEvent } from '../../src/demo/party.ts'
import { Phone, type PushDialect } from '../../src/demo/phone.ts'
import type { Agenda } from './agenda.ts'
import type { Chance } from './chance.ts'
import { Driver } from './driver.ts'
import { Line } from './line.ts'
import type { LinkPlan } from './links.ts'
import type { Network } from './network.ts'
import type { PhoneTransport, Streams } from './streams.ts'

/** What it does when a push arrives. */
export type Waking = 'in-place' | 'elsewhere' | 'relaunched' | 'never' | 'thrice'

export interface HandsetPlan {
	/** For the ladder: `1001/2`. */
	readonly name: string
	readonly agent: string
	readonly domain: string
	readonly password: string
	readonly self: Endpoint
	/** Public address of its NAT. */
	readonly nat: string | undefined
	readonly gateway: Endpoint
	readonly transport: PhoneTransport
	readonly instance: string | undefined
	/** '' where it has none. */
	readonly token: string
	/** The one for all that is no call; '' where it has none. */
	readonly ordinary: string
	readonly push: PushDialect
	readonly expiresSec: number
	readonly expiresIn: 'header' | 'contact'
	/** A 100 goes out before its 180; each may be lost by itself. */
	readonly saysTrying: boolean
	/** Pushes to it do this, by turns. */
	readonly wakings: readonly Waking[]
	/** What its app does with the address in a push, by turns; none: nothing. */
	readonly links: readonly LinkPlan[]
	/** What becomes of the calls that ring here, by turns. */
	readonly manners: readonly Manner[]
}

export type Manner =
	| { readonly kind: 'answer'; readonly afterMs: number; readonly talkMs: number }
	| { readonly kind: 'decline'; readonly afterMs: number; readonly status: number }
	| { readonly kind: 'ignore' }

/** A user agent tries again this long after it was refused, as somebody looking at it would. */
const RETRY_MS = 7_000

/** An app that is awake connects anew this long after it lost its connection. */
const RECONNECT_MS = 500

/** Three REGISTERs after one push come this far apart (linphone-iphone issue 853). */
const THRICE_MS = 40

/** Noted when a push arrives, in front of its id. */
export const DELIVERED = 'is pushed to by'

export class Handset {
	readonly plan: HandsetPlan
	readonly phone: Phone
	readonly #driver: Driver
	readonly #agenda: Agenda
	readonly #chance: Chance
	readonly #network: Network
	readonly #note: (who: string, text: string) => void
	/** Its connection; undefined where it comes by datagrams. */
	readonly #line: Line | undefined
	#reconnectedAt = 0
	#isReconnecting = false
	/** It signed off, and does not come back by itself. */
	#isOff = false
	#at: Endpoint
	/** It slept at the end, so that nothing could tell it that a call is over. */
	wasAsleep = false
	#pushes = 0
	#rung = 0
	/** It has been switched off for good, or the run is over. */
	#idle = false
	/** Reason of each CANCEL that ended a call here. */
	readonly cancelReasons: { readonly call: Call; readonly reason: string; readonly at: number }[] = []

	constructor(
		plan: HandsetPlan,
		agenda: Agenda,
		chance: Chance,
		network: Network,
		streams: Streams,
		note: (who: string, text: string) => void,
	) {
		this.plan = plan
		this.#agenda = agenda
		this.#chance = chance
		this.#network = network
		this.#note = note
		this.#at = plan.self
		this.phone = new Phone({
			...plan,
			product: 'Simulated phone',
			random: chance.random,
			...(plan.transport !== 'UDP' && { buffered: Number.POSITIVE_INFINITY }),
			send: (bytes) => this.say(bytes),
			onEvent: (event) => this.#on(event),
		})
		this.#driver = new Driver(agenda, this.phone)
		this.#line = this.#makeLine(streams)
		this.#attach()
	}

	get endpoint(): Endpoint {
		return this.#at
	}

	/** What the outside sees of it. */
	get seenAs(): Endpoint {
		return this.#line?.seenAs ?? this.#network.seenAs(this.#at)
	}

	/** By the flow it has. */
	say(bytes: Uint8Array): void {
		if (this.#line !== undefined) this.#line.say(bytes)
		else this.#network.send(bytes, this.#at, this.plan.gateway)
	}

	act(text: string, what: (phone: Phone, now: number) => void): void {
		this.#note(this.plan.name, text)
		this.#driver.act((now) => what(this.phone, now))
	}

	register(): void {
		this.#isOff = false
		if (!this.phone.asleep && !this.#idle) this.act('registers', (phone, now) => phone.register(now))
	}

	unregister(): void {
		if (this.phone.asleep) return
		this.#isOff = true
		this.act('unregisters', (phone, now) => phone.unregister(now))
	}

	sleep(): void {
		this.act('falls asleep', (phone) => phone.sleep())
		/* the system may close what a frozen app has open */
		if (this.#line !== undefined && this.#chance.is(0.3)) this.#line.hangUp()
	}

	/** It runs again, or was awake all the time, and registers. */
	wake(how: Waking): void {
		if (how === 'never' || this.#idle) return
		this.#isOff = false
		if (how === 'relaunched') this.#line?.hangUp()
		const to = how === 'elsewhere' ? this.#newAddress() : this.#at
		this.act(`wakes ${how}`, (phone, now) => phone.wake(now, to, how === 'relaunched'))
		if (how !== 'thrice') return
		for (const nth of [1, 2]) this.#agenda.after(nth * THRICE_MS, () => this.register())
	}

	/** The push service delivers. */
	pushed(pushId: string): void {
		const how = this.plan.wakings[this.#pushes++ % this.plan.wakings.length]!
		this.#note(this.plan.name, `${DELIVERED} ${pushId}${how === 'never' ? ', and does not wake' : ''}`)
		this.wake(how)
	}

	/** Its connection, where it has one, ends. */
	drop(): void {
		this.#line?.drop()
	}

	/** Its NAT, or its network, lets it down. */
	rebind(): void {
		if (this.#line !== undefined) this.#line.disturb()
		else if (this.#network.rebind(this.#at)) this.#note(this.plan.name, 'gets another port of its NAT')
	}

	/** Nothing of it happens by itself any more. */
	retire(): void {
		this.#idle = true
		this.wasAsleep = this.phone.asleep
		if (this.phone.asleep) return
		const call = this.phone.calls.current
		if (call !== undefined) this.act('hangs up', (phone, now) => phone.hangup(now))
	}

	#newAddress(): Endpoint {
		this.#network.detach(this.#at)
		/* a network that ends by itself can still say so */
		if (this.#line !== undefined && this.#chance.is(0.2)) this.#line.hangUp()
		else this.#line?.leave()
		this.#at = { address: this.#at.address, port: this.#chance.between(1_025, 60_000) }
		this.#attach()
		return this.#at
	}

	#makeLine(streams: Streams): Line | undefined {
		const { transport, nat, gateway } = this.plan
		if (transport === 'UDP') return undefined
		return new Line({
			...{ streams, chance: this.#chance, transport, address: nat ?? this.#at.address },
			owner: this.plan.name,
			isReading: () => !this.phone.asleep,
			hear: (bytes) => this.#driver.act((now) => this.phone.receive(bytes, gateway, now)),
			lost: () => {
				this.#note(this.plan.name, 'loses its connection')
				this.#reconnect()
			},
		})
	}

	/** At once the first time, and then with patience: whoever is banned is turned out each time. */
	#reconnect(): void {
		if (this.#isReconnecting) return
		const { now } = this.#agenda
		this.#isReconnecting = true
		this.#agenda.after(now - this.#reconnectedAt < RETRY_MS ? RETRY_MS : RECONNECT_MS, () => {
			this.#isReconnecting = false
			this.#reconnectedAt = this.#agenda.now
			/* until it is switched off, even when it begins nothing new */
			if (!this.#isOff && !this.phone.asleep) this.act('registers', (phone, now) => phone.register(now))
		})
	}

	#attach(): void {
		if (this.#line !== undefined) return
		this.#network.attach(
			this.#at,
			(bytes, from) => this.#driver.act((now) => this.phone.receive(bytes, from, now)),
			this.plan.nat,
		)
	}

	#on(event: UaEvent): void {
		if (event.type === 'incoming') this.#ring(event.call)
		else if (event.type === 'cancelled')
			this.cancelReasons.push({ call: event.call, reason: event.reason, at: event.at })
		else if (event.type === 'refused') this.#agenda.after(RETRY_MS, () => this.register())
	}

	#ring(call: Call): void {
		const manner = this.plan.manners[this.#rung++ % this.plan.manners.length]!
		if (manner.kind === 'ignore') return
		this.#agenda.after(manner.afterMs, () => {
			if (this.phone.asleep || call.state !== 'ringing') return
			if (manner.kind === 'decline')
				return this.act(`declines with ${manner.status}`, (phone, now) => phone.calls.decline(call, manner.status, now))
			this.act('answers', (phone, now) => phone.calls.answer(call, now))
			this.#agenda.after(manner.talkMs, () => this.#hangUp(call))
		})
	}

	#hangUp(call: Call): void {
		if (!this.phone.asleep && call.state === 'talking')
			this.act('hangs up', (phone, now) => phone.calls.hangup(call, now))
	}
}

/** Does this text (a Contact, a REGISTER) name that phone? */
export function names({ plan }: Handset, contact: string): boolean {
	if (plan.instance !== undefined) return contact.includes(plan.instance)
	if (plan.token !== '') return contact.includes(plan.token)
	return !contact.includes('+sip.instance') && !contact.includes('pn-') && contact.includes(`sip:${plan.agent}@`)
}

export function isRowOf({ agent, key }: DeviceRecord, { plan }: Handset): boolean {
	if (agent !== `sip:${plan.agent}@${plan.domain}`) return false
	if (plan.instance !== undefined) return key.includes(plan.instance)
	return plan.token === '' ? key.startsWith('c:') : key.includes(plan.token)
}
