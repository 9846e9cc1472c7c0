/**
 * A request that was left for another machine of the PBX, because nothing came back. What comes late all the same must
 * not make a second call: an INVITE that is answered provisionally is cancelled.
 */
import { Deadline } from '../../lib/deadlines.ts'
import { cancel } from '../../sip/build.ts'
import type { SipMessage } from '../../sip/message.ts'
import { parse } from '../../sip/parse.ts'
import type { ClientTransaction, ClientUser, Due, Timed, Transactions } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'

/** As long as an answer may be under way: the 64*T1 of timer B and of RFC 3261 §9.1. */
export const LEFT_BEHIND_MS = 32_000

export class LeftBehind implements ClientUser, Timed {
	readonly #context: Context
	readonly #transactions: Transactions
	readonly #client: ClientTransaction
	readonly #user: ClientUser
	#isCancelled = false

	constructor(context: Context, transactions: Transactions, client: ClientTransaction, user: ClientUser) {
		this.#context = context
		this.#transactions = transactions
		this.#client = client
		this.#user = user
	}

	/** It is sent no more. A late answer to any other request than INVITE finds nothing. */
	begin(now: number): void {
		if (!this.#client.invite) return this.#transactions.forget(this.#client)
		this.#client.user = this
		this.#client.park(now)
		this.#context.deadlines.after(new Deadline<Due>({ owner: this, event: 'forget' }), now, LEFT_BEHIND_MS)
	}

	response(client: ClientTransaction, answer: SipMessage, now: number): void {
		/* RFC 3261 §16.7 step 5: a 2xx to INVITE always goes on; the phone hangs up the one it does not want */
		if (answer.status >= 200 && answer.status < 300) return this.#user.response(client, answer, now)
		if (answer.status >= 200 || this.#isCancelled) return
		this.#isCancelled = true
		this.#transactions.open(client.branch, 'CANCEL', cancel(parse(client.bytes)), client.to, NOBODY, now)
	}

	timedOut(): void {}

	due(): void {
		/* after a final answer its transaction ends by itself */
		if (this.#client.state === 'parked' || this.#client.state === 'proceeding') this.#transactions.forget(this.#client)
	}
}

/** The answer to a CANCEL changes nothing. */
const NOBODY: ClientUser = {
	response() {},
	timedOut() {},
}
