/** Invariants 2, 9, 10, 12 and 13: what the gateway lets through its walls, and what it keeps inside. */
import { parseNameAddr } from '../../src/sip/address.ts'
import { Header } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { parseUri } from '../../src/sip/uri.ts'
import { bytesText, type Ledger } from './ledger.ts'
import { keyOf } from './network.ts'
import type { Entry, Out } from './record.ts'
import { DOMAIN, GATEWAY, isPbx } from './scenario.ts'

export function sound(ledger: Ledger): string[] {
	ledger.judged += ledger.entries.length
	return ledger.entries.flatMap((entry) => (entry.kind === 'threw' ? [entry.error] : []))
}

/** Faults that were found while the world ran. */
export function noted(invariant: string): (ledger: Ledger) => string[] {
	return (ledger) => {
		ledger.judged += ledger.world.watch.judged(invariant)
		return ledger.entries.flatMap((entry) =>
			entry.kind === 'fault' && entry.invariant === invariant ? [entry.sentence] : [],
		)
	}
}

/** Invariant 2: whatever a datagram makes reach the PBX comes from a flow the PBX has accepted, in a name it accepted there. */
export function admitted(ledger: Ledger): string[] {
	const names = new Map<string, Set<string>>()
	return ledger.entries.flatMap((entry) => {
		noteAccepted(ledger, entry, names)
		if (entry.kind !== 'out' || !isPbx(entry.peer) || entry.message.method === '') return []
		const cause = ledger.entries[entry.cause]!
		if (cause.kind !== 'in' || isPbx(cause.peer) || entry.message.method === 'REGISTER') return []
		ledger.judge()
		return trespass(ledger, entry, names.get(keyOf(cause.peer)))
	})
}

/** After a 2xx of the PBX the flow of that REGISTER may use that name. */
function noteAccepted(ledger: Ledger, entry: Entry, names: Map<string, Set<string>>): void {
	if (entry.kind !== 'in' || entry.message.cseqMethod !== 'REGISTER' || entry.message.status !== 200) return
	const registration = ledger.registrations.get(`${entry.message.callId} ${entry.message.cseq}`)
	if (registration === undefined || !isPbx(entry.peer)) return
	const flow = keyOf(registration.request.peer)
	names.set(flow, (names.get(flow) ?? new Set()).add(registration.handset.plan.agent))
}

/** Invariant 2, the other way round: the PBX is no stranger, not even before its name is resolved. */
export function welcome(ledger: Ledger): string[] {
	return ledger.outs.flatMap(({ message, peer }) => {
		if (!isPbx(peer) || message.cseqMethod !== 'INVITE' || message.status === 0) return []
		ledger.judge()
		return message.status === 403 ? [`${inShort(message)}: the PBX was refused as a stranger`] : []
	})
}

/** In a dialog the gateway takes the name of an agent who is not here now for what the PBX had called. */
function trespass(ledger: Ledger, { message, index }: Out, allowed: ReadonlySet<string> | undefined): string[] {
	const { method, callId, toTag } = message
	if (allowed === undefined) return [`${method} ${callId} of a stranger reached the PBX`]
	const from = parseUri(parseNameAddr(message.first(Header.From) ?? '')?.uri ?? '')
	if (from?.host !== DOMAIN || allowed.has(from.user ?? '')) return []
	if (toTag !== '' && !ledger.isBound(from.user ?? '', index)) return []
	return [`${method} ${callId} reached the PBX in the name of ${from.user}, on a flow of ${[...allowed].join()}`]
}

/** Invariant 9: a phone sees its own parameters in the 2xx to its REGISTER, and nobody sees any elsewhere. */
export function hidden(ledger: Ledger): string[] {
	const tokens = ledger.world.handsets.flatMap(({ plan }) =>
		[plan.token, plan.ordinary].filter((token) => token !== ''),
	)
	return ledger.outs.flatMap((out) => {
		const text = bytesText(out.message)
		ledger.judge()
		const shown = tokens.filter((token) => text.includes(token))
		if (shown.length === 0 && !/[;&?]pn-|[;&?]app-id=/.test(text)) return []
		return isOwnAnswer(ledger, out, shown) ? [] : [`${inShort(out.message)} shows push parameters`]
	})
}

function isOwnAnswer(ledger: Ledger, { message, peer }: Out, shown: readonly string[]): boolean {
	if (isPbx(peer) || message.cseqMethod !== 'REGISTER' || message.status !== 200) return false
	const own = ledger.registrations.get(`${message.callId} ${message.cseq}`)?.handset.plan
	return shown.every((token) => token === own?.token || token === own?.ordinary)
}

/** Invariant 10. */
export function stable(ledger: Ledger): string[] {
	return ledger.outs.flatMap(({ message, peer }) => {
		if (!isPbx(peer) || (message.status >= 300 && message.status < 400)) return []
		return message.list(Header.Contact).flatMap((value) => {
			const { user = '', host, port, params } = parseUri(parseNameAddr(value)?.uri ?? '') ?? {}
			ledger.judge()
			const known = ledger.world.scenario.pbx.agents.has(user) || message.method === 'REGISTER'
			const right = known && host === GATEWAY.address && port === GATEWAY.port && params === ''
			return value === '*' || right ? [] : [`${inShort(message)} has the Contact ${value}`]
		})
	})
}

/** At the very end only bindings are left. */
export function settled(ledger: Ledger): string[] {
	const { world } = ledger
	const { core, store } = world.gateway
	ledger.judge()
	if (core === undefined) return ['the gateway is down']
	const { callsHeld } = core.snapshot(world.agenda.now).gauges
	const calls = core.calls.count
	/* the question whether the PBX lives may be out */
	const asked = core.context.settings.pbxPingMs > 0 ? 1 : 0
	const transactions = Math.max(0, core.transactions.count - asked)
	const left = { transactions, calls, callsHeld, 'stored calls': store.calls.size }
	return Object.entries(left).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what} are left`]))
}

function inShort(message: SipMessage): string {
	return `${message.method || message.status} ${message.cseqMethod} of ${message.callId}`
}
