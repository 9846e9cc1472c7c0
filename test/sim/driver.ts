/** Gives a user agent of src/demo its time. */
import type { UserAgent } from '../../src/demo/ua.ts'
import type { Agenda } from './agenda.ts'

export class Driver {
	readonly #agenda: Agenda
	readonly #agent: UserAgent
	#armedFor = Number.POSITIVE_INFINITY

	constructor(agenda: Agenda, agent: UserAgent) {
		this.#agenda = agenda
		this.#agent = agent
	}

	/** Whatever is done to the agent is done in here, so that its next deadline is known afterwards. */
	act<T>(what: (now: number) => T): T {
		const result = what(this.#agenda.now)
		this.#arm()
		return result
	}

	#arm(): void {
		const next = this.#agent.nextDeadline() ?? Number.POSITIVE_INFINITY
		if (next >= this.#armedFor) return
		this.#armedFor = next
		this.#agenda.at(next, () => {
			if (this.#armedFor !== next) return
			this.#armedFor = Number.POSITIVE_INFINITY
			this.act((now) => this.#agent.tick(now))
		})
	}
}
