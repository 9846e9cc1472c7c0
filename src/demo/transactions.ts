/**
 * The transaction layer of the demo's user agents (RFC 3261 §17 with RFC 6026): retransmissions where datagrams need them,
 * ACK to failures, absorbed repeats. Bytes and a time in, bytes out; no socket, no clock. It shares nothing with
 * the gateway's own machines, so that the two check each other.
 */
import { ackFor, type HeaderRow, response } from '../sip/build.ts'
import { Header } from '../sip/headers.ts'
import type { SipMessage } from '../sip/message.ts'
import { isKeepAlive, parse } from '../sip/parse.ts'
import type { Endpoint } from './dialog.ts'

/** RFC 3261 §17.1.1.1, table 4, ms. */
export const T1_MS = 500
export const T2_MS = 4000
export const T4_MS = 5000
/** Timers B, D, F, H, J and L: how long a transaction over datagrams lives. */
export const LIFETIME_MS = 64 * T1_MS

/** The record of a user agent keeps this many messages: an hour of pings for `--stay`, a whole run for a test. */
export const MAX_RECORDED = 20_000

/** One message as it came or went. `message.fault` tells what a strict parser holds against it. */
export interface Recorded {
	/** ms, the clock of whoever drives the user agent. */
	readonly at: number
	readonly direction: 'in' | 'out'
	readonly peer: Endpoint
	readonly message: SipMessage
}

/** Called with each provisional and final response that is no repeat, each 2xx to an INVITE, and undefined for a timeout. */
export type OnResponse = (response: SipMessage | undefined, now: number) => void

export interface ResponseParts {
	readonly reason?: string
	readonly toTag?: string
	readonly rows?: readonly HeaderRow[]
	readonly contentType?: string
	readonly body?: string
}

/** What the transaction user does with what is new to it. */
export interface TransactionUser {
	/** A request that is no repeat, or an ACK to a 2xx. */
	onRequest(request: SipMessage, from: Endpoint, now: number): void
	/** No ACK came for the 2xx to this INVITE (§13.3.1.4). */
	onUnacknowledged(invite: SipMessage, now: number): void
	send(bytes: Uint8Array, to: Endpoint): void
	/** Each message as it comes or goes, before anything is done about it. */
	onMessage?(entry: Recorded): void
}

interface Client {
	readonly request: SipMessage
	readonly to: Endpoint
	readonly onResponse: OnResponse
	state: 'trying' | 'proceeding' | 'completed' | 'accepted'
	ack: Uint8Array | undefined
	intervalMs: number
	resendAt: number
	endsAt: number
}

interface Server {
	readonly request: SipMessage
	readonly from: Endpoint
	state: 'proceeding' | 'completed' | 'confirmed' | 'accepted'
	last: Uint8Array | undefined
	intervalMs: number
	resendAt: number
	endsAt: number
}

const NEVER = Number.POSITIVE_INFINITY

export class Transactions {
	readonly recorded: Recorded[] = []
	readonly #user: TransactionUser
	readonly #isReliable: boolean
	readonly #clients = new Map<string, Client>()
	readonly #servers = new Map<string, Server>()

	/** @param isReliable its messages go by a connection: nothing is said twice, but a 2xx without its ACK, and timers D, I, J and K are 0 */
	constructor(user: TransactionUser, isReliable = false) {
		this.#user = user
		this.#isReliable = isReliable
	}

	/** Sends a request and sees to its repeats. */
	request(bytes: Uint8Array, to: Endpoint, now: number, onResponse: OnResponse): void {
		const request = this.#send(bytes, to, now)
		const resendAt = this.#isReliable ? NEVER : now + T1_MS
		const times = { intervalMs: T1_MS, resendAt, endsAt: now + LIFETIME_MS }
		const client: Client = { request, to, onResponse, state: 'trying', ack: undefined, ...times }
		this.#clients.set(clientKey(request), client)
	}

	/** Sends what has no transaction: the ACK to a 2xx. */
	sendOnce(bytes: Uint8Array, to: Endpoint, now: number): void {
		this.#send(bytes, to, now)
	}

	/** Answers a request that came in; false where its transaction is over or already has its final response. */
	respond(request: SipMessage, status: number, now: number, parts: ResponseParts = {}): boolean {
		const server = this.#servers.get(serverKey(request, request.method))
		if (server === undefined || server.state !== 'proceeding') return false
		server.last = response(request, server.from, status, parts)
		this.#send(server.last, responseTarget(request, server.from), now)
		if (status < 200) return true
		const invite = request.method === 'INVITE'
		server.state = invite && status < 300 ? 'accepted' : 'completed'
		server.endsAt = now + (invite ? LIFETIME_MS : this.#lingering(LIFETIME_MS))
		/* RFC 3261 §13.3.1.4: a 2xx is repeated end to end, whatever lies between */
		server.resendAt = invite && (status < 300 || !this.#isReliable) ? now + T1_MS : NEVER
		return true
	}

	receive(bytes: Uint8Array, from: Endpoint, now: number): void {
		if (isKeepAlive(bytes)) return
		const message = parse(bytes)
		this.#record({ at: now, direction: 'in', peer: from, message })
		if (message.fault !== undefined) this.#refuse(message, from, now)
		else if (message.method === '') this.#onResponse(message, now)
		else this.#onRequest(message, from, now)
	}

	/** The INVITE a CANCEL is for, and whether it still waits for its final response (§9.2). */
	inviteOf(cancel: SipMessage): { readonly invite: SipMessage; readonly open: boolean } | undefined {
		const server = this.#servers.get(serverKey(cancel, 'INVITE'))
		return server && { invite: server.request, open: server.state === 'proceeding' }
	}

	/** True where another copy of this request is being served already (§8.2.2.2). */
	isMerged(request: SipMessage): boolean {
		const own = serverKey(request, request.method)
		for (const [key, { request: other }] of this.#servers) {
			if (key === own || other.callId !== request.callId || other.cseq !== request.cseq) continue
			if (other.method === request.method && other.fromTag === request.fromTag && other.toTag === '') return true
		}
		return false
	}

	/** ms on the driver's clock; undefined where nothing waits. */
	nextDeadline(): number | undefined {
		let next = NEVER
		for (const { resendAt, endsAt } of this.#clients.values()) next = Math.min(next, resendAt, endsAt)
		for (const { resendAt, endsAt } of this.#servers.values()) next = Math.min(next, resendAt, endsAt)
		return next === NEVER ? undefined : next
	}

	tick(now: number): void {
		for (const [key, client] of this.#clients) this.#tickClient(key, client, now)
		for (const [key, server] of this.#servers) this.#tickServer(key, server, now)
	}

	/** As after the process was killed: nothing is waited for, nothing remembered. */
	forget(): void {
		this.#clients.clear()
		this.#servers.clear()
	}

	/** How long copies of what is finished may come. */
	#lingering(overDatagramsMs: number): number {
		return this.#isReliable ? 0 : overDatagramsMs
	}

	#tickClient(key: string, client: Client, now: number): void {
		if (client.endsAt <= now) {
			this.#clients.delete(key)
			if (client.state === 'trying' || client.state === 'proceeding') client.onResponse(undefined, now)
		} else if (client.resendAt <= now) {
			this.#send(client.request.bytes, client.to, now)
			const cap = client.request.method === 'INVITE' ? NEVER : T2_MS
			client.intervalMs = Math.min(client.intervalMs * 2, cap)
			client.resendAt = now + client.intervalMs
		}
	}

	#tickServer(key: string, server: Server, now: number): void {
		if (server.endsAt <= now) {
			this.#servers.delete(key)
			if (server.state === 'accepted' && server.resendAt !== NEVER) this.#user.onUnacknowledged(server.request, now)
		} else if (server.resendAt <= now && server.last !== undefined) {
			this.#send(server.last, responseTarget(server.request, server.from), now)
			server.intervalMs = Math.min(server.intervalMs * 2, T2_MS)
			server.resendAt = now + server.intervalMs
		}
	}

	#onResponse(message: SipMessage, now: number): void {
		const key = clientKey(message)
		const client = this.#clients.get(key)
		if (client === undefined) return
		if (message.status < 200) this.#onProvisional(client, message, now)
		else if (client.state === 'completed') this.#acknowledge(client, now)
		else if (client.request.method !== 'INVITE') this.#complete(client, message, now, this.#lingering(T4_MS))
		else if (message.status < 300) this.#accept(client, message, now)
		else if (client.state !== 'accepted') this.#complete(client, message, now, this.#lingering(LIFETIME_MS))
	}

	#onProvisional(client: Client, message: SipMessage, now: number): void {
		if (client.state !== 'trying' && client.state !== 'proceeding') return
		client.state = 'proceeding'
		if (client.request.method === 'INVITE') {
			client.resendAt = NEVER
			client.endsAt = NEVER
		} else client.intervalMs = T2_MS
		client.onResponse(message, now)
	}

	/** RFC 6026 §8.4: further 2xx, of repeats or of other forks, still reach the user. */
	#accept(client: Client, message: SipMessage, now: number): void {
		if (client.state !== 'accepted') client.endsAt = now + LIFETIME_MS
		client.state = 'accepted'
		client.resendAt = NEVER
		client.onResponse(message, now)
	}

	#complete(client: Client, message: SipMessage, now: number, lingerMs: number): void {
		client.state = 'completed'
		client.resendAt = NEVER
		client.endsAt = now + lingerMs
		if (client.request.method === 'INVITE') client.ack = ackFor(client.request, message)
		this.#acknowledge(client, now)
		client.onResponse(message, now)
	}

	#acknowledge(client: Client, now: number): void {
		if (client.ack !== undefined) this.#send(client.ack, client.to, now)
	}

	#onRequest(message: SipMessage, from: Endpoint, now: number): void {
		if (message.method === 'ACK') {
			this.#onAck(message, from, now)
			return
		}
		const key = serverKey(message, message.method)
		const known = this.#servers.get(key)
		if (known === undefined) {
			const times = { intervalMs: T1_MS, resendAt: NEVER, endsAt: NEVER }
			this.#servers.set(key, { request: message, from, state: 'proceeding', last: undefined, ...times })
			this.#user.onRequest(message, from, now)
		} else if (known.last !== undefined && (known.state === 'proceeding' || known.state === 'completed')) {
			this.#send(known.last, responseTarget(known.request, from), now)
		}
	}

	#onAck(ack: SipMessage, from: Endpoint, now: number): void {
		const failed = this.#servers.get(serverKey(ack, 'INVITE'))
		if (failed !== undefined && failed.state !== 'accepted') {
			failed.state = 'confirmed'
			failed.resendAt = NEVER
			failed.endsAt = now + this.#lingering(T4_MS)
			return
		}
		for (const server of this.#servers.values()) {
			const { request } = server
			if (server.state !== 'accepted' || request.callId !== ack.callId || request.cseq !== ack.cseq) continue
			server.resendAt = NEVER
		}
		this.#user.onRequest(ack, from, now)
	}

	/** A faulty request gets what the parser says; a faulty response is dropped. */
	#refuse(message: SipMessage, from: Endpoint, now: number): void {
		const status = message.fault?.status ?? 0
		if (message.method === '' || message.method === 'ACK' || status === 0) return
		this.#send(response(message, from, status), responseTarget(message, from), now)
	}

	#send(bytes: Uint8Array, to: Endpoint, now: number): SipMessage {
		const message = parse(bytes)
		this.#record({ at: now, direction: 'out', peer: to, message })
		this.#user.send(bytes, to)
		return message
	}

	#record(entry: Recorded): void {
		if (this.recorded.length >= MAX_RECORDED) this.recorded.splice(0, MAX_RECORDED / 2)
		this.recorded.push(entry)
		this.#user.onMessage?.(entry)
	}
}

/** §17.1.3: branch and the method of the CSeq. */
function clientKey(message: SipMessage): string {
	return `${message.via.branch}|${message.cseqMethod}`
}

/** §17.2.3: branch, sent-by and method, where an ACK or CANCEL looks for its INVITE. */
function serverKey(message: SipMessage, method: string): string {
	const { branch, host, port } = message.via
	return `${branch}|${host}|${port}|${method}`
}

/** §18.2.2 and RFC 3581 §4: back to the source port where rport asked for it, else to the port of sent-by. */
function responseTarget(request: SipMessage, from: Endpoint): Endpoint {
	const { rport, port } = request.via
	return rport >= 0 ? from : { address: from.address, port: port || 5060 }
}

/** Record-Route rows of a request, to be copied into its 18x and 2xx (§12.1.1). */
export function recordRoutes(request: SipMessage): HeaderRow[] {
	return request.rows(Header.RecordRoute).map((value): HeaderRow => ['Record-Route', value])
}
