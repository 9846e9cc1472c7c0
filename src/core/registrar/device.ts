/** An agent, its devices and their flows, as the core keeps them while they are bound. */
import type { Bucket } from '../../lib/bucket.ts'
import { Deadline } from '../../lib/deadlines.ts'
import { detached } from '../../sip/latin1.ts'
import type { SipMessage } from '../../sip/message.ts'
import { parseUri, withoutParams } from '../../sip/uri.ts'
import type { Due, Timed } from '../../transaction/transactions.ts'
import type { DeviceRecord, Flow, PushParams, Reach } from '../model.ts'
import type { Target } from '../pbx/target.ts'
import { isPushParam } from './push-params.ts'

/** What outlives the binding of a device: it is the same phone on the same network when it comes back. */
export type Former = Pick<DeviceRecord, 'id' | 'wakeTimes'>

/** An address-of-record with at least one device. */
export class Agent {
	/** Canonical, `sip:1001@pbx.example`. */
	readonly aor: string
	/** Its user part as a key and as the user of the Contact at the PBX. */
	readonly user: string
	/** The machine of the PBX that has its registration, as far as is known since the start. */
	home: Target | undefined = undefined
	/** In order of first binding. */
	readonly devices: Device[] = []

	constructor(aor: string, user: string) {
		this.aor = aor
		this.user = user
	}
}

/** RFC 5626 §3: a second flow of the same instance. */
export interface SpareFlow {
	readonly bound: BoundFlow
	readonly regId: string
	/** The Contact URI registered by it. */
	readonly contact: string
}

/** One installation of the app, bound now. */
export class Device {
	readonly id: number
	readonly agent: Agent
	readonly key: string
	contact = ''
	/** The Contact URI as it goes into a Request-URI. */
	target = ''
	flow: Flow
	/** Its connection is closed: a push may bring it back, or it comes by itself. Nothing can be sent to it. */
	isCut = false
	/** What the phone calls this flow (RFC 5626 §4.1), where it has `outbound`. */
	regId: string | undefined = undefined
	/** Another connection of it, the newest but one: it is reached by that where the first is closed. Not stored. */
	spare: SpareFlow | undefined = undefined
	push: PushParams | undefined
	/** It is of the store, and has not registered since: what its Contact leaves to our defaults may be of other ones. */
	isOfStore = false
	expiresAt: number
	pbxExpiresAt: number
	registeredAt: number
	reach: Reach
	tokenDead: boolean
	/** Accepted pushes in a row without a sign of life after them. */
	missedWakes: number
	wakeTimes: readonly number[]
	/** It has slept through a hold: the last of its wake times stands for a wake that has not come. */
	overdue = false
	userAgent: string
	/** User part of Record-Route for its dialogs: id and HMAC. */
	readonly routeToken: string
	/** The flow it is heard by; undefined where another device of its agent is, or nothing reaches it. */
	bound: BoundFlow | undefined = undefined
	/** When a word of this device itself came last, ms since the epoch; 0 before the first. */
	heardAt = 0
	/** When its app last used the address in a push, ms since the epoch. */
	askedAt = 0
	lastWakeMs: number | undefined = undefined
	/** How often it may come back from new places; made when that first matters. */
	comebacks: Bucket | undefined = undefined
	/** The stored row is not this one (a commit failed): the next save writes it whole. */
	stale = false
	readonly expiry: Deadline<Due>
	/** Of the last REGISTER accepted. */
	#callId = ''
	#cseq = 0

	constructor(record: DeviceRecord, agent: Agent, routeToken: string, owner: Timed) {
		this.id = record.id
		this.agent = agent
		this.key = record.key
		this.flow = record.flow
		this.push = record.push
		this.expiresAt = record.expiresAt
		this.pbxExpiresAt = record.pbxExpiresAt
		this.registeredAt = record.registeredAt
		this.reach = record.reach
		this.tokenDead = record.tokenDead
		this.missedWakes = record.missedWakes
		this.wakeTimes = record.wakeTimes
		this.userAgent = record.userAgent
		this.routeToken = routeToken
		this.moveTo(record.contact)
		this.expiry = new Deadline<Due>({ owner, event: `expire ${record.id}` })
	}

	/** When it last was known to be awake, ms since the epoch: whatever comes by its flows says so. */
	get lastPongAt(): number | undefined {
		return Math.max(this.heardAt, this.bound?.heardAt ?? 0, this.spare?.bound.heardAt ?? 0) || undefined
	}

	/** When it last gave a sign of life, ms since the epoch. */
	get seenAt(): number {
		return Math.max(this.lastPongAt ?? 0, this.registeredAt)
	}

	/** Is one of its flows the one with this key? */
	isOn(flowKey: string): boolean {
		return this.flow.key === flowKey || this.spare?.bound.flow.key === flowKey
	}

	/** It is not heard by that flow any more; what it said there counts on. */
	unbound(): void {
		this.heardAt = this.lastPongAt ?? 0
		this.bound = undefined
	}

	/** Something hangs on its next word. */
	awaitWord(): void {
		if (this.bound !== undefined) this.bound.isAwaited = true
		if (this.spare !== undefined) this.spare.bound.isAwaited = true
	}

	/** Was this REGISTER sent before the last one accepted (RFC 3261 §10.3 step 7)? */
	isOlder(register: SipMessage): boolean {
		return register.callId === this.#callId && register.cseq < this.#cseq
	}

	noteOrder(register: SipMessage): void {
		if (this.isOlder(register)) return
		this.#callId = register.callId
		this.#cseq = register.cseq
	}

	moveTo(contact: string): void {
		if (contact === this.contact) return
		this.contact = detached(contact)
		this.target = requestUriOf(this.contact)
	}

	record(): DeviceRecord {
		const { id, key, contact, flow, push, expiresAt, pbxExpiresAt, registeredAt, reach, tokenDead } = this
		const { missedWakes, wakeTimes, userAgent } = this
		return {
			id,
			agent: this.agent.aor,
			key,
			contact,
			flow,
			push,
			expiresAt,
			pbxExpiresAt,
			registeredAt,
			reach,
			tokenDead,
			missedWakes,
			wakeTimes,
			userAgent,
		}
	}
}

/** RFC 3261 §16.6 step 2: without `method` and headers, which table 1 of §19.1.1 allows in no Request-URI, and without pn-*. */
function requestUriOf(contact: string): string {
	const { length } = parseUri(contact)?.headers ?? ''
	return withoutParams(contact.slice(0, contact.length - length), (name) => name === 'method' || isPushParam(name))
}

/** A flow with at least one binding: no stranger any more. */
export class BoundFlow {
	readonly flow: Flow
	/** By AoR: whose names may be used on this flow. */
	readonly devices = new Map<string, Device>()
	/** When anything came by it last, ms since the epoch; 0 before the first. */
	heardAt = 0
	/**
	 * Something hangs on the next word that comes by it: a ping, a probe, a device that is taken for asleep. Hundreds of devices
	 * may share a flow, and are not all to be told of each of its messages.
	 */
	isAwaited = true

	constructor(flow: Flow) {
		this.flow = flow
	}

	add(device: Device): void {
		const { aor } = device.agent
		const before = this.devices.get(aor)
		if (before !== undefined && before !== device && before.bound === this) before.unbound()
		this.devices.set(aor, device)
		if (device.flow.key === this.flow.key) device.bound = this
		this.isAwaited = true
	}
}
