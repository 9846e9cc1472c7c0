/**
 * Pushes to APNs: takes `push` effects and gives exactly one result for each. What an answer means stands in
 * reasons.ts, how it travels in host.ts and session.ts; here the remedies are carried out.
 */
import type { EventName, EventValue, PushEffect, PushKind } from '../core/effects.ts'
import type { PushOutcome, PushResultInput } from '../core/inputs.ts'
import type { PushEnvironment } from '../core/model.ts'
import type { Secret } from '../lib/secret.ts'
import { KeyBreaker } from './breaker.ts'
import type { Answer } from './exchange.ts'
import { ApnsHost, type Errand } from './host.ts'
import { outcomeOf, type Refusal, type Remedy, type Rule, readRefusal, ruleFor, ruleForSilence } from './reasons.ts'
import type { ApnsSession } from './session.ts'
import { ProviderToken, type TokenStore } from './token.ts'

/** From `send` to the result: two attempts of 2.5 s and a dial; far inside a hold of 20 s. */
export const PUSH_LIMIT_MS = 5500
/** How late a timeout may be noticed; one sweep serves all pushes. */
const SWEEP_MS = 100
/** APNs takes tokens of up to an hour; a minute is far outside what NTP leaves and far inside that. */
export const CLOCK_DRIFT_MS = 60_000
/** Between two looks at the `date` header where nothing points at the clock, and between two complaints. */
const CLOCK_LOOK_MS = 60_000
/** Apple: not of fixed length. 32 octets today; a hundred leave room, and a phone cannot make a long path. */
const TOKEN_SHAPE = /^[0-9a-f]{2,200}$/i
/** A bundle id, with `.voip` or without: what may stand in a header. It may come from a phone. */
const TOPIC_SHAPE = /^[\w.-]{1,255}$/

export interface ApnsOptions {
	/** The text of the .p8 file. */
	readonly key: Secret
	readonly keyId: string
	readonly teamId: string
	/** One for each environment; the same twice where `--apns-url` is given. See {@link apnsUrls}. */
	readonly urls: Readonly<Record<PushEnvironment, string>>
	/** Trusted roots in PEM instead of the public ones. */
	readonly ca: string | undefined
	/** The environment to connect to at once and stay connected to. */
	readonly environment: PushEnvironment
	readonly tokens: TokenStore
	/** ms since the epoch: for the provider token. Durations are measured by the monotonic clock. */
	readonly now: () => number
	readonly log: (name: EventName, fields: Readonly<Record<string, EventValue>>) => void
}

/** The hosts of APNs, or `override` for both environments. */
export function apnsUrls(override: string | undefined): Record<PushEnvironment, string> {
	return {
		production: override ?? 'https://api.push.apple.com',
		sandbox: override ?? 'https://api.sandbox.push.apple.com',
	}
}

/** One push on its way. */
interface Job extends Errand {
	readonly push: PushEffect
	readonly startedAt: number
	environment: PushEnvironment
	/** The remedies it has had. */
	spent: readonly Remedy[]
	/** The `authorization` of the last attempt; '' while nothing has gone out. */
	authorization: string
}

/** `apns-priority`. Apple: a background push of priority 10 is an error. */
const PRIORITIES = { voip: '10', alert: '10', background: '5' } as const satisfies Record<PushKind, string>

const NONE_SPENT: readonly Remedy[] = []

export class ApnsClient {
	readonly #options: ApnsOptions
	readonly #result: (result: PushResultInput) => void
	readonly #token: ProviderToken
	readonly #breaker = new KeyBreaker()
	readonly #hosts: Readonly<Record<PushEnvironment, ApnsHost<Job>>>
	readonly #jobs = new Set<Job>()
	#sweeper: ReturnType<typeof setTimeout> | undefined
	#clockLookedAt = Number.NEGATIVE_INFINITY
	#closed = false

	/**
	 * Dials `environment` at once. `result` gets exactly one call for each {@link send}, never before it has
	 * returned; it must not throw.
	 */
	constructor(options: ApnsOptions, result: (result: PushResultInput) => void) {
		this.#options = options
		this.#result = result
		this.#token = new ProviderToken(options)
		this.#token.prepare().catch(() => {})
		const { urls, environment } = options
		const first = this.#makeHost(urls[environment], true)
		const other = environment === 'production' ? 'sandbox' : 'production'
		const second = urls[other] === urls[environment] ? first : this.#makeHost(urls[other], false)
		this.#hosts =
			environment === 'production' ? { production: first, sandbox: second } : { production: second, sandbox: first }
	}

	/** Pushes out and not yet answered. */
	get outstanding(): number {
		return this.#jobs.size
	}

	/** Is there a session to this environment now? For readiness and the status page. */
	connected(environment: PushEnvironment): boolean {
		return this.#hosts[environment].connected
	}

	/** Sends one push. Never throws. */
	send(push: PushEffect): void {
		const now = performance.now()
		const job: Job = {
			push,
			startedAt: now,
			deadline: now + PUSH_LIMIT_MS,
			environment: push.environment,
			spent: NONE_SPENT,
			authorization: '',
		}
		this.#jobs.add(job)
		const refusal = this.#refuse(push, now)
		if (refusal === undefined) this.#start(job, now)
		else queueMicrotask(() => this.#finish(job, refusal))
	}

	/** Takes back a push of which nothing has gone out yet; its result is `withdrawn` then. Never throws. */
	cancel(pushId: string): void {
		for (const job of this.#jobs) if (job.push.pushId === pushId && job.authorization === '') this.#withdraw(job)
	}

	/** Ends all sessions and answers every push still out with `failed`, reason `stopped`. */
	close(): void {
		this.#closed = true
		for (const job of [...this.#jobs]) this.#finish(job, failed('stopped'))
		clearTimeout(this.#sweeper)
		this.#hosts.production.close()
		this.#hosts.sandbox.close()
	}

	/** What need not be asked of APNs. Token and topic come from phones: they must not reach a path or a header unseen. */
	#refuse(push: PushEffect, now: number): PushOutcome | undefined {
		if (this.#closed) return failed('stopped')
		if (!TOKEN_SHAPE.test(push.token.reveal())) return { kind: 'bad-token', status: 0, reason: 'BadDeviceToken' }
		if (!TOPIC_SHAPE.test(push.topic)) return refusedBy(ruleFor(400, 'BadTopic'), 0, 'BadTopic')
		return this.#breaker.verdict(now)
	}

	/** At once out of the queue; a job that still waits for the provider token finds itself forgotten. */
	#withdraw(job: Job): void {
		this.#hosts[job.environment].withdraw(job)
		this.#jobs.delete(job)
		queueMicrotask(() => this.#tell(job, WITHDRAWN))
	}

	#start(job: Job, now: number): void {
		if (this.#token.authorization() !== undefined) this.#enqueue(job, now)
		else {
			this.#token.prepare().then(
				() => this.#enqueue(job, performance.now()),
				() => this.#finish(job, UNUSABLE_KEY),
			)
		}
	}

	#enqueue(job: Job, now: number): void {
		if (!this.#jobs.has(job)) return
		this.#sweeper ??= setTimeout(this.#sweep, SWEEP_MS)
		if (this.#hosts[job.environment].add(job, now)) return
		queueMicrotask(() => this.#finish(job, failed('overloaded')))
	}

	readonly #sweep = (): void => {
		const now = performance.now()
		this.#hosts.production.sweep(now)
		if (this.#hosts.sandbox !== this.#hosts.production) this.#hosts.sandbox.sweep(now)
		this.#sweeper = this.#jobs.size === 0 || this.#closed ? undefined : setTimeout(this.#sweep, SWEEP_MS)
	}

	#makeHost(url: string, alwaysWarm: boolean): ApnsHost<Job> {
		return new ApnsHost<Job>({
			url,
			ca: this.#options.ca,
			alwaysWarm,
			request: (job) => this.#request(job),
			answered: (job, answer, session) => this.#answered(job, answer, session),
			log: this.#options.log,
		})
	}

	/** Apple, "Sending notification requests to APNs". The minimal one has what a push of its kind cannot do without. */
	#request(job: Job): { headers: Record<string, string>; body: string } {
		const { push } = job
		job.authorization = this.#token.authorization() ?? job.authorization
		const headers: Record<string, string> = {
			':method': 'POST',
			':path': `/3/device/${push.token.reveal()}`,
			authorization: job.authorization,
			'apns-push-type': push.kind,
			'apns-topic': push.topic,
		}
		const priority = PRIORITIES[push.kind]
		if (job.spent.includes('minimal-request')) {
			headers['apns-expiration'] = '0'
			/* without the header it is 10, which APNs refuses for a background push */
			if (push.kind === 'background') headers['apns-priority'] = priority
			return { headers, body: push.minimalPayload }
		}
		headers['apns-expiration'] = String(Math.ceil(push.expiresAt / 1000))
		headers['apns-priority'] = priority
		headers['apns-id'] = push.pushId
		return { headers, body: push.payload }
	}

	#answered(job: Job, answer: Answer, session: ApnsSession | undefined): void {
		if (!this.#jobs.has(job)) return
		if (answer.kind === 'none') {
			this.#refused(job, ruleForSilence(answer.reason), 0, { reason: answer.reason, timestampMs: 0 }, session)
			return
		}
		if (answer.status === 200) {
			this.#breaker.accepted()
			this.#lookAtClock(answer.date, false)
			this.#finish(job, { kind: 'accepted', status: 200, environment: job.environment })
			return
		}
		const refusal = readRefusal(answer.status, answer.body)
		const rule = ruleFor(answer.status, refusal.reason)
		this.#lookAtClock(answer.date, rule.suspectsClock === true)
		this.#refused(job, rule, answer.status, refusal, session)
	}

	#refused(job: Job, rule: Rule, status: number, refusal: Refusal, session: ApnsSession | undefined): void {
		const outcome = outcomeOf(rule, status, refusal)
		if (rule.remedy !== undefined && session !== undefined && this.#isWorthTrying(job, rule)) {
			job.spent = [...job.spent, rule.remedy]
			this.#try(rule.remedy, job, outcome, session, rule.delayMs ?? 0)
			return
		}
		/* A key bound to one environment is refused by the other: that says nothing against the key. */
		if (rule.blamesKey && !job.spent.includes('other-environment')) this.#breaker.refused(outcome, performance.now())
		this.#finish(job, outcome)
	}

	#isWorthTrying(job: Job, rule: Rule): boolean {
		if (this.#closed || rule.remedy === undefined || job.spent.includes(rule.remedy)) return false
		/* With --apns-url both environments are one host: it would only say the same again. */
		return rule.remedy !== 'other-environment' || this.#hosts.production !== this.#hosts.sandbox
	}

	#try(remedy: Remedy, job: Job, outcome: PushOutcome, session: ApnsSession, delayMs: number): void {
		switch (remedy) {
			case 'other-environment':
				job.environment = job.environment === 'production' ? 'sandbox' : 'production'
				break
			case 'minimal-request':
				break
			case 'other-session':
				session.retire('reason' in outcome ? outcome.reason : '')
				break
			case 'new-token':
				this.#replaceToken(job, outcome)
				return
		}
		this.#again(job, delayMs)
	}

	/** Within Apple's floor there is none to be had: then it comes to `outcome`. */
	#replaceToken(job: Job, outcome: PushOutcome): void {
		this.#token.replace(job.authorization).then((replaced) => {
			if (replaced) this.#again(job, 0)
			else {
				this.#breaker.refused(outcome, performance.now())
				this.#finish(job, outcome)
			}
		})
	}

	#again(job: Job, delayMs: number): void {
		if (this.#jobs.has(job)) this.#hosts[job.environment].again(job, performance.now(), delayMs)
	}

	#finish(job: Job, outcome: PushOutcome): void {
		if (this.#jobs.delete(job)) this.#tell(job, outcome)
	}

	#tell(job: Job, outcome: PushOutcome): void {
		const pushMs = Math.round(performance.now() - job.startedAt)
		this.#result({ type: 'push-result', pushId: job.push.pushId, outcome, pushMs })
	}

	/** A wrong clock makes tokens that APNs refuses: say so before, or at the latest when, it does. */
	#lookAtClock(date: string | undefined, isSuspect: boolean): void {
		const monotonic = performance.now()
		if (date === undefined || (!isSuspect && monotonic - this.#clockLookedAt < CLOCK_LOOK_MS)) return
		this.#clockLookedAt = monotonic
		const driftMs = this.#options.now() - Date.parse(date)
		if (Math.abs(driftMs) < CLOCK_DRIFT_MS || Number.isNaN(driftMs)) return
		this.#options.log('apns-clock-drift', { driftSec: Math.round(driftMs / 1000) })
	}
}

const WITHDRAWN: PushOutcome = { kind: 'withdrawn', status: 0, reason: '' }

const UNUSABLE_KEY: PushOutcome = {
	kind: 'misconfigured',
	status: 0,
	reason: 'InvalidKey',
	hint: 'The key cannot sign: check that --apns-key names the .p8 file as Apple gave it.',
}

function failed(reason: string): PushOutcome {
	return { kind: 'failed', status: 0, reason }
}

function refusedBy(rule: Rule, status: number, reason: string): PushOutcome {
	return outcomeOf(rule, status, { reason, timestampMs: 0 })
}
