/**
 * Strangers at up to 300,000 packets a second: how late a timer of the gateway comes meanwhile, how long /healthz takes,
 * and whether bound agents still register.
 */
import { join } from 'node:path'
import { MAX_FLOOD_MS } from './flooder.ts'
import type { GatewayKind } from './gateways.ts'
import { PORTS } from './job.ts'
import { Load } from './load.ts'
import { pinned, waitedSeconds } from './processes.ts'
import { median, whole } from './report.ts'
import { GENERATOR_CPU, setStage } from './run.ts'

const RATE = 300_000
const AGENTS = 50
/** A bound agent registers so often during the flood. */
const REGISTER_EVERY_MS = 20
const PROBE_EVERY_MS = 10
/** As long a look without a flood, for comparison. */
const QUIET_MS = 1000

export async function measureFlood(kind: GatewayKind): Promise<string> {
	const stage = await setStage(kind, 'flood')
	const load = new Load({
		...{ work: 'W1', agents: AGENTS, inFlight: AGENTS, rate: 0, warmUpSeconds: 0, seconds: 0 },
		...{ target: 'contact', gatewayPids: [], besidePids: [] },
	})
	try {
		await load.open()
		await load.bindAll()
		return await flooded(load, stage.gateway.pid)
	} finally {
		load.close()
		await stage.stop()
	}
}

/** The worst lateness of a timer in the gateway since this was asked last, which forgets it. */
async function lateness(): Promise<string> {
	const text = await (await fetch(`http://127.0.0.1:${PORTS.http}/metrics`)).text()
	const worst = /^push_gateway_event_loop_delay_seconds\{quantile="1"\} (\S+)$/m.exec(text)?.[1]
	return worst === undefined ? 'unknown' : `${(Number(worst) * 1000).toFixed(1)} ms`
}

async function flooded(load: Load, pid: number): Promise<string> {
	await lateness()
	await Bun.sleep(QUIET_MS)
	const quiet = await lateness()
	const before = load.done
	const waitedBefore = waitedSeconds(pid)
	const argv = [process.execPath, join(import.meta.dir, 'flooder.ts'), `${PORTS.gateway}`, `${RATE}`, `${MAX_FLOOD_MS}`]
	const flooder = Bun.spawn(pinned(argv, GENERATOR_CPU), { stdout: 'pipe' })
	let over = false
	void flooder.exited.then(() => {
		over = true
	})
	const roundTrips: number[] = []
	const registering = setInterval(() => load.begin('register', AGENTS, 1), REGISTER_EVERY_MS)
	while (!over) {
		const at = performance.now()
		await fetch(`http://127.0.0.1:${PORTS.http}/healthz`)
		roundTrips.push(performance.now() - at)
		await Bun.sleep(PROBE_EVERY_MS)
	}
	clearInterval(registering)
	const rate = Number(await flooder.stdout.text()) / (MAX_FLOOD_MS / 1000)
	const worst = await lateness()
	const waited = waitedSeconds(pid) - waitedBefore
	await load.settled()
	return [
		`flood: ${whole(rate)} packets/s for ${MAX_FLOOD_MS / 1000} s;`,
		`timer late ${worst} at most (before: ${quiet}), and its core was with others for ${whole(waited * 1000)} ms in all;`,
		`/healthz median ${median(roundTrips).toFixed(1)} ms, worst ${Math.max(...roundTrips).toFixed(1)} ms of ${roundTrips.length};`,
		`bound agents: ${load.done - before} registered, ${load.failed} failed, ${load.resent} resent`,
	].join(' ')
}
