/**
 * Non-INVITE client transaction: RFC 3261 figure 6. Timer K is 0: a retransmitted final response finds no
 * transaction any more and is dropped by RFC 6026 §7.3, which is what the Completed state would have done.
 *
 * Two events are ours. `unreachable`: no connection can be had to where it was sent. `redirect`, the device that has not answered is elsewhere now. The same request goes there; timer F
 * runs on, because the one who asked has no more time for that.
 */
export type NonInviteClientState = 'trying' | 'proceeding' | 'terminated'
export type NonInviteClientEvent = 'provisional' | 'final' | 'retransmit' | 'timeout' | 'redirect' | 'unreachable'
export type NonInviteClientAction =
	| 'send'
	| 'armRetransmit'
	| 'backOff'
	| 'slowDown'
	| 'disarmRetransmit'
	| 'disarmTimeout'
	| 'pass'
	| 'timeOut'
	| 'fail'
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
		redirect: { to: 'trying', do: ['send', 'armRetransmit'] },
		/* §17.1.4 */
		unreachable: { to: 'terminated', do: ['disarmRetransmit', 'disarmTimeout', 'fail', 'end'] },
	},
	proceeding: {
		provisional: { to: 'proceeding', do: ['pass'] },
		final: { to: 'terminated', do: ['disarmRetransmit', 'disarmTimeout', 'pass', 'end'] },
		/* in this state timer E runs at T2 */
		retransmit: { to: 'proceeding', do: ['send', 'slowDown'] },
		timeout: { to: 'terminated', do: ['disarmRetransmit', 'timeOut', 'end'] },
		redirect: { to: 'proceeding', do: ['send', 'slowDown'] },
		unreachable: { to: 'terminated', do: ['disarmRetransmit', 'disarmTimeout', 'fail', 'end'] },
	},
	terminated: {
		provisional: { to: 'terminated', do: [] },
		final: { to: 'terminated', do: [] },
		retransmit: { to: 'terminated', do: [] },
		timeout: { to: 'terminated', do: [] },
		redirect: { to: 'terminated', do: [] },
		unreachable: { to: 'terminated', do: [] },
	},
} as const satisfies Record<NonInviteClientState, Record<NonInviteClientEvent, Row>>
