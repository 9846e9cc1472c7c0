/** What sleeping phones are told that is no call: messages, requests in a call, bindings that lapse. */
import { isFinal, type Ledger } from './ledger.ts'
import { isAndroid, isPbx } from './scenario.ts'

/** A call goes to a VoIP token and to its topic; everything else to the other one. Android has one for all, at its own service. */
export function toItsToken(ledger: Ledger): string[] {
	const { providers } = ledger.world.scenario.settings
	const plans = ledger.world.handsets.map(({ plan }) => plan)
	const voip = new Set(plans.map(({ token }) => token))
	const android = new Set(plans.filter(isAndroid).map(({ token }) => token))
	return [...ledger.pushes, ...ledger.notices].flatMap(({ push: { kind, provider, topic, token, pushId } }) => {
		ledger.judge()
		if (!providers.includes(provider)) return [`${pushId} went to ${provider}, which there is no key for`]
		if (android.has(token.reveal()) !== (provider === 'fcm'))
			return [`${pushId} went to another service than its token`]
		if (provider === 'fcm') return []
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
