/**
 * INVITE server transaction: RFC 3261 figure 7 with the Accepted state of RFC 6026 §7.1.
 *
 * `resend` and `send` differ in whose bytes go out: the last response again, or the one the transaction user gives.
 */
export type InviteServerState = 'proceeding' | 'completed' | 'confirmed' | 'accepted' | 'terminated'
export type InviteServerEvent =
	| 'request'
	| 'ack'
	| 'provisional'
	| 'success'
	| 'failure'
	| 'retransmit'
	| 'timeout'
	| 'linger'
export type InviteServerAction =
	| 'send'
	| 'resend'
	| 'armRetransmit'
	| 'backOff'
	| 'disarmRetransmit'
	| 'armTimeout'
	| 'disarmTimeout'
	| 'linger'
	| 'lingerBriefly'
	| 'end'

interface Row {
	readonly to: InviteServerState
	readonly do: readonly InviteServerAction[]
}

const stay = <S extends InviteServerState>(to: S) => ({ to, do: [] }) as const

export const INVITE_SERVER = {
	proceeding: {
		request: { to: 'proceeding', do: ['resend'] },
		ack: stay('proceeding'),
		provisional: { to: 'proceeding', do: ['send'] },
		/* 6026 §7.1: a 2xx no longer destroys the transaction, timer L does */
		success: { to: 'accepted', do: ['send', 'linger'] },
		failure: { to: 'completed', do: ['send', 'armRetransmit', 'armTimeout'] },
		retransmit: stay('proceeding'),
		timeout: stay('proceeding'),
		linger: stay('proceeding'),
	},
	completed: {
		request: { to: 'completed', do: ['resend'] },
		ack: { to: 'confirmed', do: ['disarmRetransmit', 'disarmTimeout', 'lingerBriefly'] },
		provisional: stay('completed'),
		success: stay('completed'),
		failure: stay('completed'),
		/* timer G */
		retransmit: { to: 'completed', do: ['resend', 'backOff'] },
		/* timer H: no ACK came */
		timeout: { to: 'terminated', do: ['end'] },
		linger: stay('completed'),
	},
	confirmed: {
		request: stay('confirmed'),
		ack: stay('confirmed'),
		provisional: stay('confirmed'),
		success: stay('confirmed'),
		failure: stay('confirmed'),
		retransmit: stay('confirmed'),
		timeout: stay('confirmed'),
		/* timer I */
		linger: { to: 'terminated', do: ['end'] },
	},
	accepted: {
		/* 6026 §8.7: absorb retransmissions of the INVITE */
		request: stay('accepted'),
		ack: stay('accepted'),
		provisional: stay('accepted'),
		/* a retransmitted or a second 2xx of the UAS goes on upstream */
		success: { to: 'accepted', do: ['send'] },
		failure: stay('accepted'),
		retransmit: stay('accepted'),
		timeout: stay('accepted'),
		/* timer L */
		linger: { to: 'terminated', do: ['end'] },
	},
	terminated: {
		request: stay('terminated'),
		ack: stay('terminated'),
		provisional: stay('terminated'),
		success: stay('terminated'),
		failure: stay('terminated'),
		retransmit: stay('terminated'),
		timeout: stay('terminated'),
		linger: stay('terminated'),
	},
} as const satisfies Record<InviteServerState, Record<InviteServerEvent, Row>>
