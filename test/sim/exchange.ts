/** The PBX of the simulated world, and the callers behind it. */
import type { Endpoint } from '../../src/demo/dialog.ts'
import type { Call, UaEvent } from '../../src/demo/party.ts'
import { Pbx, type PbxOptions } from '../../src/demo/pbx.ts'
import type { Agenda } from './agenda.ts'
import type { Chance } from './chance.ts'
import { Driver } from './driver.ts'
import type { Network } from './network.ts'

/** What a caller does. */
export interface CallPlan {
	readonly agent: string
	/** Gives up this long after it began, unless it was answered; undefined: waits for the end. */
	readonly cancelAfterMs: number | undefined
	/** The Reason of that CANCEL, '' for none. */
	readonly reason: string
	/** Hangs up this long after the answer. */
	readonly talkMs: number
	/** Says something during the call. */
	readonly says: 'INFO' | 'UPDATE' | 'INVITE' | undefined
	/** The end of the call, with its final status. */
	readonly onEnd?: (status: number) => void
}

/** A queue would give up on a call that is answered by nobody. */
const PATIENCE_MS = 60_000

/** Noted when the PBX loses all that it knew. */
export const RESTARTS = 'restarts'

export class Exchange {
	readonly pbx: Pbx
	readonly #network: Network
	readonly #self: Endpoint
	readonly #driver: Driver
	readonly #agenda: Agenda
	readonly #chance: Chance
	readonly #note: (who: string, text: string) => void
	readonly #plans = new Map<Call, CallPlan>()
	#isRetired = false

	constructor(
		options: Omit<PbxOptions, 'product' | 'random' | 'send' | 'onEvent'>,
		agenda: Agenda,
		chance: Chance,
		network: Network,
		note: (who: string, text: string) => void,
	) {
		this.#agenda = agenda
		this.#chance = chance
		this.#note = note
		this.#network = network
		this.#self = options.self
		this.pbx = new Pbx({
			...options,
			product: 'Simulated PBX',
			random: chance.random,
			send: (bytes, to, from) => network.send(bytes, from, to),
			onEvent: (event) => this.#on(event),
		})
		this.#driver = new Driver(agenda, this.pbx)
		this.#attach()
	}

	/** Undefined where the agent has no binding, or the run is over. */
	call(plan: CallPlan): Call | undefined {
		if (this.#isRetired) return undefined
		return this.#act(`calls ${plan.agent}`, (pbx, now) => {
			const number = `0${this.#chance.between(100_000, 999_999)}`
			const call = pbx.call(plan.agent, { name: 'Some Customer', number }, now)
			if (call === undefined) return undefined
			this.#plans.set(call, plan)
			this.#agenda.after(plan.cancelAfterMs ?? PATIENCE_MS, () => this.cancel(call, plan.reason))
			return call
		})
	}

	/** The caller gives up, unless it was answered. */
	cancel(call: Call, reason: string): void {
		if (!this.#knows(call) || (call.state !== 'calling' && call.state !== 'ringing')) return
		this.#act('gives up', (pbx, now) => pbx.cancel(call, now, reason || undefined))
	}

	hangUp(call: Call): void {
		if (this.#knows(call) && call.state === 'talking') this.#act('hangs up', (pbx, now) => pbx.hangup(call, now))
	}

	/** Killed, and back with nothing but its configuration after so many ms. */
	restart(downMs: number): void {
		this.#act(RESTARTS, (pbx) => pbx.forget())
		this.#plans.clear()
		this.#network.detach(this.#self)
		this.#agenda.after(downMs, () => this.#attach())
	}

	qualify(agent: string): void {
		this.#act(`asks whether ${agent} can be called`, (pbx, now) => pbx.qualify(agent, now))
	}

	message(agent: string): void {
		this.#act(`writes to ${agent}`, (pbx, now) => pbx.message(agent, 'Are you there?', now))
	}

	/** The run is over: every call ends. */
	retire(): void {
		this.#isRetired = true
		for (const call of this.pbx.calls.all())
			if (call.state !== 'ended') this.#act('ends a call', (pbx, now) => pbx.hangup(call, now))
	}

	#attach(): void {
		this.#network.attach(this.#self, (bytes, from) => this.#driver.act((now) => this.pbx.receive(bytes, from, now)))
	}

	/** Not where it was restarted since. */
	#knows(call: Call): boolean {
		return this.pbx.calls.get(call.id) === call
	}

	#act<T>(text: string, what: (pbx: Pbx, now: number) => T): T {
		this.#note('PBX', text)
		return this.#driver.act((now) => what(this.pbx, now))
	}

	#on(event: UaEvent): void {
		if (event.type === 'answered') this.#talk(event.call)
		else if (event.type === 'incoming') this.#pickUp(event.call)
		else if (event.type === 'failed') this.#plans.get(event.call)?.onEnd?.(event.status)
	}

	#talk(call: Call): void {
		const plan = this.#plans.get(call)
		const talkMs = plan?.talkMs ?? this.#chance.between(500, 5_000)
		const says = plan?.says
		plan?.onEnd?.(200)
		if (says !== undefined) this.#agenda.after(talkMs / 2, () => this.#say(call, says))
		this.#agenda.after(talkMs, () => this.hangUp(call))
	}

	#say(call: Call, method: 'INFO' | 'UPDATE' | 'INVITE'): void {
		if (!this.#knows(call) || call.state !== 'talking') return
		this.#act(`sends ${method} in the call`, (pbx, now) => {
			if (method === 'INVITE') pbx.calls.reinvite(call, now)
			else pbx.calls.say(call, method, now)
		})
	}

	/** A call of an agent. */
	#pickUp(call: Call): void {
		const declines = this.#chance.is(0.3)
		this.#agenda.after(this.#chance.between(50, 4_000), () => {
			if (!this.#knows(call) || call.state !== 'ringing') return
			if (declines) this.#act('declines', (pbx, now) => pbx.calls.decline(call, 486, now))
			else this.#act('answers', (pbx, now) => pbx.answer(call, now))
		})
	}
}
