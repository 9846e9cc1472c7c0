/** Every counter and gauge of the core in words: help text of the metric and label on the page. */
import type { Counters, Gauges } from '../core/snapshot.ts'

export const COUNTER_WORDS = {
	datagrams: 'Datagrams received',
	strangersDropped: 'Requests of strangers dropped',
	bannedDropped: 'Datagrams of banned sources dropped',
	rateLimited: 'REGISTERs over the rate of their source',
	malformed: 'Datagrams that were no SIP message',
	registers: 'REGISTERs received',
	registersAccepted: 'REGISTERs the PBX accepted',
	registersRefused: 'REGISTERs refused',
	callsToAgents: 'Calls to agents',
	callsFromAgents: 'Calls from agents',
	callsHeld: 'Calls held for a sleeping device',
	callsAnswered: 'Calls answered',
	callsDeclined: 'Calls declined by the agent',
	callsCancelled: 'Calls cancelled by the caller',
	callsUnanswered: 'Calls that nobody woke for in time',
	pushesSent: 'Pushes sent',
	pushesAccepted: 'Pushes accepted',
	pushesRefused: 'Pushes refused',
	pushesFailed: 'Pushes without an answer',
	pushesWithdrawn: 'Pushes taken back before they went out',
	noticesSent: 'Alerts and background pushes sent',
	noticesRefused: 'Alerts and background pushes that were not taken',
	requestsHeld: 'Messages and requests in a call that waited for a sleeping device',
	wakes: 'Devices woken by a push',
	wakesMissed: 'Pushes accepted that woke nobody',
	ghostsReplayed: 'Ended calls shown to a device that woke late',
	pingsSent: 'Pings sent',
	pongs: 'Pongs received',
	probes: 'Devices asked whether they are awake as a call came',
	retransmissionsSent: 'Retransmissions sent',
	retransmissionsAbsorbed: 'Retransmissions absorbed',
	bans: 'Sources banned',
	commits: 'Commits to the database',
	commitsFailed: 'Commits that failed',
} as const satisfies Record<keyof Counters, string>

export const GAUGE_WORDS = {
	agents: 'Agents with a device',
	devicesForeground: 'Devices in the foreground',
	devicesBackground: 'Devices in the background',
	devicesSuspect: 'Devices whose last pushes woke nobody',
	callsHeld: 'Calls held now',
	callsLive: 'Calls live now',
	transactions: 'SIP transactions',
	strangers: 'Strangers remembered',
	bans: 'Sources banned now',
} as const satisfies Record<keyof Gauges, string>

export const COUNTER_NAMES = Object.keys(COUNTER_WORDS) as readonly (keyof Counters)[]
export const GAUGE_NAMES = Object.keys(GAUGE_WORDS) as readonly (keyof Gauges)[]
