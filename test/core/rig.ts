/**
 * The core with a fake clock, seeded chance and a store of three Maps: what a test feeds goes in as text, what the
 * gateway sends comes out parsed. Everything the gateway ever sends is looked at here for what must always hold.
 */
import { expect } from 'bun:test'
import { createHmac } from 'node:crypto'
import { Core } from '../../src/core/core.ts'
import type { Change, Effect, EventEffect, PushEffect, SaveEffect, SendEffect } from '../../src/core/effects.ts'
import type { PushOutcome } from '../../src/core/inputs.ts'
import type { DeviceRecord, Flow, HeldCallRecord, PushOutcomeRecord, Restored } from '../../src/core/model.ts'
import type { Settings } from '../../src/core/settings.ts'
import { Prng } from '../../src/lib/prng.ts'
import { Header } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { parse } from '../../src/sip/parse.ts'
import { targetOf } from './target.ts'

export const DOMAIN = 'pbx.example'
export const GATEWAY = 'gw.example:5060'

export const flowOf = (address: string, port: number, listener = 0): Flow => ({
	key: `${listener}|${address}|${port}`,
	listener,
	address,
	port,
})

/** The `n`th connection from there. */
export const streamOf = (address: string, port: number, n: number, listener = 1): Flow => ({
	...flowOf(address, port, listener),
	key: `${listener}|${address}|${port}|${n}`,
})

export const PBX = flowOf('192.0.2.1', 5060)

export const SETTINGS: Settings = {
	domain: DOMAIN,
	advertised: [{ host: 'gw.example', port: 5060, transport: 'UDP' }],
	pbxSides: [{ transport: 'udp', listener: 0, sender: 0 }],
	clientAddressHeader: '',
	pbxPingMs: 0,
	trust: [],
	pingIntervalMs: 5_000,
	pingTimeoutMs: 1_500,
	pingMisses: 2,
	idleMs: 960_000,
	maxHeaders: 256,
	freshMs: 3_000,
	holdMs: 20_000,
	pbxExpiresSec: 0,
	minExpiresSec: 0,
	publicUrl: '',
	ringingOnPush: false,
	suspectAfter: 3,
	wakeSlowMs: 8_000,
	strangers: 'drop',
	registerRate: 10,
	banAfter: 5,
	banMs: 600_000,
	apnsTopic: 'com.example.app.voip',
	apnsEnvironment: 'production',
	providers: ['apns'],
	userAgent: 'gateway-under-test',
}

export const octets = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0))

/** Lines → a message, CRLF and the empty line added. */
export const lines = (...rows: readonly (string | readonly string[])[]): string => `${rows.flat().join('\r\n')}\r\n\r\n`

export interface Sent {
	readonly to: Flow
	readonly message: SipMessage
	/** `INVITE` or `200 REGISTER`. */
	readonly word: string
	readonly text: string
}

/** What the store would hold, all or nothing for each save. */
export class Tables {
	readonly devices = new Map<number, DeviceRecord>()
	readonly calls = new Map<string, HeldCallRecord>()
	readonly pushes = new Map<string, PushOutcomeRecord>()

	apply(changes: readonly Change[]): void {
		for (const change of changes) {
			if (change.table === 'device') this.#device(change)
			else if (change.table === 'push') this.pushes.set(change.row.pushId, change.row)
			else this.#call(change)
		}
	}

	restored(): Restored {
		return {
			devices: [...this.devices.values()],
			heldCalls: [...this.calls.values()],
			pushOutcomes: [...this.pushes.values()],
			nextDeviceId: Math.max(0, ...this.devices.keys()) + 1,
		}
	}

	#device(change: Extract<Change, { table: 'device' }>): void {
		if (change.op === 'put') this.devices.set(change.row.id, change.row)
		else if (change.op === 'delete') this.devices.delete(change.id)
		else {
			const row = this.devices.get(change.id)
			if (row === undefined) return
			const { table: _table, op, ...fields } = change
			if (op === 'token-dead') this.devices.set(row.id, { ...row, tokenDead: true })
			else if (op !== 'environment') this.devices.set(row.id, { ...row, ...fields })
			else if (row.push !== undefined)
				this.devices.set(row.id, { ...row, push: { ...row.push, environment: change.environment } })
		}
	}

	#call(change: Extract<Change, { table: 'call' }>): void {
		if (change.op === 'put') this.calls.set(change.row.id, change.row)
		else if (change.op === 'delete') this.calls.delete(change.id)
		else {
			const row = this.calls.get(change.id)
			if (row !== undefined) this.calls.set(change.id, { ...row, ended: { at: change.at, reason: change.reason } })
		}
	}
}

export class Rig {
	readonly settings: Settings
	readonly tables = new Tables()
	core: Core
	now = Date.UTC(2026, 0, 1)
	/** What is done with a save: at once, by the test through {@link commit}, or it fails. */
	saving: 'at-once' | 'waits' | 'fails' = 'at-once'
	/** All that happened since {@link clear}. */
	sent: Sent[] = []
	events: EventEffect[] = []
	pushes: PushEffect[] = []
	/** Ids of pushes the core wants back. */
	cancelled: string[] = []
	saves: SaveEffect[] = []
	/** Keys of connections the core had closed. */
	closed: string[] = []
	/** Keys of connections the core vouches for. */
	settled: string[] = []
	/** Words of all effects in order: `send 100 INVITE`, `save call`, `push`. */
	order: string[] = []
	readonly #waiting: SaveEffect[] = []
	readonly #prng: Prng

	constructor(settings: Partial<Settings> = {}, seed = 1) {
		this.settings = { ...SETTINGS, ...settings }
		this.#prng = new Prng(seed)
		this.core = this.#newCore()
	}

	/** Kill and start: only what was committed is left. */
	restart(): void {
		this.#waiting.length = 0
		this.clear()
		this.core = this.#newCore()
		this.input({ type: 'fires' })
	}

	#newCore(): Core {
		const capabilities = {
			random32: () => this.#prng.next32(),
			hmac: (text: string) => createHmac('sha256', 'key of the tests').update(text, 'latin1').digest('hex'),
		}
		const core = new Core(this.settings, capabilities, this.tables.restored(), this.now)
		core.handle({ type: 'pbx-resolved', targets: [targetOf(PBX)] }, this.now)
		return core
	}

	clear(): void {
		this.sent = []
		this.events = []
		this.pushes = []
		this.cancelled = []
		this.saves = []
		this.closed = []
		this.settled = []
		this.order = []
	}

	input(input: Parameters<Core['handle']>[0]): void {
		this.core.handle(input, this.now)
		this.#perform()
	}

	/** A datagram arrives. Gives what was sent because of it. */
	from(flow: Flow, text: string | Uint8Array): Sent[] {
		const before = this.sent.length
		this.input({ type: 'datagram', flow, bytes: typeof text === 'string' ? octets(text) : text })
		return this.sent.slice(before)
	}

	/** Lets time pass; everything due in it happens at its very time. Gives what was sent. */
	advance(ms: number): Sent[] {
		const before = this.sent.length
		const until = this.now + ms
		for (let next = this.core.nextDeadline(); next <= until; next = this.core.nextDeadline()) {
			this.now = Math.max(this.now, next)
			this.input({ type: 'fires' })
		}
		this.now = until
		return this.sent.slice(before)
	}

	/** Commits all that waits (`saving` is `waits`). */
	commit(): void {
		for (const save of this.#waiting.splice(0)) {
			this.tables.apply(save.changes)
			this.input({ type: 'committed', tickets: save.ticket === 0 ? [] : [save.ticket] })
		}
	}

	/** APNs' word on the last push. */
	pushed(outcome: PushOutcome, push = this.pushes.at(-1)!): Sent[] {
		const before = this.sent.length
		this.input({ type: 'push-result', pushId: push.pushId, outcome, pushMs: 40 })
		return this.sent.slice(before)
	}

	/** What went to this flow since {@link clear}. */
	to(flow: Flow): Sent[] {
		return this.sent.filter(({ to }) => to.address === flow.address && to.port === flow.port)
	}

	words(flow: Flow): string[] {
		return this.to(flow).map(({ word }) => word)
	}

	/** The last message with this word to this flow. */
	last(flow: Flow, word: string): SipMessage {
		const found = this.to(flow).findLast((sent) => sent.word === word)
		expect(found, `${word} to ${flow.key}; went there: ${this.words(flow)}`).toBeDefined()
		return found!.message
	}

	eventNames(): string[] {
		return this.events.map(({ name }) => name)
	}

	#perform(): void {
		const { effects } = this.core
		while (effects.length > 0) {
			const batch = effects.splice(0)
			for (const effect of batch) this.#effect(effect)
		}
	}

	#effect(effect: Effect): void {
		if (effect.type === 'send') this.#sent(effect)
		else if (effect.type === 'close') this.#closed(effect.key)
		else if (effect.type === 'settle') this.settled.push(effect.key)
		else if (effect.type === 'push') this.pushes.push(effect)
		else if (effect.type === 'push-cancel') this.cancelled.push(effect.pushId)
		else if (effect.type === 'event') this.events.push(effect)
		else this.saves.push(effect)
		if (effect.type === 'save') {
			this.order.push(`save ${[...new Set(effect.changes.map(({ table }) => table))]}`)
			this.#save(effect)
		} else if (effect.type === 'push') this.order.push('push')
	}

	#save(save: SaveEffect): void {
		const tickets = save.ticket === 0 ? [] : [save.ticket]
		if (this.saving === 'waits') this.#waiting.push(save)
		else if (this.saving === 'fails')
			this.core.handle({ type: 'commit-failed', tickets, reason: 'disk full' }, this.now)
		else {
			this.tables.apply(save.changes)
			this.core.handle({ type: 'committed', tickets }, this.now)
		}
	}

	#closed(key: string): void {
		this.closed.push(key)
		this.order.push('close')
	}

	#sent({ listener, key, address, port, bytes }: SendEffect): void {
		const message = parse(bytes)
		const word = message.status > 0 ? `${message.status} ${message.cseqMethod}` : message.method
		const text = String.fromCharCode(...bytes)
		this.sent.push({
			to: { key: key ?? `${listener}|${address}|${port}`, listener, address, port },
			message,
			word,
			text,
		})
		this.order.push(`send ${word}`)
		this.#judge(address, message, text)
	}

	/** Invariant 9, and what a peer must be able to read. */
	#judge(address: string, message: SipMessage, text: string): void {
		if (message.status < 400) expect(message.fault, text).toBeUndefined()
		const head = message.cseqMethod === 'REGISTER' && message.status > 0 ? '' : text.slice(0, message.bodyAt)
		expect(head, `to ${address}`).not.toMatch(/pn-(?:prid|tok|param|provider|type)/)
		if (message.method === 'INVITE') expect(message.list(Header.RecordRoute).length).toBeGreaterThan(0)
	}
}
