/** APNs as a model: takes, refuses, stalls, loses. FCM does the same, but has one environment. */
import type { PushEffect } from '../../src/core/effects.ts'
import type { PushOutcome, PushResultInput } from '../../src/core/inputs.ts'
import type { Agenda } from './agenda.ts'
import type { Chance } from './chance.ts'

export interface ApnsMood {
	/** Takes the push. */
	readonly accepts: number
	/** A taken push arrives. */
	readonly delivers: number
	/** One that arrives does so late, up to half a minute. */
	readonly late: number
	/** The connection goes away (GOAWAY) with a push on it: it is sent again on the next one, and may come twice. */
	readonly goesAway: number
	/** One waits before it goes out. */
	readonly queues: number
}

export interface ApnsParts {
	readonly agenda: Agenda
	readonly chance: Chance
	readonly mood: ApnsMood
	readonly answer: (result: PushResultInput, life: number) => void
	readonly deliver: (push: PushEffect) => void
	readonly note: (who: string, text: string) => void
}

/** A push may wait for a session, or behind others, before it is on the wire. */
const QUEUED_MS = 3_000
/** The client's own limit and one retry. */
const STALL_MS = 5_000
const LATE_MS = 30_000
/** Until there is a new connection. */
const CONNECT_MS = [300, 2_000] as const
const REFUSALS = ['bad-token', 'gone', 'gone-before', 'misconfigured', 'throttled', 'failed', 'stalled'] as const

export class SimApns {
	readonly #parts: ApnsParts
	/** Not on the wire yet, by push id: what takes each back. */
	readonly #queued = new Map<string, () => void>()

	constructor(parts: ApnsParts) {
		this.#parts = parts
	}

	send(push: PushEffect, life: number): void {
		const { agenda, chance, mood } = this.#parts
		if (!chance.is(mood.queues)) return this.#sendNow(push, life)
		let isWanted = true
		this.#queued.set(push.pushId, () => {
			isWanted = false
			this.#answer(push, life, { kind: 'withdrawn', status: 0, reason: '' }, 0)
		})
		agenda.after(chance.between(1, QUEUED_MS), () => {
			this.#queued.delete(push.pushId)
			if (isWanted) this.#sendNow(push, life)
		})
	}

	/** The gateway wants it back: too late once it is on the wire. */
	cancel(pushId: string): void {
		const takeBack = this.#queued.get(pushId)
		this.#queued.delete(pushId)
		takeBack?.()
	}

	#sendNow(push: PushEffect, life: number): void {
		const { chance, mood } = this.#parts
		if (!chance.is(mood.accepts)) return this.#refuse(push, life)
		const goesAway = chance.is(mood.goesAway)
		const waitMs = goesAway ? chance.between(...CONNECT_MS) : 0
		const isOther = chance.is(0.1) && push.provider === 'apns'
		const environment = isOther ? 'sandbox' : push.environment
		this.#answer(push, life, { kind: 'accepted', status: 200, environment }, waitMs + chance.between(20, 400))
		if (chance.is(mood.delivers)) this.#deliver(push, waitMs)
		else this.#note(`loses the push ${push.pushId}`)
		if (!goesAway) return
		this.#note('goes away')
		if (chance.is(0.3)) this.#deliver(push)
	}

	#refuse(push: PushEffect, life: number): void {
		const { chance } = this.#parts
		const how = chance.one(REFUSALS)
		const tookMs = how === 'stalled' ? chance.between(STALL_MS / 2, STALL_MS) : chance.between(20, 600)
		this.#answer(push, life, this.#refusal(how), tookMs)
		/* the answer was lost, not the push */
		if (how === 'stalled' && chance.is(0.3)) this.#deliver(push)
	}

	#refusal(how: (typeof REFUSALS)[number]): PushOutcome {
		const { now } = this.#parts.agenda
		switch (how) {
			case 'bad-token':
				return { kind: 'bad-token', status: 400, reason: 'BadDeviceToken' }
			case 'gone':
				return { kind: 'gone', status: 410, reason: 'Unregistered', timestampMs: now }
			case 'gone-before':
				return { kind: 'gone', status: 410, reason: 'ExpiredToken', timestampMs: now - 3_600_000 }
			case 'misconfigured':
				return { kind: 'misconfigured', status: 403, reason: 'InvalidProviderToken', hint: 'See the key.' }
			case 'throttled':
				return { kind: 'throttled', status: 429, reason: 'TooManyRequests' }
			case 'failed':
				return { kind: 'failed', status: 503, reason: 'ServiceUnavailable' }
			case 'stalled':
				return { kind: 'failed', status: 0, reason: 'timeout' }
		}
	}

	#answer({ pushId }: PushEffect, life: number, outcome: PushOutcome, pushMs: number): void {
		const { agenda, answer } = this.#parts
		agenda.after(pushMs, () => answer({ type: 'push-result', pushId, outcome, pushMs }, life))
	}

	#deliver(push: PushEffect, waitMs = 0): void {
		const { agenda, chance, mood, deliver } = this.#parts
		const tookMs = chance.is(mood.late) ? chance.between(0, LATE_MS) : chance.between(150, 2_500)
		agenda.after(waitMs + tookMs, () => deliver(push))
	}

	#note(text: string): void {
		this.#parts.note('APNs', text)
	}
}
