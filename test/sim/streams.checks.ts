/** Phones on connections: what is sent by which, when one is left or closed, and that nothing is said twice. */
import { GIVEN_UP_MS } from '../../src/core/latecomers.ts'
import { Header } from '../../src/sip/headers.ts'
import { type Ledger, lastOf } from './ledger.ts'
import { keyOf } from './network.ts'
import type { In, Out } from './record.ts'
import { isStream } from './streams.ts'

/** RFC 3261 §17: timers A, E and G are for datagrams. */
export function saidOnce(ledger: Ledger): string[] {
	const said = new Set<string>()
	return ledger.outs.flatMap(({ message, peer, cause, index }) => {
		if (!isStream(peer)) return []
		const { via, cseq, cseqMethod, method, status } = message
		const key = `${keyOf(peer)} ${via.branch} ${cseq} ${cseqMethod} ${method} ${status}`
		const isAgain = said.has(key) && ledger.entries[cause]!.kind === 'fires'
		said.add(key)
		ledger.judge()
		return isAgain ? [`${method || status} of ${message.callId} (${index}) was repeated by a timer`] : []
	})
}

/** A connection that the gateway has closed, or knows to be closed, carries nothing. */
export function sentOpen(ledger: Ledger): string[] {
	return ledger.outs.flatMap(({ message, peer, index }) => {
		if (!isStream(peer)) return []
		ledger.judge()
		return ledger.closedBetween(peer, -1, index)
			? [`${message.method || message.status} of ${message.callId} (${index}) went to a closed connection`]
			: []
	})
}

/** An answer goes back by the connection of its request, or to where that phone is now when that one is closed. */
export function answeredThere(ledger: Ledger): string[] {
	const requests = new Map<string, In[]>()
	for (const request of ledger.ins) {
		if (request.message.method === '' || !isStream(request.peer)) continue
		const key = `${request.message.via.branch} ${request.message.method}`
		requests.set(key, [...(requests.get(key) ?? []), request])
	}
	return ledger.outs.flatMap((out) => {
		const { message, peer, index } = out
		const asked = requests
			.get(`${message.via.branch} ${message.cseqMethod}`)
			?.filter((request) => request.index < index)
		if (message.status === 0 || !isStream(peer) || asked === undefined || asked.length === 0) return []
		ledger.judge()
		if (asked.some((request) => keyOf(request.peer) === keyOf(peer))) return []
		const { streams } = ledger.world
		const isOwn = asked.some((request) => streams.ownerOf(request.peer) === streams.ownerOf(peer))
		const isGone = asked.every((request) => ledger.closedBetween(request.peer, -1, index))
		return isOwn && isGone ? [] : [`${message.status} of ${message.callId} (${index}) went to another connection`]
	})
}

/** Issue 4 point 3: the connection a phone leaves is closed in the moment its new REGISTER is accepted, before any INVITE. */
export function leftBehind(ledger: Ledger): string[] {
	const last = new Map<unknown, In>()
	return [...ledger.accepted].flatMap((registration) => {
		const { handset, request } = registration
		const accepted = registration.accepted!
		const before = last.get(handset)
		if (ledger.newestRegister(handset, ledger.entries[accepted.index + 1] ?? accepted) !== registration) return []
		last.set(handset, request)
		if (before === undefined || !isStream(before.peer) || before.life !== accepted.life) return []
		if (keyOf(before.peer) === keyOf(request.peer) || ledger.wasCut(accepted)) return []
		if (ledger.signedOffBetween(handset, before.index, accepted.index)) return []
		ledger.judge()
		const isClosed = ledger.closedBetween(before.peer, -1, lastOf(ledger.entries, accepted.index) + 1)
		return isClosed ? [] : [`${handset.plan.name} left ${keyOf(before.peer)}, which stayed open (${accepted.index})`]
	})
}

/** The transport keeps the connections of phones: it knows of each before a call goes there. */
export function vouchedFor(ledger: Ledger): string[] {
	return ledger.offers.flatMap(({ callId, out }) => {
		if (!isStream(out.peer)) return []
		ledger.judge()
		return ledger.isSettled(out)
			? []
			: [`${callId} (${out.index}) went by a connection that is no more than a stranger's`]
	})
}

/** RFC 3261 §18.2.2: what a phone answers counts, by whatever connection it comes: it is not said again. */
export function heardOnce(ledger: Ledger): string[] {
	return ledger.offers.flatMap(({ branch, callId, deviceId, out }) => {
		const final = ledger.answers(branch).find(({ message }) => message.status >= 300)
		if (final === undefined || !isStream(final.peer) || final.index < out.index || final.life !== out.life) return []
		const over = ledger.over(callId)
		if ((over !== undefined && over.index < final.index) || ledger.wasCut(final)) return []
		if (ledger.answers(branch).some(({ message, index }) => message.status >= 200 && index < final.index)) return []
		if (ledger.removedBetween(deviceId, out.index, final.index)) return []
		if (ledger.isBanned(final)) return []
		ledger.judge()
		return isAcknowledged(ledger, final) ? [] : [`${final.message.status} to ${callId} (${final.index}) was not heard`]
	})
}

/** An INVITE that a closed connection took with it is no matter of silence: its phone is woken in that moment. */
export function wokenAtOnce(ledger: Ledger): string[] {
	return ledger.holds.flatMap((hold) => {
		const offer = ledger.offers.findLast(({ branch, out }) => branch === hold.branch && out.index < hold.index)
		const closed = offer === undefined ? undefined : ledger.closedAfter(offer.out)
		if (offer === undefined || closed?.kind !== 'closed' || offer.out.life !== hold.life) return []
		if (closed.index > hold.index || ledger.answers(hold.branch).some(({ index }) => index < hold.index)) return []
		ledger.judge()
		return hold.index <= lastOf(ledger.entries, closed.index)
			? []
			: [`${hold.callId} waited ${hold.at - closed.at} ms for a connection that was closed`]
	})
}

/** A phone that hangs up by a connection that is not bound yet is heard when it is: it says so once. */
export function hungUpEarly(ledger: Ledger): string[] {
	return ledger.ins.flatMap((bye) => {
		const { method, callId, cseq } = bye.message
		if (method !== 'BYE' || !isEarly(ledger, bye)) return []
		const owner = ledger.world.streams.ownerOf(bye.peer)
		const handset = ledger.world.handsets.find(({ plan }) => plan.name === owner)
		/* somebody else's name is nobody's who registers here */
		if (handset === undefined || !bye.message.first(Header.From)?.includes(`sip:${handset.plan.agent}@`)) return []
		const accepted = ledger.accepted.find(({ request }) => keyOf(request.peer) === keyOf(bye.peer))?.accepted
		const stored = ledger.commits(handset).find(({ index }) => index > (accepted?.index ?? Number.POSITIVE_INFINITY))
		if (stored === undefined || stored.life !== bye.life || stored.at >= bye.at + GIVEN_UP_MS) return []
		if (ledger.closedBetween(bye.peer, -1, stored.index) || ledger.signedOffBetween(handset, -1, stored.index))
			return []
		if (ledger.wasCut(stored) || ledger.isBanned(bye)) return []
		ledger.judge()
		const isPassed = ledger.outs.some(
			({ message, cause }) =>
				cause === stored.index && message.callId === callId && message.method === 'BYE' && message.cseq === cseq,
		)
		return isPassed
			? []
			: [`the BYE of ${callId} (${bye.index}) was lost before its connection was bound (${stored.index})`]
	})
}

/** It came by a connection that no REGISTER had been accepted on. */
export function isEarly(ledger: Ledger, { peer, index }: In): boolean {
	const isBound = ledger.accepted.some(
		({ request, accepted }) => keyOf(request.peer) === keyOf(peer) && accepted!.index < index,
	)
	return isStream(peer) && !isBound
}

function isAcknowledged({ entries }: Ledger, { index, message }: In): boolean {
	for (let i = index + 1; entries[i]?.cause === index; i++) {
		const entry = entries[i] as Out
		if (entry.kind === 'out' && entry.message.method === 'ACK' && entry.message.via.branch === message.via.branch)
			return true
	}
	return false
}
