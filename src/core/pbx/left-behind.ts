/**
 * A request that was left for another machine of the PBX, because nothing came back. What comes late all the same must
 * not make a second call: an INVITE that is answered provisionally is cancelled.
 */
import { Deadline } from '../../lib/deadlines.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { ClientTransaction, ClientUser, Due, Timed, Transactions } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import { sendCancel } from '../proxy/pass.ts'

/** Who sent it, and hears that it was answered all the same. */
export interface Leaver {
	answeredLate(client: ClientTransaction, answer: SipMessage, now: number): void
}

/** As long as an answer may be under way: the 64*T1 of timer B and of RFC 3261 §9.1. */
export const LEFT_BEHIND_MS = 32_000

export class LeftBehind implements ClientUser, Timed {
	readonly #context: Context
	readonly #transactions: Transactions
	readonly #client: ClientTransaction
	readonly #leaver: Leaver
	#isCancelled = false

	constructor(context: Context, transactions: Transactions, client: ClientTransaction, leaver: Leaver) {
		this.#context = context
		this.#transactions = transactions
		this.#client = client
		this.#leaver = leaver
	}

	/** It is sent no more, and what rings is cancelled. A late answer to any other request than INVITE finds nothing. */
	begin(now: number): void {
		if (!this.#client.invite) return this.#transactions.forget(this.#client)
		this.#client.user = this
		if (this.#client.state === 'proceeding') this.#cancel(now)
		else this.#client.park(now)
		this.#context.deadlines.after(new Deadline<Due>({ owner: this, event: 'forget' }), now, LEFT_BEHIND_MS)
	}

	response(client: ClientTransaction, answer: SipMessage, now: number): void {
		if (answer.status < 200) this.#cancel(now)
		else if (answer.status < 300) this.#leaver.answeredLate(client, answer, now)
	}

	timedOut(): void {}

	#cancel(now: number): void {
		if (this.#isCancelled) return
		this.#isCancelled = true
		sendCancel(this.#transactions, this.#client, [], now)
	}

	due(): void {
		/* after a final answer its transaction ends by itself */
		if (this.#client.state === 'parked' || this.#client.state === 'proceeding') this.#transactions.forget(this.#client)
	}
}
