/** Worlds that are worse than a seed makes them. */
import type { Scenario } from './scenario.ts'

type Change = (scenario: Scenario) => Scenario

export const VARIANTS = {
	plain: (scenario) => scenario,
	/** The gateway is killed again and again. */
	killed: (scenario) => ({ ...scenario, events: { ...scenario.events, kills: 8, calls: 8 } }),
} as const satisfies Record<string, Change>

export type Variant = keyof typeof VARIANTS
