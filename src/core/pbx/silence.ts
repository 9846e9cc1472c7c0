/** Is the PBX there at all? It left a REGISTER alone, and nothing else was heard of it either. */
import type { Context } from '../context.ts'
import type { Flow } from '../model.ts'
import type { Targets } from './targets.ts'

/** No word from the PBX for as long as a REGISTER is retransmitted (timer F). */
const PBX_SILENCE_MS = 32_000

export class Silence {
	/** When the PBX was last heard, ms. */
	heardAt: number | undefined = undefined
	/** A REGISTER had no answer, and it was told: `pbx-silent`. */
	isTold = false
	readonly #context: Context
	readonly #targets: Targets

	constructor(context: Context, targets: Targets) {
		this.#context = context
		this.#targets = targets
	}

	heard(flow: Flow, now: number): void {
		this.heardAt = now
		if (!this.isTold) return
		this.isTold = false
		this.#context.event('pbx-back', { address: flow.address })
	}

	/** A REGISTER had no answer. */
	timedOut(now: number): void {
		if (this.isTold || (this.heardAt !== undefined && now - this.heardAt < PBX_SILENCE_MS)) return
		this.isTold = true
		this.#context.event('pbx-silent', { address: this.#targets.first?.address, seconds: PBX_SILENCE_MS / 1000 })
	}
}
