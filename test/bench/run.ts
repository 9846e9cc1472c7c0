/** One run: a gateway, the push server and the generator, each on its core, in a folder that is gone afterwards. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { GatewayKind, Setting } from './gateways.ts'
import type { Job, Outcome } from './job.ts'
import { pinned, type Started, start, treeOf } from './processes.ts'

export const GATEWAY_CPU = 0
export const GENERATOR_CPU = 1
const READY_LIMIT_MS = 15_000
/** Workers of a gateway start after its socket. */
const WORKERS_START_MS = 500
const POLL_MS = 50
/** Registering 10,000 agents and all bounded steps together. */
const RUN_LIMIT_MS = 120_000

export interface Stage {
	readonly gateway: Started
	readonly folder: string
	readonly besidePids: readonly number[]
	readonly stop: () => Promise<void>
}

export type JobShape = Omit<Job, 'target' | 'gatewayPids' | 'besidePids'>

/** Starts the gateway for this work; rejects with what it said where it does not get ready. */
export async function setStage(kind: GatewayKind, work: Setting): Promise<Stage> {
	const folder = mkdtempSync(join(tmpdir(), 'push-gateway-bench-'))
	const push = work === 'W3' ? await startPushServer(kind.push, folder) : undefined
	const log = join(folder, 'gateway.log')
	const gateway = start(await kind.argv(work, folder), GATEWAY_CPU, log, folder)
	const stop = async () => {
		await gateway.stop()
		await push?.stop()
		rmSync(folder, { recursive: true, force: true })
	}
	if (!(await isReady(kind, gateway))) {
		const said = await Bun.file(log).text()
		await stop()
		throw new Error(`${kind.name} did not get ready for ${work}. It said:\n${said.slice(-2000)}`)
	}
	return { gateway, folder, besidePids: push === undefined ? [] : [push.pid], stop }
}

export async function measure(kind: GatewayKind, shape: JobShape): Promise<Outcome> {
	const stage = await setStage(kind, shape.work)
	try {
		return await generate(kind, stage, shape)
	} finally {
		await stage.stop()
	}
}

/** Has the generator do a job with a gateway that runs. */
export async function generate(kind: GatewayKind, stage: Stage, shape: JobShape): Promise<Outcome> {
	const { target } = kind
	const job: Job = { ...shape, target, gatewayPids: treeOf(stage.gateway.pid), besidePids: stage.besidePids }
	const argv = [process.execPath, join(import.meta.dir, 'generator.ts'), JSON.stringify(job)]
	const child = Bun.spawn(pinned(argv, GENERATOR_CPU), { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
	const killer = setTimeout(() => child.kill('SIGKILL'), RUN_LIMIT_MS)
	const [said, faults] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
	clearTimeout(killer)
	if (said === '') throw new Error(`The generator failed at ${shape.work} with ${kind.name}.\n${faults.slice(-2000)}`)
	return JSON.parse(said) as Outcome
}

async function startPushServer(kind: 'h2' | 'http1', folder: string): Promise<Started> {
	const ca = join(folder, 'ca.pem')
	const log = join(folder, 'push.log')
	const server = start(
		[process.execPath, join(import.meta.dir, 'push-server.ts'), kind, ca],
		GENERATOR_CPU,
		log,
		folder,
	)
	for (const until = Date.now() + READY_LIMIT_MS; Date.now() < until; await Bun.sleep(POLL_MS))
		if ((await Bun.file(log).text()).includes('ready')) return server
	await server.stop()
	throw new Error('The push server did not get ready.')
}

async function isReady(kind: GatewayKind, gateway: Started): Promise<boolean> {
	let running = true
	void gateway.exited.then(() => {
		running = false
	})
	for (const until = Date.now() + READY_LIMIT_MS; running && Date.now() < until; await Bun.sleep(POLL_MS)) {
		if (!(await kind.ready().catch(() => false))) continue
		await Bun.sleep(WORKERS_START_MS)
		return running
	}
	return false
}
