/**
 * The core: one input in, effects out. It decides everything this product decides, and touches nothing.
 *
 * `handle` may emit effects into {@link Core.effects}; the loop performs and clears them, and calls again with
 * `fires` when {@link Core.nextDeadline} has come.
 */
import { Deadlines } from '../lib/deadlines.ts'
import { response } from '../sip/build.ts'
import type { SipMessage } from '../sip/message.ts'
import { isKeepAlive, parse } from '../sip/parse.ts'
import { answerDestination, type Due, Transactions } from '../transaction/transactions.ts'
import { type Capabilities, Context, zeroCounters } from './context.ts'
import type { Effect } from './effects.ts'
import { Filter, type Name, registeredName } from './filter/filter.ts'
import type { Input } from './inputs.ts'
import { Latecomers } from './latecomers.ts'
import type { Flow, Restored } from './model.ts'
import { PbxConnections } from './pbx/connections.ts'
import { PbxRequests } from './pbx/hops.ts'
import { Silence } from './pbx/silence.ts'
import { Targets } from './pbx/targets.ts'
import { OwnAddresses } from './proxy/route.ts'
import { Router } from './proxy/router.ts'
import { refusal } from './proxy/validate.ts'
import { Availability } from './reach/availability.ts'
import { Pings } from './reach/pings.ts'
import { Suspicion } from './reach/suspicion.ts'
import { type BoundFlow, type Device, Devices } from './registrar/devices.ts'
import { RefreshPushes } from './registrar/refresh.ts'
import { RegisterRelay } from './registrar/relay.ts'
import type { Settings } from './settings.ts'
import type { Snapshot } from './snapshot.ts'
import { snapshotOf } from './snapshot-of.ts'
import { tellFault } from './stream-fault.ts'
import { Calls } from './wake/calls.ts'
import { Notices } from './wake/notices.ts'

export class Core {
	readonly context: Context
	readonly devices: Devices
	readonly filter: Filter
	readonly targets: Targets
	readonly calls: Calls
	readonly transactions: Transactions
	readonly suspicion: Suspicion
	readonly #availability: Availability
	readonly #deadlines = new Deadlines<Due>()
	readonly #pings: Pings
	readonly #relay: RegisterRelay
	readonly #router: Router
	readonly #notices: Notices
	readonly #own: OwnAddresses
	readonly #refresh: RefreshPushes
	readonly #pbxConnections: PbxConnections
	readonly #silence: Silence
	readonly #latecomers: Latecomers

	constructor(settings: Settings, capabilities: Capabilities, restored: Restored, now: number) {
		this.context = new Context(settings, this.#deadlines, capabilities, zeroCounters())
		this.transactions = new Transactions(this.#deadlines, this.context, this.context.counters)
		this.devices = new Devices(this.context, restored.nextDeviceId)
		const wakeable = (device: Device) => this.calls.wakeable(device)
		this.#pings = new Pings(this.context, this.devices, {
			wakeable,
			reachChanged: (device) => this.#reachChanged(device),
		})
		this.#availability = new Availability(this.context, {
			wakeable,
			isSuspect: (device) => this.suspicion.isSuspect(device),
		})
		this.suspicion = new Suspicion(this.context, this.devices, ({ agent }) => this.#availability.changed(agent))
		this.targets = new Targets(this.context, this.transactions)
		this.#silence = new Silence(this.context, this.targets)
		this.#pbxConnections = new PbxConnections(this.context, this.transactions, this.targets)
		this.filter = new Filter(this.context, this.devices, this.targets)
		const pbx = new PbxRequests(this.context, this.transactions, this.targets)
		const own = new OwnAddresses(this.context)
		this.#own = own
		this.#latecomers = new Latecomers(this.context, this.transactions, this.devices, own)
		this.calls = new Calls(
			this.context,
			this.transactions,
			this.devices,
			this.#pings,
			this.suspicion,
			this.#availability,
			own,
			restored.pushOutcomes,
		)
		this.#notices = new Notices(this.context, this.devices, (device) => this.calls.pushes.tokenDied(device))
		this.#refresh = new RefreshPushes(this.context, this.devices, this.#notices)
		this.#router = new Router(
			...([this.context, this.transactions, this.devices, this.filter, this.calls, own, this.#notices, pbx] as const),
		)
		this.#relay = new RegisterRelay(this.context, this.transactions, this.devices, pbx, {
			registerAnswered: (flow, aor, status, hadCredentials, stale, at) =>
				this.filter.registerAnswered(flow, aor, status, hadCredentials, stale, at),
			deviceSeen: (device, at) => this.#deviceSeen(device, at),
			deviceRegistered: (device, at) => this.#deviceRegistered(device, at),
			isTold: (device) => this.#notices.reaches(device),
			pbxTimedOut: (at) => this.#silence.timedOut(at),
		})
		this.devices.watch({
			deviceBound: (device, at) => this.#deviceBound(device, at),
			deviceGone: (device, at) => this.#deviceGone(device, at),
		})
		for (const record of restored.devices) this.#refresh.takenUp(this.devices.restore(record, now), now)
		this.#availability.begin(this.devices)
		this.calls.pushes.takeUp(this.devices, now)
		for (const record of restored.heldCalls) this.calls.takeUp(record, now)
	}

	/** What the last input led to, in order; whoever performs it empties the array. */
	get effects(): Effect[] {
		return this.context.effects
	}

	/** Asked by the transport before it keeps anything of a source it does not know: is this datagram worth it? */
	admits(listener: number, address: string, port: number, bytes: Uint8Array): boolean {
		if (this.filter.worthParsing(address, bytes) || this.filter.isTrustedAddress(address, port)) return true
		return this.devices.flow(`${listener}|${address}|${port}`) !== undefined
	}

	/** ms; Infinity when there is nothing to wait for. */
	nextDeadline(): number {
		return Math.min(this.#deadlines.next(), this.transactions.nextLinger())
	}

	handle(input: Input, now: number): void {
		switch (input.type) {
			case 'datagram':
				return this.#datagram(input.flow, input.bytes, now)
			case 'flow-closed':
				return this.#flowClosed(input.flow, now)
			case 'pbx-connected':
				return this.targets.connected(input.flow, now)
			case 'pbx-unreachable':
				return this.#pbxConnections.unreachable(input, input.reason, now)
			case 'stream-fault':
				return tellFault(this.context, input, this.#knows(input.flow), now)
			case 'fires':
				return this.#fires(now)
			case 'push-result':
				if (!this.#notices.answered(input, now)) this.calls.pushes.answered(input, now)
				return
			case 'committed':
				return this.context.committed(input.tickets, now)
			case 'commit-failed':
				return this.context.commitFailed(input.tickets, input.reason, now)
			case 'pbx-resolved':
				return this.targets.set(input.targets, now)
			case 'decline':
				return this.calls.decline(input.callId, input.deviceId, now)
			case 'drain':
				this.context.draining = true
				this.context.event('drain-started', { calls: this.unfinished })
				return this.calls.drain(now)
			case 'end':
				this.calls.end(now)
				return this.#router.end(now)
		}
	}

	/** How much is under way that a restart would lose. */
	get unfinished(): number {
		return this.calls.unfinished + this.#router.unfinished
	}

	/** What waits for an answer beside calls: nothing where all is quiet. */
	get pending(): Router['pending'] & { readonly notices: number } {
		return { ...this.#router.pending, notices: this.#notices.unanswered }
	}

	snapshot(now: number): Snapshot {
		return snapshotOf(this, now)
	}

	#fires(now: number): void {
		for (let due = this.#deadlines.take(now); due !== undefined; due = this.#deadlines.take(now))
			due.what.owner.due(due.what.event, now)
		this.transactions.sweep(now)
	}

	// — what came in, and from whom —

	#datagram(flow: Flow, bytes: Uint8Array, now: number): void {
		this.context.counters.datagrams++
		const target = this.targets.of(flow)
		if (target !== undefined) this.targets.heard(target, now)
		if (target !== undefined || this.filter.isPbx(flow)) return this.#fromPbx(flow, bytes, now)
		const bound = this.devices.flow(flow.key)
		if (bound !== undefined) return this.#fromAgent(bound, bytes, now)
		this.#fromStranger(flow, bytes, now)
	}

	#fromPbx(flow: Flow, bytes: Uint8Array, now: number): void {
		if (this.context.isReliable(flow)) this.#pbxConnections.heard(flow)
		this.#silence.heard(flow, now)
		const message = this.#parsed(flow, bytes, false, now)
		if (message === undefined) return
		if (message.status > 0) return this.#isOurs(message) ? this.#response(message, now) : undefined
		this.#router.fromPbx(message, flow, now)
	}

	#fromAgent(bound: BoundFlow, bytes: Uint8Array, now: number): void {
		const { flow } = bound
		const message = this.#parsed(flow, bytes, true, now)
		if (message === undefined) return
		if (message.status > 0) {
			if (!this.#isOurs(message)) return
			if (this.#pings.isPong(message)) return this.#pings.pong(message, flow.key, now)
			this.#seen(bound, now)
			return this.#response(message, now)
		}
		if (message.method === 'REGISTER') return this.#register(message, bound, now)
		this.#seen(bound, now)
		this.#router.fromAgent(message, bound, now)
	}

	/** Whatever it says, it is awake. A REGISTER says so when the PBX has accepted it. */
	#seen(bound: BoundFlow, now: number): void {
		bound.heardAt = now
		if (!bound.isAwaited) return
		bound.isAwaited = false
		for (const device of bound.devices.values()) this.#pings.seen(device, now)
	}

	#fromStranger(flow: Flow, bytes: Uint8Array, now: number): void {
		if (!this.filter.worthParsing(flow.address, bytes)) return this.#turnOut(flow)
		if (isKeepAlive(bytes)) return
		const message = parse(bytes, this.context.settings.maxHeaders)
		if (this.#latecomers.takes(message, flow, bytes, now)) return
		if (message.status > 0 || message.method === '' || message.fault !== undefined) {
			this.context.counters.strangersDropped++
			return this.#turnOut(flow)
		}
		const isHeard = this.#strangerRequest(message, flow, now)
		if (!isHeard && this.filter.isBanned(flow)) this.#turnOut(flow)
	}

	/** What it says is worth nothing: it need not keep a connection for it. */
	#turnOut(flow: Flow): void {
		if (this.context.isReliable(flow)) this.context.close(flow)
	}

	/** False: it goes no further. */
	#strangerRequest(message: SipMessage, flow: Flow, now: number): boolean {
		const known = message.method === 'REGISTER' ? this.transactions.findServer(message) : undefined
		if (known !== undefined) this.transactions.absorb(known, message, now)
		if (known !== undefined) return true
		const verdict = this.filter.judge(message, flow, this.devices.flow(flow.key) !== undefined, now)
		if (verdict.admit) this.#strangerRegister(message, flow, verdict.name, now)
		else if (verdict.reject) this.#reject(message, flow, now)
		return verdict.admit
	}

	#strangerRegister(message: SipMessage, flow: Flow, { aor, user }: Name, now: number): void {
		if (this.#relay.waiting >= MAX_STRANGERS_WAITING) this.context.counters.rateLimited++
		/* a stranger hears nothing of us, not even what is wrong */ else if (refusal(this.context, message) !== undefined)
			this.context.counters.strangersDropped++
		else this.#relayRegister(message, flow, aor, user, now)
	}

	/** RFC 3261 §8.2.7: without a transaction, the same To-tag for each copy of a request. */
	#reject(message: SipMessage, flow: Flow, now: number): void {
		/* a late copy of a request from a flow that was bound when it came first: it has its answer */
		const known = this.transactions.findServer(message)
		if (known !== undefined) return this.transactions.absorb(known, message, now)
		const { callId, fromTag, via } = message
		const toTag = this.context.hmac(`reject|${callId}|${fromTag}|${via.branch}`).slice(0, 16)
		this.context.send(flow, response(message, flow, 403, { toTag }))
	}

	/** On a bound flow: in an own name at any rate, in any other as a stranger. */
	#register(message: SipMessage, bound: BoundFlow, now: number): void {
		const known = this.transactions.findServer(message)
		if (known !== undefined) return this.transactions.absorb(known, message, now)
		const name = registeredName(message, this.context.settings.domain)
		if (name !== undefined && bound.devices.has(name.aor))
			return this.#relayRegister(message, bound.flow, name.aor, name.user, now)
		this.#strangerRequest(message, bound.flow, now)
	}

	#relayRegister(message: SipMessage, flow: Flow, aor: string, user: string, now: number): void {
		const pbx = this.targets.pick(aor)
		if (pbx === undefined) return
		if (!this.#router.refuse(message, flow, now)) this.#relay.relay(message, flow, aor, user, pbx, now)
	}

	/** The syntax is judged here, once: a fault is answered, a keep-alive swallowed. */
	#parsed(flow: Flow, bytes: Uint8Array, symmetric: boolean, now: number): SipMessage | undefined {
		if (isKeepAlive(bytes)) return undefined
		const message = parse(bytes, this.context.settings.maxHeaders)
		if (message.fault === undefined) return message
		this.context.counters.malformed++
		const { status, sentence, code } = message.fault
		this.context.tell('message-rejected', { address: flow.address, code, status, sentence }, now)
		if (status === 0 || message.method === 'ACK') return undefined
		const bytesOut = response(message, flow, status, { toTag: this.context.toTag(), reason: sentence })
		this.context.send(answerDestination(message, flow, symmetric || this.context.isReliable(flow)), bytesOut)
		return undefined
	}

	/** RFC 3261 §18.1.2: a response whose sent-by is not ours is for somebody else, and is dropped without a word. */
	#isOurs(response: SipMessage): boolean {
		return this.#own.includes(response.via)
	}

	/** The PBX, or a flow with a binding. */
	#knows(flow: Flow): boolean {
		return this.devices.flow(flow.key) !== undefined || this.filter.isPbx(flow)
	}

	/** Whoever it reached is asleep as far as anybody can tell, and nobody waits for an answer by it. */
	#flowClosed(flow: Flow, now: number): void {
		if (this.filter.isPbx(flow)) return this.#pbxConnections.closed(flow, now)
		this.#latecomers.closed(flow)
		const { cut, moved } = this.devices.cut(flow)
		for (const device of cut) {
			this.#pings.cut(device, now)
			this.calls.connectionLost(device, now)
			this.#router.connectionLost(device, now)
		}
		for (const device of moved) this.#connectionMoved(device, now)
	}

	/** RFC 5626 §7: what was out by the connection goes out by its other one. One that sleeps is waited for as before. */
	#connectionMoved(device: Device, now: number): void {
		if (device.reach === 'background') return
		this.calls.connectionMoved(device, now)
		this.#router.deviceRegistered(device, now)
	}

	/** The connection its REGISTER came by may be closed by now. */
	#deviceSeen(device: Device, now: number): void {
		if (this.context.departed.has(device.flow.key)) this.#flowClosed(device.flow, now)
		else this.#pings.noteAwake(device, now)
	}

	/** RFC 6026 §7.3: a response without a transaction goes nowhere. */
	#response(message: SipMessage, now: number): void {
		const client = this.transactions.findClient(message)
		if (client !== undefined) this.transactions.receive(client, message, now)
	}

	#deviceBound(device: Device, now: number): void {
		this.#pings.deviceBound(device, now)
		this.#availability.changed(device.agent)
	}

	/** Calls first: somebody waits for them. */
	#deviceRegistered(device: Device, now: number): void {
		this.calls.deviceRegistered(device, now)
		this.#refresh.registered(device, now)
		this.#router.deviceRegistered(device, now)
		for (const bytes of this.#latecomers.requestsOf(device.flow, now)) this.#datagram(device.flow, bytes, now)
	}

	#deviceGone(device: Device, now: number): void {
		this.#pings.deviceGone(device)
		this.calls.deviceGone(device, now)
		this.#notices.deviceGone(device)
		this.#refresh.deviceGone(device)
		this.#availability.deviceGone(device, now)
	}

	#reachChanged(device: Device): void {
		if (device.reach === 'foreground') this.suspicion.alive(device)
		this.#availability.changed(device.agent)
	}

	/** When the PBX was last heard. */
	get pbxHeardAt(): number | undefined {
		return this.#silence.heardAt
	}

	/** Nothing of it answers: its machines are all down, or it left a REGISTER alone. */
	get pbxSilent(): boolean {
		return this.#silence.isTold || this.targets.areDown
	}
}

/**
 * REGISTERs at the PBX, without an answer, beyond which strangers send no more: about 4 kB each for 32 s. A PBX that
 * lives answers in milliseconds, so that this is a million a second; one that does not must not cost the memory.
 */
export const MAX_STRANGERS_WAITING = 8_192
