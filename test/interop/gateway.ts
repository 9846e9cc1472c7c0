/** The binary as a child process that can be killed and started again on the same database, and APNs beside it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Snapshot } from '../../src/core/snapshot.ts'
import { type ApnsStandIn, generateP8, type ReceivedPush, startApnsStandIn } from '../../src/demo/apns.ts'
import { BINARY, until } from './binary.ts'

export const DOMAIN = 'pbx.example'
export const TEAM = 'SIPPTEAM01'
export const TOPIC = 'com.example.softphone.voip'
const KEY_ID = 'SIPPKEY001'

/** Quick pings, so that a test sees a phone fall asleep in about a second; none to the PBX, whose scenarios know only calls. */
const FLAGS = ['--ping-interval', '500ms', '--ping-timeout', '300ms', '--ping-misses', '2', '--pbx-ping', '0']

/** What the tests of a child process change of its environment: nothing of the caller's may steer it. */
export function cleanEnvironment(): Record<string, string | undefined> {
	return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PUSH_GATEWAY_')))
}

/** Sockets of one test: no two tests have a port in common. */
export interface Ports {
	readonly sip: number
	readonly http: number
	readonly pbx: number
	/** The first of seven for the test's own use. */
	readonly own: number
}

/** Below those that Linux gives to connections by itself (ip_local_port_range): one of these may be any test's own, at any moment. */
const FIRST_PORT = 23_000

/** Ten ports of the range of this folder for the test with that number. */
export function portsOf(test: number): Ports {
	const first = FIRST_PORT + test * 10
	return { sip: first, http: first + 1, pbx: first + 2, own: first + 3 }
}

export class World {
	readonly ports: Ports
	readonly folder = mkdtempSync(join(tmpdir(), 'push-gateway-interop-'))
	readonly pushes: ReceivedPush[] = []
	/** Every line the gateway said, of all its lives. */
	readonly log: string[] = []
	apns!: ApnsStandIn
	onPush: (push: ReceivedPush) => void = () => {}
	#child: ReturnType<typeof spawn> | undefined
	#flags: readonly string[] = []

	private constructor(ports: Ports) {
		this.ports = ports
	}

	/** A gateway that is ready, with further flags, which may name files that are put into its folder. */
	static async open(
		ports: Ports,
		...flags: readonly string[] | [(folder: string) => readonly string[]]
	): Promise<World> {
		const world = new World(ports)
		const { p8, publicKey } = generateP8()
		const onPush = (push: ReceivedPush) => {
			world.pushes.push(push)
			world.onPush(push)
		}
		world.apns = await startApnsStandIn({ key: publicKey, keyId: KEY_ID, teamId: TEAM, topic: TOPIC, onPush })
		writeFileSync(join(world.folder, 'key.p8'), p8, { mode: 0o600 })
		writeFileSync(join(world.folder, 'ca.pem'), world.apns.caPem)
		const [first] = flags
		world.#flags = typeof first === 'function' ? first(world.folder) : (flags as readonly string[])
		await world.start()
		return world
	}

	get url(): string {
		return `http://127.0.0.1:${this.ports.http}/`
	}

	get db(): string {
		return join(this.folder, 'push-gateway.db')
	}

	/** Starts the gateway on the database there is; resolves when it is ready. */
	async start(): Promise<void> {
		const child = spawn([BINARY, ...this.flags()], this.folder)
		this.#child = child
		void this.#keep(child.stdout)
		void this.#keep(child.stderr)
		const ready = () =>
			fetch(`${this.url}readyz`).then(
				({ ok }) => ok || child.exitCode !== null,
				() => child.exitCode !== null,
			)
		await until('the gateway is ready', ready)
		if (child.exitCode !== null)
			throw new Error(`The gateway ended with status ${child.exitCode}: ${this.log.join('\n')}`)
	}

	flags(): string[] {
		const { sip, http, pbx } = this.ports
		const own = this.#flags
		const usual = [
			...['--listen', `udp:127.0.0.1:${sip}`, '--pbx', `127.0.0.10:${pbx}`, '--trust', '127.0.0.10/32'],
			...['--domain', DOMAIN, '--db', this.db, '--http', `127.0.0.1:${http}`],
			...['--apns-key', join(this.folder, 'key.p8'), '--apns-key-id', KEY_ID, '--apns-team', TEAM],
			...['--apns-url', this.apns.url, '--apns-ca', join(this.folder, 'ca.pem'), ...FLAGS],
		]
		/* a flag is given once: the test's own goes before the usual one */
		return [...usual.filter((_, i) => !own.includes(usual[i - (i % 2)]!)), ...own]
	}

	async status(): Promise<Snapshot> {
		const response = await fetch(`${this.url}api/status`, { signal: AbortSignal.timeout(2000) })
		return (await response.json()) as Snapshot
	}

	/** Resolves when the status says so. */
	async sees(sentence: string, holds: (status: Snapshot) => boolean, limitMs?: number): Promise<void> {
		await until(sentence, async () => holds(await this.status()), limitMs)
	}

	signal(signal: 'SIGTERM' | 'SIGKILL' | 'SIGHUP'): void {
		this.#child!.kill(signal)
	}

	/** How it ended: its exit status, or the signal. */
	async ended(): Promise<number | string> {
		const child = this.#child!
		await child.exited
		return child.signalCode ?? child.exitCode ?? 'unknown'
	}

	/** Rejects where the gateway met a fault of its own, whatever became of the calls. */
	async close(): Promise<void> {
		this.#child?.kill('SIGKILL')
		await this.#child?.exited
		this.apns?.close()
		rmSync(this.folder, { recursive: true, force: true })
		const faults = this.log.filter((line) => line.includes('internal-error'))
		if (faults.length > 0) throw new Error(faults.join('\n'))
	}

	async #keep(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
		let rest = ''
		for await (const text of stream.pipeThrough(new TextDecoderStream())) {
			const lines = (rest + text).split('\n')
			rest = lines.pop() ?? ''
			this.log.push(...lines)
		}
	}
}

function spawn(command: readonly string[], cwd: string) {
	return Bun.spawn([...command], { cwd, env: cleanEnvironment(), stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
}
