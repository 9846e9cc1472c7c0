/**
 * The generator, a process of its own so that it can have a core of its own: `bun generator.ts JOB` does what the job
 * (job.ts) says to the gateway that runs already, and prints the outcome.
 */
import { type Job, type Outcome, PORTS } from './job.ts'
import { type Kind, Load } from './load.ts'
import { cpuSeconds, memoryKb, udpDrops } from './processes.ts'
import { Scanners } from './scanners.ts'

/** After W4 so many phones register. */
const PHONES_AFTER_FLOOD = 20
/** Answered REGISTERs are remembered for 32 s (RFC 3261 §17.2.2 timer J), and are no memory of agents. */
const SETTLE_MS = 34_000
const WARM_UP_LIMIT_MS = 20_000
const KINDS = { W1: 'register', W2: 'call', W3: 'push' } as const

interface Reading {
	readonly at: number
	readonly gatewayCpu: number
	readonly generatorCpu: number
	readonly dropped: number
	readonly done: number
	readonly failed: number
	readonly resent: number
}

const read = (job: Job, done: number, load?: Load): Reading => ({
	at: performance.now(),
	gatewayCpu: cpuSeconds(job.gatewayPids),
	generatorCpu: cpuSeconds([process.pid, ...job.besidePids]),
	dropped: udpDrops(PORTS.gateway),
	done,
	failed: load?.failed ?? 0,
	resent: load?.resent ?? 0,
})

function outcome(job: Job, from: Reading, to: Reading, more: Partial<Outcome> = {}): Outcome {
	const wallSeconds = (to.at - from.at) / 1000
	return {
		done: to.done - from.done,
		failed: to.failed - from.failed,
		resent: to.resent - from.resent,
		dropped: to.dropped - from.dropped,
		alive: PHONES_AFTER_FLOOD,
		wallSeconds,
		gatewayCpuSeconds: to.gatewayCpu - from.gatewayCpu,
		generatorLoad: (to.generatorCpu - from.generatorCpu) / wallSeconds,
		gatewayRssKb: memoryKb(job.gatewayPids),
		faults: [],
		...more,
	}
}

/** By the gateway's CPU time: on a busy machine it takes longer until its code is compiled. */
async function warmUp(job: Job): Promise<void> {
	const until = performance.now() + WARM_UP_LIMIT_MS
	const enough = cpuSeconds(job.gatewayPids) + job.warmUpSeconds
	while (performance.now() < until && cpuSeconds(job.gatewayPids) < enough) await Bun.sleep(100)
}

async function runLoad(job: Job, kind: Kind): Promise<Outcome> {
	const load = new Load(job)
	await load.open()
	const wakes = await Bun.udpSocket({
		hostname: '127.0.0.1',
		port: PORTS.wake,
		socket: { data: (_, token) => load.wake(Number.parseInt(token.toString('latin1'), 16)), error() {} },
	})
	await load.bindAll()
	load.begin(kind, job.inFlight, Infinity)
	await warmUp(job)
	const from = read(job, load.done, load)
	await Bun.sleep(job.seconds * 1000)
	const result = outcome(job, from, read(job, load.done, load), { faults: load.said() })
	load.close()
	wakes.close()
	return result
}

async function runBind(job: Job): Promise<Outcome> {
	const load = new Load(job)
	await load.open()
	const from = read(job, 0)
	await load.bindAll()
	const to = read(job, load.done, load)
	await Bun.sleep(SETTLE_MS)
	load.close()
	return outcome(job, from, to)
}

async function runJunk(job: Job): Promise<Outcome> {
	const scanners = new Scanners(job.rate)
	await scanners.open()
	scanners.start()
	await warmUp(job)
	const from = read(job, scanners.sent)
	await Bun.sleep(job.seconds * 1000)
	const to = read(job, scanners.sent)
	scanners.close()
	const dropped = to.dropped - from.dropped
	const alive = await phonesThatRegister(job)
	return outcome(job, from, { ...to, done: to.done - dropped }, { alive, failed: PHONES_AFTER_FLOOD - alive })
}

async function phonesThatRegister(job: Job): Promise<number> {
	const load = new Load({ ...job, agents: PHONES_AFTER_FLOOD })
	await load.open()
	await load.bindAll().catch(() => {})
	load.close()
	return load.done
}

const job = JSON.parse(Bun.argv[2]!) as Job
const result =
	job.work === 'W4'
		? await runJunk(job)
		: job.work === 'bind'
			? await runBind(job)
			: await runLoad(job, KINDS[job.work])
console.log(JSON.stringify(result))
process.exit(0)
