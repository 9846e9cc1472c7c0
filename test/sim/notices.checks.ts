/** What sleeping phones are told that is no call: messages, requests in a call, bindings that lapse. */
import { isFinal, type Ledger } from './ledger.ts'
import { isPbx } from './scenario.ts'

/** A call goes to a VoIP token and to its topic; everything else to the other one. */
export function toItsToken(ledger: Ledger): string[] {
	const voip = new Set(ledger.world.handsets.map(({ plan }) => plan.token))
	return [...ledger.pushes, ...ledger.notices].flatMap(({ push: { kind, topic, token, pushId } }) => {
		ledger.judge()
		const isCall = kind === 'voip'
		const right = voip.has(token.reveal()) === isCall && topic.endsWith('.voip') === isCall
		return right ? [] : [`${pushId} is ${kind}, and went to the token of ${isCall ? 'all else' : 'calls'}`]
	})
}

/** A MESSAGE of the PBX has one answer, and goes to one device as one request. */
export function messagedOnce(ledger: Ledger): string[] {
	const messages = ledger.ins.filter(({ peer, message }) => isPbx(peer) && message.method === 'MESSAGE')
	return [...new Set(messages.map(({ message }) => message.callId))].flatMap((callId) => {
		ledger.judge()
		const outs = ledger.outs.filter(({ message }) => message.callId === callId)
		/* one that was killed with the gateway begins anew with the next copy */
		const from = Math.min(...messages.flatMap(({ message, index }) => (message.callId === callId ? index : [])))
		if (ledger.killedBetween(from, outs.at(-1)?.index ?? from)) return []
		const statuses = new Set(outs.filter((out) => isPbx(out.peer) && isFinal(out)).map(({ message }) => message.status))
		const copies = new Set(outs.flatMap(({ message }) => (message.method === 'MESSAGE' ? message.via.branch : [])))
		if (statuses.size <= 1 && copies.size <= 1) return []
		return [`MESSAGE ${callId} got ${[...statuses].join(' and ')}, and went out as ${copies.size} requests`]
	})
}
