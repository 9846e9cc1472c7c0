/**
 * A registrar and back-to-back user agent as Asterisk's PJSIP shows itself to a gateway: digest, one Contact for an
 * agent (max_contacts=1, remove_existing=yes), Min-Expires, qualify, calls both ways.
 */
import { headerParam, type NameAddr, parseNameAddr } from '../sip/address.ts'
import { type HeaderRow, request } from '../sip/build.ts'
import { Header } from '../sip/headers.ts'
import type { SipMessage } from '../sip/message.ts'
import { hostPort, parseUri } from '../sip/uri.ts'
import { type Endpoint, endpointOf } from './dialog.ts'
import { type DigestAlgorithm, parseDigest, verifyDigest } from './digest.ts'
import type { Call } from './party.ts'
import { type UaOptions, UserAgent } from './ua.ts'

export interface PbxOptions extends UaOptions {
	readonly domain: string
	/** Agents' passwords by user part. */
	readonly agents: ReadonlyMap<string, string>
	/** Challenges in the order of preference; default MD5 alone, as Asterisk has it. Empty: nobody is asked. */
	readonly algorithms?: readonly DigestAlgorithm[]
	/** Status that asks for credentials of an INVITE, 0: none. Default 401, as PJSIP. */
	readonly inviteChallenge?: 0 | 401 | 407
	/** Seconds: 423 below, cut above, and what a REGISTER without a wish gets. */
	readonly minExpiresSec?: number
	readonly maxExpiresSec?: number
	readonly defaultExpiresSec?: number
	/** A nonce older than this is answered with stale=true, ms. */
	readonly nonceLifetimeMs?: number
}

export interface PbxBinding {
	readonly agent: string
	/** Contact URI as it was registered. */
	readonly contact: string
	/** ms, the driver's clock. */
	readonly registeredAt: number
	readonly expiresAt: number
}

/** Who a call comes from; the name stands in quotes. */
export interface Caller {
	readonly name: string
	readonly number: string
}

/* Asterisk's own defaults (pjsip.conf: minimum_expiration, maximum_expiration, default_expiration; nonce of 30 s). */
const MIN_EXPIRES_SEC = 60
const MAX_EXPIRES_SEC = 7200
const DEFAULT_EXPIRES_SEC = 3600
const NONCE_LIFETIME_MS = 30_000

export class Pbx extends UserAgent {
	/** It answers no challenges itself. */
	readonly authenticator = undefined
	/** Every binding that was ever made, oldest first. */
	readonly history: PbxBinding[] = []
	readonly #options: PbxOptions
	readonly #bindings = new Map<string, PbxBinding>()
	/** When each nonce was given out. */
	readonly #nonces = new Map<string, number>()

	constructor(options: PbxOptions) {
		super(options)
		this.#options = options
	}

	/** Where the agent can be called now. */
	binding(agent: string, now: number): PbxBinding | undefined {
		const binding = this.#bindings.get(agent)
		return binding !== undefined && binding.expiresAt > now ? binding : undefined
	}

	/** Calls an agent's Contact; undefined where it has none. */
	call(agent: string, caller: Caller, now: number): Call | undefined {
		const binding = this.binding(agent, now)
		const hop = endpointOf(binding?.contact ?? '')
		if (binding === undefined || hop === undefined) return undefined
		const from = `"${caller.name}" <sip:${caller.number}@${this.self.address}>`
		return this.calls.dial({ uri: binding.contact, from, to: `<${binding.contact}>`, hop }, now)
	}

	/** The caller gives up. `reason`: a Reason value, such as `SIP;cause=200;text="Call completed elsewhere"`. */
	cancel(call: Call, now: number, reason?: string): void {
		this.calls.cancel(call, now, reason)
	}

	hangup(call: Call, now: number, reason?: string): void {
		this.calls.hangup(call, now, reason)
	}

	/** Answers a call of an agent. */
	answer(call: Call, now: number): void {
		this.calls.answer(call, now)
	}

	/** OPTIONS to an agent's Contact (qualify_frequency); the outcome is a `ponged` event. False: it has none. */
	qualify(agent: string, now: number): boolean {
		const contact = this.binding(agent, now)?.contact ?? ''
		const hop = endpointOf(contact)
		if (hop === undefined) return false
		this.ping(agent, contact, `<sip:asterisk@${this.self.address}>`, hop, now)
		return true
	}

	/** MESSAGE to an agent's Contact (RFC 3428). False: it has none. */
	message(agent: string, body: string, now: number): boolean {
		const uri = this.binding(agent, now)?.contact ?? ''
		const hop = endpointOf(uri)
		if (hop === undefined) return false
		const from = `"Asterisk" <sip:asterisk@${hostPort(this.self.address, this.self.port)}>;tag=${this.token(10)}`
		const parts = { method: 'MESSAGE', uri, via: this.via(), from, to: `<${uri}>`, callId: this.token(20), cseq: 1 }
		const bytes = request({ ...parts, rows: [this.identity()], contentType: 'text/plain', body })
		this.transactions.request(bytes, hop, now, () => {})
		return true
	}

	/** As after a restart: bindings, nonces, calls and transactions are gone. */
	forget(): void {
		this.transactions.forget()
		this.calls.forget()
		this.#bindings.clear()
		this.#nonces.clear()
	}

	contact(): string {
		return `<sip:${hostPort(this.self.address, this.self.port)}>`
	}

	protected override serve(message: SipMessage, _from: Endpoint, now: number): boolean {
		const status = this.#options.inviteChallenge ?? 401
		if (message.method === 'REGISTER') this.#onRegister(message, now)
		else if (message.method !== 'INVITE' || status === 0) return false
		else return !this.#isAuthentic(message, userOf(message, Header.From), status, now)
		return true
	}

	/** §10.3, the order Asterisk has. */
	#onRegister(message: SipMessage, now: number): void {
		const agent = userOf(message, Header.To)
		if (!this.#isAuthentic(message, agent, 401, now)) return
		const contacts = message.list(Header.Contact)
		if (message.find(Header.Path) >= 0 && !message.list(Header.Supported).includes('path')) {
			this.respond(message, 420, now, { rows: [['Unsupported', 'path']] })
		} else if (contacts.length > 1) this.respond(message, 403, now)
		else if (contacts.length === 0) this.#accept(message, agent, now)
		else if (contacts[0] === '*') this.#removeAll(message, agent, now)
		else this.#bind(message, agent, parseNameAddr(contacts[0]!), now)
	}

	#removeAll(message: SipMessage, agent: string, now: number): void {
		if (message.first(Header.Expires) !== '0') {
			this.respond(message, 400, now)
			return
		}
		this.#unbind(agent, now)
		this.#accept(message, agent, now)
	}

	#bind(message: SipMessage, agent: string, contact: NameAddr | undefined, now: number): void {
		const { minExpiresSec = MIN_EXPIRES_SEC, maxExpiresSec = MAX_EXPIRES_SEC } = this.#options
		const askedSec = this.#askedSec(message, contact?.params ?? '')
		if (contact === undefined || parseUri(contact.uri) === undefined) this.respond(message, 400, now)
		else if (askedSec > 0 && askedSec < minExpiresSec) {
			this.respond(message, 423, now, { rows: [['Min-Expires', `${minExpiresSec}`]] })
		} else {
			if (askedSec === 0) this.#unbind(agent, now)
			else this.#replace(agent, contact.uri, Math.min(askedSec, maxExpiresSec), now)
			this.#accept(message, agent, now)
		}
	}

	#replace(agent: string, contact: string, expiresSec: number, now: number): void {
		const binding = { agent, contact, registeredAt: now, expiresAt: now + expiresSec * 1000 }
		this.#bindings.set(agent, binding)
		this.history.push(binding)
		this.emit({ at: now, type: 'bound', agent, contact, expiresSec })
	}

	#unbind(agent: string, now: number): void {
		const binding = this.#bindings.get(agent)
		if (this.#bindings.delete(agent))
			this.emit({ at: now, type: 'bound', agent, contact: binding!.contact, expiresSec: 0 })
	}

	/** §10.3 step 7: of the Contact, else of the message, else the default; what cannot be read counts as 3600. */
	#askedSec(message: SipMessage, contactParams: string): number {
		const text = headerParam(contactParams, 'expires') ?? message.first(Header.Expires)
		if (text === undefined) return this.#options.defaultExpiresSec ?? DEFAULT_EXPIRES_SEC
		return /^\d{1,10}$/.test(text) ? Number(text) : DEFAULT_EXPIRES_SEC
	}

	#accept(message: SipMessage, agent: string, now: number): void {
		const binding = this.binding(agent, now)
		const rows: HeaderRow[] = [['Date', new Date(now).toUTCString()]]
		if (binding !== undefined) {
			const left = Math.ceil((binding.expiresAt - now) / 1000)
			rows.push(['Contact', `<${binding.contact}>;expires=${left}`], ['Expires', `${left}`])
		}
		this.respond(message, 200, now, { rows })
	}

	/** True where the request proves to be the agent's; else it has been answered. */
	#isAuthentic(message: SipMessage, agent: string, status: 401 | 407, now: number): boolean {
		const { algorithms = ['MD5'], agents } = this.#options
		if (algorithms.length === 0) return true
		const header = status === 407 ? Header.ProxyAuthorization : Header.Authorization
		for (const row of message.rows(header)) {
			const parameters = parseDigest(row)
			const givenAt = this.#nonces.get(parameters?.get('nonce') ?? '')
			if (parameters === undefined || givenAt === undefined) continue
			const password = agents.get(agent)
			const right = password !== undefined && parameters.get('username') === agent
			if (!right || !verifyDigest(parameters, message.method, password)) continue
			if (givenAt + (this.#options.nonceLifetimeMs ?? NONCE_LIFETIME_MS) > now) return true
			this.#challenge(message, status, now, true)
			return false
		}
		this.#challenge(message, status, now, false)
		return false
	}

	#challenge(message: SipMessage, status: 401 | 407, now: number, stale: boolean): void {
		const nonce = `${Math.floor(now / 1000)}/${this.token(32)}`
		this.#forgetNonces(now)
		this.#nonces.set(nonce, now)
		const name = status === 407 ? 'Proxy-Authenticate' : 'WWW-Authenticate'
		const common = `realm="asterisk",nonce="${nonce}",opaque="${this.token(16)}"`
		const row = (algorithm: DigestAlgorithm): HeaderRow => [
			name,
			`Digest ${common},algorithm=${algorithm},qop="auth"${stale ? ',stale=true' : ''}`,
		]
		this.respond(message, status, now, { rows: (this.#options.algorithms ?? ['MD5']).map(row) })
	}

	/** A nonce is known, and called stale, for ten lifetimes; then it is as good as never given. */
	#forgetNonces(now: number): void {
		const before = now - 10 * (this.#options.nonceLifetimeMs ?? NONCE_LIFETIME_MS)
		for (const [nonce, givenAt] of this.#nonces) {
			if (givenAt >= before) return
			this.#nonces.delete(nonce)
		}
	}
}

/** User part of From or To; '' where there is none. */
function userOf(message: SipMessage, header: typeof Header.From | typeof Header.To): string {
	return parseUri(parseNameAddr(message.first(header) ?? '')?.uri ?? '')?.user ?? ''
}
