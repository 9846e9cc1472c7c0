/**
 * The transaction layer: which message is whose, retransmissions in both directions, and the four machines.
 *
 * The tables (invite-server.ts …) say what happens; this file does it. Nothing here decides about calls.
 */
import { Deadline, type Deadlines } from '../lib/deadlines.ts'
import { ackFor } from '../sip/build.ts'
import type { SipMessage } from '../sip/message.ts'
import { parse } from '../sip/parse.ts'
import {
	INVITE_CLIENT,
	type InviteClientAction,
	type InviteClientEvent,
	type InviteClientState,
} from './invite-client.ts'
import {
	INVITE_SERVER,
	type InviteServerAction,
	type InviteServerEvent,
	type InviteServerState,
} from './invite-server.ts'
import { Lingering } from './lingering.ts'
import { clientKey, serverKey } from './matching.ts'
import {
	NON_INVITE_CLIENT,
	type NonInviteClientAction,
	type NonInviteClientEvent,
	type NonInviteClientState,
} from './non-invite-client.ts'
import {
	NON_INVITE_SERVER,
	type NonInviteServerAction,
	type NonInviteServerEvent,
	type NonInviteServerState,
} from './non-invite-server.ts'
import { SIXTY_FOUR_T1, T1, T2, T4 } from './timers.ts'
import {
	ClientTransaction,
	type ClientUser,
	type Destination,
	type Due,
	ServerTransaction,
	type Transaction,
	type TransactionCounters,
	type Wire,
} from './transaction.ts'

export { answerDestination } from './matching.ts'
export type {
	ClientTransaction,
	ClientUser,
	Destination,
	Due,
	ServerTransaction,
	Timed,
	Wire,
} from './transaction.ts'

/** Lingering transactions are many: they keep nothing they do not need. */
const NOTHING = new Uint8Array(0)
const SILENT: ClientUser = {
	response() {},
	timedOut() {},
}

export class Transactions {
	readonly #servers = new Map<string, ServerTransaction>()
	readonly #clients = new Map<string, ClientTransaction>()
	readonly #deadlines: Deadlines<Due>
	readonly #lingering: Lingering
	readonly #wire: Wire
	readonly #counters: TransactionCounters

	constructor(deadlines: Deadlines<Due>, wire: Wire, counters: TransactionCounters) {
		this.#deadlines = deadlines
		this.#wire = wire
		this.#counters = counters
		this.#lingering = new Lingering(this)
	}

	get count(): number {
		return this.#servers.size + this.#clients.size
	}

	/** The earliest end of a finished transaction's memory, ms. */
	nextLinger(): number {
		return this.#lingering.next()
	}

	/** Forgets finished transactions whose time has come. */
	sweep(now: number): void {
		this.#lingering.sweep(now)
	}

	// — server side —

	/** The transaction this request belongs to; for CANCEL use {@link cancelled}. */
	findServer(request: SipMessage): ServerTransaction | undefined {
		return this.#servers.get(serverKey(request, request.method === 'ACK' ? 'INVITE' : request.method))
	}

	/** RFC 3261 §9.2: the INVITE transaction a CANCEL names. */
	cancelled(cancel: SipMessage): ServerTransaction | undefined {
		return this.#servers.get(serverKey(cancel, 'INVITE'))
	}

	serve(request: SipMessage, answerTo: Destination): ServerTransaction {
		const transaction = new ServerTransaction(this, serverKey(request, request.method), request, answerTo)
		this.#servers.set(transaction.key, transaction)
		return transaction
	}

	/** A retransmission, or the ACK to a final response that is not 2xx. */
	absorb(transaction: ServerTransaction, request: SipMessage, now: number): void {
		this.#counters.retransmissionsAbsorbed++
		if (transaction.invite)
			this.#inviteServer(transaction, request.method === 'ACK' ? 'ack' : 'request', undefined, now)
		else this.#nonInviteServer(transaction, 'request', undefined, now)
	}

	/** @internal by {@link ServerTransaction.respond} */
	respond(transaction: ServerTransaction, status: number, bytes: Uint8Array, now: number): void {
		if (status >= 200 && transaction.finalStatus === 0) transaction.finalStatus = status
		if (!transaction.invite) this.#nonInviteServer(transaction, status < 200 ? 'provisional' : 'final', bytes, now)
		else
			this.#inviteServer(transaction, status < 200 ? 'provisional' : status < 300 ? 'success' : 'failure', bytes, now)
	}

	/** Forgets a request that will get no answer. */
	abandon(transaction: ServerTransaction): void {
		transaction.state = 'terminated'
		this.#disarm(transaction.retransmit)
		this.#disarm(transaction.timeout)
		this.#servers.delete(transaction.key)
	}

	/** @internal */
	serverDue(transaction: ServerTransaction, event: string, now: number): void {
		this.#inviteServer(transaction, event as 'retransmit' | 'timeout', undefined, now)
	}

	#inviteServer(t: ServerTransaction, event: InviteServerEvent, bytes: Uint8Array | undefined, now: number): void {
		const row = INVITE_SERVER[t.state as InviteServerState][event]
		t.state = row.to
		for (const action of row.do) this.#serverAction(t, action, bytes, now)
	}

	#nonInviteServer(
		t: ServerTransaction,
		event: NonInviteServerEvent,
		bytes: Uint8Array | undefined,
		now: number,
	): void {
		const row = NON_INVITE_SERVER[t.state as NonInviteServerState][event]
		t.state = row.to
		for (const action of row.do) this.#serverAction(t, action, bytes, now)
	}

	#serverAction(
		t: ServerTransaction,
		action: InviteServerAction | NonInviteServerAction,
		bytes: Uint8Array | undefined,
		now: number,
	): void {
		switch (action) {
			case 'send':
				t.last = bytes
				this.#wire.send(t.answerTo, bytes!)
				return
			case 'resend':
				if (t.last !== undefined) this.#resend(t.answerTo, t.last)
				return
			case 'armRetransmit':
				if (!this.#wire.isReliable(t.answerTo)) this.#deadlines.after(retransmitOf(t), now, t.intervalMs)
				return
			case 'backOff':
				this.#backOff(t, T2, now)
				return
			case 'armTimeout':
				t.timeout = new Deadline<Due>({ owner: t, event: 'timeout' })
				this.#deadlines.after(t.timeout, now, SIXTY_FOUR_T1)
				return
			case 'disarmRetransmit':
				this.#disarm(t.retransmit)
				return
			case 'disarmTimeout':
				this.#disarm(t.timeout)
				return
			case 'linger':
				t.request = undefined
				/* an accepted INVITE is absorbed without a word; other requests hear their answer again */
				if (t.invite) t.last = undefined
				/* timer L, or J, which is 0 where nothing comes twice */
				this.#linger(t, !t.invite && this.#wire.isReliable(t.answerTo) ? 0 : SIXTY_FOUR_T1, now)
				return
			case 'lingerBriefly':
				t.request = undefined
				this.#linger(t, this.#wire.isReliable(t.answerTo) ? 0 : T4, now)
				return
			case 'end':
				this.#disarm(t.retransmit)
				this.#disarm(t.timeout)
				this.#servers.delete(t.key)
		}
	}

	// — client side —

	/** RFC 3261 §17.1.3: by the branch of the topmost Via, which must be ours, and the method in CSeq. */
	findClient(response: SipMessage): ClientTransaction | undefined {
		const { branch } = response.via
		const t = this.#clients.get(clientKey(branch, response.cseqMethod))
		return t !== undefined && (response.cseqMethod === 'INVITE') === t.invite ? t : undefined
	}

	/** Sends a request as a new client transaction. `branch` is the one in its topmost Via. */
	open(
		branch: string,
		method: string,
		bytes: Uint8Array,
		to: Destination,
		user: ClientUser,
		now: number,
	): ClientTransaction {
		const key = clientKey(branch, method)
		const t = new ClientTransaction(this, key, method === 'INVITE', bytes, to, user)
		this.#clients.set(key, t)
		this.#wire.send(to, bytes)
		this.#arm(t, now)
		return t
	}

	/** An INVITE transaction that has sent nothing in this life: taken up again after a restart. */
	reopen(branch: string, bytes: Uint8Array, to: Destination, user: ClientUser): ClientTransaction {
		const t = new ClientTransaction(this, branch, true, bytes, to, user)
		t.state = 'parked'
		this.#clients.set(branch, t)
		return t
	}

	receive(t: ClientTransaction, response: SipMessage, now: number): void {
		const status = response.status
		if (!t.invite) this.nonInviteClient(t, status < 200 ? 'provisional' : 'final', response, now)
		else this.inviteClient(t, status < 200 ? 'provisional' : status < 300 ? 'success' : 'failure', response, now)
	}

	/** Those that were sent there, not on a connection somebody else opened. Rare, so that nothing is kept for it. */
	towards({ listener, address, port }: Destination): readonly ClientTransaction[] {
		const isIt = ({ to }: ClientTransaction) =>
			to.port === port && to.address === address && to.listener === listener && to.key === undefined
		return [...this.#clients.values()].filter(isIt)
	}

	/** Drops a transaction nobody waits for any more; what still comes for it finds nothing. */
	forget(t: ClientTransaction): void {
		t.state = 'terminated'
		this.#disarm(t.retransmit)
		this.#disarm(t.timeout)
		this.#lingering.remove(t)
		this.#clients.delete(t.branch)
	}

	/** @internal */
	clientDue(t: ClientTransaction, event: string, now: number): void {
		if (t.invite) this.inviteClient(t, event as 'retransmit' | 'timeout', undefined, now)
		else this.nonInviteClient(t, event as 'retransmit' | 'timeout', undefined, now)
	}

	/** @internal */
	inviteClient(t: ClientTransaction, event: InviteClientEvent, response: SipMessage | undefined, now: number): void {
		const row = INVITE_CLIENT[t.state as InviteClientState][event]
		t.state = row.to
		for (const action of row.do) this.#clientAction(t, action, response, now)
	}

	/** @internal */
	nonInviteClient(
		t: ClientTransaction,
		event: NonInviteClientEvent,
		response: SipMessage | undefined,
		now: number,
	): void {
		const row = NON_INVITE_CLIENT[t.state as NonInviteClientState][event]
		t.state = row.to
		for (const action of row.do) this.#clientAction(t, action, response, now)
	}

	#clientAction(
		t: ClientTransaction,
		action: InviteClientAction | NonInviteClientAction,
		response: SipMessage | undefined,
		now: number,
	): void {
		switch (action) {
			case 'send':
				this.#resend(t.to, t.bytes)
				return
			case 'armRetransmit':
				t.intervalMs = T1
				this.#armRetransmit(t, T1, now)
				return
			case 'armTimeout':
				this.#deadlines.after(timeoutOf(t), now, SIXTY_FOUR_T1)
				return
			case 'backOff':
				/* timer A doubles without end, timer E up to T2 */
				this.#backOff(t, t.invite ? SIXTY_FOUR_T1 : T2, now)
				return
			case 'slowDown':
				this.#armRetransmit(t, T2, now)
				return
			case 'disarmRetransmit':
				this.#disarm(t.retransmit)
				return
			case 'disarmTimeout':
				this.#disarm(t.timeout)
				return
			case 'pass':
				t.user.response(t, response!, now)
				/* after a final response that is not 2xx only copies of it can come, and they are ours to ACK */
				if (t.state === 'completed') t.user = SILENT
				return
			case 'ack':
				this.#wire.send(t.to, ackFor(parse(t.bytes), response!))
				return
			case 'linger':
				t.retransmit = undefined
				t.timeout = undefined
				/* the ACK to a 2xx is the caller's: nothing is sent from here any more */
				if (t.state === 'accepted') t.bytes = NOTHING
				/* timer M, or D, which is 0 where nothing comes twice */
				this.#linger(t, t.state !== 'accepted' && this.#wire.isReliable(t.to) ? 0 : SIXTY_FOUR_T1, now)
				return
			case 'timeOut':
				t.user.timedOut(t, now)
				return
			case 'fail':
				if (t.user.unreachable !== undefined) t.user.unreachable(t, now)
				else t.user.timedOut(t, now)
				return
			case 'end':
				this.#clients.delete(t.branch)
		}
	}

	// — timers —

	#arm(t: ClientTransaction, now: number): void {
		this.#armRetransmit(t, T1, now)
		this.#deadlines.after(timeoutOf(t), now, SIXTY_FOUR_T1)
	}

	/** It may have been sent over UDP before. */
	#armRetransmit(t: ClientTransaction, durationMs: number, now: number): void {
		if (this.#wire.isReliable(t.to)) this.#disarm(t.retransmit)
		else this.#deadlines.after(retransmitOf(t), now, durationMs)
	}

	#linger(t: Transaction, durationMs: number, now: number): void {
		if (durationMs === 0) this.lingered(t, now)
		else this.#lingering.add(t, durationMs, now)
	}

	#backOff(t: Transaction, mostMs: number, now: number): void {
		t.intervalMs = Math.min(2 * t.intervalMs, mostMs)
		this.#deadlines.after(retransmitOf(t), now, t.intervalMs)
	}

	#resend(to: Destination, bytes: Uint8Array): void {
		this.#counters.retransmissionsSent++
		this.#wire.send(to, bytes)
	}

	#disarm(d: Deadline<Due> | undefined): void {
		if (d !== undefined) this.#deadlines.disarm(d)
	}

	/** @internal its time as a finished transaction is over */
	lingered(t: Transaction, now: number): void {
		if (t instanceof ClientTransaction) this.inviteClient(t, 'linger', undefined, now)
		else if (t.invite) this.#inviteServer(t, 'linger', undefined, now)
		else this.#nonInviteServer(t, 'linger', undefined, now)
	}
}

function retransmitOf(t: Transaction): Deadline<Due> {
	t.retransmit ??= new Deadline<Due>({ owner: t, event: 'retransmit' })
	return t.retransmit
}

function timeoutOf(t: ClientTransaction): Deadline<Due> {
	t.timeout ??= new Deadline<Due>({ owner: t, event: 'timeout' })
	return t.timeout
}
