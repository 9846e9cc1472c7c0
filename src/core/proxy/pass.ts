/**
 * One request on its way to one target: everything but calls to agents, which may wait and fork (core/wake). In-dialog
 * requests both ways, and all an agent's phone asks of the PBX.
 */
import { Deadline } from '../../lib/deadlines.ts'
import { parseNameAddr } from '../../sip/address.ts'
import { cancel, response } from '../../sip/build.ts'
import { Edit } from '../../sip/edit.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import { parse } from '../../sip/parse.ts'
import { parseUri } from '../../sip/uri.ts'
import type {
	ClientTransaction,
	Destination,
	Due,
	ServerTransaction,
	Timed,
	Transactions,
} from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { HopUser, PbxRequests } from '../pbx/hops.ts'
import type { Target } from '../pbx/target.ts'
import { answerEdit, hideClient, masqueradeContact, stripPushParams, upstreamStatus } from './forward.ts'
import { hangUp, NOBODY } from './hang-up.ts'

/** RFC 3261 §16.6 step 11: timer C, "MUST be larger than 3 minutes". */
export const TIMER_C_MS = 185_000

/** RFC 3261 §9.1: how long a cancelled branch may stay without a final response. */
export const CANCEL_WAIT_MS = 32_000

/** What somebody may want to know of a request that passes. */
export interface PassObserver {
	/** `from`: who answered; undefined where nobody did. */
	answered(status: number, response: SipMessage | undefined, now: number, from: Destination | undefined): void
}

export interface PassOptions {
	/** Set where the answers come from a phone: the Contact to show instead of its own. */
	readonly stableContact: string | undefined
	readonly observer: PassObserver | undefined
	/** The agent who asks it of the PBX. */
	readonly aor?: string
	/** Of what may go to any machine of the PBX: it as it goes to that one. */
	readonly bytesFor?: (machine: Target, branch: string) => Uint8Array
}

export class Pass implements HopUser, Timed {
	readonly #context: Context
	readonly #transactions: Transactions
	readonly server: ServerTransaction
	readonly #request: SipMessage
	readonly #options: PassOptions
	/** Its device sleeps: what was sent is not expected to arrive. */
	isHeld = false
	#client: ClientTransaction | undefined = undefined
	#timerC: Deadline<Due> | undefined = undefined
	#state: 'waiting' | 'proceeding' | 'cancel-wanted' | 'cancelled' | 'over' = 'waiting'
	#cancelRows: readonly (readonly [string, string])[] = []
	#isHungUp = false

	constructor(
		context: Context,
		transactions: Transactions,
		server: ServerTransaction,
		request: SipMessage,
		options: PassOptions,
	) {
		this.#context = context
		this.#transactions = transactions
		this.server = server
		this.#request = request
		this.#options = options
	}

	/** `pbx`: it is a machine of the PBX. */
	forward(branch: string, bytes: Uint8Array, to: Destination, now: number, pbx?: PbxRequests): void {
		const { method } = this.#request
		this.#client =
			pbx === undefined
				? this.#transactions.open(branch, method, bytes, to, this, now)
				: pbx.send(branch, method, bytes, to, this, now)
	}

	/** The same to whichever machine of the PBX answers. */
	ask(pbx: PbxRequests, branch: string, first: Target, now: number): void {
		this.#client = pbx.open(branch, first, this, now)
	}

	bytesFor(machine: Target, branch: string): Uint8Array {
		return this.#options.bytesFor!(machine, branch)
	}

	get method(): string {
		return this.#request.method
	}

	get aor(): string {
		return this.#options.aor ?? ''
	}

	get isWanted(): boolean {
		return this.#state === 'waiting' || this.#state === 'proceeding'
	}

	/** The device is reached at `to` now: what it has not answered goes there, as the same request for it. */
	follow(bytes: Uint8Array, to: Destination, now: number): void {
		const client = this.#client
		/* RFC 3261 §9.1: who was cancelled before anything came back is not called anew */
		if (client === undefined || this.#state === 'over' || this.#state === 'cancel-wanted') return
		this.isHeld = false
		client.redirect(bytes, to, now)
		/* of an INVITE that rings already what remains is its ACK and CANCEL */
		client.to = to
	}

	/** Nobody is there to answer in time. What still comes of it finds nothing. */
	giveUp(status: number, reason: string | undefined, now: number): void {
		if (this.#state !== 'waiting' && this.#state !== 'cancel-wanted') return
		if (this.#client !== undefined) this.#transactions.forget(this.#client)
		if (this.#state === 'cancel-wanted') this.#fail(487, now)
		else this.#fail(status, now, reason)
		this.#end()
		this.#options.observer?.answered(status, undefined, now, undefined)
	}

	response(client: ClientTransaction, answer: SipMessage, now: number): void {
		if (answer.status < 200) this.#provisional(client, answer, now)
		else this.#final(client, answer, now)
	}

	/** RFC 3261 §16.8 for INVITE; RFC 4320 §4.2 forbids a 408 to anything else. */
	timedOut(_client: ClientTransaction, now: number): void {
		if (this.server.invite) this.#fail(this.#state === 'waiting' ? 408 : 487, now)
		else this.#transactions.abandon(this.server)
		this.#end()
		this.#options.observer?.answered(408, undefined, now, undefined)
	}

	/** RFC 3261 §16.9: as if the answer were 503. */
	unreachable(_client: ClientTransaction, now: number): void {
		if (this.#state === 'over') return
		this.#fail(this.#state === 'waiting' || this.#state === 'proceeding' ? 503 : 487, now)
		this.#end()
		this.#options.observer?.answered(503, undefined, now, undefined)
	}

	/** RFC 3261 §16.10: the caller gives up; the CANCEL itself has its 200 already. */
	cancel(rows: readonly (readonly [string, string])[], now: number): void {
		this.#cancelRows = rows
		if (this.#state === 'proceeding') this.#sendCancel(now)
		else if (this.#state === 'waiting') this.#state = 'cancel-wanted'
		if (this.#state === 'cancel-wanted' && this.isHeld) this.giveUp(487, undefined, now)
	}

	/** The gateway goes: what the other side says can come back no more. */
	abandon(now: number): void {
		if (this.#state === 'over') return
		if (this.#state === 'proceeding') this.#sendCancel(now)
		this.#fail(503, now)
		this.#end()
	}

	due(_event: string, now: number): void {
		if (this.#state === 'proceeding') return this.#sendCancel(now)
		/* the cancelled branch never ended */
		this.#fail(487, now)
		if (this.#client !== undefined) this.#transactions.forget(this.#client)
		this.#end()
		this.#options.observer?.answered(487, undefined, now, undefined)
	}

	#provisional(client: ClientTransaction, answer: SipMessage, now: number): void {
		if (this.#state === 'over') return
		this.#client = client
		if (this.server.invite) this.#armTimerC(TIMER_C_MS, now)
		/* §16.7 step 5: 100 is hop by hop */
		if (answer.status > 100 && hasNextVia(answer)) this.server.respond(answer.status, this.#upstream(answer), now)
		if (this.#state === 'cancel-wanted') this.#sendCancel(now)
		else if (this.#state === 'waiting') this.#state = 'proceeding'
	}

	#final(client: ClientTransaction, answer: SipMessage, now: number): void {
		const first = this.#state !== 'over'
		this.#end()
		const isLost = !hasNextVia(answer)
		if (isLost) this.#fail(500, now)
		/* a machine of the PBX answers after all, where the phone has heard the end */
		if (answer.status < 300 && this.server.finalStatus >= 300) this.#hangUp(client, answer, now)
		else if (!isLost) this.server.respond(upstreamStatus(answer.status), this.#upstream(answer), now)
		if (first)
			this.#options.observer?.answered(isLost ? 500 : answer.status, isLost ? undefined : answer, now, client.to)
	}

	/** Only of a new call: one that stands is not ended for what went wrong with a request in it. */
	#hangUp(client: ClientTransaction, answer: SipMessage, now: number): void {
		if (!this.server.invite || this.#request.toTag !== '') return
		const uri = parseNameAddr(answer.first(Header.Contact) ?? '')?.uri ?? this.#request.uri
		const routes = routesBehind(answer, this.#request).map((value) => ['Route', value] as const)
		const { to } = client
		const isCopy = this.#isHungUp
		this.#isHungUp = true
		hangUp(this.#context, this.#transactions, { answer, to, uri, routes, reasons: [], isCopy }, now)
	}

	#upstream(answer: SipMessage): Uint8Array {
		const { stableContact } = this.#options
		/* towards the phone a 503 stays one: there is no other PBX to try (§16.7 step 6) */
		if (stableContact === undefined) return answerEdit(this.#context, answer, this.server.answerTo).finish()
		return phoneAnswer(this.#context, this.server, this.#request, answer, stableContact)
	}

	#sendCancel(now: number): void {
		this.#state = 'cancelled'
		const client = this.#client!
		sendCancel(this.#transactions, client, this.#cancelRows, now)
		this.#armTimerC(CANCEL_WAIT_MS, now)
	}

	#fail(status: number, now: number, reason?: string): void {
		const toTag = this.#context.toTag()
		const options = reason === undefined ? { toTag } : { toTag, reason }
		this.server.respond(status, response(this.#request, this.server.answerTo, status, options), now)
	}

	#armTimerC(durationMs: number, now: number): void {
		this.#timerC ??= new Deadline<Due>({ owner: this, event: 'timer-c' })
		this.#context.deadlines.after(this.#timerC, now, durationMs)
	}

	#end(): void {
		this.#state = 'over'
		if (this.#timerC !== undefined) this.#context.deadlines.disarm(this.#timerC)
	}
}

/** RFC 3261 §16.7 step 3: without a Via beside ours an answer is for nobody else. */
export function hasNextVia(answer: SipMessage): boolean {
	const own = answer.find(Header.Via)
	return answer.find(Header.Via, own + 1) >= 0 || answer.list(Header.Via).length > 1
}

/** The machines of the PBX behind us, the next hop first: all else of Record-Route went out with the INVITE. */
function routesBehind(answer: SipMessage, request: SipMessage): string[] {
	const recorded = answer.list(Header.RecordRoute)
	const upToUs = recorded.slice(0, recorded.length - request.list(Header.RecordRoute).length)
	/* ours are two where the phone and the PBX have different listeners, and both name the device */
	const own = userOf(upToUs.at(-1))
	return upToUs.filter((value) => userOf(value) !== own).reverse()
}

function userOf(route: string | undefined): string | undefined {
	return parseUri(parseNameAddr(route ?? '')?.uri ?? '')?.user
}

/** A phone's answer as the PBX may see it: our Via off, its Contact ours, no push parameters, 503 as 500. */
export function phoneAnswer(
	context: Context,
	server: ServerTransaction,
	request: SipMessage,
	answer: SipMessage,
	stableContact: string,
): Uint8Array {
	if (answer.status === 503)
		return response(request, server.answerTo, 500, { toTag: answer.toTag, reason: 'Server Internal Error' })
	return masqueradedAnswer(context, answer, stableContact)
}

/** The same of an answer that is no 503. */
export function masqueradedAnswer(context: Context, answer: SipMessage, stableContact: string): Uint8Array {
	const edit = new Edit(answer).popVia()
	masqueradeContact(edit, answer, stableContact)
	stripPushParams(edit, answer)
	hideClient(context, edit)
	return edit.finish()
}

/** RFC 3261 §9.1: CANCEL for what a client transaction sent, as a transaction of its own whose answer says nothing. */
export function sendCancel(
	transactions: Transactions,
	client: ClientTransaction,
	rows: readonly (readonly [string, string])[],
	now: number,
): ClientTransaction {
	const bytes = cancel(parse(client.bytes), rows)
	return transactions.open(client.branch, 'CANCEL', bytes, client.to, NOBODY, now)
}

/** The Reason headers of a request, to go on with what it causes (RFC 3326 §2). */
export function reasonRows(message: SipMessage): readonly (readonly [string, string])[] {
	return message.rows(Header.Reason).map((value) => ['Reason', value] as const)
}

/** A BYE ends the live call, however it is answered. */
export function endingOf(calls: { leaveLive(callId: string): void }, request: SipMessage): PassObserver | undefined {
	if (request.method !== 'BYE') return undefined
	return { answered: () => calls.leaveLive(request.callId) }
}
