/** What the status page, the API and the metrics see of the core: plain data, made on demand, tokens masked. */
import type { PushOutcomeRecord, Reach } from './model.ts'

export interface Snapshot {
	/** ms since the epoch. */
	readonly now: number
	readonly pbx: {
		readonly transport: 'udp' | 'tcp' | 'tls'
		readonly address: string
		readonly port: number
		/** When that machine was last heard. */
		readonly lastAnswerAt: number | undefined
		/** Every machine is down, or a REGISTER had no answer. */
		readonly silent: boolean
		/** In the order of their ranks; the address above is of the first that requests go to. */
		readonly targets: readonly PbxTargetView[]
	}
	readonly draining: boolean
	/** A sentence while the last commit failed; undefined while the store works. */
	readonly storeFault: string | undefined
	readonly agents: readonly AgentView[]
	readonly calls: readonly CallView[]
	/** Newest first. */
	readonly pushes: readonly PushOutcomeRecord[]
	readonly bans: readonly BanView[]
	readonly counters: Counters
	readonly gauges: Gauges
}

/** One machine of the PBX. Times are ms since the epoch. */
export interface PbxTargetView {
	/** The host name it was found by, or its address. */
	readonly name: string
	readonly transport: 'udp' | 'tcp' | 'tls'
	readonly address: string
	readonly port: number
	/** Requests go to the lowest rank that has a machine in use. */
	readonly rank: number
	readonly weight: number
	/** up and suspect are in use. */
	readonly state: 'up' | 'suspect' | 'down' | 'resting'
	/** In this state since. */
	readonly since: number
	/** When anything last came from it. */
	readonly lastHeardAt: number | undefined
	/** Status of its last answer to OPTIONS; 0: none yet. */
	readonly lastStatus: number
}

export interface AgentView {
	readonly agent: string
	readonly devices: readonly DeviceView[]
}

export interface DeviceView {
	readonly id: number
	/** `+sip.instance`, masked prid or Contact user: what an operator can tell devices apart by. */
	readonly label: string
	readonly userAgent: string
	readonly reach: Reach
	readonly address: string
	readonly port: number
	readonly lastPongAt: number | undefined
	readonly registeredAt: number
	readonly expiresAt: number
	readonly push:
		| {
				readonly provider: string
				/** '' where the service has but one. */
				readonly environment: string
				readonly topic: string
				readonly token: string
				readonly dead: boolean
		  }
		| undefined
	/** push → REGISTER of the last wake, ms. */
	readonly lastWakeMs: number | undefined
	readonly hold: HoldView
	/** Accepted pushes in a row that woke nobody. */
	readonly missedWakes: number
	/** So many that the PBX is told not to count on it. */
	readonly suspect: boolean
}

/** How long a call waits for a device to wake. */
export interface HoldView {
	readonly holdMs: number
	/** Wakes it was learnt from; with fewer than four it is `--hold`. */
	readonly samples: number
	/** 95 % of them took no longer, ms. */
	readonly p95Ms: number | undefined
}

export interface CallView {
	readonly id: string
	readonly agent: string
	readonly direction: 'to-agent' | 'from-agent'
	/** held: no device has the INVITE yet. calling: one has it. ringing: one rings. live: answered. */
	readonly state: 'held' | 'calling' | 'ringing' | 'live'
	readonly caller: string
	readonly since: number
	/** ms since the epoch, of a held call. */
	readonly holdUntil: number | undefined
}

export interface BanView {
	readonly source: string
	readonly until: number
	readonly reason: string
}

/** What the token in a push payload says of its call. */
export type CallVerdict =
	/** Made up, or its time is up. */
	| { readonly kind: 'forged' }
	/** `reason`: answered, cancelled, declined, unanswered, over. */
	| { readonly kind: 'ended'; readonly reason: string }
	/** It may be answered or declined on this device. */
	| { readonly kind: 'ringing'; readonly callId: string; readonly deviceId: number }

/** Monotonic since start. Names become metric names: camelCase → push_gateway_snake_case_total. */
export interface Counters {
	datagrams: number
	strangersDropped: number
	bannedDropped: number
	rateLimited: number
	malformed: number
	registers: number
	registersAccepted: number
	registersRefused: number
	callsToAgents: number
	callsFromAgents: number
	callsHeld: number
	callsAnswered: number
	callsDeclined: number
	callsCancelled: number
	/** 480 because nobody woke in time. */
	callsUnanswered: number
	pushesSent: number
	pushesAccepted: number
	pushesRefused: number
	pushesFailed: number
	/** Taken back before they went out: the phone had answered, or the call was over. */
	pushesWithdrawn: number
	/** Alerts and background pushes: no calls. */
	noticesSent: number
	noticesRefused: number
	/** Messages, and requests in a call, that a sleeping device was waited for with. */
	requestsHeld: number
	wakes: number
	/** Accepted pushes that no sign of life came after. */
	wakesMissed: number
	ghostsReplayed: number
	pingsSent: number
	pongs: number
	/** Devices asked as a call came, because their last sign of life was old. */
	probes: number
	retransmissionsSent: number
	retransmissionsAbsorbed: number
	bans: number
	commits: number
	commitsFailed: number
}

export interface Gauges {
	readonly agents: number
	readonly devicesForeground: number
	readonly devicesBackground: number
	readonly devicesSuspect: number
	readonly callsHeld: number
	readonly callsLive: number
	readonly transactions: number
	readonly strangers: number
	readonly bans: number
}
