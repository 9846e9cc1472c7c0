/** Which agents the page shows: those an operator looks for, or those in calls first. */
import type { AgentView, DeviceView, Snapshot } from '../core/snapshot.ts'
import { hostPort } from './format.ts'

/** More rows than this nobody reads on a page; /api/status has them all, and `?q=` finds one. */
export const AGENTS_SHOWN_MAX = 200
/** Longer than any agent, instance id or address that one would search for. */
export const QUERY_LENGTH_MAX = 64

export interface Selection {
	readonly shown: readonly AgentView[]
	readonly matching: number
}

/** What was typed into the filter, made comparable. */
export function normalizeQuery(query: string | undefined): string {
	return (query ?? '').trim().slice(0, QUERY_LENGTH_MAX).toLowerCase()
}

/** Agents in calls, then awake ones, then sleeping ones; each by name. One pass, whatever their number. */
export function selectAgents(snapshot: Snapshot, query: string): Selection {
	const busy = new Set(snapshot.calls.map((call) => call.agent))
	const ranks: AgentView[][] = [[], [], []]
	let matching = 0
	for (const view of snapshot.agents) {
		if (query !== '' && !matches(view, query)) continue
		matching++
		const rank = ranks[rankOf(view, busy)]!
		if (rank.length < AGENTS_SHOWN_MAX) rank.push(view)
	}
	const shown = ranks.flatMap((rank) => rank.sort(byName)).slice(0, AGENTS_SHOWN_MAX)
	return { shown, matching }
}

function rankOf(view: AgentView, busy: ReadonlySet<string>): 0 | 1 | 2 {
	if (busy.has(view.agent)) return 0
	return view.devices.some((device) => device.reach === 'foreground') ? 1 : 2
}

function matches({ agent, devices }: AgentView, query: string): boolean {
	return contains(agent, query) || devices.some((device) => deviceMatches(device, query))
}

function deviceMatches({ label, userAgent, address, port, reach }: DeviceView, query: string): boolean {
	if (contains(label, query) || contains(userAgent, query) || reach === query) return true
	return hostPort(address, port).includes(query)
}

function contains(text: string, query: string): boolean {
	return text.toLowerCase().includes(query)
}

function byName(a: AgentView, b: AgentView): number {
	if (a.agent === b.agent) return 0
	return a.agent < b.agent ? -1 : 1
}
