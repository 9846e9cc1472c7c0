/**
 * The transaction layer: which message is whose, retransmissions in both directions, and the four machines.
 *
 * The tables (invite-server.ts …) say what happens; this file does it. Nothing here decides about calls.
 */
import { Deadline, Deadlines } from '../lib/deadlines.ts'
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
import { MAX_LINGERING, SIXTY_FOUR_T1, T1, T2, T4 } from './timers.ts'

/** Where bytes go: a listener of ours and an address behind it. */
export interface Destination {
	readonly listener: number
	readonly address: string
	readonly port: number
}

/** Whoever has deadlines: the one thing that can fire. `event` is the owner's own word. */
export interface Timed {
	due(event: string, now: number): void
}

export interface Due {
	readonly owner: Timed
	readonly event: string
}

/** What a client transaction tells its user. */
export interface ClientUser {
	/** Every response the machine passes up: all provisionals, every 2xx to INVITE, else the first final. */
	response(transaction: ClientTransaction, response: SipMessage, now: number): void
	/** Timer B or F: no (final) response came. */
	timedOut(transaction: ClientTransaction, now: number): void
}

export interface Wire {
	send(to: Destination, bytes: Uint8Array): void
}

export interface TransactionCounters {
	retransmissionsSent: number
	retransmissionsAbsorbed: number
}

export class ServerTransaction implements Timed {
	readonly key: string
	readonly invite: boolean
	readonly answerTo: Destination
	/** The request while it may still be needed; gone once a final response is out. */
	request: SipMessage | undefined
	state: InviteServerState | NonInviteServerState
	/** Status of the last final response, 0 before. */
	finalStatus = 0
	/** @internal */
	last: Uint8Array | undefined = undefined
	/** @internal */
	intervalMs = T1
	/** @internal */
	retransmit: Deadline<Due> | undefined = undefined
	/** @internal */
	timeout: Deadline<Due> | undefined = undefined
	/** @internal */
	lingering: Deadline<ServerTransaction | ClientTransaction> | undefined = undefined
	readonly #layer: Transactions

	constructor(layer: Transactions, key: string, request: SipMessage, answerTo: Destination) {
		this.#layer = layer
		this.key = key
		this.request = request
		this.answerTo = answerTo
		this.invite = request.method === 'INVITE'
		this.state = this.invite ? 'proceeding' : 'trying'
	}

	/** Sends a response of the transaction user (RFC 3261 §17.2). A final one after a final one goes nowhere. */
	respond(status: number, bytes: Uint8Array, now: number): void {
		this.#layer.respond(this, status, bytes, now)
	}

	due(event: string, now: number): void {
		this.#layer.serverDue(this, event, now)
	}
}

export class ClientTransaction implements Timed {
	readonly branch: string
	readonly invite: boolean
	readonly user: ClientUser
	state: InviteClientState | NonInviteClientState
	to: Destination
	bytes: Uint8Array
	/** @internal */
	intervalMs = T1
	/** @internal */
	retransmit: Deadline<Due> | undefined = undefined
	/** @internal */
	timeout: Deadline<Due> | undefined = undefined
	/** @internal */
	lingering: Deadline<ServerTransaction | ClientTransaction> | undefined = undefined
	readonly #layer: Transactions

	constructor(
		layer: Transactions,
		branch: string,
		invite: boolean,
		bytes: Uint8Array,
		to: Destination,
		user: ClientUser,
	) {
		this.#layer = layer
		this.branch = branch
		this.invite = invite
		this.bytes = bytes
		this.to = to
		this.user = user
		this.state = invite ? 'calling' : 'trying'
	}

	/** Stops sending until {@link redirect}; answers to what was sent still count. INVITE only. */
	park(now: number): void {
		this.#layer.inviteClient(this, 'park', undefined, now)
	}

	/** Sends the same request (same branch) elsewhere, while nothing has answered it. INVITE only. */
	redirect(bytes: Uint8Array, to: Destination, now: number): void {
		if (this.state !== 'calling' && this.state !== 'parked') return
		this.bytes = bytes
		this.to = to
		this.#layer.inviteClient(this, 'redirect', undefined, now)
	}

	due(event: string, now: number): void {
		this.#layer.clientDue(this, event, now)
	}
}

/** A CANCEL has the branch of its INVITE (RFC 3261 §9.1): this sets the keys of the two apart. */
const CANCEL_MARK = '/cancel'

/** RFC 3261 §17.2.3: the key a request of this transaction has; ACK has the one of its INVITE. */
export function serverKey(m: SipMessage, method: string): string {
	const via = m.via
	if (via.branch.startsWith('z9hG4bK') && via.branch.length > 7)
		return `${via.branch}|${via.host}:${via.port}|${method}`
	/* RFC 2543 matching: the fields of the request itself. The To-tag of an ACK is ours, so it is left out. */
	return `${m.callId}|${m.cseq}|${m.fromTag}|${m.uri}|${via.host}:${via.port};${via.branch}|${method}`
}

export class Transactions {
	readonly #servers = new Map<string, ServerTransaction>()
	readonly #clients = new Map<string, ClientTransaction>()
	readonly #deadlines: Deadlines<Due>
	readonly #lingering = new Deadlines<ServerTransaction | ClientTransaction>()
	#lingeringCount = 0
	readonly #wire: Wire
	readonly #counters: TransactionCounters

	constructor(deadlines: Deadlines<Due>, wire: Wire, counters: TransactionCounters) {
		this.#deadlines = deadlines
		this.#wire = wire
		this.#counters = counters
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
		for (let d = this.#lingering.take(now); d !== undefined; d = this.#lingering.take(now)) this.#lingered(d.what, now)
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
				t.retransmit = new Deadline<Due>({ owner: t, event: 'retransmit' })
				this.#deadlines.after(t.retransmit, now, t.intervalMs)
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
				this.#linger(t, SIXTY_FOUR_T1, now)
				return
			case 'lingerBriefly':
				t.request = undefined
				this.#linger(t, T4, now)
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
		const t = this.#clients.get(response.cseqMethod === 'CANCEL' ? branch + CANCEL_MARK : branch)
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
		const key = method === 'CANCEL' ? branch + CANCEL_MARK : branch
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
		if (!t.invite) this.#nonInviteClient(t, status < 200 ? 'provisional' : 'final', response, now)
		else this.inviteClient(t, status < 200 ? 'provisional' : status < 300 ? 'success' : 'failure', response, now)
	}

	/** Drops a transaction nobody waits for any more; what still comes for it finds nothing. */
	forget(t: ClientTransaction): void {
		t.state = 'terminated'
		this.#disarm(t.retransmit)
		this.#disarm(t.timeout)
		this.#unlinger(t)
		this.#clients.delete(t.branch)
	}

	/** @internal */
	clientDue(t: ClientTransaction, event: string, now: number): void {
		if (t.invite) this.inviteClient(t, event as 'retransmit' | 'timeout', undefined, now)
		else this.#nonInviteClient(t, event as 'retransmit' | 'timeout', undefined, now)
	}

	/** @internal */
	inviteClient(t: ClientTransaction, event: InviteClientEvent, response: SipMessage | undefined, now: number): void {
		const row = INVITE_CLIENT[t.state as InviteClientState][event]
		t.state = row.to
		for (const action of row.do) this.#clientAction(t, action, response, now)
	}

	#nonInviteClient(
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
				this.#deadlines.after(retransmitOf(t), now, T1)
				return
			case 'armTimeout':
				this.#deadlines.after(timeoutOf(t), now, SIXTY_FOUR_T1)
				return
			case 'backOff':
				/* timer A doubles without end, timer E up to T2 */
				this.#backOff(t, t.invite ? SIXTY_FOUR_T1 : T2, now)
				return
			case 'slowDown':
				this.#deadlines.after(retransmitOf(t), now, T2)
				return
			case 'disarmRetransmit':
				this.#disarm(t.retransmit)
				return
			case 'disarmTimeout':
				this.#disarm(t.timeout)
				return
			case 'pass':
				t.user.response(t, response!, now)
				return
			case 'ack':
				this.#wire.send(t.to, ackFor(parse(t.bytes), response!))
				return
			case 'linger':
				this.#linger(t, SIXTY_FOUR_T1, now)
				return
			case 'timeOut':
				t.user.timedOut(t, now)
				return
			case 'end':
				this.#clients.delete(t.branch)
		}
	}

	// — timers —

	#arm(t: ClientTransaction, now: number): void {
		this.#deadlines.after(retransmitOf(t), now, T1)
		this.#deadlines.after(timeoutOf(t), now, SIXTY_FOUR_T1)
	}

	#backOff(t: ServerTransaction | ClientTransaction, mostMs: number, now: number): void {
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

	#linger(t: ServerTransaction | ClientTransaction, durationMs: number, now: number): void {
		this.#unlinger(t)
		t.lingering = new Deadline<ServerTransaction | ClientTransaction>(t)
		this.#lingering.after(t.lingering, now, durationMs)
		if (++this.#lingeringCount > MAX_LINGERING) {
			const oldest = this.#lingering.take(Infinity)
			if (oldest !== undefined) this.#lingered(oldest.what, now)
		}
	}

	#unlinger(t: ServerTransaction | ClientTransaction): void {
		if (t.lingering === undefined || !t.lingering.armed) return
		this.#lingering.disarm(t.lingering)
		this.#lingeringCount--
	}

	#lingered(t: ServerTransaction | ClientTransaction, now: number): void {
		this.#lingeringCount--
		if (t instanceof ClientTransaction) this.inviteClient(t, 'linger', undefined, now)
		else if (t.invite) this.#inviteServer(t, 'linger', undefined, now)
		else this.#nonInviteServer(t, 'linger', undefined, now)
	}
}

function retransmitOf(t: ServerTransaction | ClientTransaction): Deadline<Due> {
	t.retransmit ??= new Deadline<Due>({ owner: t, event: 'retransmit' })
	return t.retransmit
}

function timeoutOf(t: ClientTransaction): Deadline<Due> {
	t.timeout ??= new Deadline<Due>({ owner: t, event: 'timeout' })
	return t.timeout
}

/**
 * RFC 3261 §18.2.2 with RFC 3581 §4: where the answers to a request go. A maddr or a name in the Via is not followed:
 * answers go back to the address the request came from, never to a third party.
 */
export function answerDestination(request: SipMessage, source: Destination, symmetric: boolean): Destination {
	if (symmetric || request.via.rport >= 0) return source
	const port = request.via.port === 0 ? DEFAULT_PORT : request.via.port
	return port === source.port ? source : { listener: source.listener, address: source.address, port }
}

/** RFC 3261 §19.1.2. */
const DEFAULT_PORT = 5060
