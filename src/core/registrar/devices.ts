/** Agents, their devices and the flows that reach them: the working copy of what the store keeps. */
import type { Bucket } from '../../lib/bucket.ts'
import { Deadline } from '../../lib/deadlines.ts'
import { Lru } from '../../lib/lru.ts'
import { detached } from '../../sip/latin1.ts'
import type { SipMessage } from '../../sip/message.ts'
import { canonicalUser, parseUri, withoutParams } from '../../sip/uri.ts'
import type { Due, Timed } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import { closedFlow } from '../departed.ts'
import type { DeviceRecord, Flow, PushParams, Reach } from '../model.ts'
import type { Target } from '../pbx/target.ts'
import { isPushParam } from './push-params.ts'

/** A call forks to every device, so more than this is a loop of re-installs; the oldest one goes. */
export const MAX_DEVICES_PER_AGENT = 10

/** Devices that are gone and may come back under their id, 200 bytes each: a phone that signs off and on again in a call. */
export const MAX_FORMER = 4_096

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
	push: PushParams | undefined
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

	/** When it last was known to be awake, ms since the epoch: whatever comes by its flow says so. */
	get lastPongAt(): number | undefined {
		return Math.max(this.heardAt, this.bound?.heardAt ?? 0) || undefined
	}

	/** When it last gave a sign of life, ms since the epoch. */
	get seenAt(): number {
		return Math.max(this.lastPongAt ?? 0, this.registeredAt)
	}

	/** It is not heard by that flow any more; what it said there counts on. */
	unbound(): void {
		this.heardAt = this.lastPongAt ?? 0
		this.bound = undefined
	}

	/** Something hangs on its next word. */
	awaitWord(): void {
		if (this.bound !== undefined) this.bound.isAwaited = true
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

const datagramKey = ({ listener, address, port }: Flow): string => `${listener}|${address}|${port}`

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
		if (before !== undefined && before !== device) before.unbound()
		this.devices.set(aor, device)
		device.bound = this
		this.isAwaited = true
	}
}

/** What the rooms that follow a device's life are told. */
export interface DeviceWatcher {
	deviceBound(device: Device, now: number): void
	deviceGone(device: Device, now: number): void
}

export class Devices implements Timed {
	readonly #context: Context
	readonly #byId = new Map<number, Device>()
	readonly #byAor = new Map<string, Agent>()
	readonly #byUser = new Map<string, Agent>()
	readonly #flows = new Map<string, BoundFlow>()
	/** Devices that are gone, by agent and key. */
	readonly #former = new Lru<string, Former>(MAX_FORMER)
	#watcher: DeviceWatcher | undefined = undefined
	#nextId: number

	constructor(context: Context, nextId: number) {
		this.#context = context
		this.#nextId = nextId
	}

	watch(watcher: DeviceWatcher): void {
		this.#watcher = watcher
	}

	get agents(): IterableIterator<Agent> {
		return this.#byAor.values()
	}

	get agentCount(): number {
		return this.#byAor.size
	}

	get all(): IterableIterator<Device> {
		return this.#byId.values()
	}

	agent(aor: string): Agent | undefined {
		return this.#byAor.get(aor)
	}

	/** By the user part of the gateway's Contact for the agent. */
	agentByUser(user: string): Agent | undefined {
		return this.#byUser.get(user) ?? this.#byUser.get(canonicalUser(user))
	}

	device(id: number): Device | undefined {
		return this.#byId.get(id)
	}

	flow(key: string): BoundFlow | undefined {
		return this.#flows.get(key)
	}

	/** The device a Record-Route token names; undefined when it is forged or the device is gone. */
	byRouteToken(token: string): Device | undefined {
		const device = this.#byId.get(Number.parseInt(token, 36))
		return device !== undefined && device.routeToken === token ? device : undefined
	}

	find(aor: string, key: string): Device | undefined {
		return this.#byAor.get(aor)?.devices.find((device) => device.key === key)
	}

	/** For a new binding: what this device was, where it was here before and its dialogs may live on; else a new id. */
	takeUp(aor: string, key: string): Former {
		return this.#former.get(`${aor} ${key}`) ?? { id: this.#nextId++, wakeTimes: [] }
	}

	/** A new binding, or one of the store. */
	bind(record: DeviceRecord, now: number): Device {
		const agent = this.#agentOf(record.agent)
		const device = new Device(record, agent, this.#routeToken(record.id, record.agent), this)
		agent.devices.push(device)
		this.#byId.set(device.id, device)
		this.#enter(device)
		this.armExpiry(device)
		this.#watcher?.deviceBound(device, now)
		return device
	}

	/** A binding of the store. Connections did not survive the restart, and their keys are given anew. */
	restore(record: DeviceRecord, now: number): Device {
		const { flow } = record
		const isConnection = this.#context.ownAt(flow.listener).isReliable || flow.key !== datagramKey(flow)
		if (!isConnection) return this.bind(record, now)
		const device = this.bind({ ...record, flow: closedFlow(flow), reach: 'background' }, now)
		this.#cut(device)
		return device
	}

	/** The device is reached by this flow from now on. A connection it leaves is of no use any more. */
	move(device: Device, flow: Flow): void {
		const { flow: old, isCut } = device
		if (old.key !== flow.key) {
			this.#leave(device)
			device.flow = flow
			device.isCut = false
			if (!isCut && this.#context.isReliable(old) && !this.#flows.has(old.key)) this.#close(old, device)
		}
		this.#enter(device)
	}

	/** That connection is closed. Gives the devices that it reached. */
	cut(flow: Flow): readonly Device[] {
		const agents = [...(this.#flows.get(flow.key)?.devices.values() ?? [])].map(({ agent }) => agent)
		const devices = agents.flatMap((agent) => agent.devices.filter((device) => device.flow.key === flow.key))
		this.#context.departed.note(flow.key, devices)
		for (const device of devices) this.#cut(device)
		return devices
	}

	#cut(device: Device): void {
		this.#leave(device)
		device.isCut = true
		device.flow = closedFlow(device.flow)
		this.#context.departed.note(device.flow.key, [device])
	}

	#close(flow: Flow, device: Device): void {
		this.#context.departed.note(flow.key, [device])
		this.#context.close(flow)
	}

	/** @param heir the key of the same phone under another name: it gets the id */
	unbind(device: Device, now: number, heir = device.key): void {
		this.#former.set(`${device.agent.aor} ${heir}`, { id: device.id, wakeTimes: device.wakeTimes })
		this.#context.deadlines.disarm(device.expiry)
		this.#leave(device)
		this.#byId.delete(device.id)
		const { agent } = device
		const place = agent.devices.indexOf(device)
		if (place >= 0) agent.devices.splice(place, 1)
		if (agent.devices.length === 0) {
			this.#byAor.delete(agent.aor)
			this.#byUser.delete(agent.user)
		}
		this.#watcher?.deviceGone(device, now)
	}

	/** A refresh only moves `expiresAt`: the deadline stays where it is and is looked at when it comes. */
	armExpiry(device: Device): void {
		if (!device.expiry.armed || device.expiry.at > device.expiresAt)
			this.#context.deadlines.at(device.expiry, device.expiresAt)
	}

	due(event: string, now: number): void {
		const device = this.#byId.get(Number(event.slice('expire '.length)))
		if (device === undefined) return
		if (device.expiresAt > now) return this.armExpiry(device)
		this.#context.event('device-expired', { agent: device.agent.aor, device: device.id })
		this.#context.save([{ table: 'device', op: 'delete', id: device.id }])
		this.unbind(device, now)
	}

	#agentOf(aor: string): Agent {
		let agent = this.#byAor.get(aor)
		if (agent === undefined) {
			agent = new Agent(aor, parseUri(aor)?.user ?? '')
			this.#byAor.set(aor, agent)
			this.#byUser.set(agent.user, agent)
		}
		return agent
	}

	#enter(device: Device): void {
		let bound = this.#flows.get(device.flow.key)
		if (bound === undefined) {
			bound = new BoundFlow(device.flow)
			this.#flows.set(device.flow.key, bound)
			this.#context.settle(device.flow)
		}
		bound.add(device)
	}

	#leave(device: Device): void {
		const bound = this.#flows.get(device.flow.key)
		if (bound === undefined || bound.devices.get(device.agent.aor) !== device) return
		const other = device.agent.devices.find(
			(candidate) => candidate !== device && candidate.flow.key === device.flow.key,
		)
		device.unbound()
		if (other !== undefined) return bound.add(other)
		bound.devices.delete(device.agent.aor)
		if (bound.devices.size === 0) this.#flows.delete(device.flow.key)
	}

	/** RFC 5626 §5.2: tamper-proof; 80 bits of HMAC, and no map to look it up in. */
	#routeToken(id: number, aor: string): string {
		return `${id.toString(36)}.${this.#context.hmac(`route|${id}|${aor}`).slice(0, 20)}`
	}
}
