/** What every room of the core shares: the settings, the effects being collected, the deadlines, fresh ids. */
import { Bucket } from '../lib/bucket.ts'
import type { Deadlines } from '../lib/deadlines.ts'
import type { Destination, Due, Wire } from '../transaction/transactions.ts'
import { type OwnAddress, ownAddresses } from './addresses.ts'
import { Departed } from './departed.ts'
import type { Change, Effect, EventName, EventValue } from './effects.ts'
import type { Flow } from './model.ts'
import { PbxSides } from './pbx/sides.ts'
import type { Settings } from './settings.ts'
import type { Counters } from './snapshot.ts'

/** What the pure core needs of the impure world as plain functions. */
export interface Capabilities {
	/** 32 random bits, unpredictable in production, seeded in the simulated world. */
	random32(): number
	/** HMAC of latin1 text under the persistent key: at least 20 hex digits. */
	hmac(text: string): string
}

/** Whoever waits for a commit, by ticket. */
export interface CommitWaiter {
	committed(now: number): void
	commitFailed(reason: string, now: number): void
}

/** Enough to see what is going on, too few to fill a disk; the counters have them all. */
export const TOLD_LIMITS = { burst: 20, perSecond: 0.2 }

export class Context implements Wire {
	readonly settings: Settings
	readonly deadlines: Deadlines<Due>
	readonly counters: Counters
	/** One for each listener. */
	readonly own: readonly OwnAddress[]
	/** By which the PBX is spoken to. */
	readonly pbx: PbxSides
	readonly departed = new Departed()
	/** Emptied by the loop after every input. */
	readonly effects: Effect[] = []
	readonly #capabilities: Capabilities
	readonly #toTagStart: string
	readonly #waiters = new Map<number, CommitWaiter>()
	#lastTicket = 0
	#told: Bucket | undefined = undefined
	/** Why the last commit failed; undefined while the store works. */
	storeFault: string | undefined = undefined
	draining = false

	constructor(settings: Settings, deadlines: Deadlines<Due>, capabilities: Capabilities, counters: Counters) {
		this.settings = settings
		this.deadlines = deadlines
		this.#capabilities = capabilities
		this.#toTagStart = capabilities.hmac('to-tag').slice(0, 8)
		this.counters = counters
		this.own = ownAddresses(settings)
		this.pbx = new PbxSides(settings)
	}

	/** What is meant for a connection that is closed goes to where its phone is now, or nowhere: nobody connects to a phone. */
	send(to: Destination, bytes: Uint8Array): void {
		const at = this.isReliable(to) ? this.departed.follow(to) : to
		if (at === undefined) return
		const { listener, key, address, port } = at
		this.effects.push({ type: 'send', listener, key, address, port, bytes })
	}

	close({ listener, key }: Flow): void {
		this.effects.push({ type: 'close', listener, key })
	}

	/** The transport keeps that connection longer than a stranger's, and evicts it for nobody's. */
	settle(flow: Flow): void {
		if (!this.isReliable(flow)) return
		const { listener, key } = flow
		this.effects.push({ type: 'settle', listener, key })
	}

	isReliable({ listener }: Destination): boolean {
		return this.own[listener]?.isReliable ?? false
	}

	event(name: EventName, fields: Readonly<Record<string, EventValue>>): void {
		this.effects.push({ type: 'event', name, fields })
	}

	/** An event that whoever is let in can cause as often as it likes: at most {@link TOLD_LIMITS} of them are told. */
	tell(name: EventName, fields: Readonly<Record<string, EventValue>>, now: number): void {
		this.#told ??= new Bucket(TOLD_LIMITS, now)
		if (this.#told.take(now)) this.event(name, fields)
	}

	/** Stores, and tells `waiter` what came of it; without one nobody waits. */
	save(changes: readonly Change[], waiter?: CommitWaiter): void {
		let ticket = 0
		if (waiter !== undefined) {
			ticket = ++this.#lastTicket
			this.#waiters.set(ticket, waiter)
		}
		this.effects.push({ type: 'save', ticket, changes })
	}

	committed(tickets: readonly number[], now: number): void {
		if (this.storeFault !== undefined) {
			this.storeFault = undefined
			this.event('store-back', {})
		}
		this.counters.commits++
		for (const ticket of tickets) this.#take(ticket)?.committed(now)
	}

	commitFailed(tickets: readonly number[], reason: string, now: number): void {
		this.counters.commitsFailed++
		if (this.storeFault !== reason) {
			this.storeFault = reason
			this.event('store-failed', { reason })
		}
		for (const ticket of tickets) this.#take(ticket)?.commitFailed(reason, now)
	}

	#take(ticket: number): CommitWaiter | undefined {
		const waiter = this.#waiters.get(ticket)
		this.#waiters.delete(ticket)
		return waiter
	}

	random32(): number {
		return this.#capabilities.random32() >>> 0
	}

	hmac(text: string): string {
		return this.#capabilities.hmac(text)
	}

	/** A To-tag for a response of our own, known as such after a restart too. */
	toTag(): string {
		return this.#toTagStart + this.id()
	}

	/** Is it the tag of a response of our own? Then the ACK to it is for nobody else (RFC 3261 §17.1.1.3). */
	isOwnToTag(tag: string): boolean {
		return tag.startsWith(this.#toTagStart)
	}

	/** 16 lower-case hex digits. */
	id(): string {
		return hex8(this.random32()) + hex8(this.random32())
	}

	/** A version 4 UUID (RFC 9562 §5.4). */
	uuid(): string {
		const a = hex8(this.random32())
		const b = hex8((this.random32() & 0xffff0fff) | 0x00004000)
		const c = hex8((this.random32() & 0x3fffffff) | 0x80000000)
		const d = hex8(this.random32())
		return `${a}-${b.slice(0, 4)}-${b.slice(4)}-${c.slice(0, 4)}-${c.slice(4)}${d}`
	}

	/** `<sip:user@advertised>` without the brackets: our address as the peers of a listener know it. */
	host(listener: number): string {
		return this.ownAt(listener).hostPort
	}

	/** A device of the store may be of a listener that there is no more. */
	ownAt(listener: number): OwnAddress {
		return this.own[listener] ?? this.own[0]!
	}
}

function hex8(n: number): string {
	return (n >>> 0).toString(16).padStart(8, '0')
}

export function zeroCounters(): Counters {
	return {
		datagrams: 0,
		strangersDropped: 0,
		bannedDropped: 0,
		rateLimited: 0,
		malformed: 0,
		registers: 0,
		registersAccepted: 0,
		registersRefused: 0,
		callsToAgents: 0,
		callsFromAgents: 0,
		callsHeld: 0,
		callsAnswered: 0,
		callsDeclined: 0,
		callsCancelled: 0,
		callsUnanswered: 0,
		pushesSent: 0,
		pushesAccepted: 0,
		pushesRefused: 0,
		pushesFailed: 0,
		pushesWithdrawn: 0,
		noticesSent: 0,
		noticesRefused: 0,
		requestsHeld: 0,
		wakes: 0,
		wakesMissed: 0,
		ghostsReplayed: 0,
		pingsSent: 0,
		pongs: 0,
		probes: 0,
		retransmissionsSent: 0,
		retransmissionsAbsorbed: 0,
		bans: 0,
		commits: 0,
		commitsFailed: 0,
	}
}
