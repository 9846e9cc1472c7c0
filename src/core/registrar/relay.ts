/**
 * The REGISTER relay: the phone's REGISTER goes to the PBX with the gateway's own Contact for the agent, and what the
 * PBX accepts becomes a binding here, committed before the phone hears of it.
 */
import { response } from '../../sip/build.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { Transactions } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Flow } from '../model.ts'
import type { PbxRequests } from '../pbx/hops.ts'
import type { Target } from '../pbx/target.ts'
import { askedOf } from './contact.ts'
import type { Devices } from './devices.ts'
import type { PushDefaults } from './push-params.ts'
import { type RegisterObserver, Registration, type RelayParts } from './registration.ts'

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
		const asked = askedOf(request, this.pushDefaults, (key) => this.devices.find(aor, key))
		if (asked.kind === 'fault') {
			const toTag = this.context.toTag()
			return this.context.send(flow, response(request, flow, 400, { reason: asked.sentence, toTag }))
		}
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
		return `sip:${user}@${this.context.host(listener)}`
	}
}
