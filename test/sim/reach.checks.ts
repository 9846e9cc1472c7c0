/** What the PBX and the contact centre are told of agents and devices: that the two agree, and that it is so. */
import { GHOST_MS } from '../../src/core/wake/device-branch.ts'
import type { Ledger } from './ledger.ts'
import type { Entry, In, Visited } from './record.ts'
import { DOMAIN, isPbx } from './scenario.ts'

type Told = Extract<Entry, { kind: 'event' }>

/** An agent is told to be out of reach, then back, then out of reach: never one of them twice in a life. */
export function toldByTurns(ledger: Ledger): string[] {
	const last = new Map<string, string>()
	return ledger.entries.flatMap((entry) => {
		if (!isOfAgent(entry)) return []
		ledger.judge()
		const key = `${entry.life} ${entry.fields['agent']}`
		const again = last.get(key) === entry.name
		last.set(key, entry.name)
		return again ? [`${entry.name} is told of ${entry.fields['agent']} twice`] : []
	})
}

/** OPTIONS of the PBX is answered as the contact centre was told last, in this life. */
export function qualifiedAsTold(ledger: Ledger): string[] {
	const last = new Map<string, string>()
	/* a copy of the question hears what the first one heard (RFC 3261 §17.2.2) */
	const answered = new Set<string>()
	return ledger.entries.flatMap((entry) => {
		if (entry.kind === 'started') last.clear()
		if (isOfAgent(entry)) last.set(`${entry.fields['agent']}`, entry.name)
		if (entry.kind !== 'out' || entry.message.cseqMethod !== 'OPTIONS' || !isPbx(entry.peer)) return []
		if (answered.has(`${entry.life} ${entry.message.via.branch}`)) return []
		answered.add(`${entry.life} ${entry.message.via.branch}`)
		const agent = askedFor(ledger.entries[entry.cause]!)
		const told = agent === undefined ? undefined : last.get(agent)
		if (told === undefined) return []
		ledger.judge()
		/* 404: signed off, or expired, meanwhile */
		const fits = told === 'agent-back' ? [200, 404] : [480, 404]
		return fits.includes(entry.message.status) ? [] : [`${agent} is qualified ${entry.message.status} after ${told}`]
	})
}

/** A device is suspect only after a push that APNs took, and no REGISTER of it for as long as one could wake it. */
export function suspectedRightly(ledger: Ledger): string[] {
	const windowMs = ledger.world.scenario.settings.holdMs + GHOST_MS
	return ledger.entries.flatMap((entry) => {
		if (entry.kind !== 'event' || entry.name !== 'device-suspect') return []
		ledger.judge()
		const { device } = entry.fields
		const before = ledger.entries.filter((other) => isIn(other, entry, windowMs))
		/* a wake that could not be stored is forgotten by the next start */
		const isStored = !before.some(({ kind }) => kind === 'commit-failed')
		const woke = before.some((e) => e.kind === 'event' && e.name === 'device-woke' && e.fields['device'] === device)
		const asked = before.some((e) => e.kind === 'visited' && e.life === entry.life && isOwn(ledger, e, device))
		const pushed = ledger.holds.some(({ deviceId, at }) => deviceId === device && at <= entry.at - windowMs)
		if (pushed && !(woke && isStored) && !asked) return []
		return [`device ${device} is suspect ${pushed ? 'although it woke, or asked' : 'without a push'}`]
	})
}

/** An address whose time is up proves nothing. */
function isOwn({ holds }: Ledger, { verdict, pushId }: Visited, device: unknown): boolean {
	return verdict.kind !== 'forged' && holds.some((hold) => hold.pushId === pushId && hold.deviceId === device)
}

function isIn({ at }: Entry, end: Entry, windowMs: number): boolean {
	return at > end.at - windowMs && at < end.at
}

function isOfAgent(entry: Entry): entry is Told {
	return entry.kind === 'event' && (entry.name === 'agent-unreachable' || entry.name === 'agent-back')
}

/** The agent a request of the PBX names. */
function askedFor(cause: Entry): string | undefined {
	const user = cause.kind === 'in' ? (cause as In).message.requestUri?.user : undefined
	return user === undefined ? undefined : `sip:${user}@${DOMAIN}`
}
