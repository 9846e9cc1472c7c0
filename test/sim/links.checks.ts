/** The address in a push: what it says of its call is so, nobody can make one up, and who declines by it is left in peace. */
import { CANCEL_GRACE_MS } from '../../src/core/wake/patience.ts'
import { isWaiting } from './holds.checks.ts'
import { type Ledger, lastOf, STORED_MS } from './ledger.ts'
import type { Declined, Visited } from './record.ts'

export function unforgeable(ledger: Ledger): string[] {
	return ledger.visits.flatMap(({ make, verdict, who }) => {
		if (make === 'genuine') return []
		ledger.judge()
		return verdict.kind === 'forged' ? [] : [`an address that ${who} made up was good`]
	})
}

/** It rings only while the caller waits, and whom a call waits for is not told that it is over. */
export function toldTruly(ledger: Ledger): string[] {
	return ledger.visits.flatMap((visit) => {
		const hold = ledger.holds.find(({ pushId }) => pushId === visit.pushId)
		if (visit.make !== 'genuine' || hold === undefined) return []
		const isOver = isKnownOver(ledger, hold.callId, visit)
		ledger.judge()
		if (visit.verdict.kind === 'ringing') return isOver ? [`${hold.callId} was over, and rang by its address`] : []
		const rings =
			ledger.over(hold.callId) === undefined &&
			isWaiting(ledger, hold, visit.index) &&
			!ledger.removedBetween(hold.deviceId, hold.index, visit.index)
		return rings ? [`${hold.callId} waited for ${visit.who}, and by its address it was ${visit.verdict.kind}`] : []
	})
}

/** Unless a kill took away that it is, or the caller began it anew after one. */
function isKnownOver(ledger: Ledger, callId: string, { index }: Visited): boolean {
	const over = ledger.over(callId)
	if (over === undefined || over.index > index || ledger.lostWithKill(over)) return false
	return !ledger.repeats(callId).some((repeat) => repeat.index < index && repeat.life > over.life)
}

/** 603 to the PBX: at once, or when the phones that ring have said that they have stopped, or should have. */
export function declinedAtOnce(ledger: Ledger): string[] {
	return ledger.declines.flatMap((decline) => {
		const callId = ledger.storedCallIds.get(decline.callId) ?? ''
		const over = ledger.over(callId)
		if (ledger.wasCut(decline) || (over !== undefined && over.index < decline.index)) return []
		const until = decline.at + CANCEL_GRACE_MS + STORED_MS
		if (ledger.kills.some(({ index, at }) => index > decline.index && at <= until)) return []
		const rang = isRinging(ledger, callId, decline)
		ledger.judge()
		const inTime = over !== undefined && (rang ? over.at <= until : over.index <= lastOf(ledger.entries, decline.index))
		if (!inTime) return [`${callId} was declined by its address, and went on`]
		/* one that rang may have been answered, or given up by its caller, in the same moment */
		const right = over.message.status === 603 || (rang && [200, 487].includes(over.message.status))
		return right ? [] : [`${callId} was declined by its address, and got ${over.message.status}`]
	})
}

function isRinging(ledger: Ledger, callId: string, { index }: Declined): boolean {
	return ledger.offers.some(
		(offer) =>
			offer.callId === callId &&
			ledger.answers(offer.branch).some(({ message, index: at }) => at < index && message.status > 100),
	)
}

/** It has shown the call and ended it: where the INVITE had not gone out yet it never does. */
export function leftInPeace(ledger: Ledger): string[] {
	return ledger.declines.flatMap((decline) => {
		const callId = ledger.storedCallIds.get(decline.callId)
		const hold = ledger.holds.find((h) => h.callId === callId && h.deviceId === decline.deviceId)
		if (hold === undefined || ledger.wasCut(decline) || ledger.lostWithKill(decline)) return []
		/* a gateway that was killed meanwhile cannot know whether a copy went out before */
		if (ledger.killedBetween(hold.index, decline.index)) return []
		const offers = ledger.offers.filter(({ branch }) => branch === hold.branch)
		if (offers.some(({ out }) => out.index < decline.index)) return []
		ledger.judge()
		return offers.length === 0 ? [] : [`${callId} went to a phone that had declined it by its address`]
	})
}
