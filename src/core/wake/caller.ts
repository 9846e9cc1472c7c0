/** The caller's side of a call: what the PBX is told, and in whose name. */
import { response } from '../../sip/build.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { ServerTransaction } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Flow } from '../model.ts'
import { hasNextVia, phoneAnswer } from '../proxy/pass.ts'
import { AnswerCopies } from './answer-copies.ts'
import type { Calls } from './calls.ts'
import { type CallerIdentity, callerOf } from './payload.ts'

export class Caller {
	readonly #context: Context
	readonly #server: ServerTransaction
	readonly #invite: SipMessage
	readonly #source: Flow
	/** The gateway's own To-tag, for answers no phone gave. */
	readonly #toTag: string
	readonly #stableContact: string
	#identity: CallerIdentity | undefined = undefined
	/** It was told that a phone rings. */
	ringing = false

	constructor(calls: Calls, server: ServerTransaction, invite: SipMessage, source: Flow, toTag: string, agent: string) {
		this.#context = calls.context
		this.#server = server
		this.#invite = invite
		this.#source = source
		this.#toTag = toTag
		this.#stableContact = calls.stableContact(agent, source.listener)
	}

	/** Who calls, as the push and the page show it. */
	get identity(): CallerIdentity {
		this.#identity ??= callerOf(this.#invite)
		return this.#identity
	}

	/** A phone's answer goes on; 503 as 500 (RFC 3261 §16.7 step 6), and so one that has lost the caller's Via (step 3). */
	pass(answer: SipMessage, now: number): void {
		if (!hasNextVia(answer)) return answer.status < 200 ? undefined : this.tell(500, now)
		if (answer.status >= 180 && answer.status < 200) this.ringing = true
		const status = answer.status === 503 ? 500 : answer.status
		const bytes = phoneAnswer(this.#context, this.#server, this.#invite, answer, this.#stableContact)
		this.#server.respond(status, bytes, now)
	}

	/** Who passes copies of the 2xx on when the call itself is forgotten. */
	get copies(): AnswerCopies {
		return new AnswerCopies(this.#context, this.#server, this.#stableContact)
	}

	/** The gateway answers itself. */
	tell(status: number, now: number): void {
		this.#server.respond(status, response(this.#invite, this.#source, status, { toTag: this.#toTag }), now)
	}

	/** `--ringing-on-push`: a virtual UAS with a tag of its own says what the phone cannot say yet (§16.7 step 6). */
	ring(now: number): void {
		if (this.ringing) return
		/* RFC 3262 §3: a caller that insists on reliable provisionals gets none from us */
		if (this.#invite.list(Header.Require).some((tag) => tag.toLowerCase() === '100rel')) return
		this.ringing = true
		this.tell(180, now)
	}
}
