/** A MESSAGE for an agent whose devices all sleep: told to them by an alert, and kept for the first that registers. */
import { Deadline } from '../../lib/deadlines.ts'
import { response } from '../../sip/build.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { Due, ServerTransaction, Timed } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { PushOutcome } from '../inputs.ts'
import type { Flow } from '../model.ts'
import type { NoticeOwner } from '../wake/notices.ts'

/**
 * A phone that an alert wakes without its owner is there within a few seconds or not at all. The one who asks waits 32 s
 * (RFC 3261 §17.1.2.2, timer F).
 */
export const MESSAGE_HOLD_MS = 10_000

/** About 2 kB each. Beyond it the PBX gets its 480 at once, and keeps the message as it does for that of any other. */
export const MAX_HELD_MESSAGES = 5_000

/** All of them go out in one burst as the phone wakes: as many datagrams as its socket surely takes, of 2 kB or less. */
export const MAX_HELD_MESSAGES_PER_AGENT = 20

export class HeldMessage implements Timed, NoticeOwner {
	readonly server: ServerTransaction
	readonly request: SipMessage
	readonly source: Flow
	readonly #context: Context
	readonly #over: () => void
	/** Devices that may come. */
	readonly #awaited: Set<number>
	readonly #deadline: Deadline<Due>

	constructor(
		context: Context,
		server: ServerTransaction,
		request: SipMessage,
		source: Flow,
		awaited: Iterable<number>,
		over: () => void,
	) {
		this.#context = context
		this.server = server
		this.request = request
		this.source = source
		this.#awaited = new Set(awaited)
		this.#over = over
		this.#deadline = new Deadline<Due>({ owner: this, event: 'message' })
	}

	begin(now: number): void {
		this.#context.deadlines.after(this.#deadline, now, MESSAGE_HOLD_MS)
	}

	/** A device is there: the message is in other hands. */
	release(): void {
		this.#context.deadlines.disarm(this.#deadline)
		this.#over()
	}

	/** A refused alert brings nobody. */
	noticed(deviceId: number, outcome: PushOutcome, now: number): void {
		if (outcome.kind === 'accepted' || outcome.kind === 'throttled') return
		this.#awaited.delete(deviceId)
		if (this.#awaited.size === 0 && this.#deadline.armed) this.refuse(now)
	}

	due(_event: string, now: number): void {
		this.refuse(now)
	}

	/** 480 and not 202: whoever sent it keeps it, for nothing is kept here. */
	refuse(now: number): void {
		this.release()
		const bytes = response(this.request, this.server.answerTo, 480, { toTag: this.#context.toTag() })
		this.server.respond(480, bytes, now)
	}
}
