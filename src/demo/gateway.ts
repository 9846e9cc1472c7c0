/** The gateway under the demo: a child process with flags of its own, a database and keys in a folder of its own. */
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Snapshot } from '../core/snapshot.ts'
import type { Endpoint } from './dialog.ts'

export interface GatewayOptions {
	/** argv that starts it, without flags. */
	readonly command: readonly string[]
	/** For the database and the key; exists. */
	readonly folder: string
	/** Aborted: it is killed, even while it starts. */
	readonly signal: AbortSignal
	readonly domain: string
	readonly pbx: Endpoint
	readonly apns: {
		readonly url: string
		readonly caPem: string
		readonly p8: string
		readonly keyId: string
		readonly teamId: string
	}
}

/** Quick pings, so that a sleeping app is noticed in about a second. */
const PING_FLAGS = ['--ping-interval', '500ms', '--ping-timeout', '300ms', '--ping-misses', '2']
const ADDRESS = '127.0.0.1'
/** A compiled binary starts in 0.1 s; this is for a busy machine. */
const START_LIMIT_MS = 15_000
/** Answers in flight go out within a second; then it is killed. */
const STOP_LIMIT_MS = 5000
/** Lines of its log that are kept for a failure. */
const KEPT_LINES = 40
const POLL_MS = 20

export class Gateway {
	readonly sip: Endpoint
	/** Of the status page. */
	readonly url: string
	/** The end of its log. */
	readonly log: string[] = []
	readonly #child: ReturnType<typeof spawn>

	private constructor(child: ReturnType<typeof spawn>, sip: Endpoint, url: string) {
		this.#child = child
		this.sip = sip
		this.url = url
		this.#keep(child.stdout)
		this.#keep(child.stderr)
	}

	/** Resolves when it is ready; rejects with a sentence where it ends or stays silent. */
	static async start(options: GatewayOptions): Promise<Gateway> {
		const sip = { address: ADDRESS, port: await freeUdpPort() }
		const http = `${ADDRESS}:${await freeTcpPort()}`
		const child = spawn([...options.command, ...flags(options, sip, http)], options)
		const gateway = new Gateway(child, sip, `http://${http}`)
		try {
			await gateway.#ready()
		} catch (fault) {
			child.kill('SIGKILL')
			throw fault
		}
		return gateway
	}

	/** What its status page shows. */
	async status(): Promise<Snapshot> {
		const response = await fetch(`${this.url}/api/status`, { signal: AbortSignal.timeout(2000) })
		return (await response.json()) as Snapshot
	}

	/** SIGTERM, later SIGKILL; its exit status, or the signal that ended it. */
	async stop(): Promise<number | string> {
		this.#child.kill('SIGTERM')
		const killer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_LIMIT_MS)
		await this.#child.exited
		clearTimeout(killer)
		return this.#child.signalCode ?? this.#child.exitCode ?? 'unknown'
	}

	async #ready(): Promise<void> {
		const until = Date.now() + START_LIMIT_MS
		while (Date.now() < until) {
			if (this.#child.exitCode !== null) break
			const answer = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(1000) }).catch(() => undefined)
			if (answer?.ok) return
			await Bun.sleep(POLL_MS)
		}
		// What it wrote last may still be on its way.
		await Bun.sleep(POLL_MS)
		const how = this.#child.exitCode === null ? 'did not become ready' : `ended with status ${this.#child.exitCode}`
		throw new Error(`The gateway ${how}. It said:\n${this.log.join('\n')}`)
	}

	async #keep(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
		let rest = ''
		for await (const text of stream.pipeThrough(new TextDecoderStream())) {
			const lines = (rest + text).split('\n')
			rest = lines.pop() ?? ''
			this.log.push(...lines)
			if (this.log.length > KEPT_LINES) this.log.splice(0, this.log.length - KEPT_LINES)
		}
	}
}

function spawn(cmd: string[], { folder, signal }: GatewayOptions) {
	// A variable of the caller's would change what the demo shows.
	const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PUSH_GATEWAY_')))
	return Bun.spawn(cmd, {
		cwd: folder,
		env,
		signal,
		killSignal: 'SIGKILL',
		stdin: 'ignore',
		stdout: 'pipe',
		stderr: 'pipe',
	})
}

function flags({ folder, domain, pbx, apns }: GatewayOptions, sip: Endpoint, http: string): string[] {
	const key = join(folder, `AuthKey_${apns.keyId}.p8`)
	const ca = join(folder, 'apns-ca.pem')
	writeFileSync(key, apns.p8, { mode: 0o600 })
	writeFileSync(ca, apns.caPem)
	return [
		...['--listen', `udp:${sip.address}:${sip.port}`, '--pbx', `${pbx.address}:${pbx.port}`, '--domain', domain],
		...['--apns-key', key, '--apns-key-id', apns.keyId, '--apns-team', apns.teamId],
		...['--apns-url', apns.url, '--apns-ca', ca],
		...['--db', join(folder, 'push-gateway.db'), '--http', http],
		...PING_FLAGS,
	]
}

async function freeUdpPort(): Promise<number> {
	const socket = await Bun.udpSocket({ hostname: ADDRESS, port: 0 })
	const { port } = socket
	socket.close()
	return port
}

function freeTcpPort(): Promise<number> {
	return new Promise((resolve, reject) => {
		const server = createServer()
		server.once('error', reject)
		server.listen(0, ADDRESS, () => {
			const bound = server.address()
			server.close(() => resolve(typeof bound === 'object' && bound !== null ? bound.port : 0))
		})
	})
}
