/** OPTIONS to the machines of the PBX (`--pbx-ping`): those that say nothing by themselves are asked. */
import { Deadline } from '../../lib/deadlines.ts'
import { request } from '../../sip/build.ts'
import type { SipMessage } from '../../sip/message.ts'
import { hostPort } from '../../sip/uri.ts'
import type { ClientTransaction, ClientUser, Due, Timed, Transactions } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import { viaValue } from '../proxy/forward.ts'
import { retryAfter } from './retry-after.ts'
import type { Target } from './target.ts'

/** Three copies went out by then (0, 0.5 and 1.5 s): that all of them or their answers were lost is no chance any more. */
export const PROBE_PATIENCE_MS = 2_000

/** A machine that did not answer is asked this soon again, so that calls come back to it within seconds. */
export const PROBE_AGAIN_MS = 2_000

/** Who draws the conclusions. */
export interface ProberRooms {
	missed(target: Target, now: number): void
	unavailable(target: Target, sec: number, now: number): void
}

export class Prober {
	readonly #context: Context
	readonly #transactions: Transactions
	readonly #rooms: ProberRooms
	readonly #probes = new Map<Target, Probe>()

	constructor(context: Context, transactions: Transactions, rooms: ProberRooms) {
		this.#context = context
		this.#transactions = transactions
		this.#rooms = rooms
	}

	get isOff(): boolean {
		return this.#context.settings.pbxPingMs === 0
	}

	begin(target: Target, now: number): void {
		if (this.isOff) return
		const probe = new Probe(this.#context, this.#transactions, target, this.#rooms)
		this.#probes.set(target, probe)
		probe.ask(now)
	}

	/** It is doubted: ask now. */
	hurry(target: Target, now: number): void {
		this.#probes.get(target)?.ask(now)
	}

	end(target: Target): void {
		this.#probes.get(target)?.end()
		this.#probes.delete(target)
	}
}

class Probe implements ClientUser, Timed {
	readonly #context: Context
	readonly #transactions: Transactions
	readonly #target: Target
	readonly #rooms: ProberRooms
	readonly #turn: Deadline<Due> = new Deadline<Due>({ owner: this, event: 'turn' })
	readonly #patience: Deadline<Due> = new Deadline<Due>({ owner: this, event: 'patience' })
	readonly #callId: string
	#cseq = 0
	#askedAt = 0
	#client: ClientTransaction | undefined = undefined

	constructor(context: Context, transactions: Transactions, target: Target, rooms: ProberRooms) {
		this.#context = context
		this.#transactions = transactions
		this.#target = target
		this.#rooms = rooms
		this.#callId = `pbx-${context.id()}`
	}

	/** Unless a question is out already. */
	ask(now: number): void {
		if (this.#client !== undefined) return
		const { deadlines } = this.#context
		deadlines.disarm(this.#turn)
		deadlines.after(this.#patience, now, PROBE_PATIENCE_MS)
		this.#askedAt = now
		const branch = `z9hG4bK${this.#context.id()}`
		const { to } = this.#target
		this.#client = this.#transactions.open(branch, 'OPTIONS', this.#options(branch), to, this, now)
	}

	end(): void {
		this.#context.deadlines.disarm(this.#turn)
		this.#close()
	}

	due(event: string, now: number): void {
		if (event === 'turn') return this.#turnCame(now)
		this.#close()
		const { heardAt } = this.#target
		/* whatever it was that came, it lives */
		if (heardAt === undefined || heardAt < this.#askedAt) this.#rooms.missed(this.#target, now)
		/* a target that was just doubted is asked at once, by its table */
		if (this.#client === undefined) this.#armTurn(now)
	}

	response(_client: ClientTransaction, answer: SipMessage, now: number): void {
		if (answer.status < 200) return
		this.#target.lastStatus = answer.status
		this.#close()
		const restSec = answer.status === 503 ? retryAfter(answer) : 0
		if (restSec > 0) this.#rooms.unavailable(this.#target, restSec, now)
		this.#armTurn(now)
	}

	/** That it is down its connection has told. */
	unreachable(_client: ClientTransaction, now: number): void {
		this.#close()
		this.#armTurn(now)
	}

	/** Patience is over long before timer F. */
	timedOut(): void {}

	/** Who spoke within the interval need not be asked. */
	#turnCame(now: number): void {
		const { heardAt = 0, state, restsUntil } = this.#target
		const { deadlines, settings } = this.#context
		if (state === 'resting') deadlines.at(this.#turn, restsUntil)
		else if (state === 'up' && now - heardAt < settings.pbxPingMs)
			deadlines.at(this.#turn, heardAt + settings.pbxPingMs)
		else this.ask(now)
	}

	#armTurn(now: number): void {
		const { pbxPingMs } = this.#context.settings
		const isWell = this.#target.state === 'up'
		this.#context.deadlines.after(this.#turn, now, isWell ? pbxPingMs : Math.min(pbxPingMs, PROBE_AGAIN_MS))
	}

	#close(): void {
		this.#context.deadlines.disarm(this.#patience)
		if (this.#client !== undefined) this.#transactions.forget(this.#client)
		this.#client = undefined
	}

	#options(branch: string): Uint8Array {
		const { to, transport, address, port } = this.#target
		const host = this.#context.host(to.listener)
		const uri = `sip:${hostPort(address, port)}${transport === 'udp' ? '' : `;transport=${transport}`}`
		return request({
			method: 'OPTIONS',
			uri,
			via: viaValue(this.#context, to.listener, branch),
			from: `<sip:gateway@${host}>;tag=${this.#callId.slice(-8)}`,
			to: `<${uri}>`,
			callId: this.#callId,
			cseq: ++this.#cseq,
			rows: [['User-Agent', this.#context.settings.userAgent]],
		})
	}
}
