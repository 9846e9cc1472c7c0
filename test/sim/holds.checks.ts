/** Invariants 3 to 6 and 8: whom the gateway waits for, whom it wakes, and when it lets an INVITE go. */
import { PROBE_MS } from '../../src/core/reach/probes.ts'
import { SILENCE_MS } from '../../src/core/wake/device-branch.ts'
import { MIN_HOLD_MS } from '../../src/core/wake/wake-times.ts'
import { type Hold, isFinal, type Ledger, lastOf, STORED_MS } from './ledger.ts'
import { keyOf } from './network.ts'
import type { PushResult } from './record.ts'
import { isPbx } from './scenario.ts'

/** Nothing heard for this long, at the least: the time a ping has for its answer. */
const PONG_MS = 1_500

/** Invariant 3. */
export function heldUntilRegistered(ledger: Ledger): string[] {
	return ledger.holds.flatMap((hold) => {
		const sent = ledger.offers.find(({ branch, out }) => branch === hold.branch && out.index > hold.index)
		if (sent === undefined) return []
		const handset = ledger.handset(hold.deviceId, sent.out.index)
		ledger.judge()
		const woken = [...ledger.registrations.values()].some(
			({ accepted, ...registration }) =>
				registration.handset === handset &&
				accepted !== undefined &&
				accepted.at >= hold.at - STORED_MS &&
				accepted.index < sent.out.index,
		)
		/* a kill forgot that it was pushed to, and with it that it was asleep */
		return woken || ledger.lostWithKill(hold)
			? []
			: [`${hold.callId} was released to ${handset?.plan.name} without a 2xx to its REGISTER`]
	})
}

/** Invariant 3, the other way round: whom the call waits for gets it in the very moment its binding is stored. */
export function released(ledger: Ledger): string[] {
	return ledger.holds.flatMap((hold) => {
		const handset = ledger.handset(hold.deviceId, hold.index)
		const end = ledger.over(hold.callId)?.index ?? Number.POSITIVE_INFINITY
		if (handset === undefined) return []
		const woke = ledger.commits(handset).find(({ index }) => index > hold.index && index < end)
		if (
			woke === undefined ||
			ledger.wasCut(woke) ||
			!isWaiting(ledger, hold, woke.index) ||
			ledger.removedBetween(hold.deviceId, hold.index, woke.index)
		)
			return []
		ledger.judge()
		const sent = ledger.offers.some(({ branch, out }) => branch === hold.branch && out.cause === woke.index)
		return sent ? [] : [`${handset.plan.name} registered for ${hold.callId} and got no INVITE`]
	})
}

/** Invariant 3: it goes to where the newest REGISTER of the device came from, not the one that was accepted last. */
export function followed(ledger: Ledger): string[] {
	const begun = new Set<string>()
	return ledger.offers.flatMap(({ branch, callId, deviceId, out }) => {
		const isRelease = ledger.entries[out.cause]!.kind === 'committed' || !begun.has(branch)
		begun.add(branch)
		const handset = ledger.handset(deviceId, out.index)
		if (!isRelease || handset === undefined) return []
		const newest = ledger.newestRegister(handset, out)
		if (newest === undefined) return []
		ledger.judge()
		return newest.places.has(keyOf(out.peer))
			? []
			: [`${callId} (${out.index}) went to where ${handset.plan.name} had been before`]
	})
}

/** Not refused, not taken back, not answered, not declined, not removed, not lost with a kill. */
export function isWaiting(ledger: Ledger, hold: Hold, until: number): boolean {
	return ledger.entries.slice(hold.index, until).every((entry) => {
		if (entry.kind === 'killed')
			return entry.stored.calls.some(({ branches }) => branches.some(({ branch }) => branch === hold.branch))
		if (entry.kind === 'push-result')
			return entry.result.pushId !== hold.pushId || !(isRefusal(entry) || entry.result.outcome.kind === 'withdrawn')
		if (entry.kind === 'in')
			return (
				entry.message.via.branch !== hold.branch &&
				!(entry.message.method === 'CANCEL' && entry.message.callId === hold.callId)
			)
		return entry.kind !== 'declined' || ledger.storedCallIds.get(entry.callId) !== hold.callId
	})
}

/** Invariant 4. */
export function oneBranch(ledger: Ledger): string[] {
	const branches = new Map<string, string>()
	const found: string[] = []
	for (const { callId, deviceId, branch, out } of ledger.offers) {
		const key = `${out.life} ${callId} ${out.message.cseq} ${deviceId}`
		const known = branches.get(key)
		if (known !== undefined) ledger.judge()
		if (known !== undefined && known !== branch)
			found.push(`${callId} went to device ${deviceId} as ${known} and as ${branch}`)
		branches.set(key, branch)
	}
	/* a call that was not held when the gateway was killed is a new one for it, and a merged one for the phone */
	for (const { message, peer, index } of ledger.outs) {
		const call = ledger.toAgents.find(({ invite }) => invite.message.callId === message.callId)
		if (
			isPbx(peer) &&
			message.status === 482 &&
			message.cseqMethod === 'INVITE' &&
			!ledger.killedBetween(call?.invite.index ?? 0, index)
		)
			found.push(`482 to ${message.callId} reached the caller`)
	}
	return found
}

/** Invariant 5: where pings tell, nothing was heard of a device that is pushed to, or its connection was closed after that. */
export function proven(ledger: Ledger): string[] {
	if (ledger.world.scenario.settings.pingIntervalMs === 0) return []
	return ledger.holds.flatMap((hold) => {
		const handset = ledger.handset(hold.deviceId, hold.index)
		if (handset === undefined || !ledger.pushes.some(({ push }) => push.pushId === hold.pushId)) return []
		/* without an answer to the INVITE, or asleep from the start */
		const isSilent = ledger.offers.some(
			({ branch, out }) => branch === hold.branch && out.life === hold.life && out.index < hold.index,
		)
		ledger.judge()
		const since = hold.at - (isSilent ? SILENCE_MS : PONG_MS)
		const sent = ledger.pushes.find(({ push }) => push.pushId === hold.pushId)!.index
		const cut = ledger.cutBefore(handset, hold.index)
		/* what is heard while the hold is being stored: a REGISTER alone, which will release it */
		const heard = ledger
			.heard(handset)
			.find(
				(entry) =>
					entry.at > since &&
					entry.index > cut &&
					entry.life === hold.life &&
					entry.index < (entry.kind === 'in' && entry.message.cseqMethod === 'REGISTER' ? sent : hold.index),
			)
		return heard === undefined
			? []
			: [`${handset.plan.name} was pushed to for ${hold.callId}, ${hold.at - heard.at} ms after it was heard`]
	})
}

export function oncePushed(ledger: Ledger): string[] {
	const seen = new Map<string, { readonly pushId: string; readonly index: number }>()
	return ledger.pushes.flatMap(({ callId, push: { pushId, token }, index }) => {
		const key = `${callId} ${token.reveal()}`
		const known = seen.get(key)
		seen.set(key, { pushId, index })
		ledger.judge()
		/* killed before it heard of the push, the gateway sends the same one again: APNs may never have had it */
		const isRetry =
			known !== undefined &&
			known.pushId === pushId &&
			ledger.killedBetween(known.index, index) &&
			!ledger.pushResults.some((r) => r.result.pushId === pushId && r.index < index && !ledger.lostWithKill(r))
		/* one that was taken back never went out */
		const isFirst =
			known === undefined ||
			ledger.pushResults.some(({ result }) => result.pushId === known.pushId && result.outcome.kind === 'withdrawn')
		const hold = ledger.holds.find(({ pushId: held }) => held === known?.pushId)
		const isForgotten = hold !== undefined && ledger.lostWithKill(hold)
		return isFirst || isRetry || isForgotten
			? []
			: [`${callId} was pushed as ${known.pushId} and ${pushId} to one device`]
	})
}

/** Invariant 6. After a kill before its end was stored, nobody knows of it; nor of an INVITE that is repeated after a kill. */
export function withInvite(ledger: Ledger): string[] {
	return ledger.pushes.flatMap(({ callId, index }) => {
		const call = ledger.toAgents.find(({ invite }) => invite.message.callId === callId && invite.index < index)
		const final = call?.answers.find((answer) => isFinal(answer) && answer.index < index)
		const isNew = ledger.repeats(callId).some((repeat) => repeat.index < index && repeat.life > (final?.life ?? 0))
		const over = final !== undefined && !isNew && !ledger.lostWithKill(final)
		ledger.judge()
		return call !== undefined && !over
			? []
			: [`a push went out for ${callId}, which ${over ? 'is over' : 'nobody offered'}`]
	})
}

/** Nobody who may yet wake is given up before the shortest hold is over. */
export function heldOut(ledger: Ledger): string[] {
	return ledger.pushResults.flatMap(({ result: { outcome, pushId }, index, life }) => {
		const hold = ledger.holds.find((candidate) => candidate.pushId === pushId)
		const over = hold === undefined ? undefined : ledger.over(hold.callId)
		if (hold === undefined || over === undefined || outcome.kind !== 'accepted' || over.index < index) return []
		if (over.message.status !== 480 || life !== over.life || !isWaiting(ledger, hold, over.index)) return []
		if (ledger.removedBetween(hold.deviceId, hold.index, over.index) || ledger.isDraining(over)) return []
		/* a phone that was asked says the same */
		if (ledger.entries[over.cause]!.kind === 'in') return []
		ledger.judge()
		const { holdMs } = ledger.world.scenario.settings
		const until = Math.min(hold.at + MIN_HOLD_MS, ledger.call(hold.callId)!.invite.at + holdMs)
		return over.at >= until ? [] : [`${hold.callId} was given up ${over.at - hold.at} ms after its push`]
	})
}

/**
 * Invariant 8: when the last device that could answer is refused, the caller hears it in the same moment; where it has just got
 * the INVITE by a connection, when it has been silent there for as long as any.
 */
export function refused(ledger: Ledger): string[] {
	return ledger.pushResults.flatMap((result) => {
		const hold = ledger.holds.find(({ pushId }) => pushId === result.result.pushId)
		if (hold === undefined || !isRefusal(result) || hold.life !== result.life || ledger.wasCut(result)) return []
		ledger.judge()
		const over = ledger.over(hold.callId)
		if (over !== undefined && over.index <= lastOf(ledger.entries, result.index)) return []
		const until = Math.max(
			...ledger.holds.map((one) => (one.callId === hold.callId ? silentAt(ledger, one, result) : 0)),
		)
		if (over !== undefined && over.at <= until) return []
		if (until > 0 && ledger.kills.some(({ index, at }) => index > result.index && at <= until)) return []
		const end = until > 0 ? ledger.entries.findLastIndex(({ at }) => at <= until) + 1 : result.index
		const asked = new Set(
			ledger.offers
				.filter(({ callId, out }) => callId === hold.callId && out.index < end)
				.map(({ deviceId }) => deviceId),
		)
		for (const other of ledger.holds) if (other.callId === hold.callId && other.index < end) asked.add(other.deviceId)
		const hopeless = [...asked].every((deviceId) => isOut(ledger, hold.callId, deviceId, end))
		return hopeless && !isProbed(ledger, hold.callId, asked, result)
			? [`the push for ${hold.callId} was refused, and nobody else could answer: it was held on`]
			: []
	})
}

/** Until when it may answer the INVITE that it got by a connection as its push went out; 0 where it is none of those. */
export function silentAt(ledger: Ledger, hold: Hold, result: PushResult): number {
	const beside = ledger.offers.find(
		({ branch, out }) =>
			branch === hold.branch && out.at === hold.at && out.index < hold.index && out.life === hold.life,
	)
	if (beside === undefined || ledger.closedBetween(beside.out.peer, beside.out.index, result.index)) return 0
	const until = beside.out.at + SILENCE_MS
	return until > result.at ? until : 0
}

/** Was another device being asked whether it is awake? It got the INVITE, or a push, when that was known. */
function isProbed(ledger: Ledger, callId: string, asked: ReadonlySet<number>, { index, at }: PushResult): boolean {
	const until = at + PROBE_MS + STORED_MS
	/* or the gateway was killed before it knew */
	if (ledger.kills.some((kill) => kill.index > index && kill.at <= until)) return true
	const isLater = (device: number, entry: { readonly index: number; readonly at: number }) =>
		!asked.has(device) && entry.index > index && entry.at <= until
	return (
		ledger.offers.some((offer) => offer.callId === callId && isLater(offer.deviceId, offer.out)) ||
		ledger.holds.some((hold) => hold.callId === callId && isLater(hold.deviceId, hold))
	)
}

/** It is refused, no copy of the INVITE is with it since, and no REGISTER of it only waits to be stored. */
function isOut(ledger: Ledger, callId: string, deviceId: number, until: number): boolean {
	const hold = ledger.holds.find((candidate) => candidate.callId === callId && candidate.deviceId === deviceId)
	if (hold === undefined || hold.index > until) return false
	const result = ledger.pushResults.find(
		(candidate) => candidate.result.pushId === hold.pushId && candidate.index <= until,
	)
	if (result === undefined || !isRefusal(result)) return false
	const handset = ledger.handset(deviceId, hold.index)
	for (const { handset: who, accepted } of ledger.registrations.values())
		if (who === handset && accepted !== undefined && accepted.index > hold.index && accepted.index < until) return false
	return !ledger.entries
		.slice(hold.index, until)
		.some((entry) => (entry.kind === 'out' || entry.kind === 'in') && entry.message.via.branch === hold.branch)
}

export function isRefusal({ result: { outcome } }: PushResult): boolean {
	return outcome.kind !== 'accepted' && outcome.kind !== 'throttled' && outcome.kind !== 'withdrawn'
}
