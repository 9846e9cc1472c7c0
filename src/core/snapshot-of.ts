/** Makes the snapshot the status page is drawn from. */
import type { Core } from './core.ts'
import type { Target } from './pbx/target.ts'
import type { Suspicion } from './reach/suspicion.ts'
import type { Device } from './registrar/devices.ts'
import type { AgentView, DeviceView, Gauges, PbxTargetView, Snapshot } from './snapshot.ts'
import type { WakeTimes } from './wake/wake-times.ts'

export function snapshotOf(core: Core, now: number): Snapshot {
	const { context, filter, calls, devices, suspicion, targets } = core
	const { transport, address, port } = targets.first ?? { transport: 'udp' as const, address: '', port: 0 }
	const agents: AgentView[] = []
	for (const agent of devices.agents)
		agents.push({
			agent: agent.aor,
			devices: agent.devices.map((device) => deviceView(device, suspicion, calls.wakeTimes)),
		})
	return {
		now,
		pbx: {
			transport,
			address,
			port,
			/* of several the one that is named; one alone may send from further addresses, too */
			lastAnswerAt: targets.all.length > 1 ? targets.first?.heardAt : core.pbxHeardAt,
			silent: core.pbxSilent,
			targets: targets.all.flatMap(targetView),
		},
		draining: context.draining,
		storeFault: context.storeFault,
		agents,
		calls: calls.views(),
		pushes: calls.pushes.outcomes,
		bans: filter.sources.bans(),
		counters: { ...context.counters },
		gauges: gaugesOf(core),
	}
}

function gaugesOf({ devices, calls, transactions, filter, suspicion }: Core): Gauges {
	let devicesForeground = 0
	let devicesBackground = 0
	let devicesSuspect = 0
	for (const device of devices.all) {
		if (device.reach === 'foreground') devicesForeground++
		else devicesBackground++
		if (suspicion.isSuspect(device)) devicesSuspect++
	}
	return {
		agents: devices.agentCount,
		devicesForeground,
		devicesBackground,
		devicesSuspect,
		callsHeld: calls.heldCount,
		callsLive: calls.liveCount,
		transactions: transactions.count,
		strangers: filter.sources.size,
		bans: filter.sources.banCount,
	}
}

function targetView(target: Target): PbxTargetView[] {
	const { name, transport, address, port, rank, weight, state, since, heardAt, lastStatus } = target
	/* those that are gone are in no list */
	if (state === 'gone') return []
	return [{ name, transport, address, port, rank, weight, state, since, lastHeardAt: heardAt, lastStatus }]
}

function deviceView(device: Device, suspicion: Suspicion, wakeTimes: WakeTimes): DeviceView {
	const { id, userAgent, reach, flow, lastPongAt, registeredAt, expiresAt, push, lastWakeMs, missedWakes } = device
	return {
		id,
		label: labelOf(device),
		userAgent,
		reach,
		address: flow.address,
		port: flow.port,
		lastPongAt,
		registeredAt,
		expiresAt,
		push: push && {
			provider: push.provider,
			environment: push.provider === 'fcm' ? '' : push.environment,
			topic: push.topic,
			token: push.token.masked(),
			dead: device.tokenDead,
		},
		lastWakeMs,
		hold: wakeTimes.view(device),
		missedWakes,
		suspect: suspicion.isSuspect(device),
	}
}

/** A key of the kind `p:` is the token itself, so it is masked. */
function labelOf({ key, push }: Device): string {
	if (key.startsWith('p:')) return push?.prid.masked() ?? '…'
	return key.slice(2).replace(/^<|>$/g, '').replace(/^"|"$/g, '')
}
