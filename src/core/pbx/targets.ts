/** The machines behind `--pbx`: which of them live, and which one a request goes to. */
import type { Destination, Timed, Transactions } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { PbxAddress, PbxTarget } from '../inputs.ts'
import type { Flow } from '../model.ts'
import { hashOf, lot, mixed } from './draw.ts'
import { Prober, type ProberRooms } from './prober.ts'
import type { PbxTransport } from './sides.ts'
import { Target, targetKey } from './target.ts'
import { TARGET, type TargetAction, type TargetEvent } from './target-state.ts'

/** A PBX that asks for more peace than this (Retry-After) is asked again all the same: it may have been restarted. */
export const MAX_REST_SEC = 300

/** With `--pbx-ping 0` a machine that is down gets a request again after this, as nothing else would show it is back. */
export const RETRY_DOWN_MS = 30_000

/** A machine that `--pbx` names no more still has the calls that it had: none lasts longer, as no shift does. */
export const KEEP_GONE_MS = 12 * 3_600_000

/** A machine that took no connection for a large request is tried so again after this: somebody may have mended it. */
export const TCP_AGAIN_MS = 60_000

/** As many as `--pbx` may name, all exchanged at once. */
export const MAX_GONE = 16

export class Targets implements Timed, ProberRooms {
	readonly #context: Context
	readonly #prober: Prober
	/** In the order of their ranks. */
	#all: readonly Target[] = []
	/** Named no more, the oldest first: trusted and addressed for the calls they have, and never chosen. */
	#gone: readonly Target[] = []
	/** By the key of the flows it sends on: `<listener>|<address>|<port>`, and those of connections to it. */
	readonly #byFlow = new Map<string, Target>()
	/** Connections that the gateway opened, by their keys. */
	readonly #connections = new Map<string, Flow>()
	/** Addresses of those that may connect to the gateway, by transport. */
	readonly #callers = { udp: new Set<string>(), tcp: new Set<string>(), tls: new Set<string>() } as const
	/** Those requests go to now: of one rank, used ones if there are any. */
	#tier: readonly Target[] = []

	constructor(context: Context, transactions: Transactions) {
		this.#context = context
		this.#prober = new Prober(context, transactions, this)
	}

	get all(): readonly Target[] {
		return this.#all
	}

	/** The first of those that requests go to now. */
	get first(): Target | undefined {
		return this.#tier[0]
	}

	/** Every machine is known to be dead: each was asked twice in vain. One that rests has answered. */
	get areDown(): boolean {
		return this.#all.length > 0 && this.#all.every(({ state }) => state === 'down')
	}

	/** The machine that sends on this flow. */
	of(flow: Flow): Target | undefined {
		return this.#byFlow.get(flow.key)
	}

	/** The one at this place; over this transport, where that is said and there is one. */
	at(address: string, port: number, transport?: PbxTransport): Target | undefined {
		const isThere = (one: Target) => one.address === address && one.port === port
		const isIt = transport === undefined ? isThere : (one: Target) => isThere(one) && one.transport === transport
		return this.#find(isIt) ?? (isIt === isThere ? undefined : this.#find(isThere))
	}

	/** Where a URI with this address and port leads, if that is one of its machines. */
	wayTo(address: string, port: number, transport: PbxTransport | undefined): Destination | undefined {
		const target = this.at(address, port, transport)
		if (target !== undefined && (target.transport === transport || transport !== 'tcp')) return target.to
		const large = transport === 'tcp' && this.#find((one) => one.address === address && one.tcpPort === port)
		const sender = this.#context.pbx.sender('tcp')
		return large && sender !== undefined ? { listener: sender, address, port } : target?.to
	}

	/** One that is reached by a connection, whatever port a URI of it names: theirs is often that of a connection. */
	connectedAt(address: string): Target | undefined {
		return this.#find((one) => one.address === address && one.transport !== 'udp')
	}

	#find(isIt: (target: Target) => boolean): Target | undefined {
		return this.#all.find(isIt) ?? this.#gone.find(isIt)
	}

	/** May a connection over this transport from this address be one of its machines'? */
	mayCall(transport: PbxTransport, address: string): boolean {
		return this.#callers[transport].has(address)
	}

	/** Where a request goes that is too large for UDP; undefined where there is no other way. */
	largeWay(to: Destination, now: number): Destination | undefined {
		const target = this.#byFlow.get(`${to.listener}|${to.address}|${to.port}`)
		const sender = this.#context.pbx.sender('tcp')
		if (target?.tcpPort === undefined || sender === undefined || target.tcpRefusedUntil > now) return undefined
		return { listener: sender, address: target.address, port: target.tcpPort }
	}

	/** The gateway has a connection to one of them, which is asked whether it lives. */
	connected(flow: Flow, now: number): void {
		this.#connections.set(flow.key, flow)
		const target = this.#byFlow.get(placeOf(flow))
		if (target === undefined) return
		this.#byFlow.set(flow.key, target)
		/* where nobody may ask, a request has to find out */
		if (target.state === 'down' && this.#prober.isOff) this.#event(target, 'rested', now)
		if (target.state === 'down' || target.state === 'suspect') this.#prober.hurry(target, now)
	}

	/** @returns whether it was one that the gateway had opened */
	closed({ key }: Flow): boolean {
		this.#byFlow.delete(key)
		return this.#connections.delete(key)
	}

	/** It takes no connection. */
	refused(to: Destination, reason: string, now: number): void {
		const target = this.#byFlow.get(placeOf(to))
		if (target !== undefined) {
			target.refusal = reason
			this.#event(target, 'refused', now)
		}
		if (to.listener !== this.#context.pbx.sender('tcp')) return
		for (const one of this.#all)
			if (one.address === to.address && one.tcpPort === to.port) one.tcpRefusedUntil = now + TCP_AGAIN_MS
	}

	/** By the host name it was found by; port 0: any. Of several machines the one at `made`, else the first. */
	named(name: string, port: number, made: PbxAddress | undefined): Target | undefined {
		const isIt = (target: Target) => target.name === name && (port === 0 || target.port === port)
		const own = made === undefined ? undefined : (this.at(made.address, made.port) ?? this.connectedAt(made.address))
		if (own !== undefined && isIt(own)) return own
		return this.#find(isIt)
	}

	/** What `--pbx` names now. Machines that were known keep their state. */
	set(found: readonly PbxTarget[], now: number): void {
		const known = new Map(this.#all.map((target) => [targetKey(target), target]))
		const fresh: Target[] = []
		this.#all = found.map((one) => {
			const target = known.get(targetKey(one))
			known.delete(targetKey(one))
			const { name, rank, weight, tcpPort } = one
			if (target !== undefined) return Object.assign(target, { name, rank, weight, tcpPort })
			const sender = this.#context.pbx.sender(one.transport) ?? this.#context.pbx.usual
			return fresh[fresh.push(new Target(one, sender, this, now)) - 1]!
		})
		/* a machine that `--pbx` names over both */
		for (const target of this.#all)
			if (target.transport === 'udp') target.tcpPort ??= this.#all.find((one) => isTcpOf(one, target))?.port
		this.#part([...known.values()], now)
		this.#index()
		for (const target of fresh) this.#prober.begin(target, now)
	}

	/** Those that came back are no longer gone, and `left` are. */
	#part(left: readonly Target[], now: number): void {
		for (const target of left) {
			this.#event(target, 'removed', now)
			this.#context.deadlines.after(target.rest, now, KEEP_GONE_MS)
		}
		const named = new Set(this.#all.map(targetKey))
		const gone = [...this.#gone.filter((target) => !named.has(targetKey(target))), ...left].slice(-MAX_GONE)
		for (const target of this.#gone) if (!gone.includes(target)) this.#context.deadlines.disarm(target.rest)
		this.#gone = gone
	}

	/** The machine for what `name`, an agent, asks outside a dialog; undefined while none is known. */
	pick(name: string): Target | undefined {
		return this.#tier.length === 1 ? this.#tier[0] : drawn(this.#tier, name)
	}

	/** The next one after those `tried`: a used one, or any if no other is. */
	next(name: string, tried: readonly Target[]): Target | undefined {
		if (this.#all.length === tried.length) return undefined
		const left = this.#all.filter((target) => !tried.includes(target))
		const used = left.filter((target) => target.usable)
		/* to one that is known to be dead only where all are */
		const choice = used.length > 0 || this.#all.some((target) => target.usable) ? used : left
		return drawn(ofRank(choice), name)
	}

	/** Something came from it: on the path of every packet of the PBX. */
	heard(target: Target, now: number): void {
		target.heardAt = now
		if (target.state !== 'up') this.#event(target, 'heard', now)
	}

	/** Several copies of a request got no answer, and nothing else came from it meanwhile. */
	missed(target: Target, now: number): void {
		this.#event(target, 'missed', now)
	}

	/** RFC 3261 §21.5.4: it wants no requests for so long. */
	unavailable(target: Target, sec: number, now: number): void {
		target.restsUntil = now + Math.min(sec, MAX_REST_SEC) * 1000
		this.#event(target, 'unavailable', now)
	}

	due(key: string, now: number): void {
		const target = this.#all.find((one) => targetKey(one) === key)
		if (target !== undefined) return this.#event(target, 'rested', now)
		this.#gone = this.#gone.filter((one) => targetKey(one) !== key)
		this.#index()
	}

	#index(): void {
		this.#byFlow.clear()
		for (const addresses of Object.values(this.#callers)) addresses.clear()
		for (const target of [...this.#gone, ...this.#all]) {
			this.#byFlow.set(placeOf(target.to), target)
			this.#callers[target.transport].add(target.address)
			if (target.tcpPort !== undefined) this.#callers.tcp.add(target.address)
		}
		for (const flow of this.#connections.values()) {
			const target = this.#byFlow.get(placeOf(flow))
			if (target !== undefined) this.#byFlow.set(flow.key, target)
		}
		this.#choose()
	}

	#choose(): void {
		const used = this.#all.filter((target) => target.usable)
		this.#tier = ofRank(used.length > 0 ? used : this.#all)
	}

	#event(target: Target, event: TargetEvent, now: number): void {
		const { state } = target
		const row = TARGET[state][event]
		target.state = row.to
		if (row.to !== state) {
			target.since = now
			this.#choose()
		}
		for (const action of row.do) this.#act(target, event, action, now)
	}

	#act(target: Target, event: TargetEvent, action: TargetAction, now: number): void {
		switch (action) {
			case 'probe':
				return this.#prober.hurry(target, now)
			case 'hangUp':
				/* what is lost on the way there is sent again later and later: a new connection is sooner */
				for (const flow of this.#connections.values())
					if (this.#byFlow.get(flow.key) === target) this.#context.close(flow)
				return
			case 'tellDown':
				return this.#tellDown(target, event === 'refused' ? `no connection: ${target.refusal}` : 'it gives no answer')
			case 'tellUp':
				return this.#tellUp(target)
			case 'rest':
				return this.#context.deadlines.at(target.rest, target.restsUntil)
			case 'retry':
				if (this.#prober.isOff) this.#context.deadlines.after(target.rest, now, RETRY_DOWN_MS)
				return
			case 'forget':
				this.#context.deadlines.disarm(target.rest)
				return this.#prober.end(target)
		}
	}

	#tellDown(target: Target, because: string): void {
		if (target.downBecause !== undefined) return
		target.downBecause = target.state === 'resting' ? 'it said 503 with Retry-After' : because
		const { name, transport, address, port, downBecause } = target
		this.#context.event('pbx-down', { name, transport, address, port, reason: downBecause })
	}

	#tellUp(target: Target): void {
		if (target.downBecause === undefined) return
		target.downBecause = undefined
		const { name, transport, address, port } = target
		this.#context.event('pbx-up', { name, transport, address, port })
	}
}

/** The key of datagrams from there, and what connections to there begin with. */
function placeOf({ listener, address, port }: Destination): string {
	return `${listener}|${address}|${port}`
}

function isTcpOf({ transport, address }: Target, udp: Target): boolean {
	return transport === 'tcp' && address === udp.address
}

/** Of those in the order of their ranks, the ones of the first rank. */
function ofRank(targets: readonly Target[]): readonly Target[] {
	return targets.filter(({ rank }) => rank === targets[0]!.rank)
}

function drawn(tier: readonly Target[], name: string): Target | undefined {
	if (tier.length < 2) return tier[0]
	const hash = hashOf(name)
	let best: Target | undefined
	let lowest = Infinity
	for (const target of tier) {
		const own = lot(mixed(hash, target.salt), target.weight)
		if (own < lowest) {
			lowest = own
			best = target
		}
	}
	return best
}
