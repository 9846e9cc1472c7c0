/**
 * The REGISTER relay: the phone's REGISTER goes to the PBX with the gateway's own Contact for the agent, and what the
 * PBX accepts becomes a binding here, committed before the phone hears of it.
 */
import { response } from '../../sip/build.ts'
import { Edit } from '../../sip/edit.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import type {
	ClientTransaction,
	ClientUser,
	Destination,
	ServerTransaction,
	Transactions,
} from '../../transaction/transactions.ts'
import type { CommitWaiter, Context } from '../context.ts'
import type { Change } from '../effects.ts'
import type { Flow, PushParams } from '../model.ts'
import { forwardEdit, newBranch } from '../proxy/forward.ts'
import { isStale } from './challenge.ts'
import { type Asked, type AskedContact, askedOf, grantedIn, shownContact } from './contact.ts'
import { type Device, type Devices, MAX_DEVICES_PER_AGENT } from './devices.ts'
import { claimedByAnother, featureCaps, PROVIDERS } from './feature-caps.ts'
import { type PushDefaults, samePush } from './push-params.ts'

/** RFC 8599 §5.1: a binding shorter than this lapses before a push could refresh it, so no push is promised. */
export const MIN_PUSH_EXPIRES_SEC = 30

/** Seconds a phone waits before it tries again when its binding could not be stored. */
const RETRY_AFTER_SEC = 10

export interface RegisterObserver {
	/** The PBX's final answer: what the filter counts. */
	registerAnswered(flow: Flow, aor: string, status: number, hadCredentials: boolean, stale: boolean, now: number): void
	/** A REGISTER of this device was accepted: it is awake, whatever becomes of the commit. */
	deviceSeen(device: Device, now: number): void
	/** The PBX gave no answer at all. */
	pbxTimedOut(now: number): void
	/** A device's binding is committed: what waits for its waking goes on. */
	deviceRegistered(device: Device, now: number): void
}

export class RegisterRelay {
	readonly context: Context
	readonly transactions: Transactions
	readonly devices: Devices
	readonly observer: RegisterObserver
	readonly pushDefaults: PushDefaults
	/** REGISTERs without a final answer of the PBX. */
	waiting = 0

	constructor(context: Context, transactions: Transactions, devices: Devices, observer: RegisterObserver) {
		this.context = context
		this.transactions = transactions
		this.devices = devices
		this.observer = observer
		this.pushDefaults = { topic: context.settings.apnsTopic, environment: context.settings.apnsEnvironment }
	}

	/** `aor` is the canonical one of To. The request is valid, for our domain, and in the sender's own name. */
	relay(request: SipMessage, flow: Flow, aor: string, user: string, pbx: Destination, now: number): void {
		this.context.counters.registers++
		const asked = askedOf(request, this.pushDefaults, (key) => this.devices.find(aor, key))
		if (asked.kind === 'fault') {
			const toTag = this.context.id()
			return this.context.send(flow, response(request, flow, 400, { reason: asked.sentence, toTag }))
		}
		this.waiting++
		new Registration(this, this.transactions.serve(request, flow), request, flow, aor, user, asked).forward(pbx, now)
	}

	stableContact(user: string, listener: number): string {
		return `sip:${user}@${this.context.host(listener)}`
	}
}

/** One REGISTER under way: relaying → committing → over. */
class Registration implements ClientUser, CommitWaiter {
	readonly #relay: RegisterRelay
	readonly #server: ServerTransaction
	readonly #request: SipMessage
	readonly #flow: Flow
	readonly #aor: string
	readonly #user: string
	readonly #asked: Asked
	readonly #caps: readonly string[]
	#answer: Uint8Array | undefined = undefined
	#answerStatus = 0
	#bound: Device[] = []

	constructor(
		relay: RegisterRelay,
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
		this.#aor = aor
		this.#user = user
		this.#asked = asked
		this.#caps = this.#promisedCaps()
	}

	forward(pbx: Destination, now: number): void {
		const { context, transactions } = this.#relay
		const branch = newBranch(context, this.#request)
		const edit = forwardEdit(context, this.#request, this.#flow, pbx.listener, branch)
		/* baresip preloads a Route that names us; a REGISTER goes to the PBX and nowhere else */
		edit.remove(Header.Route)
		/* RFC 3261 §10.2: the domain, whatever the phone wrote; else it could have the PBX relay it elsewhere */
		if (this.#request.requestUri?.host !== context.settings.domain) edit.uri(`sip:${context.settings.domain}`)
		this.#rewriteContact(edit, pbx.listener, now)
		for (const provider of this.#caps) edit.append('Feature-Caps', featureCaps(provider))
		transactions.open(branch, 'REGISTER', edit.finish(), pbx, this, now)
	}

	response(_transaction: ClientTransaction, answer: SipMessage, now: number): void {
		const status = answer.status
		if (status < 200) {
			if (status > 100) this.#server.respond(status, new Edit(answer).popVia().finish(), now)
			return
		}
		const { observer, context } = this.#relay
		this.#relay.waiting--
		observer.registerAnswered(this.#flow, this.#aor, status, this.#hadCredentials(), isStale(answer), now)
		if (status < 300) return this.#accepted(answer, now)
		if (status !== 401 && status !== 407) {
			context.counters.registersRefused++
			context.event('register-refused', { agent: this.#aor, address: this.#flow.address, status })
		}
		this.#server.respond(status, new Edit(answer).popVia().finish(), now)
	}

	/** RFC 4320 §4.2: no 408 to a non-INVITE; the phone's own timer F has fired by now. */
	timedOut(_transaction: ClientTransaction, now: number): void {
		this.#relay.waiting--
		this.#relay.observer.pbxTimedOut(now)
		this.#relay.transactions.abandon(this.#server)
	}

	committed(now: number): void {
		this.#server.respond(this.#answerStatus, this.#answer!, now)
		for (const device of this.#bound) this.#relay.observer.deviceRegistered(device, now)
	}

	/** What is not stored is not promised: the phone is told to come again. Calls may reach it meanwhile all the same. */
	commitFailed(_reason: string, now: number): void {
		for (const device of this.#bound) device.stale = true
		const rows = [['Retry-After', `${RETRY_AFTER_SEC}`]] as const
		this.#server.respond(503, response(this.#request, this.#flow, 503, { toTag: this.#relay.context.id(), rows }), now)
		for (const device of this.#bound) this.#relay.observer.deviceRegistered(device, now)
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
		for (const device of this.#relay.devices.agent(this.#aor)?.devices ?? []) {
			if (contacts.some((contact) => contact.deviceKey === device.key)) continue
			longestSec = Math.max(longestSec, Math.ceil((device.expiresAt - now) / 1000))
		}
		return longestSec === 0 ? 0 : Math.max(longestSec, this.#relay.context.settings.pbxExpiresSec)
	}

	/** RFC 8599 §5.3: for providers the phone names and nobody nearer to it has claimed; all of them for an empty query. */
	#promisedCaps(): readonly string[] {
		if (this.#asked.kind !== 'bindings' || !this.#relay.context.settings.pushEnabled) return []
		const wanted = this.#asked.contacts.some(
			(c) => (c.push?.dialect === 'rfc8599' && c.expiresSec >= MIN_PUSH_EXPIRES_SEC) || c.pushQuery,
		)
		if (!wanted) return []
		const claimed = this.#request.rows(Header.FeatureCaps)
		return PROVIDERS.filter((provider) => !claimedByAnother(claimed, provider))
	}

	/** RFC 8599 §5.3: somebody nearer to the phone pushes for it. */
	#isPushedByAnother(): boolean {
		return (
			this.#request.find(Header.FeatureCaps) >= 0 &&
			claimedByAnother(this.#request.rows(Header.FeatureCaps), PROVIDERS[0])
		)
	}

	#userAgent(): string | undefined {
		return this.#request.first(Header.UserAgent)?.slice(0, MAX_USER_AGENT_LENGTH)
	}

	#hadCredentials(): boolean {
		return this.#request.find(Header.Authorization) >= 0 || this.#request.find(Header.ProxyAuthorization) >= 0
	}

	// — the PBX said 2xx —

	#accepted(answer: SipMessage, now: number): void {
		const { context } = this.#relay
		context.counters.registersAccepted++
		const grantedSec = grantedIn(answer, this.#relay.stableContact(this.#user, this.#flow.listener))
		const changes: Change[] = []
		const contacts = this.#applyBindings(grantedSec, changes, now)
		this.#answerStatus = answer.status
		this.#answer = this.#phoneAnswer(answer, contacts, grantedSec)
		if (changes.length === 0) return this.#server.respond(answer.status, this.#answer, now)
		context.save(changes, this)
	}

	/** The Contacts to show to the phone, and the changes to store. */
	#applyBindings(grantedSec: number | undefined, changes: Change[], now: number): string[] {
		const { devices } = this.#relay
		if (this.#asked.kind === 'remove-all') {
			for (const device of [...(devices.agent(this.#aor)?.devices ?? [])]) this.#remove(device, changes, now)
			return []
		}
		if (this.#asked.kind !== 'bindings') return this.#ownContacts(now)
		const shown: string[] = []
		for (const contact of this.#asked.contacts) {
			const device = devices.find(this.#aor, contact.deviceKey)
			/* the phone never gets more than it asked for, nor more than the PBX gave */
			const sec = Math.min(contact.expiresSec, grantedSec ?? contact.expiresSec)
			if (sec === 0) {
				if (device !== undefined) this.#remove(device, changes, now)
				continue
			}
			this.#bind(device, contact, sec, grantedSec ?? sec, changes, now)
			shown.push(shownContact(contact, sec))
		}
		return shown
	}

	#bind(
		device: Device | undefined,
		contact: AskedContact,
		sec: number,
		pbxSec: number,
		changes: Change[],
		now: number,
	): void {
		const expiresAt = now + sec * 1000
		const pbxExpiresAt = now + pbxSec * 1000
		const push = sec >= MIN_PUSH_EXPIRES_SEC && !this.#isPushedByAnother() ? contact.push : undefined
		if (device !== undefined) this.#refresh(device, contact, push, expiresAt, pbxExpiresAt, changes, now)
		else device = this.#bindNew(contact, push, expiresAt, pbxExpiresAt, changes, now)
		device.noteOrder(this.#request)
		this.#relay.observer.deviceSeen(device, now)
		this.#bound.push(device)
	}

	#refresh(
		device: Device,
		contact: AskedContact,
		push: PushParams | undefined,
		expiresAt: number,
		pbxExpiresAt: number,
		changes: Change[],
		now: number,
	): void {
		const same =
			!device.stale &&
			!device.tokenDead &&
			device.flow.key === this.#flow.key &&
			device.contact === contact.value.uri &&
			samePush(device.push, push)
		device.expiresAt = expiresAt
		device.pbxExpiresAt = pbxExpiresAt
		device.registeredAt = now
		/* RFC 3261 §10.3 step 7: the answer to an older REGISTER came last, and says nothing of where the phone is */
		if (same || device.isOlder(this.#request)) {
			changes.push({
				table: 'device',
				op: 'refresh',
				id: device.id,
				expiresAt,
				pbxExpiresAt,
				registeredAt: now,
				reach: 'foreground',
			})
		} else {
			this.#relay.devices.move(device, this.#flow)
			device.moveTo(contact.value.uri)
			/* the environment that was found to work for this token is worth more than the phone's word */
			device.push = push !== undefined && samePush(device.push, push) ? device.push : push
			device.tokenDead = false
			device.stale = false
			device.userAgent = this.#userAgent() ?? device.userAgent
			changes.push({ table: 'device', op: 'put', row: { ...device.record(), reach: 'foreground' } })
		}
		this.#relay.devices.armExpiry(device)
	}

	#bindNew(
		contact: AskedContact,
		push: PushParams | undefined,
		expiresAt: number,
		pbxExpiresAt: number,
		changes: Change[],
		now: number,
	): Device {
		const { devices, context } = this.#relay
		this.#makeRoom(contact, push, changes, now)
		const device = devices.bind(
			{
				id: devices.takeId(this.#aor, contact.deviceKey),
				agent: this.#aor,
				key: contact.deviceKey,
				contact: contact.value.uri,
				flow: this.#flow,
				push,
				expiresAt,
				pbxExpiresAt,
				registeredAt: now,
				reach: 'foreground',
				tokenDead: false,
				userAgent: this.#userAgent() ?? '',
			},
			now,
		)
		changes.push({ table: 'device', op: 'put', row: device.record() })
		context.event('device-registered', {
			agent: this.#aor,
			device: device.id,
			address: this.#flow.address,
			port: this.#flow.port,
			token: push?.token,
		})
		return device
	}

	/** The same token under another key is the same phone after a restore; and there is a limit. */
	#makeRoom(contact: AskedContact, push: PushParams | undefined, changes: Change[], now: number): void {
		const others = this.#relay.devices.agent(this.#aor)?.devices ?? []
		if (push !== undefined) {
			const twin = others.find(
				(device) => device.key !== contact.deviceKey && device.push?.token.reveal() === push.token.reveal(),
			)
			if (twin !== undefined) this.#remove(twin, changes, now, contact.deviceKey)
		}
		if (others.length < MAX_DEVICES_PER_AGENT) return
		this.#relay.context.event('limit-reached', { limit: 'devices-per-agent', agent: this.#aor })
		this.#remove(
			others.reduce((oldest, device) => (device.registeredAt < oldest.registeredAt ? device : oldest)),
			changes,
			now,
		)
	}

	#remove(device: Device, changes: Change[], now: number, heir?: string): void {
		changes.push({ table: 'device', op: 'delete', id: device.id })
		this.#relay.context.event('device-removed', { agent: this.#aor, device: device.id })
		this.#relay.devices.unbind(device, now, heir)
	}

	/** A query shows the phone its own bindings, never those of other devices: their Contacts hold their tokens. */
	#ownContacts(now: number): string[] {
		const device = this.#relay.devices.flow(this.#flow.key)?.devices.get(this.#aor)
		if (device === undefined) return []
		return [`<${device.contact}>;expires=${Math.max(0, Math.ceil((device.expiresAt - now) / 1000))}`]
	}

	#phoneAnswer(answer: SipMessage, contacts: readonly string[], grantedSec: number | undefined): Uint8Array {
		const edit = new Edit(answer).popVia()
		if (contacts.length === 0) edit.remove(Header.Contact)
		else edit.set(Header.Contact, contacts.join(', '))
		if (answer.find(Header.Expires) >= 0 && this.#asked.kind === 'bindings') {
			const asked = Math.max(...this.#asked.contacts.map((contact) => contact.expiresSec))
			edit.set(Header.Expires, `${Math.min(asked, grantedSec ?? asked)}`)
		}
		/* RFC 8599 §5.3: where the granted expiry is too short to push in time, the answer goes without the promise */
		if (grantedSec === undefined || grantedSec >= MIN_PUSH_EXPIRES_SEC) {
			for (const provider of this.#caps) edit.append('Feature-Caps', featureCaps(provider))
		}
		return edit.finish()
	}
}

/** Longest User-Agent kept for the status page. */
const MAX_USER_AGENT_LENGTH = 120
