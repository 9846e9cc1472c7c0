/**
 * Events on their way to `--events`: in order, one at a time, tried again while the receiver is away, and never in the
 * way of a call. What cannot be delivered is dropped, counted and said.
 */
import type { EventName, EventValue } from '../core/effects.ts'
import { type PostedEvent, postedEvent } from './event.ts'
import type { Post, PostResult } from './post.ts'

/** Half a kilobyte each. A thousand agents out of reach at once are one fault, and the last thousand tell of it. */
export const MAX_EVENTS_QUEUED = 1_000

/** The first retry comes after this, each later one after twice as long … */
export const RETRY_FIRST_MS = 1_000

/** … up to this: a receiver that is back after an hour hears of it within a minute. */
export const RETRY_MAX_MS = 60_000

/** An event older than this helps nobody who routes calls; by then it was tried fifteen times. */
export const EVENT_LIFE_MS = 600_000

/** SIGTERM: the calls are over, and what is queued has this long for one last try. */
export const LAST_TRY_MS = 2_000

export interface EventsState {
	/** Not yet delivered, the one under way included. */
	readonly queued: number
	readonly delivered: number
	readonly dropped: number
	/** Why the last try failed or was refused; undefined while the receiver works. */
	readonly failing: string | undefined
}

export interface QueueOptions {
	readonly post: Post
	/** ms since the epoch. */
	readonly now: () => number
	/** Calls `then` once, after `ms`. Gives what takes that back. */
	readonly after: (ms: number, then: () => void) => () => void
	readonly log: (name: EventName, fields: Readonly<Record<string, EventValue>>) => void
}

export class EventQueue {
	readonly #options: QueueOptions
	/** Oldest first, without the one under way. */
	readonly #waiting: PostedEvent[] = []
	#state: 'idle' | 'posting' | 'pausing' | 'closed' = 'idle'
	#underWay: PostedEvent | undefined = undefined
	#delivered = 0
	#dropped = 0
	/** Tries in a row that failed. */
	#failures = 0
	#failing: string | undefined = undefined
	/** It was said that the receiver is away, since the last delivery. */
	#saidFailing = false
	/** It was said that the queue is full, since the last delivery. */
	#saidFull = false
	#endPause: () => void = () => {}
	/** Resolves what {@link finish} waits for. */
	#finished: (() => void) | undefined = undefined

	constructor(options: QueueOptions) {
		this.#options = options
	}

	get state(): EventsState {
		const queued = this.#waiting.length + (this.#underWay === undefined ? 0 : 1)
		return { queued, delivered: this.#delivered, dropped: this.#dropped, failing: this.#failing }
	}

	/** Something happened; most of it is nothing that is posted. */
	offer(name: EventName, fields: Readonly<Record<string, EventValue>>): void {
		const event = postedEvent(name, fields, this.#options.now())
		if (event === undefined) return
		this.#waiting.push(event)
		if (this.#waiting.length > MAX_EVENTS_QUEUED) this.#dropOldest()
		this.#next()
	}

	/** One last try for what is queued, in order, at most {@link LAST_TRY_MS} long. */
	async finish(): Promise<void> {
		const { promise, resolve } = Promise.withResolvers<void>()
		this.#finished = resolve
		const stopClock = this.#options.after(LAST_TRY_MS, resolve)
		if (this.#state === 'pausing') this.#resume()
		else this.#next()
		await promise
		stopClock()
		const { queued } = this.state
		if (queued === 0) return
		this.#dropped += queued
		this.#options.log('event-undelivered', { dropped: queued, reason: 'the gateway stopped' })
	}

	/** Posts nothing more. */
	close(): void {
		this.#endPause()
		this.#state = 'closed'
	}

	#next(): void {
		if (this.#state !== 'idle') return
		const event = this.#waiting.shift()
		if (event === undefined) return this.#finished?.()
		this.#state = 'posting'
		this.#underWay = event
		void this.#options.post(event.body).then((result) => this.#posted(event, result))
	}

	#posted(event: PostedEvent, result: PostResult): void {
		this.#underWay = undefined
		if (this.#state === 'closed') return
		this.#state = 'idle'
		if (result.kind === 'failed') return this.#failed(event, result.reason)
		if (result.kind === 'refused') this.#refused(event, result.reason)
		else this.#delivery()
		this.#failures = 0
		this.#next()
	}

	#delivery(): void {
		this.#delivered++
		if (this.#saidFailing) this.#options.log('events-back', {})
		this.#failing = undefined
		this.#saidFailing = false
		this.#saidFull = false
	}

	/** The receiver is there and does not want it. One that refuses everything is not back. */
	#refused(event: PostedEvent, reason: string): void {
		this.#failing = reason
		this.#drop(event, reason)
	}

	#failed(event: PostedEvent, reason: string): void {
		const pause = pauseMs(++this.#failures)
		this.#failing = reason
		if (!this.#saidFailing) this.#options.log('events-failing', { reason, nextTrySeconds: pause / 1000 })
		this.#saidFailing = true
		this.#waiting.unshift(event)
		const deadline = this.#options.now() - EVENT_LIFE_MS
		while (this.#waiting.length > 0 && this.#waiting[0]!.at <= deadline) this.#drop(this.#waiting.shift()!, reason)
		if (this.#finished !== undefined) return this.#finished()
		this.#state = 'pausing'
		this.#endPause = this.#options.after(pause, () => this.#resume())
	}

	#resume(): void {
		this.#endPause()
		this.#state = 'idle'
		this.#next()
	}

	#drop({ id, type }: PostedEvent, reason: string): void {
		this.#dropped++
		this.#options.log('event-undelivered', { id, type, reason })
	}

	/** Said once: the receiver is away, and a line for each would only fill the disk. */
	#dropOldest(): void {
		this.#waiting.shift()
		this.#dropped++
		if (this.#saidFull) return
		this.#saidFull = true
		this.#options.log('limit-reached', { limit: 'events-queued' })
	}
}

/** After so many failures in a row: 1 s, 2 s, 4 s … 60 s. */
export function pauseMs(failures: number): number {
	return Math.min(RETRY_FIRST_MS * 2 ** (failures - 1), RETRY_MAX_MS)
}
