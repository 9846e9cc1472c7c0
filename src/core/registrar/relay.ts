/**
 * The REGISTER relay: the phone's REGISTER goes to the PBX with the gateway's own Contact for the agent, and what the
 * PBX accepts becomes a binding here, committed before the phone hears of it.
 */
import { type HeaderRow, response } from '../../sip/build.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { Transactions } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Flow } from '../model.ts'
import type { PbxRequests } from '../pbx/hops.ts'
import type { Target } from '../pbx/target.ts'
import { type Asked, askedOf } from './contact.ts'
import type { Device, Devices } from './devices.ts'
import { claimedByAnother, providersFor } from './feature-caps.ts'
import type { PushDefaults } from './push-params.ts'
import { type RegisterObserver, Registration, type RelayParts } from './registration.ts'

interface Refusal {
	readonly status: 423 | 555
	readonly rows: readonly HeaderRow[]
}

export class RegisterRelay implements RelayParts {
	readonly context: Context
	readonly transactions: Transactions
	readonly devices: Devices
	readonly pbx: PbxRequests
	readonly observer: RegisterObserver
	readonly pushDefaults: PushDefaults
	/** REGISTERs without a final answer of the PBX. */
	waiting = 0
	readonly #pending = new Map<string, Set<Registration>>()

	constructor(
		context: Context,
		transactions: Transactions,
		devices: Devices,
		pbx: PbxRequests,
		observer: RegisterObserver,
	) {
		this.context = context
		this.transactions = transactions
		this.devices = devices
		this.pbx = pbx
		this.observer = observer
		this.pushDefaults = { topic: context.settings.apnsTopic, environment: context.settings.apnsEnvironment }
	}

	/** `aor` is the canonical one of To. The request is valid, for our domain, and in the sender's own name. */
	relay(request: SipMessage, flow: Flow, aor: string, user: string, pbx: Target, now: number): void {
		this.context.counters.registers++
		const asked = askedOf(request, this.pushDefaults, (key) => this.#known(aor, key))
		if (asked.kind === 'fault') {
			const toTag = this.context.toTag()
			return this.context.send(flow, response(request, flow, 400, { reason: asked.sentence, toTag }))
		}
		const refusal = this.#refusal(request, asked)
		if (refusal !== undefined) return this.#refuse(request, flow, aor, refusal, now)
		const server = this.transactions.serve(request, flow)
		const registration = new Registration(this, server, request, flow, aor, user, asked)
		this.waiting++
		registration.forward(pbx, now)
		let pending = this.#pending.get(aor)
		if (pending === undefined) {
			pending = new Set()
			this.#pending.set(aor, pending)
		}
		pending.add(registration)
	}

	/** Whose push parameters need not be read again. */
	#known(aor: string, key: string): Device | undefined {
		const device = this.devices.find(aor, key)
		return device?.isOfStore ? undefined : device
	}

	/** RFC 8599 §5.6.1: what is wrong with what it says of pushes, unless somebody nearer to the phone sees to them. */
	#refusal(request: SipMessage, asked: Asked): Refusal | undefined {
		const { providers, minExpiresSec } = this.context.settings
		if (asked.kind !== 'bindings') return undefined
		const claimed = request.rows(Header.FeatureCaps)
		for (const { query, push, expiresSec } of asked.contacts) {
			/* it asks, so it knows what the answer means; one that only names another provider is registered without pushes */
			if (query && providersFor(query, providers).length === 0 && !claimedByAnother(claimed))
				return { status: 555, rows: [] }
			const isTooShort = push !== undefined && expiresSec > 0 && expiresSec < minExpiresSec
			if (isTooShort && providers.includes(push.provider) && !claimedByAnother(claimed, push.provider))
				return { status: 423, rows: [['Min-Expires', `${minExpiresSec}`]] }
		}
		return undefined
	}

	#refuse(request: SipMessage, flow: Flow, aor: string, { status, rows }: Refusal, now: number): void {
		this.context.counters.registersRefused++
		this.context.tell('register-refused', { agent: aor, address: flow.address, status }, now)
		this.context.send(flow, response(request, flow, status, { toTag: this.context.toTag(), rows }))
	}

	pending(aor: string): Iterable<Registration> {
		return this.#pending.get(aor) ?? []
	}

	answered(registration: Registration): void {
		this.waiting--
		const pending = this.#pending.get(registration.aor)
		pending?.delete(registration)
		if (pending?.size === 0) this.#pending.delete(registration.aor)
	}

	stableContact(user: string, listener: number): string {
		return `sip:${user}${this.context.ownAt(listener).contactEnd}`
	}
}
