/**
 * One machine of the PBX, as a table: may new requests go to it?
 *
 * `up` and `suspect` are used, `down` and `resting` are passed over while another one is used. What is not known yet is
 * `up`: the first request finds out.
 */
export type TargetState =
	/** It answers, as far as is known. */
	| 'up'
	/** Something went unanswered once: asked again at once. */
	| 'suspect'
	/** Unanswered again. */
	| 'down'
	/** It said 503 with Retry-After (RFC 3261 §21.5.4). */
	| 'resting'
	/** `--pbx` names it no more. */
	| 'gone'

export type TargetEvent =
	/** Anything at all came from it. */
	| 'heard'
	/** Several copies of a request got no answer, and nothing else came either. */
	| 'missed'
	/** There is no connection to it, and it takes none. */
	| 'refused'
	| 'unavailable'
	/** Its time of rest is over. */
	| 'rested'
	| 'removed'

export type TargetAction = 'probe' | 'hangUp' | 'tellDown' | 'tellUp' | 'rest' | 'retry' | 'forget'

interface Row {
	readonly to: TargetState
	readonly do: readonly TargetAction[]
}

const stay = <S extends TargetState>(to: S) => ({ to, do: [] }) as const
const removed = { to: 'gone', do: ['forget'] } as const

export const TARGET = {
	up: {
		heard: stay('up'),
		missed: { to: 'suspect', do: ['probe'] },
		refused: { to: 'down', do: ['tellDown', 'retry'] },
		unavailable: { to: 'resting', do: ['tellDown', 'rest'] },
		rested: stay('up'),
		removed,
	},
	suspect: {
		heard: { to: 'up', do: ['tellUp'] },
		missed: { to: 'down', do: ['tellDown', 'hangUp', 'retry'] },
		refused: { to: 'down', do: ['tellDown', 'retry'] },
		unavailable: { to: 'resting', do: ['tellDown', 'rest'] },
		rested: stay('suspect'),
		removed,
	},
	down: {
		heard: { to: 'up', do: ['tellUp'] },
		missed: stay('down'),
		refused: stay('down'),
		unavailable: { to: 'resting', do: ['rest'] },
		/* nothing is asked of it (`--pbx-ping 0`), so that only a request can tell */
		rested: stay('suspect'),
		removed,
	},
	resting: {
		/* it lives, and has asked for peace */
		heard: stay('resting'),
		missed: stay('resting'),
		refused: stay('resting'),
		unavailable: { to: 'resting', do: ['rest'] },
		rested: { to: 'up', do: ['tellUp', 'probe'] },
		removed,
	},
	gone: {
		heard: stay('gone'),
		missed: stay('gone'),
		refused: stay('gone'),
		unavailable: stay('gone'),
		rested: stay('gone'),
		removed: stay('gone'),
	},
} as const satisfies Record<TargetState, Record<TargetEvent, Row>>
