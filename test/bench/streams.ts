/** What a connection costs: memory of one over which an agent is bound and idle, and CPU of one that is set up. */
import { join } from 'node:path'
import type { Kind } from './dialler.ts'
import type { GatewayKind } from './gateways.ts'
import { PORTS } from './job.ts'
import { Line } from './line.ts'
import { registered } from './messages.ts'
import { cpuSeconds, memoryKb, pinned, treeOf } from './processes.ts'
import { whole } from './report.ts'
import { GENERATOR_CPU, setStage } from './run.ts'

const KINDS: readonly Kind[] = ['udp', 'tcp', 'tls', 'wss']
const FEW = 2_000
const MANY = 10_000
const HANDSHAKES = 4_000
/** Answered REGISTERs are remembered for 32 s over UDP (RFC 3261 §17.2.2 timer J), and a quiet heap is cleaned after 30 s. */
const SETTLE_MS = 36_000

interface Cost {
	readonly kbEach: number
	readonly perCpuSecond: number
}

export async function measureStreams(gateway: GatewayKind): Promise<string> {
	const costs = new Map<Kind, Cost>()
	for (const kind of KINDS) costs.set(kind, await measureKind(gateway, kind))
	const udp = costs.get('udp')!.kbEach
	const rows = KINDS.map((kind) => {
		const { kbEach, perCpuSecond } = costs.get(kind)!
		const beside = kind === 'udp' ? ['–', '–'] : [(kbEach - udp).toFixed(1), whole(perCpuSecond)]
		return `| ${[kind, kbEach.toFixed(1), ...beside].join(' | ')} |`
	})
	return [
		`${whole(MANY)} idle agents:`,
		'| phones on | kB for each agent | of that the connection | set up and closed, each CPU-second |',
		'| --- | --: | --: | --: |',
		...rows,
	].join('\n')
}

async function measureKind(gateway: GatewayKind, kind: Kind): Promise<Cost> {
	const stage = await setStage(gateway, 'streams')
	const pbx: Line = await Line.open('127.0.0.1', PORTS.pbx, (text) => {
		if (text.startsWith('REGISTER ')) pbx.send(registered(text), PORTS.gateway)
	})
	const dialler = new Dialler(kind)
	try {
		const pids = treeOf(stage.gateway.pid)
		const memory = async () => {
			await dialler.step()
			await Bun.sleep(SETTLE_MS)
			return memoryKb(pids)
		}
		const few = await memory()
		const many = await memory()
		const before = cpuSeconds(pids)
		await dialler.step()
		return { kbEach: (many - few) / (MANY - FEW), perCpuSecond: HANDSHAKES / (cpuSeconds(pids) - before) }
	} finally {
		await dialler.close()
		pbx.close()
		await stage.stop()
	}
}

class Dialler {
	readonly #child
	readonly #lines: AsyncIterator<string>
	#isBegun = false

	constructor(kind: Kind) {
		const argv = [process.execPath, join(import.meta.dir, 'dialler.ts'), kind, `${FEW}`, `${MANY}`, `${HANDSHAKES}`]
		this.#child = Bun.spawn(pinned(argv, GENERATOR_CPU), { stdin: 'pipe', stdout: 'pipe' })
		this.#lines = linesOf(this.#child.stdout)
	}

	/** Resolves when it has done the next thing it does. */
	async step(): Promise<void> {
		if (this.#isBegun) {
			this.#child.stdin.write('\n')
			this.#child.stdin.flush()
		}
		this.#isBegun = true
		if ((await this.#lines.next()).value !== 'done') throw new Error('the phones did not all connect')
	}

	async close(): Promise<void> {
		this.#child.kill()
		await this.#child.exited
	}
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
	const decoder = new TextDecoder()
	let text = ''
	for await (const chunk of stream) {
		text += decoder.decode(chunk, { stream: true })
		for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
			yield text.slice(0, end)
			text = text.slice(end + 1)
		}
	}
}
