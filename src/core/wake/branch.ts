/**
 * One device's part in one call, as a table: the life of a branch from the INVITE to its end.
 *
 * There is one Via branch, and at most one client transaction, for a device in a call: what goes out again, to a new
 * flow or after a restart, is the same request for the phone (see src/transaction/invite-client.ts, `parked`).
 */
export type BranchState =
	/** Not begun. */
	| 'idle'
	/** The device is asked whether it is awake: neither INVITE nor push is out yet. */
	| 'probing'
	/** Waits for the device's REGISTER; its push is out, or about to be. */
	| 'waking'
	/** The INVITE is out, nothing came back yet. */
	| 'calling'
	/** The device answered provisionally. */
	| 'proceeding'
	/** The call is over and a CANCEL is out. */
	| 'cancelling'
	/** The call is over; a copy of the INVITE may lie in the phone's socket: cancelled as soon as it answers. */
	| 'doomed'
	/** The call is over and a push is out: the phone that wakes for it gets INVITE and CANCEL. */
	| 'ghost'
	| 'ended'

export type BranchEvent =
	/** The device is awake. */
	| 'direct'
	/** It was, a while ago: ask it. */
	| 'probe'
	/** The device is asleep, and can be woken. */
	| 'wake'
	/** The same, and it may listen to its connection: it is tried, too. */
	| 'both'
	| 'provisional'
	/** A final response of the device. */
	| 'final'
	/** Nothing came back in time, and the device can be woken. */
	| 'silent'
	/** Nothing came back in time, and nothing can be done about it but wait for it to register by itself. */
	| 'dead'
	/** The PBX said 2xx to a REGISTER of the device. */
	| 'registered'
	/** No push will reach it. */
	| 'refused'
	/** The call is over for this device. */
	| 'over'
	/** A ghost's time is up. */
	| 'lapse'

export type BranchAction =
	/** Send the INVITE on the device's flow, as a new transaction or as the one there is. */
	| 'send'
	| 'park'
	/** A copy that was lost goes out again, for as long as a silent phone would have been waited for. */
	| 'parkLater'
	| 'armSilence'
	| 'disarmSilence'
	| 'push'
	/** A push that has not gone out yet need not. */
	| 'withdraw'
	| 'askAwake'
	| 'stopAsking'
	| 'markBackground'
	| 'cancel'
	/** What is still sent of the INVITE, its ACK and CANCEL, goes to where the device is now. */
	| 'follow'
	/** The same, and where its connection was closed the INVITE goes there once more: the app may know of no call. */
	| 'repeat'
	| 'armLapse'
	| 'disarmLapse'
	| 'replay'
	| 'forget'

interface Row {
	readonly to: BranchState
	readonly do: readonly BranchAction[]
}

const stay = <S extends BranchState>(to: S) => ({ to, do: [] }) as const

export const BRANCH = {
	idle: {
		direct: { to: 'calling', do: ['send', 'armSilence'] },
		probe: { to: 'probing', do: ['askAwake'] },
		wake: { to: 'waking', do: ['push'] },
		both: { to: 'waking', do: ['send', 'park', 'push'] },
		provisional: stay('idle'),
		final: stay('idle'),
		silent: stay('idle'),
		dead: stay('waking'),
		registered: stay('idle'),
		refused: stay('idle'),
		over: stay('ended'),
		lapse: stay('idle'),
	},
	probing: {
		direct: { to: 'calling', do: ['send', 'armSilence'] },
		probe: stay('probing'),
		wake: { to: 'waking', do: ['markBackground', 'push'] },
		both: stay('probing'),
		provisional: stay('probing'),
		final: stay('probing'),
		silent: stay('probing'),
		dead: stay('probing'),
		registered: { to: 'calling', do: ['stopAsking', 'send', 'armSilence'] },
		refused: { to: 'ended', do: ['stopAsking'] },
		/* nothing went out: there is nothing to take back */
		over: { to: 'ended', do: ['stopAsking'] },
		lapse: stay('probing'),
	},
	waking: {
		direct: stay('waking'),
		probe: stay('waking'),
		wake: stay('waking'),
		both: stay('waking'),
		/* the copy that got no answer was heard after all */
		provisional: { to: 'proceeding', do: ['withdraw'] },
		final: { to: 'ended', do: ['withdraw'] },
		silent: stay('waking'),
		dead: stay('waking'),
		registered: { to: 'calling', do: ['withdraw', 'send', 'armSilence'] },
		refused: { to: 'ended', do: ['forget'] },
		over: { to: 'ghost', do: ['armLapse', 'withdraw'] },
		lapse: stay('waking'),
	},
	calling: {
		direct: stay('calling'),
		probe: stay('calling'),
		wake: stay('calling'),
		both: stay('calling'),
		provisional: { to: 'proceeding', do: ['disarmSilence'] },
		final: { to: 'ended', do: ['disarmSilence'] },
		/* not by its timer alone: its connection may be closed long before */
		silent: { to: 'waking', do: ['disarmSilence', 'park', 'markBackground', 'push'] },
		dead: { to: 'waking', do: ['disarmSilence', 'park', 'markBackground'] },
		/* the phone moved again before it answered: the same request follows it */
		registered: { to: 'calling', do: ['send', 'armSilence'] },
		refused: stay('calling'),
		over: { to: 'doomed', do: ['disarmSilence', 'parkLater', 'armLapse'] },
		lapse: stay('calling'),
	},
	proceeding: {
		direct: stay('proceeding'),
		probe: stay('proceeding'),
		wake: stay('proceeding'),
		both: stay('proceeding'),
		provisional: stay('proceeding'),
		final: stay('ended'),
		silent: stay('proceeding'),
		dead: stay('proceeding'),
		/* it rings on at its new address, and has to be reached there to be stopped; or it has forgotten the call */
		registered: { to: 'proceeding', do: ['repeat'] },
		refused: stay('proceeding'),
		over: { to: 'cancelling', do: ['cancel', 'armLapse'] },
		lapse: stay('proceeding'),
	},
	cancelling: {
		direct: stay('cancelling'),
		probe: stay('cancelling'),
		wake: stay('cancelling'),
		both: stay('cancelling'),
		provisional: stay('cancelling'),
		final: { to: 'ended', do: ['disarmLapse'] },
		silent: stay('cancelling'),
		dead: stay('cancelling'),
		registered: { to: 'cancelling', do: ['follow', 'cancel'] },
		refused: stay('cancelling'),
		over: stay('cancelling'),
		lapse: { to: 'ended', do: ['forget'] },
	},
	doomed: {
		direct: stay('doomed'),
		probe: stay('doomed'),
		wake: stay('doomed'),
		both: stay('doomed'),
		/* RFC 3261 §9.1: a CANCEL only after a provisional response */
		provisional: { to: 'cancelling', do: ['cancel'] },
		final: { to: 'ended', do: ['disarmLapse'] },
		silent: stay('doomed'),
		dead: stay('doomed'),
		registered: { to: 'doomed', do: ['replay'] },
		refused: stay('doomed'),
		over: stay('doomed'),
		lapse: { to: 'ended', do: ['forget'] },
	},
	ghost: {
		direct: stay('ghost'),
		probe: stay('ghost'),
		wake: stay('ghost'),
		both: stay('ghost'),
		provisional: { to: 'cancelling', do: ['cancel'] },
		final: { to: 'ended', do: ['disarmLapse'] },
		silent: stay('ghost'),
		dead: stay('ghost'),
		registered: { to: 'doomed', do: ['replay'] },
		/* it never rang: nothing to take back */
		refused: { to: 'ended', do: ['disarmLapse', 'forget'] },
		over: stay('ghost'),
		lapse: { to: 'ended', do: ['forget'] },
	},
	ended: {
		direct: stay('ended'),
		probe: stay('ended'),
		wake: stay('ended'),
		both: stay('ended'),
		provisional: stay('ended'),
		final: stay('ended'),
		silent: stay('ended'),
		dead: stay('ended'),
		registered: stay('ended'),
		refused: stay('ended'),
		over: stay('ended'),
		lapse: stay('ended'),
	},
} as const satisfies Record<BranchState, Record<BranchEvent, Row>>
