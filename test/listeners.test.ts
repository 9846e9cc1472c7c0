/** The listeners and the core together, as the gateway joins them. */
import { afterEach, describe, expect, test } from 'bun:test'
import { createHmac } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import type { Config } from '../src/config/options.ts'
import { parseCommandLine } from '../src/config/parse.ts'
import { settingsOf } from '../src/config/settings.ts'
import { Core } from '../src/core/core.ts'
import type { Settings } from '../src/core/settings.ts'
import { Prng } from '../src/lib/prng.ts'
import { Listeners, streamLimitsOf } from '../src/listeners.ts'
import { type Edges, Loop } from '../src/loop.ts'
import { parse } from '../src/sip/parse.ts'
import { MAX_ROWS } from '../src/sip/rows.ts'
import { STREAM_LIMITS, SWEEP_MS } from '../src/transport/stream-limits.ts'
import { grant, Phone, requestText } from './core/peers.ts'
import { octets } from './core/rig.ts'
import { targetOf } from './core/target.ts'
import { holds, peer } from './transport/loopback.ts'

const NEWCOMER_MS = 300
/** A newcomer is gone by then, on a busy machine too. */
const SURELY_MS = NEWCOMER_MS + 2 * SWEEP_MS + 2_000

const open: { stop(): void }[] = []
afterEach(() => {
	for (const one of open.splice(0)) one.stop()
})

/** One listener over UDP, at which the PBX is, and one over TCP. */
function configOf(pbx: string, ...more: readonly string[]): Config {
	const flags = ['--listen', 'udp:127.0.0.1:5060', '--listen', 'tcp:127.0.0.1:5060', '--domain', 'pbx.example']
	const line = parseCommandLine([...flags, '--pbx', pbx, ...more], {}, () => undefined)
	if (!line.ok || line.command !== 'run') throw new Error(JSON.stringify(line))
	return { ...line.config, listen: line.config.listen.map((where) => ({ ...where, port: 0 })) }
}

/** The gateway as far as it has to do with messages. */
async function gateway(pbxPort: number, pbxSides?: Settings['pbxSides']) {
	const config = configOf(`127.0.0.1:${pbxPort}`)
	const prng = new Prng(1)
	const hmac = (text: string) => createHmac('sha256', 'key').update(text, 'latin1').digest('hex')
	const advertised = config.listen.map(({ address, transport }) => ({
		...{ host: address, port: 5060, transport: transport === 'udp' ? ('UDP' as const) : ('TCP' as const) },
	}))
	const settings = {
		...settingsOf(config, 'test'),
		advertised,
		...(pbxSides && { pbxSides }),
		trust: ['127.0.0.9/32'],
		pingIntervalMs: 0,
	}
	const restored = { devices: [], heldCalls: [], pushOutcomes: [], nextDeviceId: 1 }
	const core = new Core(settings, { random32: () => prng.next32(), hmac }, restored, Date.now())
	const edges: Edges = {
		send: (effect) => listeners.send(effect),
		close: (effect) => listeners.close(effect),
		settle: (effect) => listeners.settle(effect),
		push: () => {},
		cancelPush: () => {},
		commit: () => ({ ok: true }),
		event: () => {},
	}
	const loop = new Loop(core, edges, Date.now)
	const owner = {
		input: loop.input.bind(loop),
		admits: () => true,
		failed: (_: number, sentence: string) => expect(sentence).toBeUndefined(),
		reloaded: () => {},
	}
	const listeners = new Listeners(config, owner, { newcomerMs: NEWCOMER_MS })
	expect(await listeners.open()).toBeUndefined()
	open.push(listeners, { stop: () => loop.close() })
	const portOf = (index: number) => Number(/\d+$/.exec(listeners.views[index]!.name)![0])
	loop.input({ type: 'pbx-resolved', targets: [targetOf({ address: '127.0.0.1', port: pbxPort })] })
	return { tcpPort: portOf(1) }
}

/** One end of a connection: what came by it, and whether it is closed. */
function dial(port: number, localAddress = '127.0.0.1') {
	const far = { socket: connect({ port, host: '127.0.0.1', localAddress }), heard: '', isClosed: false }
	const { socket }: { socket: Socket } = far
	socket.on('data', (bytes) => {
		far.heard += bytes.toString('latin1')
	})
	socket.on('close', () => {
		far.isClosed = true
	})
	open.push({ stop: () => socket.destroy() })
	return far
}

test('each limit of connections is its flag, and the constants where none is given', () => {
	const own = ['--max-handshakes', '9', '--idle-time', '2m', '--max-queue', '65536', '--max-message', '4096']
	const { handshakes, idleMs, queuedBytes, messageBytes } = STREAM_LIMITS
	expect(streamLimitsOf(configOf('127.0.0.9'))).toEqual({ handshakes, idleMs, queuedBytes, messageBytes })
	const limits = { handshakes: 9, idleMs: 120_000, queuedBytes: 65_536, messageBytes: 4_096 }
	expect(streamLimitsOf(configOf('127.0.0.9', ...own))).toEqual(limits)
	expect(settingsOf(configOf('127.0.0.9'), '').maxHeaders).toBe(MAX_ROWS)
	expect(settingsOf(configOf('127.0.0.9', '--max-headers', '64'), '').maxHeaders).toBe(64)
})

describe('a silent connection', () => {
	test('is kept where a device is bound over it, and closed where none is', async () => {
		const pbx = await peer()
		const { tcpPort } = await gateway(pbx.port)
		const [bound, stranger] = [dial(tcpPort), dial(tcpPort)]
		const flow = { key: '', listener: 1, address: '127.0.0.1', port: 0 }
		bound.socket.write(new Phone('1001', flow).register())
		/* it is asked whether it lives as well */
		const register = () => pbx.texts.findIndex((text) => text.startsWith('REGISTER '))
		expect(await holds(() => register() >= 0)).toBe(true)
		pbx.socket.send(grant(parse(octets(pbx.texts[register()]!))), pbx.from[0]!, '127.0.0.1')
		expect(await holds(() => bound.heard.startsWith('SIP/2.0 200 '))).toBe(true)
		stranger.socket.write(new Phone('1002', flow).register())
		expect(await holds(() => stranger.isClosed, SURELY_MS)).toBe(true)
		expect(bound.isClosed).toBe(false)
	})

	test('is kept where the PBX dialled it', async () => {
		const { tcpPort } = await gateway(9, [{ transport: 'tcp', listener: 1, sender: 2 }])
		const [pbx, stranger] = [dial(tcpPort, '127.0.0.9'), dial(tcpPort)]
		pbx.socket.write(requestText('OPTIONS', { uri: 'sip:127.0.0.1' }))
		expect(await holds(() => pbx.heard.startsWith('SIP/2.0 200 '))).toBe(true)
		stranger.socket.write(new Phone('1002', { key: '', listener: 1, address: '', port: 0 }).register())
		expect(await holds(() => stranger.isClosed, SURELY_MS)).toBe(true)
		expect(pbx.isClosed).toBe(false)
	})
})
