/** RFC 6026 §7.2: copies of the 2xx go on to the caller until the ACK stops them; the call itself is forgotten by then. */
import type { SipMessage } from '../../sip/message.ts'
import type { ClientTransaction, ClientUser, ServerTransaction } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import { hasNextVia, masqueradedAnswer } from '../proxy/pass.ts'

export class AnswerCopies implements ClientUser {
	readonly #context: Context
	readonly #server: ServerTransaction
	readonly #stableContact: string

	constructor(context: Context, server: ServerTransaction, stableContact: string) {
		this.#context = context
		this.#server = server
		this.#stableContact = stableContact
	}

	response(_transaction: ClientTransaction, answer: SipMessage, now: number): void {
		if (!hasNextVia(answer)) return
		this.#server.respond(answer.status, masqueradedAnswer(this.#context, answer, this.#stableContact), now)
	}

	timedOut(): void {}
}
