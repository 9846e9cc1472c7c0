/**
 * INVITE client transaction: RFC 3261 figure 5 with the Accepted state of RFC 6026 §7.2, and one state of ours.
 *
 * One event is ours, too: `unreachable`, no connection can be had to where it was sent.
 *
 * `parked`: the device did not answer at all and is being woken, so sending goes on only when it registers anew. The
 * transaction stays the same one: what then goes to the new flow has the same branch, so a phone that still finds
 * the first copy in its socket takes the second for a retransmission, and not for a merged request (§8.2.2.2).
 */
export type InviteClientState = 'calling' | 'parked' | 'proceeding' | 'completed' | 'accepted' | 'terminated'
export type InviteClientEvent =
	| 'provisional'
	| 'success'
	| 'failure'
	| 'retransmit'
	| 'timeout'
	| 'linger'
	| 'park'
	| 'redirect'
	| 'repeat'
	| 'unreachable'
export type InviteClientAction =
	| 'send'
	| 'armRetransmit'
	| 'backOff'
	| 'disarmRetransmit'
	| 'armTimeout'
	| 'disarmTimeout'
	| 'pass'
	| 'ack'
	| 'linger'
	| 'timeOut'
	| 'fail'
	| 'end'

interface Row {
	readonly to: InviteClientState
	readonly do: readonly InviteClientAction[]
}

const stay = <S extends InviteClientState>(to: S) => ({ to, do: [] }) as const

const answered = {
	provisional: { to: 'proceeding', do: ['disarmRetransmit', 'disarmTimeout', 'pass'] },
	success: { to: 'accepted', do: ['disarmRetransmit', 'disarmTimeout', 'linger', 'pass'] },
	failure: { to: 'completed', do: ['disarmRetransmit', 'disarmTimeout', 'ack', 'linger', 'pass'] },
} as const

export const INVITE_CLIENT = {
	calling: {
		...answered,
		/* timer A */
		retransmit: { to: 'calling', do: ['send', 'backOff'] },
		/* timer B */
		timeout: { to: 'terminated', do: ['disarmRetransmit', 'timeOut', 'end'] },
		linger: stay('calling'),
		park: { to: 'parked', do: ['disarmRetransmit', 'disarmTimeout'] },
		redirect: { to: 'calling', do: ['send', 'armRetransmit', 'armTimeout'] },
		repeat: stay('calling'),
		/* §17.1.4 */
		unreachable: { to: 'terminated', do: ['disarmRetransmit', 'disarmTimeout', 'fail', 'end'] },
	},
	parked: {
		...answered,
		retransmit: stay('parked'),
		timeout: stay('parked'),
		linger: stay('parked'),
		park: stay('parked'),
		redirect: { to: 'calling', do: ['send', 'armRetransmit', 'armTimeout'] },
		repeat: stay('parked'),
		unreachable: stay('parked'),
	},
	proceeding: {
		provisional: { to: 'proceeding', do: ['pass'] },
		success: { to: 'accepted', do: ['linger', 'pass'] },
		failure: { to: 'completed', do: ['ack', 'linger', 'pass'] },
		retransmit: stay('proceeding'),
		timeout: stay('proceeding'),
		linger: stay('proceeding'),
		park: stay('proceeding'),
		/* it said 100, and rings nowhere: an app that was started anew since has the INVITE no more */
		redirect: { to: 'calling', do: ['send', 'armRetransmit', 'armTimeout'] },
		/* it rings, or has forgotten that it does: the request is the same, and so no timer begins anew */
		repeat: { to: 'proceeding', do: ['send'] },
		/* it took the call, and cannot be reached any more: it has died */
		unreachable: { to: 'terminated', do: ['fail', 'end'] },
	},
	completed: {
		provisional: stay('completed'),
		success: stay('completed'),
		/* the UAS retransmits: our ACK was lost */
		failure: { to: 'completed', do: ['ack'] },
		retransmit: stay('completed'),
		timeout: stay('completed'),
		/* timer D */
		linger: { to: 'terminated', do: ['end'] },
		park: stay('completed'),
		redirect: stay('completed'),
		repeat: stay('completed'),
		unreachable: stay('completed'),
	},
	accepted: {
		provisional: stay('accepted'),
		success: { to: 'accepted', do: ['pass'] },
		failure: stay('accepted'),
		retransmit: stay('accepted'),
		timeout: stay('accepted'),
		/* timer M */
		linger: { to: 'terminated', do: ['end'] },
		park: stay('accepted'),
		redirect: stay('accepted'),
		repeat: stay('accepted'),
		unreachable: stay('accepted'),
	},
	terminated: {
		provisional: stay('terminated'),
		success: stay('terminated'),
		failure: stay('terminated'),
		retransmit: stay('terminated'),
		timeout: stay('terminated'),
		linger: stay('terminated'),
		park: stay('terminated'),
		redirect: stay('terminated'),
		repeat: stay('terminated'),
		unreachable: stay('terminated'),
	},
} as const satisfies Record<InviteClientState, Record<InviteClientEvent, Row>>
