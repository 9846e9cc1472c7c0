/** What of the log's events the contact centre is told, and in which words: a public contract (docs/operations.md). */
import type { EventName, EventValue } from '../core/effects.ts'

/** The log's name → the `type` that is posted. Types and fields are only ever added. */
export const POSTED: ReadonlyMap<EventName, string> = new Map([
	['agent-unreachable', 'agent-unreachable'],
	['agent-back', 'agent-back'],
	['device-suspect', 'device-suspect'],
	['device-trusted', 'device-trusted'],
	['wake-slow', 'wake-slow'],
	['push-refused', 'push-refused'],
	/* for the call it is the same, and `hint` says what to do */
	['push-misconfigured', 'push-refused'],
])

export interface PostedEvent {
	/** A UUID, the same at every try: the receiver knows a repetition by it. */
	readonly id: string
	readonly type: string
	/** When it happened, ms since the epoch. */
	readonly at: number
	/** JSON: `{"id","type","time","agent",…}`. */
	readonly body: string
}

/** undefined where nobody is told of it. Secrets are masked as they become JSON. */
export function postedEvent(
	name: EventName,
	fields: Readonly<Record<string, EventValue>>,
	at: number,
): PostedEvent | undefined {
	const type = POSTED.get(name)
	if (type === undefined) return undefined
	const id = crypto.randomUUID()
	return { id, type, at, body: JSON.stringify({ id, type, time: new Date(at).toISOString(), ...fields }) }
}
