/** Events to lines to a sink, in batches and never waiting: a stalled terminal or pipe costs lines, not calls. */
import { EVENTS, type EventName } from '../core/effects.ts'
import { type EventFields, formatLine, type LogFormat, type LogLevel } from './format.ts'

export type { EventFields, LogFormat, LogLevel } from './format.ts'

/**
 * Takes whole lines. While the promise it returned is pending nothing more is given to it; a rejection means that
 * these lines are lost.
 */
export type Sink = (lines: string) => Promise<void> | void

export interface LogOptions {
	readonly format: LogFormat
	/** The least level that is written. */
	readonly level: LogLevel
	readonly write: Sink
	/** ms since the epoch; the system's clock unless a test brings its own. */
	readonly now?: () => number
	/** Calls `flush` once, later. Default: after {@link GATHER_MS}. */
	readonly gather?: (flush: () => void) => void
}

export interface Log {
	/** Never throws and never waits. */
	log(name: EventName, fields?: EventFields): void
	/** All written? Waits for it at most `withinMs`. For the end of the process. */
	drain(withinMs: number): Promise<boolean>
}

/** About 5,000 lines: enough for a slow disk's second, little beside the gateway's 100 MB. */
export const MAX_BUFFERED_CHARS = 1_000_000

const RANK: Readonly<Record<LogLevel, number>> = { info: 0, warn: 1, error: 2 }
/** How long a line may wait for others to go out with. */
export const GATHER_MS = 20
/** Between looks whether the sink is done. */
const DRAIN_STEP_MS = 5

const gatherLines = (flush: () => void): void => void setTimeout(flush, GATHER_MS)

/** Lines of 20 ms go out together: a write is dearer than a line. What was dropped is said once there is room. */
export function createLog({ format, level, write, now = Date.now, gather = gatherLines }: LogOptions): Log {
	const least = RANK[level]
	let buffered = ''
	let dropped = 0
	let busy = false

	const append = (name: EventName, fields: EventFields) => {
		buffered += formatLine(format, now(), name, fields)
		if (busy) return
		busy = true
		gather(flush)
	}
	const flush = async () => {
		while (buffered !== '') {
			const lines = buffered
			buffered = ''
			try {
				await write(lines)
			} catch {
				dropped += lines.split('\n').length - 1
				break
			}
			if (dropped > 0) buffered += droppedLine()
		}
		busy = false
	}
	const droppedLine = () => {
		const line = formatLine(format, now(), 'limit-reached', { limit: 'log-buffer', dropped })
		dropped = 0
		return line
	}
	return {
		log: (name, fields = {}) => {
			if (RANK[EVENTS[name]] < least) return
			if (buffered.length >= MAX_BUFFERED_CHARS) dropped++
			else append(name, fields)
		},
		drain: async (withinMs) => {
			const until = performance.now() + withinMs
			while (busy && performance.now() < until) await Bun.sleep(DRAIN_STEP_MS)
			return !busy && dropped === 0
		},
	}
}
