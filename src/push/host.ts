/**
 * One host of APNs: its queue, the requests under way and the session that is kept warm. Knows nothing of pushes:
 * it sends errands and says what came back.
 */
import type { EventName, EventValue } from '../core/effects.ts'
import { type Answer, Exchange } from './exchange.ts'
import { CERTIFICATE_FAULTS } from './reasons.ts'
import { ApnsSession } from './session.ts'

/** Requests under way at once on a host: what APNs allows on a session (SETTINGS_MAX_CONCURRENT_STREAMS 1000). */
export const MAX_IN_FLIGHT = 1000
/** Errands waiting beyond those: about a second of APNs' work; a call that waited longer would be lost anyway. */
export const MAX_QUEUED = 4000
/** For one answer; then the errand may go out once more on another session. */
export const ANSWER_TIMEOUT_MS = 2500
/** Between two dials while errands wait: short, as a caller is waiting too. */
export const DIAL_PAUSE_MS = 250
/** The pause doubles up to this while nothing waits: a host that is down for hours costs a dial a half-minute. */
export const DIAL_PAUSE_MAX_MS = 30_000
/** A host first needed by a push stays connected for so long after the last one. */
export const WARM_FOR_MS = 60 * 60_000

/** What goes to APNs once. */
export interface Errand {
	/** Not after this, monotonic ms. */
	readonly deadline: number
}

export interface HostOptions<E extends Errand> {
	/** `https://host[:port]`. */
	readonly url: string
	/** Trusted roots in PEM instead of the public ones. */
	readonly ca: string | undefined
	/** Stay connected even if nothing is ever sent. */
	readonly alwaysWarm: boolean
	/** The headers and the body of the errand, asked for when it goes out. */
	request(errand: E): { readonly headers: Record<string, string>; readonly body: string }
	/** What became of one sending; `session` undefined where the errand never went out. */
	answered(errand: E, answer: Answer, session: ApnsSession | undefined): void
	log(name: EventName, fields: Readonly<Record<string, EventValue>>): void
}

export class ApnsHost<E extends Errand> {
	readonly #options: HostOptions<E>
	/** First the oldest. */
	readonly #queue: E[] = []
	readonly #delayed: { readonly errand: E; readonly at: number }[] = []
	readonly #underWay = new Set<Exchange<E>>()
	readonly #sessions = new Set<ApnsSession>()
	#current: ApnsSession | undefined
	#dialTimer: ReturnType<typeof setTimeout> | undefined
	/** The last dial that has led to nothing good yet, monotonic ms. */
	#dialledAt = Number.NEGATIVE_INFINITY
	#dialPauseMs = DIAL_PAUSE_MS
	/** Why the last session went; what an errand that waited in vain is told. */
	#lastLoss = 'timeout'
	#usedAt = Number.NEGATIVE_INFINITY
	#closed = false

	constructor(options: HostOptions<E>) {
		this.#options = options
		if (options.alwaysWarm) this.#dial()
	}

	get #waiting(): number {
		return this.#queue.length + this.#delayed.length
	}

	get connected(): boolean {
		return this.#current?.state === 'open'
	}

	/** False where the queue is full: the errand has not been taken. */
	add(errand: E, now: number): boolean {
		if (this.#waiting >= MAX_QUEUED) return false
		this.#usedAt = now
		this.#queue.push(errand)
		this.#pump(now)
		return true
	}

	/** Once more, before those that wait for their first time; taken even where the queue is full. */
	again(errand: E, now: number, delayMs: number): void {
		if (delayMs > 0) {
			this.#delayed.push({ errand, at: now + delayMs })
			return
		}
		this.#queue.unshift(errand)
		this.#pump(now)
	}

	/** Takes it back; false where it is not waiting here. */
	withdraw(errand: E): boolean {
		const place = this.#queue.indexOf(errand)
		if (place >= 0) this.#queue.splice(place, 1)
		return place >= 0
	}

	/** Gives up what has waited too long and lets go what has waited long enough. Called while errands are out. */
	sweep(now: number): void {
		for (const exchange of this.#underWay) if (now >= exchange.deadline) exchange.abandon('timeout')
		while (this.#queue.length > 0 && now >= this.#queue[0]!.deadline) this.#giveUp(this.#queue.shift()!)
		for (let i = this.#delayed.length - 1; i >= 0; i--) {
			if (now >= this.#delayed[i]!.at) this.#queue.unshift(this.#delayed.splice(i, 1)[0]!.errand)
		}
		this.#pump(now)
	}

	/** Ends every session. Errands under way get `none`, those that wait get nothing more. */
	close(): void {
		this.#closed = true
		clearTimeout(this.#dialTimer)
		this.#queue.length = 0
		this.#delayed.length = 0
		for (const session of this.#sessions) session.destroy()
	}

	#pump(now: number): void {
		while (this.#queue.length > 0 && this.#underWay.size < MAX_IN_FLIGHT) {
			const session = this.#usable(now)
			if (session === undefined) return
			const errand = this.#queue.shift()!
			if (now >= errand.deadline) this.#giveUp(errand)
			else this.#send(errand, session, now)
		}
	}

	/** The session in state `open`; undefined while there is none, and then something is being done about it. */
	#usable(now: number): ApnsSession | undefined {
		if (this.#current === undefined) this.#redial()
		else if (this.#current.state === 'open' && this.#current.isStale(now)) this.#current.probe()
		return this.#current?.state === 'open' ? this.#current : undefined
	}

	#send(errand: E, session: ApnsSession, now: number): void {
		const { headers, body } = this.#options.request(errand)
		const stream = session.request(headers, body)
		if (stream === undefined) {
			this.#queue.unshift(errand)
			return
		}
		const deadline = Math.min(now + ANSWER_TIMEOUT_MS, errand.deadline)
		this.#underWay.add(new Exchange(errand, session, stream, deadline, this.#answered))
	}

	readonly #answered = (exchange: Exchange<E>, answer: Answer): void => {
		const now = performance.now()
		this.#underWay.delete(exchange)
		if (answer.kind === 'response') {
			exchange.session.heard(now)
			this.#dialPauseMs = DIAL_PAUSE_MS
			this.#lastLoss = 'timeout'
			/* A host that does its work may be dialled anew at once; one that only refuses must not be stormed. */
			if (answer.status === 200) this.#dialledAt = Number.NEGATIVE_INFINITY
		}
		this.#options.answered(exchange.errand, answer, exchange.session)
		if (this.#queue.length > 0) this.#pump(now)
	}

	#giveUp(errand: E): void {
		this.#options.answered(errand, { kind: 'none', reason: this.#lastLoss }, undefined)
	}

	/** Waiting longer will not make a certificate better, and a caller is waiting too. */
	#giveUpAll(): void {
		for (const errand of this.#queue.splice(0)) this.#giveUp(errand)
	}

	#dial(): void {
		this.#dialledAt = performance.now()
		const session = new ApnsSession(this.#options.url, this.#options.ca, this.#events)
		this.#current = session
		this.#sessions.add(session)
	}

	readonly #events = {
		opened: (_session: ApnsSession, isNew: boolean): void => {
			if (isNew) this.#log('open', '')
			else this.#dialPauseMs = DIAL_PAUSE_MS
			this.#pump(performance.now())
		},
		lost: (session: ApnsSession, reason: string): void => {
			if (session !== this.#current) return
			this.#current = undefined
			if (this.#closed) return
			this.#lastLoss = reason
			this.#log('lost', reason)
			if (CERTIFICATE_FAULTS.has(reason)) this.#giveUpAll()
			if (this.#isWanted()) this.#redial()
		},
		ended: (session: ApnsSession): void => {
			this.#sessions.delete(session)
		},
	}

	/** Dials now, or when the pause since the last dial is over; the pause doubles until APNs has answered something:
	 * a host that takes connections only to drop them is down too. */
	#redial(): void {
		if (this.#closed || this.#current !== undefined) return
		const now = performance.now()
		const pause = this.#queue.length > 0 ? DIAL_PAUSE_MS : this.#dialPauseMs
		clearTimeout(this.#dialTimer)
		this.#dialTimer = undefined
		const wait = this.#dialledAt + pause - now
		if (wait > 0) this.#dialTimer = setTimeout(() => this.#redial(), wait)
		else {
			this.#dialPauseMs = Math.min(this.#dialPauseMs * 2, DIAL_PAUSE_MAX_MS)
			this.#dial()
		}
	}

	#isWanted(): boolean {
		const outstanding = this.#waiting + this.#underWay.size > 0
		return this.#options.alwaysWarm || outstanding || performance.now() - this.#usedAt < WARM_FOR_MS
	}

	#log(state: string, reason: string): void {
		this.#options.log('apns-session', { host: this.#options.url, state, ...(reason === '' ? {} : { reason }) })
	}
}
