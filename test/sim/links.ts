/** What apps do with the address in their push: they ask for their call, or decline it, before their SIP is awake or beside it. */
import type { PushEffect } from '../../src/core/effects.ts'
import type { Agenda } from './agenda.ts'
import type { SimGateway } from './gateway.ts'
import type { HandsetPlan } from './handset.ts'

export interface LinkPlan {
	readonly kind: 'unused' | 'asks' | 'declines' | 'repeats' | 'is forged' | "is another's"
	/** From the push to its first use. */
	readonly afterMs: number
}

/** One use of an address. */
export interface Visit {
	/** The phone it was pushed to. */
	readonly who: string
	readonly pushId: string
	readonly method: 'GET' | 'POST'
	readonly token: string
	/** As the gateway made it, or what was done to it. */
	readonly make: 'genuine' | 'forged' | 'turned'
}

/** From the question whether it rings to the finger on the screen. */
const DECIDED_MS = 250

/** An HTTP client that lost the answer says it again; and so does whoever overheard it, much later. */
const REPEATED_MS = [40, 8_000] as const

export class Links {
	readonly #agenda: Agenda
	readonly #gateway: SimGateway
	readonly #pushes = new Map<HandsetPlan, number>()

	constructor(agenda: Agenda, gateway: SimGateway) {
		this.#agenda = agenda
		this.#gateway = gateway
	}

	delivered({ payload, pushId }: PushEffect, plan: HandsetPlan): void {
		const { status } = JSON.parse(payload) as { status?: string }
		if (status === undefined || plan.links.length === 0) return
		const nth = this.#pushes.get(plan) ?? 0
		this.#pushes.set(plan, nth + 1)
		const token = status.slice(status.lastIndexOf('/') + 1)
		this.#use(plan.links[nth % plan.links.length]!, { who: plan.name, pushId, token, make: 'genuine' })
	}

	#use({ kind, afterMs }: LinkPlan, link: Omit<Visit, 'method'>): void {
		switch (kind) {
			case 'unused':
				return
			case 'asks':
				return this.#visit('GET', link, afterMs)
			case 'declines':
				this.#visit('GET', link, afterMs)
				return this.#visit('POST', link, afterMs + DECIDED_MS)
			case 'repeats':
				for (const laterMs of [0, ...REPEATED_MS]) this.#visit('POST', link, afterMs + laterMs)
				return
			case 'is forged':
				return this.#visit('POST', { ...link, token: forged(link.token), make: 'forged' }, afterMs)
			case "is another's":
				return this.#visit('POST', { ...link, token: turned(link.token), make: 'turned' }, afterMs)
		}
	}

	#visit(method: Visit['method'], link: Omit<Visit, 'method'>, afterMs: number): void {
		this.#agenda.after(afterMs, () => this.#gateway.visit({ ...link, method }))
	}
}

/** With another signature. */
function forged(token: string): string {
	return token.slice(0, -1) + (token.endsWith('0') ? '1' : '0')
}

/** To the device that was bound next. */
function turned(token: string): string {
	const [callId, device, ...rest] = token.split('.')
	return [callId, (Number.parseInt(device!, 36) + 1).toString(36), ...rest].join('.')
}
