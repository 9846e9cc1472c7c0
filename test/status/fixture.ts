/** A gateway in the middle of a day, for the status room's tests. */
import type { AgentView, Counters, DeviceView, Gauges, PbxTargetView, Snapshot } from '../../src/core/snapshot.ts'
import { Secret } from '../../src/lib/secret.ts'
import { COUNTER_NAMES } from '../../src/status/counters.ts'
import { type Status, type StatusOptions, startStatus } from '../../src/status/status.ts'

export const NOW = Date.UTC(2026, 6, 27, 10, 0, 0)
export const PUSH_TOKEN = new Secret('c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00')
export const HTTP_TOKEN = new Secret('a-token-of-the-operator-0123456789')

export function device(id: number, change: Partial<DeviceView> = {}): DeviceView {
	return {
		id,
		label: `urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e${String(id).padStart(4, '0')}`,
		userAgent: 'XCALLY/5.2 (iPhone15,2; iOS 19.1)',
		reach: id % 3 === 0 ? 'background' : 'foreground',
		address: `192.0.2.${id % 250}`,
		port: 5060 + id,
		lastPongAt: NOW - 2000,
		registeredAt: NOW - 240_000,
		expiresAt: NOW + 3_600_000,
		push: {
			provider: 'apns',
			environment: 'production',
			topic: 'com.example.app.voip',
			token: PUSH_TOKEN.masked(),
			dead: id % 7 === 0,
		},
		lastWakeMs: id % 2 === 0 ? 1432 : undefined,
		hold: { holdMs: 20_000, samples: 0, p95Ms: undefined },
		missedWakes: 0,
		suspect: false,
		...change,
	}
}

export function agents(count: number): AgentView[] {
	return Array.from({ length: count }, (_, i) => ({
		agent: `sip:${1001 + i}@pbx.example`,
		devices: i === 1 ? [device(i + 1), device(i + 9000, { push: undefined, lastPongAt: undefined })] : [device(i + 1)],
	}))
}

/** Every counter has a value of its own, so that none can stand for another. */
export function counters(): Counters {
	return Object.fromEntries(COUNTER_NAMES.map((name, i) => [name, 1000 + i])) as unknown as Counters
}

const GAUGES: Gauges = {
	agents: 3,
	devicesForeground: 2,
	devicesBackground: 1,
	devicesSuspect: 0,
	callsHeld: 1,
	callsLive: 1,
	transactions: 4,
	strangers: 17,
	bans: 1,
}

const MACHINE = {
	name: 'one.pbx.example',
	transport: 'udp',
	port: 5060,
	rank: 0,
	weight: 50,
	since: NOW - 90_000,
	lastStatus: 200,
} as const

const MACHINES: readonly PbxTargetView[] = [
	{ ...MACHINE, address: '198.51.100.7', state: 'up', lastHeardAt: NOW - 3000 },
	{
		...MACHINE,
		name: '198.51.100.8',
		address: '198.51.100.8',
		rank: 1,
		state: 'down',
		lastHeardAt: undefined,
		lastStatus: 0,
	},
]

export function snapshot(change: Partial<Snapshot> = {}): Snapshot {
	return {
		now: NOW,
		pbx: {
			...{ transport: 'udp', address: '198.51.100.7', port: 5060, lastAnswerAt: NOW - 3000 },
			...{ silent: false, targets: MACHINES },
		},
		draining: false,
		storeFault: undefined,
		agents: agents(3),
		calls: [
			call('live', 1001, undefined),
			call('held', 1003, NOW + 14_000),
			{ ...call('ringing', 1002, undefined), direction: 'from-agent' },
		],
		pushes: [pushOutcome('p3', 1003, {}), pushOutcome('p2', 1006, { wakeMs: 1432 }), refusedPush('p1', 1009)],
		bans: [{ source: '203.0.113.66', until: NOW + 512_000, reason: '8 failed authentications in a row' }],
		counters: counters(),
		gauges: GAUGES,
		...change,
	}
}

function call(state: 'held' | 'ringing' | 'live', agent: number, holdUntil: number | undefined): Snapshot['calls'][0] {
	return {
		id: `00000000000000${agent % 100}`,
		agent: `sip:${agent}@pbx.example`,
		direction: 'to-agent',
		state,
		caller: 'Ada Lovelace <+441632960123>',
		since: NOW - 6000,
		holdUntil,
	}
}

function pushOutcome(pushId: string, agent: number, change: Partial<Snapshot['pushes'][0]>): Snapshot['pushes'][0] {
	return {
		pushId,
		callId: '0000000000000003',
		agent: `sip:${agent}@pbx.example`,
		deviceId: agent - 1000,
		sentAt: NOW - 5900,
		result: 'accepted',
		status: 200,
		reason: '',
		pushMs: 84,
		wakeMs: undefined,
		...change,
	}
}

function refusedPush(pushId: string, agent: number): Snapshot['pushes'][0] {
	return pushOutcome(pushId, agent, { result: 'refused', status: 410, reason: 'Unregistered', sentAt: NOW - 700_000 })
}

export const READY = { ok: true, sentence: 'Calls reach their agents, and sleeping ones are woken.' }

export function options(change: Partial<StatusOptions> = {}): StatusOptions {
	return {
		address: '127.0.0.1',
		port: 0,
		token: undefined,
		snapshot: () => snapshot(),
		ready: () => READY,
		config: [
			{ group: 'SIP', flag: '--pbx', value: 'pbx.example' },
			{ group: 'SIP', flag: '--hold', value: '20 s' },
			{ group: 'Push', flag: '--apns-key', value: '/etc/push-gateway/AuthKey.p8' },
			{ group: 'Status', flag: '--http-token', value: HTTP_TOKEN },
		],
		version: { gateway: '0.1.0', bun: '1.4.5', sqlite: '3.51.0', startedAt: NOW - 7_200_000 },
		report: (sentence) => {
			throw new Error(sentence)
		},
		...change,
	}
}

/** Runs a status server round `use`, and stops it whatever happens. */
export async function withStatus(
	change: Partial<StatusOptions>,
	use: (status: Status) => Promise<void>,
): Promise<void> {
	const start = startStatus(options(change))
	if (!start.ok) throw new Error(start.fault.sentence)
	try {
		await use(start.status)
	} finally {
		await start.status.stop()
	}
}
