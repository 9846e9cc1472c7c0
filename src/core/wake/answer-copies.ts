/** RFC 6026 §7.2: copies of the 2xx go on to the caller until the ACK stops them; the call itself is forgotten by then. */
import type { SipMessage } from '../../sip/message.ts'
import type { ClientTransaction, ClientUser, ServerTransaction } from '../../transaction/transactions.ts'
import { hasNextVia, masqueradedAnswer } from '../proxy/pass.ts'

export class AnswerCopies implements ClientUser {
	readonly #server: ServerTransaction
	readonly #stableContact: string

	constructor(server: ServerTransaction, stableContact: string) {
		this.#server = server
		this.#stableContact = stableContact
	}

	response(_transaction: ClientTransaction, answer: SipMessage, now: number): void {
		if (hasNextVia(answer)) this.#server.respond(answer.status, masqueradedAnswer(answer, this.#stableContact), now)
	}

	timedOut(): void {}
}
