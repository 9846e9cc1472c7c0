/** Requests under way through the proxy: their server transactions, and who may cancel them. */
import { type HeaderRow, response } from '../../sip/build.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import { uriScheme } from '../../sip/uri.ts'
import { answerDestination, type ServerTransaction, type Transactions } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Filter } from '../filter/filter.ts'
import type { Flow } from '../model.ts'
import type { Calls } from '../wake/calls.ts'
import { Pass, type PassOptions, reasonRows } from './pass.ts'
import { refusal } from './validate.ts'

/** What an answer to OPTIONS says the gateway understands. */
export const ALLOW =
	'INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY, SUBSCRIBE, MESSAGE, REGISTER'

/** A restart takes a second or two. */
export const RETRY_SOON = [['Retry-After', '5']] as const

export class Passes {
	readonly #context: Context
	readonly #transactions: Transactions
	readonly #filter: Filter
	readonly #calls: Calls
	readonly #invites = new Map<ServerTransaction, Pass>()

	constructor(context: Context, transactions: Transactions, filter: Filter, calls: Calls) {
		this.#context = context
		this.#transactions = transactions
		this.#filter = filter
		this.#calls = calls
	}

	/** INVITEs without a final response yet. */
	get unfinished(): number {
		return this.#invites.size
	}

	/** The gateway goes. */
	end(now: number): void {
		for (const pass of [...this.#invites.values()]) pass.abandon(now)
	}

	/** A retransmission goes no further. */
	absorbed(request: SipMessage, now: number): boolean {
		const known = this.#transactions.findServer(request)
		/* the ACK to a 2xx may share the branch of its INVITE with old peers, and is not that transaction's */
		if (known === undefined || (request.method === 'ACK' && known.state === 'accepted')) return false
		this.#transactions.absorb(known, request, now)
		return true
	}

	/** Was it a CANCEL? Then it is answered, and what it names is cancelled. */
	cancelled(cancel: SipMessage, source: Flow, symmetric: boolean, now: number): boolean {
		if (cancel.method !== 'CANCEL') return false
		const server = this.#transactions.cancelled(cancel)
		if (server !== undefined && !isSender(server, source, symmetric)) {
			/* RFC 3261 §22: who did not send the INVITE may not cancel it. Answered without a transaction, which would absorb the right one */
			this.#context.send(source, response(cancel, source, 481, { toTag: this.#context.toTag() }))
			return true
		}
		const own = this.serve(cancel, source, symmetric)
		const status = server === undefined ? 481 : 200
		own.respond(status, response(cancel, source, status, { toTag: this.#context.toTag() }), now)
		if (server === undefined) return true
		const call = this.#calls.find(server)
		if (call !== undefined) call.cancel(cancel.rows(Header.Reason), now)
		else this.#invites.get(server)?.cancel(reasonRows(cancel), now)
		return true
	}

	serve(request: SipMessage, source: Flow, symmetric: boolean): ServerTransaction {
		const isSymmetric = symmetric || this.#context.isReliable(source)
		return this.#transactions.serve(request, answerDestination(request, source, isSymmetric))
	}

	/** A request that is about to be forwarded; an INVITE gets its 100 at once. */
	pass(request: SipMessage, source: Flow, symmetric: boolean, options: PassOptions): Pass {
		const server = this.serve(request, source, symmetric)
		if (!server.invite) return this.passFor(server, request, options)
		const pass = this.passFor(server, request, {
			...options,
			observer: {
				answered: (status, answer, now, from) => {
					this.#invites.delete(server)
					options.observer?.answered(status, answer, now, from)
				},
			},
		})
		this.#invites.set(server, pass)
		server.respond(100, response(request, source, 100), 0)
		return pass
	}

	/** The same where the request was kept waiting; no INVITE. */
	passFor(server: ServerTransaction, request: SipMessage, options: PassOptions): Pass {
		return new Pass(this.#context, this.#transactions, server, request, options)
	}

	/** RFC 3261 §16.3: answers what must not be forwarded; true when it did. */
	refused(request: SipMessage, source: Flow, now: number, strictUri?: string): boolean {
		/* the parser has judged the Request-URI, not what a strict router put into the Route */
		const scheme = strictUri === undefined ? 'sip' : uriScheme(strictUri)
		const reason = scheme === 'sip' || scheme === 'sips' ? refusal(this.#context, request) : { status: 416, rows: [] }
		if (reason === undefined) return false
		this.refuse(request, source, reason.status, now, reason.rows)
		return true
	}

	/** Answers with a status of ours. */
	refuse(request: SipMessage, source: Flow, status: number, now: number, rows: readonly HeaderRow[] = []): void {
		if (request.method === 'ACK') return
		const server = this.serve(request, source, !this.#filter.isPbx(source))
		const allow = status === 200 ? ([['Allow', ALLOW]] as const) : []
		server.respond(
			status,
			response(request, source, status, { toTag: this.#context.toTag(), rows: [...rows, ...allow] }),
			now,
		)
	}
}

/** Did this transaction's request come from there? Its Via is no secret to the phones it went to. */
function isSender({ answerTo }: ServerTransaction, source: Flow, symmetric: boolean): boolean {
	return answerTo.address === source.address && (!symmetric || answerTo.port === source.port)
}
