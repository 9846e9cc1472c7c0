/** Non-INVITE server transaction: RFC 3261 figure 8. */
export type NonInviteServerState = 'trying' | 'proceeding' | 'completed' | 'terminated'
export type NonInviteServerEvent = 'request' | 'provisional' | 'final' | 'linger'
export type NonInviteServerAction = 'send' | 'resend' | 'linger' | 'end'

interface Row {
	readonly to: NonInviteServerState
	readonly do: readonly NonInviteServerAction[]
}

export const NON_INVITE_SERVER = {
	trying: {
		request: { to: 'trying', do: [] },
		provisional: { to: 'proceeding', do: ['send'] },
		final: { to: 'completed', do: ['send', 'linger'] },
		linger: { to: 'trying', do: [] },
	},
	proceeding: {
		request: { to: 'proceeding', do: ['resend'] },
		provisional: { to: 'proceeding', do: ['send'] },
		final: { to: 'completed', do: ['send', 'linger'] },
		linger: { to: 'proceeding', do: [] },
	},
	completed: {
		request: { to: 'completed', do: ['resend'] },
		provisional: { to: 'completed', do: [] },
		final: { to: 'completed', do: [] },
		/* timer J */
		linger: { to: 'terminated', do: ['end'] },
	},
	terminated: {
		request: { to: 'terminated', do: [] },
		provisional: { to: 'terminated', do: [] },
		final: { to: 'terminated', do: [] },
		linger: { to: 'terminated', do: [] },
	},
} as const satisfies Record<NonInviteServerState, Record<NonInviteServerEvent, Row>>
