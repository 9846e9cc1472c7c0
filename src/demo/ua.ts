/**
 * The user agent that the demo's phones and PBX have in common (RFC 3261 §8): what comes in is recorded, checked and
 * given to its calls or to the subclass. Pure but for node:crypto: bytes, a time and a source of randomness in,
 * bytes and events out, so that it runs over sockets and in a simulated world alike.
 */
import { type HeaderRow, request } from '../sip/build.ts'
import { Header } from '../sip/headers.ts'
import type { SipMessage } from '../sip/message.ts'
import { hostPort } from '../sip/uri.ts'
import { Calls } from './calls.ts'
import type { Endpoint } from './dialog.ts'
import type { Authenticator } from './digest.ts'
import { ALLOW, type Party, type UaEvent } from './party.ts'
import { type Recorded, type ResponseParts, Transactions, type TransactionUser } from './transactions.ts'

export interface UaOptions {
	/** Where it is reached: its Via and Contact name it. */
	readonly self: Endpoint
	/** As it stands in its Via; its messages go by connections unless this is UDP. Default UDP. */
	readonly transport?: 'UDP' | 'TLS' | 'WS'
	/** User-Agent. */
	readonly product: string
	/** Uniform in [0, 1): tags, branches, Call-IDs. */
	readonly random: () => number
	/** Says 100 to an INVITE before it rings, as some stacks do (§17.2.1). Default false. */
	readonly saysTrying?: boolean
	/** Puts one datagram on the wire, from the user agent's own address `from`. */
	readonly send: (bytes: Uint8Array, to: Endpoint, from: Endpoint) => void
	readonly onEvent?: (event: UaEvent) => void
	/** Each message as it comes or goes. */
	readonly onMessage?: (entry: Recorded) => void
}

const HEX = '0123456789abcdef'

export abstract class UserAgent implements Party {
	readonly calls: Calls
	readonly transactions: Transactions
	abstract readonly authenticator: Authenticator | undefined
	protected self: Endpoint
	readonly #options: UaOptions

	constructor(options: UaOptions) {
		this.#options = options
		this.self = options.self
		this.calls = new Calls(this)
		const user: TransactionUser = {
			onRequest: (message, from, now) => this.#onRequest(message, from, now),
			onUnacknowledged: (invite, now) => this.calls.onUnacknowledged(invite, now),
			send: (bytes, to) => options.send(bytes, to, this.self),
			onMessage: (entry) => options.onMessage?.(entry),
		}
		this.transactions = new Transactions(user, this.transport !== 'UDP')
	}

	abstract contact(): string

	/** A request outside any dialog that the subclass answers itself: true. */
	protected abstract serve(message: SipMessage, from: Endpoint, now: number): boolean

	/** Every message that came or went, oldest first. */
	get recorded(): readonly Recorded[] {
		return this.transactions.recorded
	}

	get address(): Endpoint {
		return this.self
	}

	receive(bytes: Uint8Array, from: Endpoint, now: number): void {
		this.transactions.receive(bytes, from, now)
	}

	tick(now: number): void {
		this.transactions.tick(now)
	}

	/** When {@link tick} wants to be called, ms; undefined: not before something comes in. */
	nextDeadline(): number | undefined {
		return this.transactions.nextDeadline()
	}

	emit(event: UaEvent): void {
		this.#options.onEvent?.(event)
	}

	token(digits: number): string {
		let text = ''
		for (let i = 0; i < digits; i++) text += HEX[Math.floor(this.#options.random() * HEX.length)]
		return text
	}

	via(): string {
		return `SIP/2.0/${this.transport} ${hostPort(this.self.address, this.self.port)};rport;branch=z9hG4bK${this.token(16)}`
	}

	get transport(): 'UDP' | 'TLS' | 'WS' {
		return this.#options.transport ?? 'UDP'
	}

	get saysTrying(): boolean {
		return this.#options.saysTrying ?? false
	}

	identity(): HeaderRow {
		return ['User-Agent', this.#options.product]
	}

	session(): string {
		const { address } = this.self
		const net = `IN ${address.includes(':') ? 'IP6' : 'IP4'} ${address}`
		return `v=0\r\no=- 1 1 ${net}\r\ns=-\r\nc=${net}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n`
	}

	/** OPTIONS outside any call; its outcome comes as a `ponged` event of that peer. */
	protected ping(peer: string, uri: string, from: string, to: Endpoint, now: number): void {
		const callId = this.token(20)
		const parts = { method: 'OPTIONS', uri, via: this.via(), from: `${from};tag=${this.token(10)}`, to: `<${uri}>` }
		const bytes = request({ ...parts, callId, cseq: 1, rows: [this.identity()] })
		this.transactions.request(bytes, to, now, (response, at) => {
			const status = response?.status ?? 0
			if (status === 0 || status >= 200) this.emit({ at, type: 'ponged', peer, status, tookMs: at - now })
		})
	}

	protected respond(message: SipMessage, status: number, now: number, parts: ResponseParts = {}): void {
		this.transactions.respond(message, status, now, { toTag: this.token(10), ...parts })
	}

	/** §8.2, in its order: method, merged requests, Require; then who it is for. */
	#onRequest(message: SipMessage, from: Endpoint, now: number): void {
		const { method } = message
		if (method === 'ACK') this.calls.onAck(message, now)
		else if (method === 'CANCEL') this.calls.onCancel(message, now)
		else if (message.toTag !== '') this.calls.onRequestWithin(message, now)
		else if (this.transactions.isMerged(message)) this.respond(message, 482, now)
		else if (message.find(Header.Require) >= 0) this.#onRequire(message, now)
		else if (this.serve(message, from, now)) return
		else if (method === 'INVITE') this.calls.onInvite(message, now)
		else if (method === 'OPTIONS') this.#onOptions(message, now)
		else if (method === 'MESSAGE' || method === 'NOTIFY') this.respond(message, 200, now)
		else this.respond(message, method === 'BYE' ? 481 : 405, now, { rows: [['Allow', ALLOW]] })
	}

	/** It has no extensions, so whatever is required is too much. */
	#onRequire(message: SipMessage, now: number): void {
		this.respond(message, 420, now, { rows: [['Unsupported', message.list(Header.Require).join(', ')]] })
	}

	#onOptions(message: SipMessage, now: number): void {
		this.respond(message, 200, now, { rows: [['Allow', ALLOW], this.identity()] })
		this.emit({ at: now, type: 'pinged' })
	}
}
