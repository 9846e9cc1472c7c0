/** One REGISTER under way: relayed to the PBX, its 2xx made a binding, committed, and answered. */
import { response } from '../../sip/build.ts'
import type { Edit } from '../../sip/edit.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { ClientTransaction, ServerTransaction, Transactions } from '../../transaction/transactions.ts'
import type { CommitWaiter, Context } from '../context.ts'
import type { Flow, PushProvider } from '../model.ts'
import type { HopUser, PbxRequests } from '../pbx/hops.ts'
import type { Target } from '../pbx/target.ts'
import { answerEdit, forwardEdit, newBranch, tellClient } from '../proxy/forward.ts'
import { hasNextVia } from '../proxy/pass.ts'
import { Bindings, MIN_PUSH_EXPIRES_SEC } from './bindings.ts'
import { isStale } from './challenge.ts'
import { type Asked, type AskedContact, DEFAULT_EXPIRES_SEC, grantedIn } from './contact.ts'
import type { Device, Devices } from './devices.ts'
import { claimedByAnother, featureCaps, PNSREG_SEC, providersFor } from './feature-caps.ts'
import { flowTimerSec, OUTBOUND, outboundRegId, removeOutbound } from './outbound.ts'
import { purrOf } from './purr.ts'
import { isComplete } from './push-params.ts'

/** Seconds a phone waits before it tries again when its binding could not be stored. */
const RETRY_AFTER_SEC = 10

/** And where no machine of the PBX can be connected to: one is tried every few seconds. */
const RETRY_SOON = [['Retry-After', '5']] as const

export interface RegisterObserver {
	/** The PBX's final answer: what the filter counts. */
	registerAnswered(flow: Flow, aor: string, status: number, hadCredentials: boolean, stale: boolean, now: number): void
	/** A REGISTER of this device was accepted: it is awake, whatever becomes of the commit. */
	deviceSeen(device: Device, now: number): void
	/** The PBX gave no answer at all. */
	pbxTimedOut(now: number): void
	/** A device's binding is committed: what waits for its waking goes on. */
	deviceRegistered(device: Device, now: number): void
	/** May it be pushed to for more than calls? */
	isTold(device: Device): boolean
}

/** What a REGISTER under way needs of the relay. */
export interface RelayParts {
	readonly context: Context
	readonly transactions: Transactions
	readonly devices: Devices
	readonly pbx: PbxRequests
	readonly observer: RegisterObserver
	/** Those of this agent that the PBX has not answered, apart from one that is about to be forwarded. */
	pending(aor: string): Iterable<Registration>
	/** The PBX has answered it, or never will. */
	answered(registration: Registration): void
	/** As it is known to machines that are sent to by this listener or connector. */
	stableContact(user: string, listener: number): string
}

/** One REGISTER under way: relaying → committing → over. */
export class Registration implements HopUser, CommitWaiter {
	readonly method = 'REGISTER'
	/** A phone may stop waiting, but it does not say so. */
	readonly isWanted = true
	readonly #relay: RelayParts
	readonly #server: ServerTransaction
	readonly #request: SipMessage
	readonly #flow: Flow
	readonly aor: string
	readonly #user: string
	readonly #asked: Asked
	readonly #caps: readonly PushProvider[]
	/** Where it gets `outbound`. */
	readonly #regId: string | undefined
	#answer: Uint8Array | undefined = undefined
	#answerStatus = 0
	#bound: readonly Device[] = []
	/** Of the PBX: the one that is asked now. */
	#machine: Target | undefined = undefined

	constructor(
		relay: RelayParts,
		server: ServerTransaction,
		request: SipMessage,
		flow: Flow,
		aor: string,
		user: string,
		asked: Asked,
	) {
		this.#relay = relay
		this.#server = server
		this.#request = request
		this.#flow = flow
		this.aor = aor
		this.#user = user
		this.#asked = asked
		this.#caps = this.#promisedCaps()
		this.#regId = outboundRegId(relay.context, request, flow, asked)
	}

	forward(first: Target, now: number): void {
		const { context, pbx } = this.#relay
		pbx.open(newBranch(context, this.#request), first, this, now)
	}

	bytesFor(machine: Target, branch: string, now: number): Uint8Array {
		const { context } = this.#relay
		const { to } = machine
		this.#machine = machine
		const edit = forwardEdit(context, this.#request, this.#flow, to.listener, branch)
		/* baresip preloads a Route that names us; a REGISTER goes to the PBX and nowhere else */
		edit.remove(Header.Route)
		/* RFC 3261 §10.2: the domain, whatever the phone wrote; else it could have the PBX relay it elsewhere */
		if (this.#request.requestUri?.host !== context.settings.domain) edit.uri(`sip:${context.settings.domain}`)
		this.#rewriteContact(edit, to.listener, now)
		if (this.#regId !== undefined) removeOutbound(edit, this.#request)
		for (const provider of this.#caps) edit.append('Feature-Caps', featureCaps(provider))
		tellClient(context, edit, this.#flow)
		return edit.finish()
	}

	response(client: ClientTransaction, answer: SipMessage, now: number): void {
		const status = answer.status
		if (!hasNextVia(answer)) return this.#withoutVia(status, now)
		if (status < 200) {
			if (status > 100) this.#server.respond(status, answerEdit(this.#relay.context, answer, this.#flow).finish(), now)
			return
		}
		const { observer, context } = this.#relay
		this.#relay.answered(this)
		observer.registerAnswered(this.#flow, this.aor, status, this.#hadCredentials(), isStale(answer), now)
		if (status < 300) return this.#accepted(client, answer, now)
		if (status !== 401 && status !== 407) {
			context.counters.registersRefused++
			context.event('register-refused', { agent: this.aor, address: this.#flow.address, status })
		}
		this.#server.respond(status, answerEdit(context, answer, this.#flow).finish(), now)
	}

	/** RFC 3261 §16.7 step 3: that answer is for nobody. */
	#withoutVia(status: number, now: number): void {
		if (status < 200) return
		this.#relay.answered(this)
		const toTag = this.#relay.context.toTag()
		this.#server.respond(500, response(this.#request, this.#flow, 500, { toTag }), now)
	}

	/** RFC 4320 §4.2: no 408 to a non-INVITE; the phone's own timer F has fired by now. */
	timedOut(_transaction: ClientTransaction, now: number): void {
		this.#relay.answered(this)
		this.#relay.observer.pbxTimedOut(now)
		this.#relay.transactions.abandon(this.#server)
	}

	/** RFC 3261 §16.9. */
	unreachable(_transaction: ClientTransaction, now: number): void {
		const { context, observer } = this.#relay
		this.#relay.answered(this)
		observer.pbxTimedOut(now)
		const options = { toTag: context.toTag(), rows: RETRY_SOON }
		this.#server.respond(503, response(this.#request, this.#flow, 503, options), now)
	}

	committed(now: number): void {
		this.#server.respond(this.#answerStatus, this.#answer!, now)
		this.#released(now)
	}

	/** What is not stored is not promised: the phone is told to come again. Calls may reach it meanwhile all the same. */
	commitFailed(_reason: string, now: number): void {
		for (const device of this.#bound) device.stale = true
		const rows = [['Retry-After', `${RETRY_AFTER_SEC}`]] as const
		this.#server.respond(
			503,
			response(this.#request, this.#flow, 503, { toTag: this.#relay.context.toTag(), rows }),
			now,
		)
		this.#released(now)
	}

	/** A connection that was closed meanwhile carries no call. */
	#released(now: number): void {
		for (const device of this.#bound) if (!device.isCut) this.#relay.observer.deviceRegistered(device, now)
	}

	// — towards the PBX —

	/** RFC 3261 §10.2: one Contact, a function of the agent alone. */
	#rewriteContact(edit: Edit, listener: number, now: number): void {
		if (this.#asked.kind !== 'bindings') return
		const expiresSec = this.#expiresAtPbx(this.#asked.contacts, now)
		const contact = this.#relay.stableContact(this.#user, listener)
		edit.set(Header.Contact, `<${contact}>;expires=${expiresSec}`)
		if (this.#request.find(Header.Expires) >= 0) edit.set(Header.Expires, `${expiresSec}`)
	}

	/** The longest of what is asked now, what `--pbx-expires` wants and what other devices still count on; 0: nobody is left. */
	#expiresAtPbx(contacts: readonly AskedContact[], now: number): number {
		let longestSec = 0
		for (const contact of contacts) longestSec = Math.max(longestSec, contact.expiresSec)
		for (const device of this.#relay.devices.agent(this.aor)?.devices ?? []) {
			if (contacts.some(({ deviceKey }) => deviceKey === device.key) && !this.#hasAnotherFlow(device)) continue
			longestSec = Math.max(longestSec, Math.ceil((device.expiresAt - now) / 1000))
		}
		/* a goodbye may overtake the first REGISTER of another device at the PBX, and must not take the agent away from it */
		if (longestSec === 0) {
			for (const other of this.#relay.pending(this.aor)) longestSec = Math.max(longestSec, other.askedSec(contacts))
			longestSec = Math.min(longestSec, DEFAULT_EXPIRES_SEC)
		}
		return longestSec === 0 ? 0 : Math.max(longestSec, this.#relay.context.settings.pbxExpiresSec)
	}

	/** It signs off by one of two flows. */
	#hasAnotherFlow({ regId, spare }: Device): boolean {
		if (spare === undefined || this.#regId === undefined) return false
		return this.askedSec([]) === 0 && (this.#regId === regId || this.#regId === spare.regId)
	}

	/** The longest expiry it asks for, other than for the devices of `contacts`. */
	askedSec(contacts: readonly AskedContact[]): number {
		if (this.#asked.kind !== 'bindings') return 0
		let longestSec = 0
		for (const { deviceKey, expiresSec } of this.#asked.contacts)
			if (!contacts.some((contact) => contact.deviceKey === deviceKey)) longestSec = Math.max(longestSec, expiresSec)
		return longestSec
	}

	/** RFC 8599 §5.4: for providers the phone names or asks about, and nobody nearer to it has claimed. */
	#promisedCaps(): readonly PushProvider[] {
		const { providers } = this.#relay.context.settings
		if (this.#asked.kind !== 'bindings' || providers.length === 0) return []
		const wanted = this.#asked.contacts.flatMap((contact) => wantedBy(contact, providers))
		if (wanted.length === 0) return []
		const claimed = this.#request.rows(Header.FeatureCaps)
		return providers.filter((provider) => wanted.includes(provider) && !claimedByAnother(claimed, provider))
	}

	#hadCredentials(): boolean {
		return this.#request.find(Header.Authorization) >= 0 || this.#request.find(Header.ProxyAuthorization) >= 0
	}

	// — the PBX said 2xx —

	#accepted(client: ClientTransaction, answer: SipMessage, now: number): void {
		const { context } = this.#relay
		context.counters.registersAccepted++
		const { to } = this.#machine ?? client
		const grantedSec = grantedIn(answer, this.#relay.stableContact(this.#user, to.listener))
		const bindings = new Bindings(this.#relay, this.#request, this.#flow, this.#regId, this.aor, now)
		const contacts = bindings.apply(this.#asked, grantedSec)
		this.#bound = bindings.bound
		const agent = this.#relay.devices.agent(this.aor)
		if (agent !== undefined) agent.home = this.#machine
		this.#answerStatus = answer.status
		this.#answer = this.#phoneAnswer(answer, contacts, grantedSec)
		if (bindings.changes.length === 0) return this.#server.respond(answer.status, this.#answer, now)
		context.save(bindings.changes, this)
	}

	#phoneAnswer(answer: SipMessage, contacts: readonly string[], grantedSec: number | undefined): Uint8Array {
		const edit = answerEdit(this.#relay.context, answer, this.#flow)
		if (contacts.length === 0) edit.remove(Header.Contact)
		else edit.set(Header.Contact, contacts.join(', '))
		if (answer.find(Header.Expires) >= 0 && this.#asked.kind === 'bindings') {
			const asked = Math.max(...this.#asked.contacts.map((contact) => contact.expiresSec))
			edit.set(Header.Expires, `${Math.min(asked, grantedSec ?? asked)}`)
		}
		/* RFC 8599 §5.6.1: where the granted expiry is too short to push in time, the answer goes without the promise */
		if (grantedSec === undefined || grantedSec >= MIN_PUSH_EXPIRES_SEC) {
			for (const provider of this.#caps) edit.append('Feature-Caps', this.#promise(provider, grantedSec))
		}
		if (this.#regId !== undefined && this.#bound.length > 0) {
			edit.append('Require', OUTBOUND)
			edit.append('Flow-Timer', `${flowTimerSec(this.#relay.context.settings.idleMs)}`)
		}
		return edit.finish()
	}

	/** RFC 8599 §8.4, §6.2.1: when to refresh, for a phone that said it does; a PURR, for one that may be pushed to in a dialog. */
	#promise(provider: PushProvider, grantedSec: number | undefined): string {
		const [device] = this.#bound
		if (device?.push?.provider !== provider || this.#asked.kind !== 'bindings') return featureCaps(provider)
		const asked = this.#asked.contacts.find(({ deviceKey }) => deviceKey === device.key)
		const sec = Math.min(asked?.expiresSec ?? 0, grantedSec ?? Number.POSITIVE_INFINITY)
		const pnsreg = asked?.refreshes && sec > PNSREG_SEC ? PNSREG_SEC : undefined
		const { observer, context } = this.#relay
		return featureCaps(provider, pnsreg, observer.isTold(device) ? purrOf(context, device.id) : undefined)
	}
}

/** Those of `providers` that the phone names with its token, or asks about. */
function wantedBy(
	{ push, expiresSec, query }: AskedContact,
	providers: readonly PushProvider[],
): readonly PushProvider[] {
	if (query !== undefined) return providersFor(query, providers)
	const isPromised = push?.dialect === 'rfc8599' && isComplete(push) && expiresSec >= MIN_PUSH_EXPIRES_SEC
	return isPromised ? [push.provider] : []
}
