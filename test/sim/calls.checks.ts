/** Invariants 1 and 11: every caller gets its answer, and no phone rings on for a call that is over. */

import { CANCEL_GRACE_MS } from '../../src/core/wake/patience.ts'
import { LAZY_COMMIT_MS } from '../../src/loop.ts'
import { Header } from '../../src/sip/headers.ts'
import type { Handset } from './handset.ts'
import { type Call, type Hold, isFinal, type Ledger, lastOf, STORED_MS } from './ledger.ts'
import { keyOf } from './network.ts'
import type { In, Out } from './record.ts'
import { isPbx } from './scenario.ts'

/** A ghost lives for a minute; at its very end anything may happen. */
const GHOST_MS = 59_000

/** Invariant 1. A call that was not held when the gateway was killed is lost with it. */
export function answeredOnce(ledger: Ledger): string[] {
	return [...ledger.calls.values()].flatMap((call) => {
		const finals = distinct(call.answers.filter(isFinal)).filter((final) => !isStateless(call, final))
		const id = call.invite.message.callId
		ledger.judge()
		for (const life of new Set(finals.map((final) => final.life)))
			if (finals.filter((final) => final.life === life).length > 1)
				return [`${id} got ${finals.map(({ message }) => message.status).join(' and ')}`]
		if (!call.answers.some(isFinal) && mustBeAnswered(ledger, call)) return [`${id} got no final response`]
		return []
	})
}

/** A stranger's INVITE is refused without a trace; the same one may pass once its flow is bound. */
function isStateless({ answers, fromPbx }: Call, { index, message }: Out): boolean {
	return (
		!fromPbx &&
		message.status === 403 &&
		answers.every((answer) => answer.message.status !== 100 || answer.index > index)
	)
}

/** An INVITE that the gateway took, and that no kill took away. */
function mustBeAnswered(ledger: Ledger, { invite, answers, fromPbx }: Call): boolean {
	const first = answers[0]
	if (first === undefined)
		return fromPbx && !ledger.killedBetween(invite.index, Number.POSITIVE_INFINITY) && isResolved(ledger, invite.index)
	/* nobody connects to a phone: one that closed its connection and did not come back hears nothing */
	if (ledger.closedBetween(invite.peer, invite.index, Number.POSITIVE_INFINITY)) return false
	const { callId, toTag } = invite.message
	return ledger.kills.every(({ index, stored }) => {
		if (index < invite.index) return true
		/* the row of a call is of its first INVITE; one in the dialog is lost with the kill */
		return toTag === '' && stored.calls.some(({ id, ended }) => ended === undefined && idOf(ledger, id) === callId)
	})
}

/** Before the PBX's name is resolved it is a stranger. */
function isResolved(ledger: Ledger, index: number): boolean {
	return ledger.resolvedBefore(index)
}

function idOf(ledger: Ledger, id: string): string | undefined {
	return ledger.storedCallIds.get(id)
}

/** Nobody waits past the hold where no phone has answered at all; a restart takes no more than its own time. */
export function heldNoLonger(ledger: Ledger): string[] {
	const { holdMs } = ledger.world.scenario.settings
	return ledger.toAgents.flatMap(({ invite, answers }) => {
		const until = (answers[0]?.at ?? invite.at) + holdMs
		const final = answers.find(isFinal)
		const { callId } = invite.message
		ledger.judge()
		if (answers.length === 0 || (final !== undefined && final.at <= until)) return []
		const answered = ledger.ins.some(
			({ message, at }) =>
				at <= until && message.status > 100 && message.cseqMethod === 'INVITE' && message.callId === callId,
		)
		if (answered || ledger.kills.some(({ at }) => at >= invite.at && at <= until)) return []
		return [`${callId} waited for longer than the hold`]
	})
}

/** RFC 3261 §16.7 step 5: a 6xx of one phone ends the others, and the caller waits no longer than for their 487. */
export function endedBySix(ledger: Ledger): string[] {
	return ledger.ins.flatMap((six) => {
		const { status, cseqMethod, callId } = six.message
		if (status < 600 || cseqMethod !== 'INVITE' || isPbx(six.peer)) return []
		const [over, until] = [ledger.over(callId), six.at + CANCEL_GRACE_MS + STORED_MS]
		const call = ledger.call(callId)
		if (!ledger.isHeard(six) || call === undefined || (over !== undefined && over.index < six.index)) return []
		if (ledger.killedBetween(call.invite.index, six.index)) return []
		if (ledger.wasCut(six) || ledger.kills.some(({ index, at }) => index > six.index && at <= until)) return []
		ledger.judge()
		return over !== undefined && over.at <= until ? [] : [`${callId} went on after ${status} of a phone`]
	})
}

/** 2xx of one dialog are one answer, and so are all copies of another. */
function distinct(finals: readonly Out[]): Out[] {
	const seen = new Set<string>()
	return finals.filter(({ message, life }) => {
		const key = `${life} ${message.status} ${message.toTag}`
		return !seen.has(key) && seen.add(key)
	})
}

export function cancelled(ledger: Ledger): string[] {
	return ledger.ins.flatMap((cancel) => {
		if (cancel.message.method !== 'CANCEL' || !isPbx(cancel.peer)) return []
		const { callId, via } = cancel.message
		const { entries } = ledger
		ledger.judge()
		if (ledger.wasCut(cancel)) return []
		for (let i = cancel.index + 1; entries[i]?.cause === cancel.index; i++) {
			const entry = entries[i]!
			if (entry.kind === 'out' && entry.message.cseqMethod === 'CANCEL' && entry.message.status >= 200) return []
		}
		const known = [...ledger.calls.values()].some(
			({ invite }) =>
				invite.message.via.branch === via.branch &&
				invite.index < cancel.index &&
				keyOf(invite.peer) === keyOf(cancel.peer),
		)
		return known && isResolved(ledger, cancel.index) ? [`the CANCEL of ${callId} got no answer`] : []
	})
}

/** Invariant 11, its first half: who was pushed for a call that is over gets its INVITE on registering. */
export function ghosts(ledger: Ledger): string[] {
	return ledger.holds.flatMap((hold) => {
		const over = ledger.over(hold.callId)
		const handset = ledger.handset(hold.deviceId, hold.index)
		const pushed = ledger.pushes.find(({ push }) => push.pushId === hold.pushId)
		if (over === undefined || handset === undefined || pushed === undefined || pushed.index > over.index) return []
		if (ledger.offers.some(({ branch, out }) => branch === hold.branch && out.index < over.index)) return []
		const woke = ledger.commits(handset).find(({ index, at }) => index > over.index && at < over.at + GHOST_MS)
		if (
			woke === undefined ||
			woke.life !== over.life ||
			ledger.wasCut(woke) ||
			isGone(ledger, hold, woke.index) ||
			ledger.removedBetween(hold.deviceId, hold.index, woke.index)
		)
			return []
		ledger.judge()
		const offered = ledger.offers.some(({ branch, out }) => branch === hold.branch && out.at === woke.at)
		return offered ? [] : [`${handset.plan.name} woke for ${hold.callId}, which was over, and got no INVITE`]
	})
}

/** The push was refused, or it had answered or declined by then. One that APNs gave no answer to may have been delivered. */
function isGone(ledger: Ledger, hold: Hold, until: number): boolean {
	return ledger.entries.slice(hold.index, until).some((entry) => {
		if (entry.kind === 'push-result') {
			const { outcome, pushId } = entry.result
			const mayBeThere = outcome.kind === 'accepted' || (outcome.kind === 'failed' && outcome.status === 0)
			return pushId === hold.pushId && !mayBeThere
		}
		if (entry.kind === 'in') return entry.message.via.branch === hold.branch
		return entry.kind === 'declined' && entry.deviceId === hold.deviceId && idOf(ledger, entry.callId) === hold.callId
	})
}

/** RFC 3261 §9.1: a phone that answered provisionally by the end of its call is cancelled in that moment, or was before. */
export function takenBack(ledger: Ledger): string[] {
	const offers = new Map(ledger.offers.map((offer) => [offer.branch, offer]))
	return [...offers.values()].flatMap(({ branch, callId, deviceId, out: last }) => {
		const over = ledger.over(callId)
		if (
			over === undefined ||
			last.index > over.index ||
			last.life !== over.life ||
			ledger.wasCut(ledger.entries[over.cause]!)
		)
			return []
		const said = ledger.answers(branch).filter(({ index }) => index <= over.cause)
		const isThere = said.some(({ index, peer }) => index > last.index && keyOf(peer) === keyOf(last.peer))
		/* what it says is a stranger's */
		if (over !== undefined && ledger.removedBetween(deviceId, last.index, over.index)) return []
		/* it is told when it comes back */
		if (ledger.closedBetween(last.peer, last.index, over.index)) return []
		if (!isThere || said.some(({ message }) => message.status >= 200)) return []
		ledger.judge()
		const until = lastOf(ledger.entries, over.cause)
		const isTaken = ledger.outs.some(
			({ message, index }) => message.method === 'CANCEL' && message.via.branch === branch && index <= until,
		)
		return isTaken ? [] : [`the end of ${callId} was not told to ${keyOf(last.peer)}, which had answered`]
	})
}

/** Invariant 11, the other way round: a phone that has ended a call itself never gets its INVITE again. */
export function toldOnce(ledger: Ledger): string[] {
	const ended = new Map<string, In>()
	return ledger.entries.flatMap((entry) => {
		if (entry.kind !== 'in' && entry.kind !== 'out') return []
		const { message, index } = entry
		const { branch } = message.via
		if (
			entry.kind === 'in' &&
			message.status >= 200 &&
			message.cseqMethod === 'INVITE' &&
			ledger.isHeard(entry) &&
			!ended.has(branch)
		)
			ended.set(branch, entry)
		if (entry.kind === 'in' || message.method !== 'INVITE' || isPbx(entry.peer)) return []
		const end = ended.get(branch)
		ledger.judge()
		if (end === undefined || ledger.lostWithKill(end)) return []
		/* nor was it stored that the call is over */
		const over = ledger.over(message.callId)
		if (over !== undefined && over.index < end.index && ledger.lostWithKill(over)) return []
		return [`${message.callId} was offered again (${index}) to a phone that had ended it (${end.index})`]
	})
}

/** Invariant 11, its second half: nothing rings at the end, and every CANCEL says why. */
export function hungUp(ledger: Ledger): string[] {
	return ledger.world.handsets.flatMap((handset) => {
		const { name } = handset.plan
		ledger.judged += handset.cancelReasons.length
		const mute = handset.cancelReasons
			.filter(({ call, reason }) => reason === '' || !keeps(ledger, call.id, reason))
			.map(({ call, reason }) => `${name}: the CANCEL of ${call.id} says ${reason || 'nothing'}`)
		if (handset.wasAsleep) return mute
		const ringing = handset.phone.calls
			.all()
			.filter(
				({ direction, state, id, startedAt }) =>
					direction === 'incoming' && state === 'ringing' && !isLost(ledger, handset, id, startedAt),
			)
			.map(({ id }) => `${name} rings on for ${id}`)
		return [...mute, ...ringing]
	})
}

/** What the caller said in its CANCEL, where that ended the call. */
function keeps(ledger: Ledger, callId: string, reason: string): boolean {
	const call = ledger.toAgents.find(({ invite }) => invite.message.callId === callId)
	const final = call?.answers.find(isFinal)
	if (final !== undefined && ledger.lostWithKill(final)) return true
	const [cancel] = call?.cancels ?? []
	/* a kill before the end forgot what it said */
	if (cancel !== undefined && final !== undefined && ledger.killedBetween(cancel.index, final.index)) return true
	const said = cancel?.message.first(Header.Reason)
	/* a 6xx had ended the other phones before */
	if (reason.startsWith('SIP;cause=6')) return true
	return said === undefined || call?.answers.find(isFinal)?.message.status !== 487 || reason === said
}

/** The caller forgot it; or the gateway was killed while it was no held call, or before it had stored that the phone knows of the end. */
function isLost(ledger: Ledger, handset: Handset, callId: string, startedAt: number): boolean {
	const offer = ledger.offers.findLast(
		(candidate) =>
			candidate.callId === callId &&
			candidate.out.at <= startedAt &&
			ledger.handset(candidate.deviceId, candidate.out.index) === handset,
	)
	/* its binding lapsed with the INVITE in its socket: what it then answers is a stranger's */
	const first = ledger.offers.find(({ branch }) => branch === offer?.branch)
	if (ledger.pbxForgotAt > (ledger.call(callId)?.invite.index ?? Number.POSITIVE_INFINITY)) return true
	if (first !== undefined && ledger.removedBetween(first.deviceId, first.out.index, ledger.settledIndex)) return true
	const since = (offer?.out.at ?? startedAt) - LAZY_COMMIT_MS
	const learnt = ledger.ins.filter(({ message }) => message.via.branch === offer?.branch && message.status >= 200)
	return ledger.kills.some(({ at }) => at >= since) || learnt.some((answer) => ledger.lostWithKill(answer))
}
