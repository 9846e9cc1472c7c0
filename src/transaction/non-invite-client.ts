/**
 * Non-INVITE client transaction: RFC 3261 figure 6. Timer K is 0: a retransmitted final response finds no
 * transaction any more and is dropped by RFC 6026 §7.3, which is what the Completed state would have done.
 */
export type NonInviteClientState = 'trying' | 'proceeding' | 'terminated'
export type NonInviteClientEvent = 'provisional' | 'final' | 'retransmit' | 'timeout'
export type NonInviteClientAction =
	| 'send'
	| 'backOff'
	| 'slowDown'
	| 'disarmRetransmit'
	| 'disarmTimeout'
	| 'pass'
	| 'timeOut'
	| 'end'

interface Row {
	readonly to: NonInviteClientState
	readonly do: readonly NonInviteClientAction[]
}

export const NON_INVITE_CLIENT = {
	trying: {
		provisional: { to: 'proceeding', do: ['pass'] },
		final: { to: 'terminated', do: ['disarmRetransmit', 'disarmTimeout', 'pass', 'end'] },
		/* timer E */
		retransmit: { to: 'trying', do: ['send', 'backOff'] },
		/* timer F */
		timeout: { to: 'terminated', do: ['disarmRetransmit', 'timeOut', 'end'] },
	},
	proceeding: {
		provisional: { to: 'proceeding', do: ['pass'] },
		final: { to: 'terminated', do: ['disarmRetransmit', 'disarmTimeout', 'pass', 'end'] },
		/* in this state timer E runs at T2 */
		retransmit: { to: 'proceeding', do: ['send', 'slowDown'] },
		timeout: { to: 'terminated', do: ['disarmRetransmit', 'timeOut', 'end'] },
	},
	terminated: {
		provisional: { to: 'terminated', do: [] },
		final: { to: 'terminated', do: [] },
		retransmit: { to: 'terminated', do: [] },
		timeout: { to: 'terminated', do: [] },
	},
} as const satisfies Record<NonInviteClientState, Record<NonInviteClientEvent, Row>>
