/** The PBX of the simulated world, and the callers behind it. */
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
}

/** A queue would give up on a call that is answered by nobody. */
const PATIENCE_MS = 60_000

export class Exchange {
	readonly pbx: Pbx
	readonly #driver: Driver
	readonly #agenda: Agenda
	readonly #chance: Chance
	readonly #note: (who: string, text: string) => void
	readonly #plans = new Map<Call, CallPlan>()

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
		this.pbx = new Pbx({
			...options,
			product: 'Simulated PBX',
			random: chance.random,
			send: (bytes, to, from) => network.send(bytes, from, to),
			onEvent: (event) => this.#on(event),
		})
		this.#driver = new Driver(agenda, this.pbx)
		network.attach(options.self, (bytes, from) => this.#driver.act((now) => this.pbx.receive(bytes, from, now)))
	}

	call(plan: CallPlan): void {
		this.#act(`calls ${plan.agent}`, (pbx, now) => {
			const number = `0${this.#chance.between(100_000, 999_999)}`
			const call = pbx.call(plan.agent, { name: 'Some Customer', number }, now)
			if (call === undefined) return
			this.#plans.set(call, plan)
			this.#agenda.after(plan.cancelAfterMs ?? PATIENCE_MS, () => this.#giveUp(call, plan))
		})
	}

	qualify(agent: string): void {
		this.#act(`asks whether ${agent} can be called`, (pbx, now) => pbx.qualify(agent, now))
	}

	/** The run is over: every call ends. */
	retire(): void {
		for (const call of this.pbx.calls.all())
			if (call.state !== 'ended') this.#act('ends a call', (pbx, now) => pbx.hangup(call, now))
	}

	#act(text: string, what: (pbx: Pbx, now: number) => void): void {
		this.#note('PBX', text)
		this.#driver.act((now) => what(this.pbx, now))
	}

	#giveUp(call: Call, plan: CallPlan): void {
		if (call.state !== 'calling' && call.state !== 'ringing') return
		this.#act('gives up', (pbx, now) => pbx.cancel(call, now, plan.reason || undefined))
	}

	#on(event: UaEvent): void {
		if (event.type === 'answered') this.#talk(event.call)
		else if (event.type === 'incoming') this.#pickUp(event.call)
	}

	#talk(call: Call): void {
		const plan = this.#plans.get(call)
		const talkMs = plan?.talkMs ?? this.#chance.between(500, 5_000)
		const says = plan?.says
		if (says !== undefined) this.#agenda.after(talkMs / 2, () => this.#say(call, says))
		this.#agenda.after(talkMs, () => {
			if (call.state === 'talking') this.#act('hangs up', (pbx, now) => pbx.hangup(call, now))
		})
	}

	#say(call: Call, method: 'INFO' | 'UPDATE' | 'INVITE'): void {
		if (call.state !== 'talking') return
		this.#act(`sends ${method} in the call`, (pbx, now) => {
			if (method === 'INVITE') pbx.calls.reinvite(call, now)
			else pbx.calls.say(call, method, now)
		})
	}

	/** A call of an agent. */
	#pickUp(call: Call): void {
		const declines = this.#chance.is(0.3)
		this.#agenda.after(this.#chance.between(50, 4_000), () => {
			if (call.state !== 'ringing') return
			if (declines) this.#act('declines', (pbx, now) => pbx.calls.decline(call, 486, now))
			else this.#act('answers', (pbx, now) => pbx.answer(call, now))
		})
	}
}
