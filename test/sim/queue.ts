/** A queue of the contact centre: one caller, and agents who are rung until one of them answers. */
import type { Call } from '../../src/demo/party.ts'
import type { Agenda } from './agenda.ts'
import type { Exchange } from './exchange.ts'

export interface QueuePlan {
	/** All at once, as `ringall` of Asterisk has it. */
	readonly agents: readonly string[]
	/** An agent who is busy, away or was rung for long enough is called again after this. */
	readonly againMs: number
	/** Each is rung for this long at a time. */
	readonly ringMs: number
	readonly talkMs: number
}

/** Calls to one agent, after which the queue lets be. */
const TRIES = 3

/** What app_queue says to those who did not answer first. */
const ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'

export class Queue {
	readonly #plan: QueuePlan
	readonly #exchange: Exchange
	readonly #agenda: Agenda
	readonly #ringing = new Map<string, Call>()
	#answered = false

	constructor(plan: QueuePlan, exchange: Exchange, agenda: Agenda) {
		this.#plan = plan
		this.#exchange = exchange
		this.#agenda = agenda
	}

	begin(): void {
		for (const agent of this.#plan.agents) this.#ring(agent, 1)
	}

	#ring(agent: string, attempt: number): void {
		if (this.#answered) return
		const { ringMs, talkMs } = this.#plan
		const call = this.#exchange.call({
			...{ agent, talkMs, cancelAfterMs: ringMs, reason: '', says: undefined },
			onEnd: (status) => this.#ended(agent, attempt, status),
		})
		if (call !== undefined) this.#ringing.set(agent, call)
	}

	#ended(agent: string, attempt: number, status: number): void {
		this.#ringing.delete(agent)
		if (status === 200) {
			this.#answered = true
			for (const call of this.#ringing.values()) this.#exchange.cancel(call, ELSEWHERE)
		} else if (attempt < TRIES) this.#agenda.after(this.#plan.againMs, () => this.#ring(agent, attempt + 1))
	}
}
