/**
 * Pushes to FCM (HTTP v1): takes `push` effects and gives exactly one result for each. What an answer means stands in
 * answers.ts; here the remedies are carried out.
 */
import type { EventName, EventValue, PushEffect } from '../../core/effects.ts'
import type { PushOutcome, PushResultInput } from '../../core/inputs.ts'
import { Lru } from '../../lib/lru.ts'
import { KeyBreaker } from '../breaker.ts'
import { AccessToken } from './access-token.ts'
import { AGAIN_MS, outcomeOf, type Remedy, type Rule, readCode, ruleFor, ruleForSilence } from './answers.ts'
import type { ServiceAccount } from './key.ts'
import { type Answer, post } from './post.ts'

/** From `send` to the result: two attempts of 2.5 s and a pause; far inside a hold of 20 s. */
export const FCM_LIMIT_MS = 5500
/** For one answer; FCM gives it within 200 ms. */
export const ATTEMPT_TIMEOUT_MS = 2500
/** Pushes out at once: about a second of what a large PBX could call; a call that waited longer would be lost anyway. */
export const MAX_OUTSTANDING = 4000
/** Google: wait for a minute where a 429 does not say how long. */
export const QUOTA_PAUSE_MS = 60_000
/** However long it says. */
export const QUOTA_PAUSE_MAX_MS = 600_000
/** Devices that have had too many: those of a whole large PBX. */
export const MAX_PAUSED = 20_000
/** Another than this is no token of FCM's. It comes from a phone. */
const TOKEN_SHAPE = /^[\w:.-]{1,1000}$/
/** Google: 28 days, s. */
const TTL_MAX_SEC = 2_419_200

const GOOGLE = 'https://fcm.googleapis.com'

export interface FcmOptions {
	readonly account: ServiceAccount
	/** Undefined: Google's. */
	readonly url: string | undefined
	/** Trusted roots in PEM instead of the public ones, for `url` and for the token. */
	readonly ca: string | undefined
	/** ms since the epoch, never going back. Durations are measured by the monotonic clock. */
	readonly now: () => number
	readonly log: (name: EventName, fields: Readonly<Record<string, EventValue>>) => void
}

/** One push on its way. */
interface Job {
	readonly push: PushEffect
	/** Monotonic ms. */
	readonly startedAt: number
	/** The remedies it has had. */
	spent: readonly Remedy[]
	/** `authorization` of the last attempt; '' while nothing has gone out. */
	authorization: string
	/** It was taken back after an attempt: there is no other. */
	isUnwanted: boolean
}

const NONE_SPENT: readonly Remedy[] = []

export class FcmClient {
	readonly #options: FcmOptions
	readonly #url: string
	readonly #result: (result: PushResultInput) => void
	readonly #token: AccessToken
	readonly #breaker = new KeyBreaker()
	/** By push id. */
	readonly #jobs = new Map<string, Job>()
	/** No push to these tokens before then, monotonic ms: FCM said 429. */
	readonly #paused = new Lru<string, number>(MAX_PAUSED)
	/** FCM has taken a push by this key. */
	#isProven = false
	#closed = false

	/**
	 * Fetches an access token at once, and logs where it cannot. `result` gets exactly one call for each {@link send}, never
	 * before it has returned; it must not throw.
	 */
	constructor(options: FcmOptions, result: (result: PushResultInput) => void) {
		this.#options = options
		this.#result = result
		const { account, ca, now } = options
		this.#url = `${options.url ?? GOOGLE}/v1/projects/${account.projectId}/messages:send`
		this.#token = new AccessToken({ account, ca, now })
		void this.#token.prepare().then((refusal) => this.#tellRefusal(refusal))
	}

	/** Pushes out and not yet answered. */
	get outstanding(): number {
		return this.#jobs.size
	}

	/** Sends one push. Never throws. */
	send(push: PushEffect): void {
		const now = performance.now()
		const job: Job = { push, startedAt: now, spent: NONE_SPENT, authorization: '', isUnwanted: false }
		const refusal = this.#refuse(push, now)
		this.#jobs.set(push.pushId, job)
		if (refusal === undefined) void this.#run(job)
		else queueMicrotask(() => this.#finish(job, refusal))
	}

	/** Takes back a push: `withdrawn` where nothing has gone out, else it is not tried again. Never throws. */
	cancel(pushId: string): void {
		const job = this.#jobs.get(pushId)
		if (job === undefined) return
		job.isUnwanted = true
		if (job.authorization === '') queueMicrotask(() => this.#finish(job, WITHDRAWN))
	}

	/** Answers every push still out with `failed`, reason `stopped`. */
	close(): void {
		this.#closed = true
		for (const job of [...this.#jobs.values()]) this.#finish(job, failed('stopped'))
	}

	#tellRefusal(refusal: PushOutcome | undefined): void {
		if (refusal?.kind !== 'misconfigured' || this.#closed) return
		const { reason, status, hint } = refusal
		this.#options.log('push-misconfigured', { provider: 'fcm', status, reason, hint })
	}

	/** What need not be asked of FCM. The token comes from a phone. */
	#refuse(push: PushEffect, now: number): PushOutcome | undefined {
		if (this.#closed) return failed('stopped')
		if (this.#jobs.size >= MAX_OUTSTANDING) return failed('overloaded')
		const token = push.token.reveal()
		if (!TOKEN_SHAPE.test(token)) return { kind: 'bad-token', status: 0, reason: 'INVALID_TOKEN' }
		if (now < (this.#paused.peek(token) ?? 0)) return { kind: 'throttled', status: 429, reason: 'QUOTA_EXCEEDED' }
		return this.#breaker.verdict(now)
	}

	/** Tries until there is an outcome; {@link FCM_LIMIT_MS} is the end of it. */
	async #run(job: Job): Promise<void> {
		let outcome: PushOutcome | undefined
		while (outcome === undefined && this.#isOut(job)) outcome = await this.#attempt(job)
		if (outcome !== undefined) this.#finish(job, outcome)
	}

	/** One attempt; undefined where there is to be another. */
	async #attempt(job: Job): Promise<PushOutcome | undefined> {
		const refusal = this.#token.authorization() === undefined ? await this.#token.prepare() : undefined
		if (refusal !== undefined) {
			if (refusal.kind === 'misconfigured') this.#breaker.refused(refusal, performance.now())
			return refusal
		}
		if (!this.#isOut(job)) return undefined
		/* taken back while it waited */
		if (job.isUnwanted && job.authorization === '') return WITHDRAWN
		const leftMs = job.startedAt + FCM_LIMIT_MS - performance.now()
		const authorization = this.#token.authorization()
		if (leftMs <= 0 || authorization === undefined) return failed('timeout')
		job.authorization = authorization
		const sentAt = this.#options.now()
		const answer = await post({
			url: this.#url,
			headers: { authorization, 'Content-Type': 'application/json' },
			body: messageOf(job.push, job.spent.includes('minimal-request'), sentAt),
			timeoutMs: Math.min(ATTEMPT_TIMEOUT_MS, leftMs),
			ca: this.#options.ca,
			isRetry: job.spent.length > 0,
		})
		return this.#judge(job, answer, sentAt)
	}

	async #judge(job: Job, answer: Answer, sentAt: number): Promise<PushOutcome | undefined> {
		if (answer.kind === 'response' && answer.status === 200) {
			this.#isProven = true
			this.#breaker.accepted()
			return ACCEPTED
		}
		const status = answer.kind === 'none' ? 0 : answer.status
		const reason = answer.kind === 'none' ? answer.reason : readCode(status, answer.body)
		const rule = answer.kind === 'none' ? ruleForSilence(reason) : ruleFor(status, reason)
		if (await this.#hasRemedy(job, rule)) return undefined
		const outcome = outcomeOf(rule, status, reason, this.#isProven, sentAt)
		if (rule.blamesKey) this.#breaker.refused(outcome, performance.now())
		if (outcome.kind === 'throttled' && answer.kind === 'response') this.#pause(job, answer.retryAfterMs)
		return outcome
	}

	/** Applies the remedy; false where there is none any more. */
	async #hasRemedy(job: Job, { remedy }: Rule): Promise<boolean> {
		if (remedy === undefined || job.spent.includes(remedy) || job.isUnwanted) return false
		if (remedy === 'again-for-call' && job.push.kind !== 'voip') return false
		if (remedy === 'again' || remedy === 'again-for-call') {
			if (this.#options.now() + AGAIN_MS >= job.push.expiresAt) return false
			await Bun.sleep(AGAIN_MS)
			if (job.isUnwanted) return false
		}
		job.spent = [...job.spent, remedy]
		if (remedy === 'new-token') this.#token.discard(job.authorization)
		return true
	}

	#pause(job: Job, retryAfterMs: number | undefined): void {
		const pauseMs = Math.min(retryAfterMs ?? QUOTA_PAUSE_MS, QUOTA_PAUSE_MAX_MS)
		this.#paused.set(job.push.token.reveal(), performance.now() + pauseMs)
	}

	#isOut(job: Job): boolean {
		return this.#jobs.get(job.push.pushId) === job
	}

	#finish(job: Job, outcome: PushOutcome): void {
		const { pushId } = job.push
		if (!this.#isOut(job)) return
		this.#jobs.delete(pushId)
		const pushMs = Math.round(performance.now() - job.startedAt)
		this.#result({ type: 'push-result', pushId, outcome, pushMs })
	}
}

/**
 * Data alone: a `notification` would be shown by Android itself, and start no code of the app. HIGH for every kind, for nothing else
 * passes Doze: a binding whose refresh waits for the morning is gone, and its phone is lost for calls. There are few that show
 * nothing (one for each expiry, three an hour in calls), lest Android come to distrust the app. The ttl ends with what it is for.
 */
function messageOf(
	{ kind, token, payload, minimalPayload, expiresAt }: PushEffect,
	isMinimal: boolean,
	now: number,
): string {
	const ttlSec = Math.min(TTL_MAX_SEC, Math.max(0, Math.floor((expiresAt - now) / 1000)))
	/* a call rings on a phone that nobody has unlocked since it started */
	const direct = kind === 'voip' ? { direct_boot_ok: true } : {}
	const android = { priority: 'HIGH', ttl: `${ttlSec}s`, ...direct }
	const data: unknown = JSON.parse(isMinimal ? minimalPayload : payload)
	return JSON.stringify({ message: { token: token.reveal(), android, data } })
}

const ACCEPTED: PushOutcome = { kind: 'accepted', status: 200, environment: 'production' }

const WITHDRAWN: PushOutcome = { kind: 'withdrawn', status: 0, reason: '' }

function failed(reason: string): PushOutcome {
	return { kind: 'failed', status: 0, reason }
}
