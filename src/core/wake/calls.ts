/** All calls to agents, and the calls that are live. */

import { Lru } from '../../lib/lru.ts'
import { response } from '../../sip/build.ts'
import { detached } from '../../sip/latin1.ts'
import type { SipMessage } from '../../sip/message.ts'
import { parse } from '../../sip/parse.ts'
import type { Destination, ServerTransaction, Transactions } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Flow, HeldCallRecord, PushOutcomeRecord } from '../model.ts'
import { type OwnAddresses, type OwnRoute, ownRoute } from '../proxy/route.ts'
import type { Availability } from '../reach/availability.ts'
import type { Pings } from '../reach/pings.ts'
import type { Suspicion } from '../reach/suspicion.ts'
import type { Agent, Device, Devices } from '../registrar/devices.ts'
import { isForCalls } from '../registrar/push-params.ts'
import type { CallVerdict, CallView } from '../snapshot.ts'
import { breadthOf } from './breadth.ts'
import { AgentCall } from './call.ts'
import { readCallToken } from './call-token.ts'
import type { Branch, Opening } from './device-branch.ts'
import { Pushes } from './pushes.ts'
import { reasonWord } from './reasons.ts'
import { sourceAgain } from './source-again.ts'
import { WakeTimes } from './wake-times.ts'

/** Calls to agents at once, ghosts included: about 8 kB each. Beyond it the PBX gets 503 and tries elsewhere. */
export const MAX_CALLS = 20_000

/** Live calls remembered for the status page: one that never ends with a BYE we see makes room for newer ones. */
export const MAX_LIVE = 20_000

/** What is remembered of a Call-ID: longer than any that is seen, and a made-up one of 60 kB costs no more. */
export const MAX_LIVE_ID = 256

const RETRY_SOON = [['Retry-After', '5']] as const

interface LiveCall {
	readonly view: CallView
	/** The machine of the PBX that has it. */
	readonly machine: Destination
}

export class Calls {
	readonly context: Context
	readonly transactions: Transactions
	readonly devices: Devices
	readonly pings: Pings
	readonly availability: Availability
	readonly pushes: Pushes
	readonly wakeTimes: WakeTimes
	readonly #own: OwnAddresses
	/** By the gateway's id. */
	readonly #calls = new Map<string, AgentCall>()
	readonly #byAgent = new Map<string, Set<AgentCall>>()
	/** By server transaction: whose CANCEL is it? */
	readonly #byServer = new Map<ServerTransaction, AgentCall>()
	readonly #live = new Lru<string, LiveCall>(MAX_LIVE)

	constructor(
		context: Context,
		transactions: Transactions,
		devices: Devices,
		pings: Pings,
		suspicion: Suspicion,
		availability: Availability,
		own: OwnAddresses,
		outcomes: readonly PushOutcomeRecord[],
	) {
		this.context = context
		this.transactions = transactions
		this.devices = devices
		this.pings = pings
		this.availability = availability
		this.#own = own
		this.wakeTimes = new WakeTimes(context)
		this.pushes = new Pushes(context, suspicion, availability, this.wakeTimes, outcomes)
	}

	get pingsOn(): boolean {
		return this.context.settings.pingIntervalMs > 0
	}

	/** Can the push of a call reach it? */
	wakeable(device: Device): boolean {
		const { push } = device
		if (push === undefined || device.tokenDead || !isForCalls(push)) return false
		return this.context.settings.providers.includes(push.provider)
	}

	/** Wake it first? Without pings nothing is known, so what can be woken is woken, and the rest called directly. */
	asleep(device: Device): boolean {
		return this.wakeable(device) && (!this.pingsOn || device.reach === 'background')
	}

	/** How a call begins for a device: awake for sure, to be asked, or asleep. Who cannot be woken is called anyway, where there is a way. */
	opening(device: Device, now: number): Opening {
		if (this.asleep(device)) return this.#mayListen(device) ? 'both' : 'wake'
		if (device.isCut) return 'dead'
		return this.wakeable(device) && now - device.seenAt > this.context.settings.freshMs ? 'probe' : 'direct'
	}

	/**
	 * Android takes its time with pushes, and may have left the connection alone: the INVITE lies there when the app comes to
	 * itself, whatever wakes it. Over UDP the address could be somebody else's by now.
	 */
	#mayListen({ push, flow, isCut }: Device): boolean {
		return push?.provider === 'fcm' && !isCut && this.context.isReliable(flow)
	}

	/** An INVITE of the PBX for this agent; its 100 is out. */
	offer(server: ServerTransaction, invite: SipMessage, source: Flow, agent: Agent, now: number): void {
		this.context.counters.callsToAgents++
		if (this.#calls.size >= MAX_CALLS) {
			this.context.event('limit-reached', { limit: 'calls', agent: agent.aor })
			return this.#refuse(server, invite, source, 503, now)
		}
		if (!agent.devices.some((device) => this.availability.isCallable(device))) {
			this.context.counters.callsUnanswered++
			this.context.event('call-failed', { agent: agent.aor, how: 'nobody to wake' })
			return this.#refuse(server, invite, source, 480, now)
		}
		/* RFC 5393 §5.3.3 */
		if (breadthOf(invite) < agent.devices.length) return this.#refuse(server, invite, source, 440, now)
		const record = {
			id: this.context.id(),
			receivedAt: now,
			/* nobody is waited for yet */
			holdUntil: now,
			toTag: this.context.toTag(),
		}
		const call = new AgentCall(this, server, invite, source, agent.aor, record)
		this.#add(call)
		call.offer(agent.devices, now)
	}

	/** Without a call: nobody is rung. */
	#refuse(server: ServerTransaction, invite: SipMessage, source: Flow, status: 440 | 480 | 503, now: number): void {
		const rows = status === 503 ? RETRY_SOON : []
		server.respond(status, response(invite, source, status, { toTag: this.context.toTag(), rows }), now)
	}

	/** The held calls of the store, after a restart. */
	takeUp(record: HeldCallRecord, now: number): void {
		const invite = parse(record.invite)
		if (invite.fault !== undefined) return
		const { source, answerTo } = sourceAgain(this.context, record.source, invite)
		const server = this.transactions.serve(invite, answerTo)
		const call = new AgentCall(this, server, invite, source, record.agent, record)
		this.#add(call)
		/* the caller of an ended call has its answer; else this 100 goes out again for a retransmitted INVITE */
		if (record.ended !== undefined) this.transactions.abandon(server)
		else server.respond(100, response(invite, source, 100), now)
		call.takeUp(record, now)
		this.context.event('call-restored', { call: call.id, agent: call.agent, ended: record.ended !== undefined })
	}

	/** Calls remembered, ghosts included. */
	get count(): number {
		return this.#calls.size
	}

	/** The call a CANCEL is for, by its server transaction. */
	find(server: ServerTransaction): AgentCall | undefined {
		return this.#byServer.get(server)
	}

	/** What the token in a push says of its call now. */
	look(token: string, now: number): CallVerdict {
		const ticket = readCallToken(this.context, token, now)
		if (ticket === undefined) return { kind: 'forged' }
		/* only the app that its push woke knows the address */
		const device = this.devices.device(ticket.deviceId)
		if (device !== undefined) device.askedAt = now
		const call = this.#calls.get(ticket.callId)
		if (call?.isOfferedTo(ticket.deviceId)) return { kind: 'ringing', ...ticket }
		return { kind: 'ended', reason: reasonWord(call?.endReason ?? '') }
	}

	decline(callId: string, deviceId: number, now: number): void {
		const device = this.devices.device(deviceId)
		if (device !== undefined) this.pushes.declined(device, now)
		this.#calls.get(callId)?.decline(deviceId, now)
	}

	remove(call: AgentCall): void {
		this.#calls.delete(call.id)
		this.#byServer.delete(call.server)
		const ofAgent = this.#byAgent.get(call.agent)
		ofAgent?.delete(call)
		if (ofAgent?.size === 0) this.#byAgent.delete(call.agent)
	}

	drain(now: number): void {
		for (const call of [...this.#calls.values()]) call.drain(now)
	}

	end(now: number): void {
		for (const call of [...this.#calls.values()]) call.end(now)
	}

	/** Calls whose caller still waits for a final response, and that a restart would lose; and pushes not yet answered. */
	get unfinished(): number {
		let count = this.pushes.unanswered
		for (const call of this.#calls.values()) if (call.over === undefined && !call.canBeTakenUp) count++
		return count
	}

	// — devices —

	deviceRegistered(device: Device, now: number): void {
		this.pushes.registered(device, now)
		const calls = this.#byAgent.get(device.agent.aor)
		if (calls === undefined) return
		for (const call of [...calls]) call.registered(device, now)
	}

	deviceGone(device: Device, now: number): void {
		this.pushes.deviceGone(device)
		for (const call of [...(this.#byAgent.get(device.agent.aor) ?? [])]) call.deviceGone(device.id, now)
	}

	/** Its connection is closed: with the INVITE it can answer no more by it. One that rings comes back, and is followed. */
	connectionLost(device: Device, now: number): void {
		for (const call of [...(this.#byAgent.get(device.agent.aor) ?? [])])
			call.branches.find(({ deviceId }) => deviceId === device.id)?.cut(now)
	}

	/** It is reached by another connection now: the same request follows it there. Who is waited for has to register. */
	connectionMoved(device: Device, now: number): void {
		for (const call of [...(this.#byAgent.get(device.agent.aor) ?? [])]) {
			const branch = call.branches.find(({ deviceId }) => deviceId === device.id)
			if (branch !== undefined && branch.state !== 'waking' && branch.state !== 'ghost') branch.on('registered', now)
		}
	}

	replayed(branch: Branch): void {
		this.context.counters.ghostsReplayed++
		this.context.event('ghost-replayed', { agent: branch.device?.agent.aor, device: branch.deviceId })
	}

	// — live calls —

	answered(call: AgentCall, device: Device | undefined): void {
		this.context.event('call-answered', { call: call.id, agent: call.agent, device: device?.id })
		const view: CallView = {
			id: call.invite.callId,
			agent: call.agent,
			direction: 'to-agent',
			state: 'live',
			caller: call.caller.identity.number,
			since: call.receivedAt,
			holdUntil: undefined,
		}
		this.enterLive(view, call.source)
	}

	enterLive(call: CallView, machine: Destination): void {
		const id = detached(call.id.slice(0, MAX_LIVE_ID))
		this.#live.set(id, { view: { ...call, id, caller: detached(call.caller) }, machine })
	}

	/** A BYE for it was answered. */
	leaveLive(callId: string): void {
		this.#live.delete(callId.slice(0, MAX_LIVE_ID))
	}

	isLive(callId: string, aor: string): boolean {
		return this.liveAt(callId, aor) !== undefined
	}

	/** The machine of the PBX that has this live call of the agent. */
	liveAt(callId: string, aor: string): Destination | undefined {
		const live = this.#live.peek(callId.slice(0, MAX_LIVE_ID))
		return live?.view.agent === aor ? live.machine : undefined
	}

	get liveCount(): number {
		return this.#live.size
	}

	get heldCount(): number {
		let count = 0
		for (const call of this.#calls.values()) if (call.over === undefined && call.state === 'held') count++
		return count
	}

	views(): CallView[] {
		const views: CallView[] = []
		for (const call of this.#calls.values()) {
			if (call.over !== undefined) continue
			const { state } = call
			const holdUntil = state === 'held' ? call.holdUntil : undefined
			views.push({
				id: call.invite.callId,
				agent: call.agent,
				direction: 'to-agent',
				state,
				caller: call.caller.identity.number,
				since: call.receivedAt,
				holdUntil,
			})
		}
		for (const [, { view }] of this.#live.entries()) views.push(view)
		return views
	}

	/** The one Contact the PBX knows for the agent (invariant: a function of the agent and of the transport to the PBX alone). */
	stableContact(aor: string, listener: number): string {
		return `${aor.slice(0, aor.lastIndexOf('@'))}${this.context.ownAt(listener).contactEnd}`
	}

	ownRoute(message: SipMessage): OwnRoute {
		return ownRoute(message, this.#own)
	}

	#add(call: AgentCall): void {
		this.#calls.set(call.id, call)
		this.#byServer.set(call.server, call)
		let ofAgent = this.#byAgent.get(call.agent)
		if (ofAgent === undefined) {
			ofAgent = new Set()
			this.#byAgent.set(call.agent, ofAgent)
		}
		ofAgent.add(call)
	}
}
