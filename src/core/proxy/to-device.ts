/** RFC 3261 §16.5 and §16.6 for what goes to an agent: a call, an answer of ours, or a request for one device. */
import { response } from '../../sip/build.ts'
import type { SipMessage } from '../../sip/message.ts'
import { uriParam } from '../../sip/uri.ts'
import type { Context } from '../context.ts'
import type { Flow } from '../model.ts'
import type { Agent, Device, Devices } from '../registrar/devices.ts'
import { deviceOfPurr } from '../registrar/purr.ts'
import type { Calls } from '../wake/calls.ts'
import type { Notices } from '../wake/notices.ts'
import { DeviceRequest, type DeviceRequests, DIALOG_HOLD_MS } from './device-request.ts'
import { addRecordRoute, forwardEdit, hideClient, needsRecordRoute, newBranch, stripPushParams } from './forward.ts'
import { HeldMessage, MAX_HELD_MESSAGES, MAX_HELD_MESSAGES_PER_AGENT } from './held-message.ts'
import type { PassOptions } from './pass.ts'
import { ALLOW, type Passes, RETRY_SOON } from './passes.ts'
import { type OwnAddresses, type OwnRoute, ownRoute, removeOwnRoute, targetOf } from './route.ts'

/** Names the device in the Request-URI of a dialog whose Route was lost (RFC 8599 §6.2.3). */
const PURR = 'pn-purr'

/** In a dialog: what a sleeping phone is fetched for. A question whether it is there (OPTIONS) wakes nobody. */
const WAKES: ReadonlySet<string> = new Set(['BYE', 'INVITE', 'UPDATE', 'INFO', 'REFER', 'NOTIFY'])

export class ToDevice implements DeviceRequests {
	readonly context: Context
	readonly #devices: Devices
	readonly #calls: Calls
	readonly #own: OwnAddresses
	readonly #passes: Passes
	readonly #notices: Notices
	/** Not answered yet, by device. */
	readonly #underWay = new Map<number, Set<DeviceRequest>>()
	/** Messages that wait for a device, by agent. */
	readonly #held = new Map<string, Set<HeldMessage>>()
	#heldCount = 0

	constructor(context: Context, devices: Devices, calls: Calls, own: OwnAddresses, passes: Passes, notices: Notices) {
		this.context = context
		this.#devices = devices
		this.#calls = calls
		this.#own = own
		this.#passes = passes
		this.#notices = notices
	}

	/** Outside any dialog. */
	start(request: SipMessage, source: Flow, now: number): void {
		const user = request.requestUri?.user
		if (user === undefined) return this.#passes.refuse(request, source, request.method === 'OPTIONS' ? 200 : 404, now)
		const agent = this.#devices.agentByUser(user)
		if (request.method === 'OPTIONS') return this.#qualify(request, source, agent, now)
		if (request.method === 'REGISTER') return this.#passes.refuse(request, source, 405, now, [['Allow', ALLOW]])
		if (agent === undefined) return this.#passes.refuse(request, source, 404, now)
		if (this.context.draining) return this.#passes.refuse(request, source, 503, now, RETRY_SOON)
		if (request.method === 'INVITE') {
			const server = this.#passes.serve(request, source, false)
			server.respond(100, response(request, source, 100), now)
			return this.#calls.offer(server, request, source, agent, now)
		}
		this.#passToAwake(request, source, agent, now)
	}

	/** MESSAGE, NOTIFY and the like: to the device that is awake, the one heard of last. Only a MESSAGE waits for one to wake. */
	#passToAwake(request: SipMessage, source: Flow, agent: Agent, now: number): void {
		const awake = agent.devices.filter((device) => this.#isAwake(device))
		if (awake.length > 0) return this.#forward(request, source, latestOf(awake), ownRoute(request, this.#own), now)
		const told = request.method === 'MESSAGE' && this.#hasRoom(agent) ? this.#tellable(agent) : []
		if (told.length === 0) return this.#passes.refuse(request, source, 480, now)
		this.#hold(request, source, agent, told, now)
	}

	#tellable({ devices }: Agent): Device[] {
		return devices.filter((device) => this.#notices.reaches(device))
	}

	/** Without pings nothing is known, so that all count as awake which no push of a call can wake. */
	#isAwake(device: Device): boolean {
		if (device.isCut) return false
		return this.#calls.pingsOn ? device.reach === 'foreground' : !this.#calls.asleep(device)
	}

	#hasRoom({ aor }: Agent): boolean {
		return this.#heldCount < MAX_HELD_MESSAGES && (this.#held.get(aor)?.size ?? 0) < MAX_HELD_MESSAGES_PER_AGENT
	}

	/** An alert tells each of them, never a VoIP push; whoever registers first gets it. */
	#hold(request: SipMessage, source: Flow, { aor }: Agent, told: readonly Device[], now: number): void {
		const server = this.#passes.serve(request, source, false)
		const ids = told.map(({ id }) => id)
		const held = new HeldMessage(this.context, server, request, source, ids, () => this.#forget(aor, held))
		let ofAgent = this.#held.get(aor)
		if (ofAgent === undefined) {
			ofAgent = new Set()
			this.#held.set(aor, ofAgent)
		}
		ofAgent.add(held)
		this.#heldCount++
		this.context.counters.requestsHeld++
		held.begin(now)
		for (const device of told) this.#notices.alert(device, request, held, now)
	}

	#forget(aor: string, held: HeldMessage): void {
		const ofAgent = this.#held.get(aor)
		if (!ofAgent?.delete(held)) return
		this.#heldCount--
		if (ofAgent.size === 0) this.#held.delete(aor)
	}

	/** The PBX asks whether the agent can be called (Asterisk's qualify): the gateway knows, and wakes nobody for it. */
	#qualify(request: SipMessage, source: Flow, agent: Agent | undefined, now: number): void {
		const status = agent === undefined ? 404 : this.#calls.availability.isReachable(agent) ? 200 : 480
		this.#passes.refuse(request, source, status, now)
	}

	/** Within a dialog. */
	within(request: SipMessage, source: Flow, route: OwnRoute, now: number): void {
		const device = this.#dialogDevice(request, route)
		/* RFC 5626 §5.3: a token that is not ours is refused as such */
		if (device === undefined)
			return this.#passes.refuse(request, source, route.token !== '' && !this.#wasOurs(route.token) ? 403 : 481, now)
		this.#forward(request, source, device, route, now)
	}

	/** A device's REGISTER was accepted and stored: what it has not answered goes to where it is now. */
	deviceRegistered(device: Device, now: number): void {
		const underWay = this.#underWay.get(device.id)
		if (underWay !== undefined) for (const asked of [...underWay]) asked.registered(device, now)
		const held = this.#held.get(device.agent.aor)
		if (held !== undefined) this.#release([...held], device, now)
	}

	/** Not answered yet, and messages that wait: none of either where all is quiet. */
	get pending(): { readonly requests: number; readonly messages: number } {
		let requests = 0
		for (const underWay of this.#underWay.values()) requests += underWay.size || 1
		return { requests, messages: this.#heldCount }
	}

	/** Its connection is closed: what it has not answered waits for it to come back. */
	connectionLost(device: Device, now: number): void {
		for (const asked of this.#underWay.get(device.id) ?? []) if (!asked.isHeld) this.#await(asked, device, now)
	}

	/** The gateway goes. */
	end(now: number): void {
		for (const ofAgent of [...this.#held.values()]) for (const held of [...ofAgent]) held.refuse(now)
	}

	#release(messages: readonly HeldMessage[], device: Device, now: number): void {
		for (const held of messages) {
			held.release()
			const { server, request, source } = held
			const asked = this.#begin(request, source, device, ownRoute(request, this.#own))
			asked.send(this.#passes.passFor(server, request, this.#options(asked, device)), device, now)
		}
	}

	#forward(request: SipMessage, source: Flow, device: Device, route: OwnRoute, now: number): void {
		const asked = this.#begin(request, source, device, route)
		asked.send(this.#passes.pass(request, source, false, this.#options(asked, device)), device, now)
		if (device.isCut || (this.#calls.pingsOn && device.reach === 'background')) this.#await(asked, device, now)
	}

	/** It sleeps. */
	#await(asked: DeviceRequest, device: Device, now: number): void {
		const { request } = asked
		const holdMs = Math.min(this.context.settings.holdMs, DIALOG_HOLD_MS)
		asked.holdFor(holdMs, now)
		if (request.method === 'MESSAGE') this.#notices.alert(device, request, undefined, now)
		else if (WAKES.has(request.method)) this.#notices.comeBack(device, now + holdMs, now)
	}

	#begin(request: SipMessage, source: Flow, device: Device, route: OwnRoute): DeviceRequest {
		const asked = new DeviceRequest(this, request, source, route, newBranch(this.context, request), device.id)
		let underWay = this.#underWay.get(device.id)
		if (underWay === undefined) {
			underWay = new Set()
			this.#underWay.set(device.id, underWay)
		}
		underWay.add(asked)
		return asked
	}

	#options(asked: DeviceRequest, device: Device): PassOptions {
		const stableContact = this.#calls.stableContact(device.agent.aor, asked.source.listener)
		return { stableContact, observer: asked }
	}

	/** RFC 3261 §16.6 for the flow the device has now. */
	bytesFor({ request, source, route, branch }: DeviceRequest, device: Device): Uint8Array {
		const { listener } = device.flow
		const edit = forwardEdit(this.context, request, source, listener, branch).uri(
			request.toTag === '' ? device.target : this.#dialogTarget(request, device, route),
		)
		removeOwnRoute(edit, request, route)
		if (needsRecordRoute(request.method))
			addRecordRoute(this.context, edit, source.listener, listener, device.routeToken)
		stripPushParams(edit, request)
		hideClient(this.context, edit)
		return edit.finish()
	}

	ended(asked: DeviceRequest): void {
		const underWay = this.#underWay.get(asked.deviceId)
		underWay?.delete(asked)
		if (underWay?.size === 0) this.#underWay.delete(asked.deviceId)
		/* a BYE ends the live call, however it is answered */
		if (asked.request.method === 'BYE') this.#calls.leaveLive(asked.request.callId)
	}

	/** RFC 3261 §13.2.2.4: the ACK to a 2xx is nobody's transaction. Nor is one to an answer that we gave before a restart. */
	ack(request: SipMessage, source: Flow, route: OwnRoute): void {
		if (this.context.isOwnToTag(request.toTag)) return
		const device = this.#dialogDevice(request, route)
		if (device === undefined) return
		const listener = device.flow.listener
		const edit = forwardEdit(this.context, request, source, listener, newBranch(this.context, request)).uri(
			this.#dialogTarget(request, device, route),
		)
		removeOwnRoute(edit, request, route)
		hideClient(this.context, edit)
		this.context.send(device.flow, edit.finish())
	}

	/** By the token; a peer that lost the Route still names the agent. */
	#dialogDevice(request: SipMessage, route: OwnRoute): Device | undefined {
		if (route.token !== '') {
			const device = this.#devices.byRouteToken(route.token)
			if (device !== undefined) return device
			if (route.token.includes('.')) return undefined
		}
		const uri = targetOf(request, route)
		const purr = uri === undefined ? undefined : uriParam(uri.params, PURR)
		if (purr) return this.#devices.device(deviceOfPurr(this.context, purr) ?? 0)
		const agent = uri?.user === undefined || !this.#own.includes(uri) ? undefined : this.#devices.agentByUser(uri.user)
		return agent === undefined ? undefined : latestOf(agent.devices)
	}

	/** Our Contact for the agent becomes the device's own; any other Request-URI stays. */
	#dialogTarget(request: SipMessage, device: Device, route: OwnRoute): string {
		const text = route.strictUri ?? request.uri
		const uri = targetOf(request, route)
		if (uri === undefined) return text
		/* RFC 8599 §6.2.3: a PURR names the device as well, and goes no further */
		return this.#own.includes(uri) || uriParam(uri.params, PURR) !== undefined ? device.target : text
	}

	/** A device that is bound no more leaves tokens behind: its dialogs are gone (481), not forged (403). */
	#wasOurs(token: string): boolean {
		return this.#devices.device(Number.parseInt(token, 36)) === undefined
	}
}

function latestOf(devices: readonly Device[]): Device {
	return devices.reduce((best, device) => (device.seenAt > best.seenAt ? device : best))
}
