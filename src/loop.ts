/**
 * The law: take one input, call the core, perform its effects in order, arm the one timer.
 *
 * Nothing else calls the core. Commits are gathered for one turn of the event loop, or for two milliseconds under load, so that a burst of REGISTERs costs
 * one transaction; the core hears of them as inputs.
 */
import type { Core } from './core/core.ts'
import type {
	Change,
	CloseEffect,
	Effect,
	EventName,
	EventValue,
	PushEffect,
	SaveEffect,
	SendEffect,
	SettleEffect,
} from './core/effects.ts'
import type { Input } from './core/inputs.ts'

/** The far side of the effects. None of these calls back into the loop before it returns. */
export interface Edges {
	send(effect: SendEffect): void
	close(effect: CloseEffect): void
	settle(effect: SettleEffect): void
	push(effect: PushEffect): void
	/** Keeps it from going out, if it has not yet. */
	cancelPush(pushId: string): void
	commit(
		changes: readonly Change[],
	): { readonly ok: true } | { readonly ok: false; readonly code: string; readonly reason: string }
	event(name: EventName, fields: Readonly<Record<string, EventValue>>): void
}

/** ms since the epoch, never going back. */
export type Clock = () => number

/**
 * Two commits are at least this far apart: each costs several times what a change does, so that under load those who wait share
 * one. Nobody waits longer for it than a phone's radio takes to send its next packet.
 */
export const COMMIT_PAUSE_MS = 2

/** Changes nobody waits for are stored this late at the most. */
export const LAZY_COMMIT_MS = 50

/** setTimeout counts in 32 bits. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

export class Loop {
	readonly #core: Core
	readonly #edges: Edges
	readonly #now: Clock
	#timer: ReturnType<typeof setTimeout> | undefined
	#armedFor = Infinity
	#saves: SaveEffect[] = []
	#flush: 'none' | 'owed' | 'lazy' | 'soon' = 'none'
	#flushedAt = -Infinity
	#lazyTimer: ReturnType<typeof setTimeout> | undefined
	#closed = false

	constructor(core: Core, edges: Edges, now: Clock) {
		this.#core = core
		this.#edges = edges
		this.#now = now
	}

	input(input: Input): void {
		if (this.#closed) return
		const now = this.#now()
		try {
			this.#core.handle(input, now)
		} catch (error) {
			/* a bug of ours must not end the calls of everybody else */
			this.#edges.event('internal-error', {
				input: input.type,
				error: error instanceof Error ? (error.stack ?? error.message) : String(error),
			})
		}
		this.#perform()
		this.#arm(now)
	}

	/** Stores what is still to be stored, and takes no more inputs. */
	close(): void {
		this.#flushNow()
		this.#closed = true
		clearTimeout(this.#timer)
		clearTimeout(this.#lazyTimer)
	}

	#perform(): void {
		const { effects } = this.#core
		for (let i = 0; i < effects.length; i++) this.#effect(effects[i]!)
		effects.length = 0
	}

	#effect(effect: Effect): void {
		switch (effect.type) {
			case 'send':
				return this.#edges.send(effect)
			case 'close':
				return this.#edges.close(effect)
			case 'settle':
				return this.#edges.settle(effect)
			case 'push':
				return this.#edges.push(effect)
			case 'push-cancel':
				return this.#edges.cancelPush(effect.pushId)
			case 'save':
				return this.#save(effect)
			case 'event':
				return this.#edges.event(effect.name, effect.fields)
		}
	}

	#arm(now: number): void {
		const next = this.#core.nextDeadline()
		/* an alarm that comes too early only looks and goes back to sleep: cheaper than moving it at every packet */
		if (next >= this.#armedFor) return
		clearTimeout(this.#timer)
		this.#armedFor = next
		this.#timer = setTimeout(this.#alarm, Math.min(Math.max(0, next - now), LONGEST_TIMER_MS))
	}

	readonly #alarm = (): void => {
		this.#armedFor = Infinity
		this.input({ type: 'fires' })
	}

	// — commits —

	#save(effect: SaveEffect): void {
		this.#saves.push(effect)
		if (effect.ticket !== 0 && this.#flush !== 'soon') {
			if (this.#now() - this.#flushedAt < COMMIT_PAUSE_MS) return this.#flushIn('soon', COMMIT_PAUSE_MS)
			this.#flush = 'soon'
			setImmediate(this.#flushNow)
		} else if (this.#flush === 'none' || this.#flush === 'owed') this.#flushIn('lazy', LAZY_COMMIT_MS)
	}

	#flushIn(why: 'owed' | 'lazy' | 'soon', ms: number): void {
		clearTimeout(this.#lazyTimer)
		this.#flush = why
		this.#lazyTimer = setTimeout(this.#flushNow, ms)
	}

	readonly #flushNow = (): void => {
		clearTimeout(this.#lazyTimer)
		this.#flush = 'none'
		const saves = this.#saves
		if (saves.length === 0) return
		this.#saves = []
		const done = this.#edges.commit(saves.flatMap(({ changes }) => changes))
		this.#flushedAt = this.#now()
		if (done.ok) return this.input({ type: 'committed', tickets: ticketsOf(saves) })
		/* one change was at fault, not the store: the others must not suffer for it */
		if (done.code === 'rejected' && saves.length > 1) return this.#flushSingly(saves)
		this.#saves = owed(saves)
		if (this.#saves.length > 0) this.#flushIn('owed', OWED_RETRY_MS)
		this.input({ type: 'commit-failed', tickets: ticketsOf(saves), reason: done.reason })
	}

	#flushSingly(saves: readonly SaveEffect[]): void {
		for (const save of saves) {
			const done = this.#edges.commit(save.changes)
			if (done.ok) this.input({ type: 'committed', tickets: ticketsOf([save]) })
			else this.input({ type: 'commit-failed', tickets: ticketsOf([save]), reason: done.reason })
		}
	}
}

/** What a failed commit left is tried again after this, where nothing else is to be stored sooner. */
export const OWED_RETRY_MS = 5_000

/** Changes kept over from failed commits; beyond it the oldest go, and a restart brings back what they took away. */
export const MAX_OWED = 65_536

/**
 * What of a failed group goes in front of the next one: all that takes away. A row that outlived its device or call
 * would be taken up after a restart: one phone bound twice, a call that is over ringing again.
 */
export function owed(saves: readonly SaveEffect[]): SaveEffect[] {
	const changes = saves.flatMap((save) => save.changes).filter(({ op }) => op === 'delete' || op === 'end')
	return changes.length === 0 ? [] : [{ type: 'save', ticket: 0, changes: changes.slice(-MAX_OWED) }]
}

function ticketsOf(saves: readonly SaveEffect[]): number[] {
	const tickets: number[] = []
	for (const { ticket } of saves) if (ticket !== 0) tickets.push(ticket)
	return tickets
}
