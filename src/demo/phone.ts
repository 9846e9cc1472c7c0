/**
 * The app of an agent: a strict user agent behind the gateway that registers with push parameters, can be frozen by
 * its operating system, and comes back with a new REGISTER, perhaps from another address.
 */

import { headerParam, parseNameAddr } from '../sip/address.ts'
import { type HeaderRow, request } from '../sip/build.ts'
import { Header } from '../sip/headers.ts'
import type { SipMessage } from '../sip/message.ts'
import { hostPort, parseUri } from '../sip/uri.ts'
import type { Endpoint } from './dialog.ts'
import { Authenticator } from './digest.ts'
import type { Call } from './party.ts'
import { type UaOptions, UserAgent } from './ua.ts'

/** Push parameters of its Contact URI; values as they stand there, escaped. */
export type PushDialect =
	| { readonly dialect: 'rfc8599'; readonly provider: string; readonly param: string; readonly prid: string }
	| { readonly dialect: 'legacy'; readonly type: string; readonly appId: string; readonly token: string }
	| { readonly dialect: 'none' }

export interface PhoneOptions extends UaOptions {
	/** User part of the agent's address, also the digest user. */
	readonly agent: string
	readonly domain: string
	readonly password: string
	/** Everything outside a dialog goes there. */
	readonly gateway: Endpoint
	/** `urn:uuid:…` for +sip.instance; undefined: the Contact has none. */
	readonly instance: string | undefined
	readonly push: PushDialect
	/** What it asks for, seconds. */
	readonly expiresSec: number
	/** baresip asks in the Contact, linphone in an Expires header. */
	readonly expiresIn?: 'header' | 'contact'
	/** Datagrams the kernel keeps for a frozen app; 0: none. Default {@link KERNEL_BUFFER_DATAGRAMS}. */
	readonly buffered?: number
}

/** What a default receive buffer of Linux (212,992 octets) holds of packets of 600 octets, measured. */
export const KERNEL_BUFFER_DATAGRAMS = 166
/** A binding is refreshed when this part of it is left, as user agents commonly do. */
const REFRESH_REST = 0.1

interface Registration {
	readonly callId: string
	readonly fromTag: string
	cseq: number
}

export class Phone extends UserAgent {
	readonly authenticator: Authenticator
	readonly #options: PhoneOptions
	#registration: Registration | undefined
	#expiresSec: number
	#refreshAt = Number.POSITIVE_INFINITY
	#asleep = false
	#queue: { readonly bytes: Uint8Array; readonly from: Endpoint }[] = []

	constructor(options: PhoneOptions) {
		super(options)
		this.#options = options
		this.#expiresSec = options.expiresSec
		this.authenticator = new Authenticator(options.agent, options.password, (digits) => this.token(digits))
	}

	get asleep(): boolean {
		return this.#asleep
	}

	/** ms; when it will refresh its binding by itself, undefined while it has none. */
	get refreshAt(): number | undefined {
		return this.#refreshAt === Number.POSITIVE_INFINITY ? undefined : this.#refreshAt
	}

	register(now: number): void {
		this.#register(this.#expiresSec, 1, now)
	}

	unregister(now: number): void {
		this.#refreshAt = Number.POSITIVE_INFINITY
		this.#register(0, 1, now)
	}

	/** The operating system freezes the app: no code of it runs, datagrams pile up in the kernel's buffer. */
	sleep(): void {
		this.#asleep = true
	}

	/**
	 * It runs again and registers anew. On a new address the old socket and what was in its buffer are gone;
	 * `relaunched` says that the app was not frozen but killed, and remembers nothing.
	 */
	wake(now: number, address: Endpoint = this.self, relaunched = false): void {
		const moved = address.address !== this.self.address || address.port !== this.self.port
		const queue = moved || relaunched ? [] : this.#queue
		this.#asleep = false
		this.#queue = []
		this.self = address
		if (relaunched) this.#forget()
		for (const { bytes, from } of queue) super.receive(bytes, from, now)
		this.register(now)
	}

	override receive(bytes: Uint8Array, from: Endpoint, now: number): void {
		if (!this.#asleep) super.receive(bytes, from, now)
		else if (this.#queue.length < (this.#options.buffered ?? KERNEL_BUFFER_DATAGRAMS)) this.#queue.push({ bytes, from })
	}

	override tick(now: number): void {
		if (this.#asleep) return
		super.tick(now)
		if (this.#refreshAt > now) return
		this.#refreshAt = Number.POSITIVE_INFINITY
		this.register(now)
	}

	override nextDeadline(): number | undefined {
		if (this.#asleep) return undefined
		const next = Math.min(super.nextDeadline() ?? Number.POSITIVE_INFINITY, this.#refreshAt)
		return next === Number.POSITIVE_INFINITY ? undefined : next
	}

	/** Answers the newest call. */
	answer(now: number): void {
		if (this.calls.current) this.calls.answer(this.calls.current, now)
	}

	/** Refuses the newest call, with 300–699. */
	decline(status: number, now: number): void {
		if (this.calls.current) this.calls.decline(this.calls.current, status, now)
	}

	/** Ends the newest call, whatever its state. */
	hangup(now: number, reason?: string): void {
		if (this.calls.current) this.calls.hangup(this.calls.current, now, reason)
	}

	/** Calls a number at its domain, or a whole SIP URI. */
	call(target: string, now: number): Call {
		const { agent, domain, gateway } = this.#options
		const uri = target.includes(':') ? target : `sip:${target}@${domain}`
		const rows: HeaderRow[] = [['Route', `<sip:${hostPort(gateway.address, gateway.port)};lr>`]]
		return this.calls.dial(
			{ uri, from: `"${agent}" <sip:${agent}@${domain}>`, to: `<${uri}>`, hop: gateway, rows },
			now,
		)
	}

	/** As linphone has it: the push parameters stand in the Contact of calls too. */
	contact(): string {
		const { instance } = this.#options
		return `<${this.#contactUri()}>${instance === undefined ? '' : `;+sip.instance="<${instance}>"`}`
	}

	/** It serves nothing besides calls and pings. */
	protected override serve(): boolean {
		return false
	}

	#contactUri(): string {
		const { agent, push } = this.#options
		const params =
			push.dialect === 'rfc8599'
				? `;pn-provider=${push.provider};pn-prid=${push.prid};pn-param=${push.param};pn-silent=1;pn-timeout=0`
				: push.dialect === 'legacy'
					? `;app-id=${push.appId};pn-type=${push.type};pn-tok=${push.token}`
					: ''
		return `sip:${agent}@${hostPort(this.self.address, this.self.port)}${params};transport=${this.transport.toLowerCase()}`
	}

	/** `attempt`: 1 the first of this request, more after a challenge or a 423. */
	#register(expiresSec: number, attempt: number, now: number): void {
		const { agent, domain, gateway, expiresIn } = this.#options
		this.#registration ??= { callId: this.token(20), fromTag: this.token(10), cseq: 0 }
		this.#registration.cseq += 1
		const { callId, fromTag, cseq } = this.#registration
		const uri = `sip:${domain}`
		const identity = `"${agent}" <sip:${agent}@${domain}>`
		const rows: HeaderRow[] = [
			['Contact', `${this.contact()}${expiresIn === 'contact' ? `;expires=${expiresSec}` : ''}`],
			...(expiresIn === 'contact' ? [] : [['Expires', `${expiresSec}`] as const]),
			['Supported', 'replaces, outbound, gruu'],
			this.identity(),
			...this.authenticator.rows('REGISTER', uri),
		]
		const names = { from: `${identity};tag=${fromTag}`, to: identity }
		const bytes = request({ method: 'REGISTER', uri, via: this.via(), ...names, callId, cseq, rows })
		const sent = this.self
		this.transactions.request(bytes, gateway, now, (response, at) => {
			if (sent === this.self && cseq === this.#registration?.cseq) this.#onResponse(response, expiresSec, attempt, at)
		})
	}

	/** Answers to a REGISTER that a newer one has overtaken, or from before a move, do not come here. */
	#onResponse(response: SipMessage | undefined, expiresSec: number, attempt: number, now: number): void {
		if (response !== undefined && response.status < 200) return
		if (response === undefined) this.emit({ at: now, type: 'refused', status: 408, reason: 'Request Timeout' })
		else if (response.status < 300) this.#onRegistered(response, expiresSec, now)
		else if (this.authenticator.learn(response, attempt)) this.#register(expiresSec, attempt + 1, now)
		else if (response.status === 423 && this.#raise(response)) this.#register(this.#expiresSec, attempt + 1, now)
		else this.emit({ at: now, type: 'refused', status: response.status, reason: response.reason })
	}

	/** §10.2.8; only ever upwards, so that it ends. */
	#raise(response: SipMessage): boolean {
		const least = Number(response.first(Header.MinExpires) ?? 'none')
		if (!(least > this.#expiresSec)) return false
		this.#expiresSec = least
		return true
	}

	/** §10.2.4: the binding is what the 2xx says of its own Contact. */
	#onRegistered(response: SipMessage, askedSec: number, now: number): void {
		const own = this.#ownContact(response)
		if (own === undefined) {
			if (askedSec === 0) this.emit({ at: now, type: 'unregistered' })
			else this.emit({ at: now, type: 'refused', status: response.status, reason: 'Own Contact missing in the 2xx' })
			return
		}
		const granted = headerParam(own.params, 'expires') ?? response.first(Header.Expires) ?? `${askedSec}`
		this.#refreshAt = now + Number(granted) * 1000 * (1 - REFRESH_REST)
		this.emit({ at: now, type: 'registered', contact: own.uri, expiresSec: Number(granted) })
	}

	#ownContact(response: SipMessage) {
		for (const value of response.list(Header.Contact)) {
			const address = parseNameAddr(value)
			const uri = address && parseUri(address.uri)
			if (uri === undefined || uri.user !== this.#options.agent) continue
			if (uri.host === this.self.address && uri.port === this.self.port) return address
		}
		return undefined
	}

	#forget(): void {
		this.transactions.forget()
		this.calls.forget()
		this.authenticator.forget()
		this.#registration = undefined
		this.#refreshAt = Number.POSITIVE_INFINITY
	}
}

/** The REGISTER a phone sent last; undefined before the first. For checks. */
export function lastRegister(phone: Phone): SipMessage | undefined {
	return phone.recorded.findLast((entry) => entry.direction === 'out' && entry.message.method === 'REGISTER')?.message
}
