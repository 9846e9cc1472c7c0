/** The gateway of the simulated world: the core, unmodified, and the law of src/loop.ts under the world's clock. */
import { createHmac } from 'node:crypto'
import { Core } from '../../src/core/core.ts'
import type { Effect, PushEffect, SaveEffect } from '../../src/core/effects.ts'
import type { Input, PbxTarget } from '../../src/core/inputs.ts'
import type { Flow } from '../../src/core/model.ts'
import type { Settings } from '../../src/core/settings.ts'
import type { Endpoint } from '../../src/demo/dialog.ts'
import { LAZY_COMMIT_MS, OWED_RETRY_MS, owed } from '../../src/loop.ts'
import { parse } from '../../src/sip/parse.ts'
import type { Agenda } from './agenda.ts'
import type { Chance } from './chance.ts'
import type { Visit } from './links.ts'
import type { Network } from './network.ts'
import type { Record } from './record.ts'
import { SimStore } from './store.ts'
import type { Streams } from './streams.ts'

/** How the disk of this run behaves. */
export interface Disk {
	/** A commit somebody waits for comes after up to this many ms. */
	readonly slowMs: number
	/** The process dies between commit and what follows it, with this probability. */
	readonly killAtCommit: number
	/** The process dies after an effect, and the rest of its turn never was, with this probability. */
	readonly killMidTurn: number
}

/** A resolver answers within one of these times. */
const RESOLVE_MS = [5, 30, 500] as const

const DRAIN_MS = 5_000
const DRAIN_STEP_MS = 50

export interface GatewayParts {
	readonly agenda: Agenda
	readonly chance: Chance
	readonly network: Network
	readonly streams: Streams
	readonly record: Record
	readonly settings: Settings
	readonly self: Endpoint
	readonly pbx: readonly PbxTarget[]
	readonly disk: Disk
	readonly onPush: (effect: PushEffect, life: number) => void
	readonly onPushCancel: (pushId: string) => void
	/** After each input, for checks that need the core as it is then. */
	readonly onTurn: (core: Core) => void
	/** It is dead: somebody has to start it again. */
	readonly onDown: () => void
}

export class SimGateway {
	readonly store = new SimStore()
	/** Undefined while it is down. */
	core: Core | undefined = undefined
	/** No accidents any more. */
	immortal = false
	readonly #parts: GatewayParts
	readonly #key: string
	#armedFor = Number.POSITIVE_INFINITY
	#saves: SaveEffect[] = []
	#flush: 'none' | 'owed' | 'lazy' | 'soon' = 'none'

	constructor(parts: GatewayParts) {
		this.#parts = parts
		this.#key = parts.chance.hex(16)
		parts.network.attach(parts.self, (bytes, from) => this.#receive(bytes, from))
	}

	start(): void {
		const { agenda, chance, record, settings, pbx } = this.#parts
		const capabilities = {
			random32: chance.random32,
			hmac: (text: string) => createHmac('sha1', this.#key).update(text, 'latin1').digest('hex'),
		}
		record.life++
		const restored = this.store.restore(agenda.now)
		this.core = new Core(settings, capabilities, restored, agenda.now)
		const bound = [...this.core.devices.all].map(({ id }) => id)
		record.begin(agenda.now, { kind: 'started', bound })
		const { life } = record
		this.input({ type: 'fires' })
		agenda.after(
			chance.between(0, chance.one(RESOLVE_MS)),
			() => this.#live(life) && this.input({ type: 'pbx-resolved', targets: pbx }),
		)
	}

	/** kill -9: what is not committed never was. */
	kill(midTurn = false): void {
		if (this.core === undefined) return
		const { agenda, record } = this.#parts
		const stored = { devices: [...this.store.devices.values()], calls: [...this.store.calls.values()] }
		this.core = undefined
		this.#parts.streams.cutAll()
		this.#saves = []
		this.#flush = 'none'
		this.#armedFor = Number.POSITIVE_INFINITY
		record.begin(agenda.now, { kind: 'killed', stored, midTurn })
		this.#parts.onDown()
	}

	/** SIGTERM. */
	stop(): void {
		const { agenda, record } = this.#parts
		this.input({ type: 'drain' })
		this.#drain(agenda.now + DRAIN_MS, record.life)
	}

	/** Something comes from a push service. */
	pushResult(input: Extract<Input, { type: 'push-result' }>, life: number): void {
		if (this.#live(life)) this.input(input)
	}

	/** As src/status/call-routes.ts has it. */
	visit(visit: Visit): void {
		if (this.core === undefined) return
		const { agenda, record } = this.#parts
		const verdict = this.core.calls.look(visit.token, agenda.now)
		record.begin(agenda.now, { kind: 'visited', ...visit, verdict })
		if (visit.method === 'POST' && verdict.kind === 'ringing') this.input({ ...verdict, type: 'decline' })
	}

	input(input: Input): void {
		const { core } = this
		if (core === undefined) return
		const { agenda, record } = this.#parts
		this.#note(input)
		try {
			core.handle(input, agenda.now)
		} catch (error) {
			record.add(agenda.now, { kind: 'threw', error: error instanceof Error ? (error.stack ?? '') : String(error) })
		}
		if (!this.#performAll(core.effects)) return this.kill(true)
		core.effects.length = 0
		this.#arm(core)
		this.#parts.onTurn(core)
	}

	#drain(until: number, life: number): void {
		const { agenda } = this.#parts
		if (!this.#live(life) || this.core === undefined) return
		if (this.core.calls.unfinished > 0 && agenda.now < until) {
			agenda.after(DRAIN_STEP_MS, () => this.#drain(until, life))
			return
		}
		this.#flushNow()
		this.kill()
	}

	#live(life: number): boolean {
		return this.core !== undefined && this.#parts.record.life === life
	}

	#receive(bytes: Uint8Array, { address, port }: Endpoint): void {
		if (this.core === undefined || !this.core.admits(0, address, port, bytes)) return
		this.input({ type: 'datagram', flow: { key: `0|${address}|${port}`, listener: 0, address, port }, bytes })
	}

	/** A message of a connection; false where nobody is there. */
	message(flow: Flow, bytes: Uint8Array): boolean {
		if (this.core === undefined) return false
		this.input({ type: 'datagram', flow, bytes })
		return true
	}

	/** No SIP came by a connection, which its transport is about to close. */
	garbled(flow: Flow, head: Uint8Array): boolean {
		if (this.core === undefined) return false
		this.input({ type: 'stream-fault', flow, code: 'line-end', head })
		return true
	}

	closed(flow: Flow): void {
		this.input({ type: 'flow-closed', flow })
	}

	#note(input: Input): void {
		const { record, agenda } = this.#parts
		const { now } = agenda
		if (input.type === 'datagram') record.begin(now, { kind: 'in', peer: input.flow, message: parse(input.bytes) })
		else if (input.type === 'push-result') record.begin(now, { kind: 'push-result', result: input })
		else if (input.type === 'committed') record.begin(now, { kind: 'committed', tickets: input.tickets })
		else if (input.type === 'commit-failed')
			record.begin(now, { kind: 'commit-failed', tickets: input.tickets, reason: input.reason })
		else if (input.type === 'decline')
			record.begin(now, { kind: 'declined', callId: input.callId, deviceId: input.deviceId })
		else if (input.type === 'flow-closed') record.begin(now, { kind: 'closed', peer: input.flow })
		else if (input.type === 'stream-fault') record.begin(now, { kind: 'garbled', peer: input.flow })
		else record.begin(now, { kind: input.type === 'pbx-resolved' ? 'resolved' : 'fires' })
	}

	/** False where the process died meanwhile. */
	#performAll(effects: readonly Effect[]): boolean {
		const { chance, disk } = this.#parts
		const dies = disk.killMidTurn > 0 && !this.immortal
		for (const effect of effects) {
			this.#perform(effect)
			if (dies && chance.is(disk.killMidTurn)) return false
		}
		return true
	}

	#perform(effect: Effect): void {
		const { record, agenda, network, streams, self } = this.#parts
		const { now } = agenda
		switch (effect.type) {
			case 'send': {
				const peer = { address: effect.address, port: effect.port }
				record.add(now, { kind: 'out', peer, message: parse(effect.bytes) })
				if (effect.key !== undefined && effect.listener > 0) return streams.toPhone(effect.key, effect.bytes)
				return network.send(effect.bytes, self, peer)
			}
			case 'close':
				record.add(now, { kind: 'closes', peer: endpointOf(effect) })
				return streams.closeByGateway(effect.key)
			case 'settle':
				return record.add(now, { kind: 'settles', peer: endpointOf(effect) })
			case 'push': {
				const { callId = '' } = JSON.parse(effect.payload) as { callId?: string }
				record.add(now, { kind: 'push', push: effect, callId })
				return this.#parts.onPush(effect, record.life)
			}
			case 'push-cancel':
				return this.#parts.onPushCancel(effect.pushId)
			case 'save':
				record.add(now, { kind: 'save', save: effect })
				return this.#save(effect)
			case 'event':
				return record.add(now, { kind: 'event', name: effect.name, fields: effect.fields })
		}
	}

	#arm(core: Core): void {
		const next = core.nextDeadline()
		if (next >= this.#armedFor) return
		this.#armedFor = next
		const { life } = this.#parts.record
		this.#parts.agenda.at(next, () => {
			if (!this.#live(life) || this.#armedFor !== next) return
			this.#armedFor = Number.POSITIVE_INFINITY
			this.input({ type: 'fires' })
		})
	}

	// — commits, as src/loop.ts gathers them —

	#save(effect: SaveEffect): void {
		this.#saves.push(effect)
		const { agenda, chance, disk, record } = this.#parts
		const { life } = record
		if (effect.ticket !== 0 && this.#flush !== 'soon') {
			this.#flush = 'soon'
			agenda.after(chance.between(0, disk.slowMs), () => this.#live(life) && this.#flushNow())
		} else if (this.#flush === 'none' || this.#flush === 'owed') this.#flushIn('lazy', LAZY_COMMIT_MS)
	}

	/** An alarm that something sooner has overtaken finds nothing to do, or stores early what may be stored early. */
	#flushIn(why: 'owed' | 'lazy', ms: number): void {
		const { agenda, record } = this.#parts
		const { life } = record
		this.#flush = why
		agenda.after(ms, () => this.#live(life) && this.#flushNow())
	}

	#owe(saves: SaveEffect[]): void {
		this.#saves = saves
		if (saves.length > 0) this.#flushIn('owed', OWED_RETRY_MS)
	}

	#flushNow(): void {
		this.#flush = 'none'
		const saves = this.#saves
		if (saves.length === 0) return
		this.#saves = []
		const done = this.store.commit(saves.flatMap(({ changes }) => changes))
		if (!done.ok && done.code === 'rejected' && saves.length > 1) {
			for (const save of saves) this.#tell([save], this.store.commit(save.changes))
		} else {
			if (!done.ok) this.#owe(owed(saves))
			this.#tell(saves, done)
		}
	}

	#tell(saves: readonly SaveEffect[], done: ReturnType<SimStore['commit']>): void {
		const { chance, disk } = this.#parts
		const tickets = saves.map(({ ticket }) => ticket).filter((ticket) => ticket !== 0)
		if (!done.ok) this.input({ type: 'commit-failed', tickets, reason: done.reason })
		else if (tickets.length > 0 && !this.immortal && chance.is(disk.killAtCommit)) this.kill()
		else this.input({ type: 'committed', tickets })
	}
}

/** What the outside sees of a connection, by its key. */
function endpointOf({ key }: { readonly key: string }): Endpoint {
	const [, address = '', port = ''] = key.split('|')
	return { address, port: Number(port) }
}
