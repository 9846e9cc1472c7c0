/** Agents, their devices and the flows that reach them: the working copy of what the store keeps. */
import { Lru } from '../../lib/lru.ts'
import { canonicalUser, parseUri } from '../../sip/uri.ts'
import type { Timed } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import { closedFlow } from '../departed.ts'
import type { DeviceRecord, Flow } from '../model.ts'
import { Agent, BoundFlow, Device, type Former } from './device.ts'

export { Agent, BoundFlow, Device }

/** A call forks to every device, so more than this is a loop of re-installs; the oldest one goes. */
export const MAX_DEVICES_PER_AGENT = 10

/** Devices that are gone and may come back under their id, 200 bytes each: a phone that signs off and on again in a call. */
export const MAX_FORMER = 4_096

const datagramKey = ({ listener, address, port }: Flow): string => `${listener}|${address}|${port}`

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
		const found = isConnection ? ({ ...record, flow: closedFlow(flow), reach: 'background' } as const) : record
		const device = this.bind(found, now)
		device.isOfStore = true
		if (isConnection) this.#cut(device)
		return device
	}

	/**
	 * The device is reached by this flow from now on. A connection it leaves is of no use any more, unless it has `outbound` there
	 * under another `reg-id`: then the two newest stay.
	 */
	move(device: Device, flow: Flow, regId?: string): void {
		if (device.flow.key !== flow.key) this.#leaveFor(device, flow, regId)
		device.regId = regId
		/* RFC 5626 §6: without a reg-id there is one flow, and each reg-id has one */
		if (regId === undefined || device.spare?.regId === regId) this.#dropSpare(device)
		this.#enter(device)
	}

	#leaveFor(device: Device, flow: Flow, regId: string | undefined): void {
		const { flow: old, isCut, bound, contact, regId: oldId } = device
		if (device.spare?.bound.flow.key === flow.key) device.spare = undefined
		if (!isCut && bound !== undefined && regId !== undefined && oldId !== undefined && oldId !== regId) {
			this.#dropSpare(device)
			device.spare = { bound, regId: oldId, contact }
		} else {
			this.#leave(device)
			if (!isCut && this.#context.isReliable(old) && !this.#flows.has(old.key)) this.#close(old, device)
		}
		device.flow = flow
		device.isCut = false
	}

	/** That connection is closed: the devices that can be reached no more, and those that are now reached by their other one. */
	cut(flow: Flow): { readonly cut: readonly Device[]; readonly moved: readonly Device[] } {
		const agents = [...(this.#flows.get(flow.key)?.devices.values() ?? [])].map(({ agent }) => agent)
		const devices = agents.flatMap((agent) => agent.devices.filter((device) => device.isOn(flow.key)))
		this.#context.departed.note(flow.key, devices)
		const moved = devices.filter((device) => device.flow.key === flow.key && device.spare !== undefined)
		const cut = devices.filter(({ spare }) => spare === undefined)
		for (const device of cut) this.#cut(device)
		for (const device of devices) if (device.spare !== undefined) this.#lose(device, flow.key)
		return { cut, moved }
	}

	/** RFC 5626 §6: the phone signs off by one of its two flows. False: it has no other. */
	signOff(device: Device, regId: string | undefined): boolean {
		const { spare } = device
		if (regId === undefined || spare === undefined) return false
		if (regId !== spare.regId && regId !== device.regId) return false
		this.#lose(device, regId === spare.regId ? spare.bound.flow.key : device.flow.key)
		return true
	}

	/** Of its two flows the one with this key is no more. */
	#lose(device: Device, key: string): void {
		const { bound, regId, contact } = device.spare!
		device.spare = undefined
		if (bound.flow.key === key) return this.#leave(device, bound.flow)
		this.#leave(device)
		device.flow = bound.flow
		device.regId = regId
		device.moveTo(contact)
		this.#enter(device)
	}

	#dropSpare(device: Device): void {
		const flow = device.spare?.bound.flow
		if (flow === undefined) return
		this.#lose(device, flow.key)
		if (!this.#flows.has(flow.key)) this.#close(flow, device)
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
		if (device.spare !== undefined) this.#lose(device, device.spare.bound.flow.key)
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

	#leave(device: Device, { key } = device.flow): void {
		const bound = this.#flows.get(key)
		if (bound === undefined || bound.devices.get(device.agent.aor) !== device) return
		const other = device.agent.devices.find((candidate) => candidate !== device && candidate.isOn(key))
		if (device.bound === bound) device.unbound()
		if (other !== undefined) return bound.add(other)
		bound.devices.delete(device.agent.aor)
		if (bound.devices.size === 0) this.#flows.delete(key)
	}

	/** RFC 5626 §5.2: tamper-proof; 80 bits of HMAC, and no map to look it up in. */
	#routeToken(id: number, aor: string): string {
		return `${id.toString(36)}.${this.#context.hmac(`route|${id}|${aor}`).slice(0, 20)}`
	}
}
