/** What a run met of connections: how they end, and what was under way then. */
import { isRefusal, silentAt } from './holds.checks.ts'
import { isFinal, type Ledger, type Offer } from './ledger.ts'
import type { Count } from './met.ts'
import { keyOf } from './network.ts'
import type { In, PushResult } from './record.ts'
import { isPbx } from './scenario.ts'
import { isEarly } from './streams.checks.ts'
import { isStream, type Streams } from './streams.ts'

const ended =
	(how: keyof Streams['ends']): Count =>
	({ world }) =>
		world.streams.ends[how]

export const STREAMS: Readonly<Record<string, Count>> = {
	'a phone closes its connection': ended('byPhone'),
	'a phone leaves its connection without a word': ended('left'),
	'a NAT forgets a connection, and octets vanish': ended('torn'),
	'a connection is reset, with all that is under way': ended('reset'),
	'a connection stalls': ({ world }) => world.streams.stalls,
	'what comes by a connection is no SIP': ended('garbled'),
	'a connection is closed over a phone that reads nothing': ended('unread'),
	'the gateway closes a connection': ended('byGateway'),
	'the gateway is killed, and connections with it': ended('killed'),
	'a phone connects while the gateway is down': ended('refused'),
	'a push is refused while its INVITE is with the phone by a connection': refusedBeside,
	'a stranger connects': (ledger) => countOf(connectionsOf(ledger, 'stranger')),
}

export const RARE_STREAMS: Readonly<Record<string, Count>> = {
	'a connection is closed with an INVITE in it that has no answer': (ledger) =>
		closedUnderWay(ledger, (said) => said.length === 0),
	'a connection is closed while its phone rings': (ledger) =>
		closedUnderWay(ledger, (said) => said.some(({ message }) => message.status > 100)),
	'a phone whose connection was closed while it rang is followed to another one': followed,
	'a connection is closed while its REGISTER is at the PBX': closedRegistering,
	'a phone leaves a connection that is still open': ({ accepted, entries }) =>
		countOf(accepted.filter(({ accepted: at }) => entries[at!.index + 1]?.kind === 'closes')),
	'a phone answers its INVITE by a connection that is not bound': answeredUnbound,
	'a phone says something in a call by a connection that is not bound': (ledger) =>
		countOf(ledger.ins.filter((entry) => isPhones(ledger, entry) && isEarly(ledger, entry))),
	'a request in a call follows a phone to another connection': followedInCall,
	'a call of a phone is answered after its connection is closed': answeredAfterClose,
}

/** A request in a call. */
function isPhones({ world }: Ledger, { message, peer }: In): boolean {
	const isWithin = message.method !== '' && message.method !== 'ACK' && message.toTag !== ''
	return isWithin && world.streams.ownerOf(peer) !== 'stranger'
}

function countOf(of: Iterable<unknown>): number {
	let times = 0
	for (const _one of of) times++
	return times
}

function connectionsOf({ world, ins }: Ledger, owner: string): Set<string> {
	const keys = ins.flatMap(({ peer }) => (world.streams.ownerOf(peer) === owner ? keyOf(peer) : []))
	return new Set(keys)
}

/** INVITEs whose connection was closed before they had a final answer, by what had come of them. */
function closedUnderWay(ledger: Ledger, matches: (said: readonly In[]) => boolean): number {
	return countOf([...firstOffers(ledger)].filter((offer) => isClosedUnderWay(ledger, offer, matches)))
}

function isClosedUnderWay(ledger: Ledger, { branch, out }: Offer, matches: (said: readonly In[]) => boolean): boolean {
	const closed = ledger.closedAfter(out)
	if (closed === undefined || closed.life !== out.life) return false
	const said = ledger.answers(branch).filter(({ index }) => index < closed.index)
	return said.every(({ message }) => message.status < 200) && matches(said)
}

function firstOffers({ offers }: Ledger): Iterable<Offer> {
	const first = new Map<string, Offer>()
	for (const offer of offers) if (!first.has(offer.branch) && isStream(offer.out.peer)) first.set(offer.branch, offer)
	return first.values()
}

/** Its CANCEL, or what it answers by another connection. */
function followed(ledger: Ledger): number {
	const others = [...firstOffers(ledger)].filter((offer) => {
		if (!isClosedUnderWay(ledger, offer, (said) => said.some(({ message }) => message.status > 100))) return false
		const { branch, out } = offer
		return (
			ledger.answers(branch).some(({ peer }) => keyOf(peer) !== keyOf(out.peer)) ||
			ledger.outs.some(({ message, peer }) => message.via.branch === branch && keyOf(peer) !== keyOf(out.peer))
		)
	})
	return others.length
}

function closedRegistering(ledger: Ledger): number {
	return countOf(
		ledger.accepted.filter(({ request, accepted }) =>
			ledger.closedBetween(request.peer, request.index, accepted!.index),
		),
	)
}

function answeredUnbound(ledger: Ledger): number {
	return countOf(
		ledger.ins.filter(
			(answer) =>
				isStream(answer.peer) &&
				answer.message.cseqMethod === 'INVITE' &&
				answer.message.status >= 200 &&
				!ledger.isSettled(answer),
		),
	)
}

function followedInCall({ outs }: Ledger): number {
	const places = new Map<string, string>()
	return countOf(
		outs.filter(({ message, peer }) => {
			if (message.method === '' || message.toTag === '' || message.method === 'ACK' || isPbx(peer)) return false
			const known = places.get(message.via.branch)
			places.set(message.via.branch, keyOf(peer))
			return isStream(peer) && known !== undefined && known !== keyOf(peer)
		}),
	)
}

function answeredAfterClose(ledger: Ledger): number {
	return countOf(
		[...ledger.calls.values()].filter(({ invite, answers }) => {
			const final = answers.find(isFinal)
			return final !== undefined && isStream(invite.peer) && keyOf(final.peer) !== keyOf(invite.peer)
		}),
	)
}

function refusedBeside(ledger: Ledger): number {
	const isBeside = (result: PushResult) => {
		const hold = ledger.holds.find(({ pushId }) => pushId === result.result.pushId)
		return hold !== undefined && isRefusal(result) && silentAt(ledger, hold, result) > 0
	}
	return countOf(ledger.pushResults.filter(isBeside))
}
