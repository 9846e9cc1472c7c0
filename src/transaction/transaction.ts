/** The two kinds of transaction as records, and what they need of the world: the layer that moves them is transactions.ts. */
import type { Deadline } from '../lib/deadlines.ts'
import type { SipMessage } from '../sip/message.ts'
import type { InviteClientState } from './invite-client.ts'
import type { InviteServerState } from './invite-server.ts'
import type { NonInviteClientState } from './non-invite-client.ts'
import type { NonInviteServerState } from './non-invite-server.ts'
import { T1 } from './timers.ts'
import type { Transactions } from './transactions.ts'

/** Where bytes go: a listener of ours and an address behind it. */
export interface Destination {
	readonly listener: number
	readonly address: string
	readonly port: number
	/** What a connection is found by. */
	readonly key?: string
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
	/** There is no connection to where it was sent (RFC 3261 §17.1.4). Without this it is as {@link timedOut}. */
	unreachable?(transaction: ClientTransaction, now: number): void
}

export interface Wire {
	send(to: Destination, bytes: Uint8Array): void
	/** Nothing that goes there is lost or comes twice (RFC 3261 §17: "a reliable transport"). */
	isReliable(to: Destination): boolean
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
	lingering: Deadline<Transaction> | undefined = undefined
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
	/** Who hears of the answers; may be handed over to somebody lighter once only stragglers are left. */
	user: ClientUser
	state: InviteClientState | NonInviteClientState
	to: Destination
	bytes: Uint8Array
	/** RFC 3261 §18.1.1: where it goes, as what, if there is no connection. */
	fallback: { readonly bytes: Uint8Array; readonly to: Destination } | undefined = undefined
	/** @internal */
	intervalMs = T1
	/** @internal */
	retransmit: Deadline<Due> | undefined = undefined
	/** @internal */
	timeout: Deadline<Due> | undefined = undefined
	/** @internal */
	lingering: Deadline<Transaction> | undefined = undefined
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

	/** Sends the same request (same branch) elsewhere: an INVITE while nothing has answered it, any other until it has its final response. */
	redirect(bytes: Uint8Array, to: Destination, now: number): void {
		if (!this.invite || this.state === 'calling' || this.state === 'parked') this.sendAnew(bytes, to, now)
	}

	/** {@link redirect} of an INVITE that rings nowhere, though it was answered with 100: whoever said that may have lost it since. */
	sendAnew(bytes: Uint8Array, to: Destination, now: number): void {
		this.bytes = bytes
		this.to = to
		if (this.invite) this.#layer.inviteClient(this, 'redirect', undefined, now)
		else this.#layer.nonInviteClient(this, 'redirect', undefined, now)
	}

	/** Sends an INVITE that was answered provisionally elsewhere, once: what was answered stands, and none of its timers runs again. */
	repeat(bytes: Uint8Array, to: Destination, now: number): void {
		this.bytes = bytes
		this.to = to
		this.#layer.inviteClient(this, 'repeat', undefined, now)
	}

	due(event: string, now: number): void {
		this.#layer.clientDue(this, event, now)
	}
}

export type Transaction = ServerTransaction | ClientTransaction
