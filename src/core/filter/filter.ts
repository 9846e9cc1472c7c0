/** Who may say what (invariant 2): the PBX everything, a bound flow what is its agents' own, a stranger one REGISTER. */
import { Bucket } from '../../lib/bucket.ts'
import { parseNameAddr } from '../../sip/address.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import { canonicalUser, parseUri } from '../../sip/uri.ts'
import type { Context } from '../context.ts'
import type { Flow } from '../model.ts'
import type { Targets } from '../pbx/targets.ts'
import { askedOf } from '../registrar/contact.ts'
import type { BoundFlow, Devices } from '../registrar/devices.ts'
import { isScanner } from './scanner.ts'
import { Sources, sourceOf, TrustedNetworks } from './sources.ts'

/** Longest user part of an agent: it becomes a key, and part of a Contact. */
export const MAX_USER_LENGTH = 128

/** A phone's REGISTER has under 2 kB with every push parameter; what strangers send is kept while the PBX is asked, so it is short. */
export const MAX_STRANGER_OCTETS = 8_192

/** REGISTERs of one known device from places it was not at before: three after one push, each twice for the 401, and again. */
export const COMEBACKS = { perSecond: 1, burst: 20 }

/** An agent as a REGISTER or a From names it. */
export interface Name {
	readonly aor: string
	readonly user: string
}

export type StrangerVerdict =
	| { readonly admit: true; readonly name: Name }
	| { readonly admit: false; readonly reject: boolean }

const DROP: StrangerVerdict = { admit: false, reject: false }
const REJECT: StrangerVerdict = { admit: false, reject: true }

export class Filter {
	readonly #context: Context
	readonly #devices: Devices
	readonly sources: Sources
	readonly #trusted: TrustedNetworks
	readonly #pbx: Targets

	constructor(context: Context, devices: Devices, pbx: Targets) {
		this.#context = context
		this.#devices = devices
		this.sources = new Sources(context)
		this.#trusted = new TrustedNetworks(context.settings.trust)
		this.#pbx = pbx
	}

	/** `--pbx` by address and port, or by address where it has connected to us; `--trust` by address. On its side, and nowhere else. */
	isPbx(flow: Flow): boolean {
		const way = this.#context.pbx.at(flow.listener)
		if (way === undefined) return false
		if (way.isOurs || this.#trusted.includes(flow.address)) return true
		return way.transport === 'udp' ? this.#pbx.of(flow) !== undefined : this.#pbx.mayCall(way.transport, flow.address)
	}

	isBanned({ address }: Flow): boolean {
		return this.sources.isBanned(sourceOf(address))
	}

	/** By `--trust`, or the place of a machine over UDP. */
	isTrustedAddress(address: string, port: number): boolean {
		return this.#pbx.at(address, port) !== undefined || this.#trusted.includes(address)
	}

	/** Before anything is parsed: is this datagram worth a look? `REGISTER` is the one word a banned source may still try. */
	worthParsing(address: string, bytes: Uint8Array): boolean {
		if (bytes.length > MAX_STRANGER_OCTETS) {
			this.#context.counters.strangersDropped++
			return false
		}
		if (!this.sources.isBanned(sourceOf(address)) || isRegister(bytes)) return true
		this.#context.counters.bannedDropped++
		return false
	}

	/** A request of a source without a binding, or in a name not bound on its flow. */
	judge(request: SipMessage, flow: Flow, isBound: boolean, now: number): StrangerVerdict {
		const { counters } = this.#context
		const source = sourceOf(flow.address)
		/* a ban never hits a bound flow; its rate for other names is that of a stranger */
		const banned = !isBound && this.sources.isBanned(source)
		if (!banned && !isBound && isScanner(request.first(Header.UserAgent))) {
			this.sources.ban(source, 'scanner', now)
			return DROP
		}
		if (request.method !== 'REGISTER') return this.#drop(request, source, now)
		const name = registeredName(request, this.#context.settings.domain)
		if (name === undefined) return this.#drop(request, source, now)
		/* neither a ban nor the haste of others behind the same NAT may keep a known phone out that was just woken */
		if ((banned || !this.sources.take(source, now)) && !this.#comesBack(request, name, now)) {
			if (banned) counters.bannedDropped++
			else counters.rateLimited++
			return DROP
		}
		return { admit: true, name }
	}

	/** The PBX's final answer to a REGISTER: what brute force shows by, and what clears a name. */
	registerAnswered(
		flow: Flow,
		aor: string,
		status: number,
		hadCredentials: boolean,
		stale: boolean,
		now: number,
	): void {
		const source = sourceOf(flow.address)
		if (status < 300) this.sources.succeeded(source, aor, now)
		else if (status === 403 || status === 404 || (hadCredentials && !stale && (status === 401 || status === 407)))
			this.sources.failed(source, aor, now)
	}

	/** RFC 3261 §22.4 leaves names to the proxy: out of dialog, From must be an agent bound on the very flow. */
	ownName(request: SipMessage, bound: BoundFlow): Name | undefined {
		const name = nameOf(request.first(Header.From), this.#context.settings.domain)
		return name !== undefined && bound.devices.has(name.aor) ? name : undefined
	}

	/**
	 * In a dialog From is what the other side called. `agent`: it is another agent's name, which is refused. `name`: one of our
	 * domain that is not of this flow, and may only be right in a call there is.
	 */
	foreignName(request: SipMessage, bound: BoundFlow): 'agent' | 'name' | undefined {
		const name = nameOf(request.first(Header.From), this.#context.settings.domain)
		if (name === undefined || bound.devices.has(name.aor)) return undefined
		return this.#devices.agent(name.aor) === undefined ? 'name' : 'agent'
	}

	/**
	 * RFC 3325 §9.2: P-Preferred-Identity is a wish, and a PBX may grant it. One for another agent is not passed on, whatever
	 * host stands behind the name; a number that is nobody's is the PBX's to judge.
	 */
	prefersAnother(request: SipMessage, bound: BoundFlow): boolean {
		if (request.find(Header.PPreferredIdentity) < 0) return false
		return request.list(Header.PPreferredIdentity).some((value) => {
			const user = parseUri(parseNameAddr(value)?.uri ?? '')?.user
			const agent = user === undefined ? undefined : this.#devices.agentByUser(user)
			return agent !== undefined && !bound.devices.has(agent.aor)
		})
	}

	#drop(request: SipMessage, source: string, now: number): StrangerVerdict {
		this.#context.counters.strangersDropped++
		/* before the name of the PBX is resolved, the stranger may be the PBX: its INVITE comes again, a 403 would end the call */
		if (this.#context.settings.strangers === 'drop' || this.#pbx.all.length === 0 || request.method === 'ACK')
			return DROP
		return this.sources.take(source, now) ? REJECT : DROP
	}

	/** Is it a device we know by what only it knows, its instance or token, and not too often? */
	#comesBack(request: SipMessage, name: Name, now: number): boolean {
		const asked = askedOf(request, { topic: '', environment: 'production' })
		if (asked.kind !== 'bindings') return false
		for (const { deviceKey } of asked.contacts) {
			const device = deviceKey.startsWith('c:') ? undefined : this.#devices.find(name.aor, deviceKey)
			if (device === undefined) continue
			device.comebacks ??= new Bucket(COMEBACKS, now)
			return device.comebacks.take(now)
		}
		return false
	}
}

/** The agent a REGISTER is for: To, which From must repeat, and which must be of our domain (RFC 3261 §10.3 step 5). */
export function registeredName(register: SipMessage, domain: string): Name | undefined {
	const to = parseNameAddr(register.first(Header.To) ?? '')?.uri ?? ''
	const from = parseNameAddr(register.first(Header.From) ?? '')?.uri ?? ''
	const name = nameIn(to, domain)
	return name !== undefined && (from === to || nameIn(from, domain)?.aor === name.aor) ? name : undefined
}

function nameOf(value: string | undefined, domain: string): Name | undefined {
	return nameIn(parseNameAddr(value ?? '')?.uri ?? '', domain)
}

function nameIn(text: string, domain: string): Name | undefined {
	const uri = parseUri(text)
	if (uri?.user === undefined || uri.host !== domain || uri.user === '' || uri.user.length > MAX_USER_LENGTH)
		return undefined
	const user = canonicalUser(uri.user)
	return { aor: `sip:${user}@${domain}`, user }
}

const REGISTER = [82, 69, 71, 73, 83, 84, 69, 82, 32] as const

function isRegister(bytes: Uint8Array): boolean {
	for (let i = 0; i < REGISTER.length; i++) if (bytes[i] !== REGISTER[i]) return false
	return true
}
