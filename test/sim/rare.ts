/** Interleavings in which faults were found, or are likely: the weights of the world are such that each is met often enough. */
import { Header } from '../../src/sip/headers.ts'
import { RESTARTS } from './exchange.ts'
import { type Hold, isFinal, type Ledger, type Offer, STORED_MS } from './ledger.ts'
import type { Count } from './met.ts'
import { keyOf } from './network.ts'
import type { Entry, In, Out } from './record.ts'
import { isPbx } from './scenario.ts'

export const RARE: Readonly<Record<string, Count>> = {
	'two REGISTERs of an agent cross at the PBX': crossing,
	'a phone moves while its INVITE is unanswered': movedUnanswered,
	'a phone that woke too late moves': movedAfterEnd,
	'a phone moves while it rings': (ledger) => movedRinging(ledger, false),
	'a phone moves while its CANCEL is under way': (ledger) => movedRinging(ledger, true),
	'the gateway is killed while a phone rings': killedRinging,
	'the gateway is killed twice within a minute after a call': killedTwice,
	'the PBX restarts during a hold': (ledger) => duringHold(ledger, (e) => isNote(e, 'PBX', RESTARTS)),
	'the disk fills up during a hold': (ledger) => duringHold(ledger, (e) => isNote(e, 'disk', 'is full')),
	'a call ends while the disk is full': endedOnFullDisk,
	'a device is removed while the disk is full': removedOnFullDisk,
	'a phone answers a call that is over': answeredTooLate,
	'a phone answers a ping while its INVITE is unanswered': pongBeforeAnswer,
	'a 6xx of one phone ends the others': sixes,
	'a push is refused, and the gateway killed before its call is over': refusedThenKilled,
	'the PBX calls before its name is resolved': calledUnresolved,
	'a phone registers before APNs has answered its push': registeredBeforeOutcome,
	'a call is declined by the address in its push while a phone rings': declinedWhileRinging,
	'a phone registers after it declined by that address': declinedAndBack,
	'the gateway is killed after a call was declined by that address': declinedAndKilled,
	'a phone is heard to say 100, and not to ring, until its call is over': triedOnly,
	'a phone registers anew after it was heard to say no more than 100': triedAndBack,
}

function isNote(entry: Entry, who: string, text: string): boolean {
	return entry.kind === 'note' && entry.who === who && entry.text === text
}

/** How many of them? */
function count<T>(of: Iterable<T>, matches: (one: T) => boolean): number {
	let times = 0
	for (const one of of) if (matches(one)) times++
	return times
}

/** Until then it had said 100 to the INVITE, and nothing else. */
function onlyTried(ledger: Ledger, branch: string, before: number): boolean {
	const said = ledger.answers(branch).filter(({ index }) => index < before)
	return said.length > 0 && said.every(({ message }) => message.status === 100)
}

function triedOnly(ledger: Ledger): number {
	const offers = new Map(ledger.offers.map((offer) => [offer.branch, offer]))
	return count(offers.values(), ({ branch, callId }) => {
		const over = ledger.over(callId)
		return over !== undefined && onlyTried(ledger, branch, over.index)
	})
}

function triedAndBack(ledger: Ledger): number {
	return count(ledger.offers, ({ branch, out }) => {
		const isReleased = ledger.entries[out.cause]!.kind === 'committed'
		return isReleased && onlyTried(ledger, branch, out.index)
	})
}

function declinedWhileRinging(ledger: Ledger): number {
	return count(ledger.declines, ({ callId, index }) => {
		const offers = ledger.offers.filter((offer) => offer.callId === ledger.storedCallIds.get(callId))
		return offers.some(({ branch }) => {
			const said = ledger.answers(branch).filter((answer) => answer.index < index)
			return said.some(({ message }) => message.status > 100) && said.every(({ message }) => message.status < 200)
		})
	})
}

function declinedAndBack(ledger: Ledger): number {
	return count(ledger.declines, ({ deviceId, index, at }) => {
		const handset = ledger.handset(deviceId, index)
		if (handset === undefined) return false
		return ledger.commits(handset).some((commit) => commit.index > index && commit.at < at + A_MINUTE_MS)
	})
}

function declinedAndKilled({ declines, kills }: Ledger): number {
	return count(declines, ({ index, at }) =>
		kills.some((kill) => kill.index > index && kill.at > at + STORED_MS && kill.at < at + A_MINUTE_MS),
	)
}

/** A REGISTER is accepted after a later one of the same agent was. */
function crossing({ ins, outs }: Ledger): number {
	const acceptedAt = new Map<string, number>()
	for (const { message, peer, index } of ins)
		if (
			isPbx(peer) &&
			message.cseqMethod === 'REGISTER' &&
			message.status === 200 &&
			!acceptedAt.has(message.via.branch)
		)
			acceptedAt.set(message.via.branch, index)
	const relayed = new Map<string, Out>()
	for (const out of outs)
		if (out.message.method === 'REGISTER' && isPbx(out.peer) && acceptedAt.has(out.message.via.branch))
			relayed.set(out.message.via.branch, relayed.get(out.message.via.branch) ?? out)
	/* in the order they were sent: which are accepted after one that was sent later? */
	const soonest = new Map<string, number>()
	return count([...relayed].reverse(), ([branch, { message }]) => {
		const agent = message.first(Header.To) ?? ''
		const at = acceptedAt.get(branch)!
		const later = soonest.get(agent) ?? Number.POSITIVE_INFINITY
		soonest.set(agent, Math.min(at, later))
		return at > later
	})
}

/** Where each INVITE went: the first copy to each address, by branch. */
function places({ offers }: Ledger): Map<string, Offer[]> {
	const byBranch = new Map<string, Offer[]>()
	for (const offer of offers) {
		const known = byBranch.get(offer.branch) ?? []
		byBranch.set(offer.branch, known)
		const last = known.at(-1)
		if (last === undefined || keyOf(last.out.peer) !== keyOf(offer.out.peer)) known.push(offer)
	}
	return byBranch
}

/** The INVITE went out again to another address before anything came back. */
function movedUnanswered(ledger: Ledger): number {
	return count(places(ledger), ([branch, [, second]]) => {
		const first = ledger.answers(branch)[0]
		return second !== undefined && (first === undefined || first.index > second.out.index)
	})
}

function movedAfterEnd(ledger: Ledger): number {
	return count(places(ledger).values(), ([, second]) => {
		const over = second === undefined ? undefined : ledger.over(second.callId)
		return over !== undefined && over.index < second!.out.index
	})
}

/** Its REGISTER from another address is accepted between its 180 and its final answer; `cancelled`: and after the end of the call. */
function movedRinging(ledger: Ledger, cancelled: boolean): number {
	const moves = [...ledger.registrations.values()].filter(({ accepted }) => accepted !== undefined)
	return count(places(ledger), ([branch, [first]]) => {
		const { callId, deviceId, out } = first!
		const answers = ledger.answers(branch)
		const ringsAt = answers.find(({ message }) => message.status > 100 && message.status < 200)?.index
		if (ringsAt === undefined) return false
		const endsAt = answers.find(({ message }) => message.status >= 200)?.index ?? ledger.settledIndex
		const overAt = ledger.over(callId)?.index ?? Number.POSITIVE_INFINITY
		const handset = ledger.handset(deviceId, out.index)
		return moves.some(({ handset: mover, request, accepted }) => {
			if (mover !== handset || keyOf(request.peer) === keyOf(out.peer)) return false
			return accepted!.index > ringsAt && accepted!.index < endsAt && accepted!.index > overAt === cancelled
		})
	})
}

function killedRinging(ledger: Ledger): number {
	return count(ledger.kills, ({ index }) =>
		ledger.toAgents.some(({ invite, answers }) => {
			if (invite.index > index || answers.some((answer) => isFinal(answer) && answer.index < index)) return false
			return answers.some(({ message, index: at }) => message.status > 100 && at < index)
		}),
	)
}

const A_MINUTE_MS = 60_000

function killedTwice({ kills, toAgents }: Ledger): number {
	return count(toAgents, ({ answers }) => {
		const over = answers.find(isFinal)?.at ?? Number.POSITIVE_INFINITY
		return count(kills, ({ at }) => at >= over && at < over + A_MINUTE_MS) > 1
	})
}

function duringHold(ledger: Ledger, what: (entry: Entry) => boolean): number {
	return count(ledger.notes.filter(what), ({ index }) => ledger.holds.some((hold) => isHeld(ledger, hold, index)))
}

function isHeld(ledger: Ledger, { index, branch, callId }: Hold, at: number): boolean {
	if (index > at || (ledger.over(callId)?.index ?? Number.POSITIVE_INFINITY) < at) return false
	return !ledger.offers.some((offer) => offer.branch === branch && offer.out.index < at && offer.out.index > index)
}

/** Each spell of a full disk, as places in the record. */
function fullDisks({ notes }: Ledger): [number, number][] {
	const spells: [number, number][] = []
	for (const { who, text, index } of notes) {
		if (who !== 'disk') continue
		if (text === 'is full') spells.push([index, Number.POSITIVE_INFINITY])
		else if (spells.length > 0) spells.at(-1)![1] = index
	}
	return spells
}

function endedOnFullDisk(ledger: Ledger): number {
	const spells = fullDisks(ledger)
	return count(ledger.holds, ({ callId }) => {
		const over = ledger.over(callId)?.index ?? -1
		return spells.some(([from, to]) => over > from && over < to)
	})
}

function removedOnFullDisk(ledger: Ledger): number {
	const spells = fullDisks(ledger)
	return count(ledger.entries, (entry) => {
		if (entry.kind !== 'save' || !spells.some(([from, to]) => entry.index > from && entry.index < to)) return false
		return entry.save.changes.some(({ table, op }) => table === 'device' && op === 'delete')
	})
}

function answeredTooLate(ledger: Ledger): number {
	return count(
		ledger.ins,
		({ message, peer, index }) =>
			message.status === 200 &&
			message.cseqMethod === 'INVITE' &&
			!isPbx(peer) &&
			(ledger.over(message.callId)?.index ?? index) < index,
	)
}

function pongBeforeAnswer(ledger: Ledger): number {
	const pongs = ledger.ins.filter(({ message }) => message.via.branch.startsWith('z9hG4bKping.') && message.status > 0)
	return count(places(ledger), ([branch, [first]]) => {
		const until = ledger.answers(branch)[0]?.index ?? Number.POSITIVE_INFINITY
		const isBetween = ({ index, peer }: In) =>
			index > first!.out.index && index < until && keyOf(peer) === keyOf(first!.out.peer)
		return pongs.some(isBetween)
	})
}

function sixes(ledger: Ledger): number {
	return count(ledger.ins, ({ message, peer, index }) => {
		if (message.status < 600 || message.cseqMethod !== 'INVITE' || isPbx(peer)) return false
		const others = ledger.offers.filter(
			({ callId, branch }) => callId === message.callId && branch !== message.via.branch,
		)
		return others.some(
			({ branch, out }) =>
				out.index < index && ledger.answers(branch).every((a) => a.message.status < 200 || a.index > index),
		)
	})
}

function refusedThenKilled(ledger: Ledger): number {
	return count(ledger.pushResults, ({ result, index }) => {
		const hold = ledger.holds.find(({ pushId }) => pushId === result.pushId)
		if (hold === undefined || result.outcome.kind === 'accepted') return false
		const over = ledger.over(hold.callId)?.index ?? Number.POSITIVE_INFINITY
		return over > index && ledger.killedBetween(index, over)
	})
}

function calledUnresolved(ledger: Ledger): number {
	return count(ledger.toAgents, ({ invite: { index } }) => !ledger.resolvedBefore(index))
}

function registeredBeforeOutcome(ledger: Ledger): number {
	return count(ledger.pushResults, ({ result, index }) => {
		const hold = ledger.holds.find(({ pushId }) => pushId === result.pushId)
		return (
			hold !== undefined &&
			ledger.offers.some(({ branch, out }) => branch === hold.branch && out.index > hold.index && out.index < index)
		)
	})
}
