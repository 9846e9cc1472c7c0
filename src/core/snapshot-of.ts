/** Makes the snapshot the status page is drawn from. */
import type { Core } from './core.ts'
import type { Device } from './registrar/devices.ts'
import type { AgentView, DeviceView, Gauges, Snapshot } from './snapshot.ts'

export function snapshotOf(core: Core, now: number): Snapshot {
	const { context, filter, calls, devices } = core
	const pbx = filter.pbx ?? { address: '', port: 0 }
	const agents: AgentView[] = []
	for (const agent of devices.agents) agents.push({ agent: agent.aor, devices: agent.devices.map(deviceView) })
	return {
		now,
		pbx: { ...pbx, lastAnswerAt: core.pbxHeardAt, silent: core.pbxSilent },
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

function gaugesOf({ devices, calls, transactions, filter }: Core): Gauges {
	let devicesForeground = 0
	let devicesBackground = 0
	for (const device of devices.all) {
		if (device.reach === 'foreground') devicesForeground++
		else devicesBackground++
	}
	return {
		agents: devices.agentCount,
		devicesForeground,
		devicesBackground,
		callsHeld: calls.heldCount,
		callsLive: calls.liveCount,
		transactions: transactions.count,
		strangers: filter.sources.size,
		bans: filter.sources.banCount,
	}
}

function deviceView(device: Device): DeviceView {
	const { id, userAgent, reach, flow, lastPongAt, registeredAt, expiresAt, push, lastWakeMs } = device
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
			environment: push.environment,
			topic: push.topic,
			token: push.token.masked(),
			dead: device.tokenDead,
		},
		lastWakeMs,
	}
}

/** A key of the kind `p:` is the token itself, so it is masked. */
function labelOf({ key, push }: Device): string {
	if (key.startsWith('p:')) return push?.prid.masked() ?? '…'
	return key.slice(2).replace(/^<|>$/g, '').replace(/^"|"$/g, '')
}
