import { afterEach, describe, expect, test } from 'bun:test'
import type { Flow } from '../../src/core/model.ts'
import { MAX_STREAM_MESSAGE } from '../../src/sip/frame.ts'
import { openStreamConnector, type StreamTarget } from '../../src/transport/connect.ts'
import { SWEEP_MS } from '../../src/transport/stream-limits.ts'
import { holds } from './loopback.ts'
import {
	certificateFiles,
	closeAfterTest,
	closeAll,
	Ear,
	latin1,
	listenStream,
	ORDINARY_CA,
	octets,
	sip,
} from './streams.ts'

afterEach(closeAll)

const ours = certificateFiles('ours', ['gateway.example'])

function connector(limits = {}) {
	const ear = new Ear()
	const one = openStreamConnector({ index: 7, ...ear, limits })
	closeAfterTest(one)
	return { connector: one, ear }
}

const local = (port: number, tls?: StreamTarget['tls']): StreamTarget => ({
	address: '127.0.0.1',
	port,
	...(tls && { tls }),
})
const NAMED = { serverName: 'localhost', ca: ORDINARY_CA }

describe.each(['tcp', 'tls'] as const)('a connection to a PBX over %s', (kind) => {
	const tls = kind === 'tls' ? NAMED : undefined

	test('carries messages both ways, and has a flow of its own', async () => {
		const { listener, ear: pbx } = await listenStream(kind)
		pbx.reaction = ({ key }, bytes) => void listener.send(key, bytes)
		const { connector: gateway, ear } = connector()
		const flow = (await gateway.connect(local(listener.port, tls))) as Flow
		const again = (await gateway.connect(local(listener.port, tls))) as Flow
		expect(flow).toEqual({
			key: `7|127.0.0.1|${listener.port}|1`,
			listener: 7,
			address: '127.0.0.1',
			port: listener.port,
		})
		expect(again.key).not.toBe(flow.key)
		const big = sip('x'.repeat(MAX_STREAM_MESSAGE - 100))
		expect(gateway.send(flow.key, octets(sip('a') + big))).toBe(true)
		expect(await holds(() => ear.messages.length === 2)).toBe(true)
		expect(ear.texts).toEqual([sip('a'), big])
		expect(ear.messages.every((message) => message.flow === flow)).toBe(true)
		expect(gateway.connections).toBe(2)
		expect(ear.opened.map(({ authorized }) => authorized)).toEqual([kind === 'tls', kind === 'tls'])
	})

	test('that the PBX closes is told once, and sends nothing more', async () => {
		const { listener, ear: pbx } = await listenStream(kind)
		const { connector: gateway, ear } = connector()
		const flow = (await gateway.connect(local(listener.port, tls))) as Flow
		expect(await holds(() => pbx.opened.length === 1)).toBe(true)
		listener.close(pbx.opened[0]!.flow.key)
		expect(await holds(() => ear.closed.length === 1)).toBe(true)
		expect(ear.closed).toEqual([flow])
		expect(gateway.send(flow.key, octets(sip('x')))).toBe(false)
		gateway.close(flow.key)
		expect(gateway.connections).toBe(0)
	})

	test('that is closed lets out what was sent', async () => {
		const { listener, ear: pbx } = await listenStream(kind)
		const { connector: gateway, ear } = connector()
		const flow = (await gateway.connect(local(listener.port, tls))) as Flow
		gateway.send(flow.key, octets(sip('last')))
		gateway.close(flow.key)
		expect(await holds(() => pbx.closed.length === 1 && ear.closed.length === 1)).toBe(true)
		expect(pbx.texts).toEqual([sip('last')])
	})

	test('whose far end says nothing first is kept, and so is one that never says anything', async () => {
		const { listener } = await listenStream(kind, { limits: { firstMessageMs: 60_000 } })
		const { connector: gateway, ear } = connector({ firstMessageMs: 50 })
		await gateway.connect(local(listener.port, tls))
		expect(await holds(() => ear.closed.length > 0, 600)).toBe(false)
	})

	test('whose first message takes too long is closed, for what is behind it would never be heard', async () => {
		const { listener, ear: pbx } = await listenStream(kind)
		const { connector: gateway, ear } = connector({ partialMs: 200 })
		await gateway.connect(local(listener.port, tls))
		expect(await holds(() => pbx.opened.length === 1)).toBe(true)
		listener.send(pbx.opened[0]!.flow.key, octets(sip('half').slice(0, 30)))
		expect(await holds(() => ear.closed.length === 1, 200 + 2 * SWEEP_MS + 1_000)).toBe(true)
		expect(gateway.stats.timedOut).toBe(1)
	})

	test('to where nothing listens is a sentence', async () => {
		const { listener } = await listenStream(kind)
		const { port } = listener
		listener.stop()
		const { connector: gateway } = connector()
		expect(await gateway.connect(local(port, tls))).toBe('nothing listens there')
		expect(gateway.stats.setupFailed).toBe(1)
	})

	test('is given up when the gateway stops, or its time is up', async () => {
		const mute = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
		closeAfterTest({ stop: () => mute.stop(true) })
		const { connector: gateway, ear } = connector()
		const target = local(mute.port, { serverName: 'localhost' })
		expect(await gateway.connect({ ...target, timeoutMs: 30 })).toContain('it does not answer')
		const attempt = gateway.connect(target)
		gateway.stop()
		expect(await attempt).toContain('the gateway stops')
		expect(ear.opened).toEqual([])
	})
})

describe('over TLS the PBX has to prove who it is', () => {
	const refusal = async (tls: StreamTarget['tls'], files = {}) => {
		const { listener, ear: pbx } = await listenStream('tls', files)
		const { connector: gateway, ear } = connector()
		const answer = await gateway.connect(local(listener.port, tls))
		expect(ear.opened).toEqual([])
		expect(pbx.messages).toEqual([])
		return answer
	}

	test('by its name', async () => {
		expect(await refusal({ serverName: 'other.example', ca: ORDINARY_CA })).toBe('its certificate is for another name')
		expect(await refusal({ serverName: '127.0.0.2', ca: ORDINARY_CA })).toBe('its certificate is for another name')
	})

	test('or its address', async () => {
		const { listener } = await listenStream('tls')
		const { connector: gateway } = connector()
		const answer = await gateway.connect(local(listener.port, { serverName: '127.0.0.1', ca: ORDINARY_CA }))
		expect(answer).toMatchObject({ listener: 7 })
	})

	test('by an authority that is trusted', async () => {
		expect(await refusal({ serverName: 'localhost' })).toBe('its certificate is signed by itself and not trusted')
		expect(await refusal({ serverName: 'localhost', ca: ours.certPem })).toContain('not trusted')
	})

	test('by TLS at all', async () => {
		const plain = Bun.listen({
			hostname: '127.0.0.1',
			port: 0,
			socket: { data: (socket) => void socket.write('HTTP/1.1 400\r\n\r\n') },
		})
		closeAfterTest({ stop: () => plain.stop(true) })
		const { connector: gateway } = connector()
		expect(await gateway.connect(local(plain.port, NAMED))).toBe('it does not speak TLS, or not as the gateway does')
	})

	test('and we may prove who we are', async () => {
		const own = certificateFiles('pbx')
		const tls = { certificates: [own], clientCaFile: ours.certFile }
		const { listener, ear: pbx } = await listenStream('tls', { tls })
		const { connector: gateway } = connector()
		const identity = { cert: ours.certPem, key: ours.keyPem }
		await gateway.connect(local(listener.port, { serverName: 'localhost', ca: own.certPem, ...identity }))
		expect(await holds(() => pbx.opened.length === 1)).toBe(true)
		expect(pbx.opened[0]!.authorized).toBe(true)
	})
})

test('what a PBX says that cannot be framed ends its connection', async () => {
	const { listener, ear: pbx } = await listenStream('tcp')
	const { connector: gateway, ear } = connector()
	await gateway.connect(local(listener.port))
	expect(await holds(() => pbx.opened.length === 1)).toBe(true)
	listener.send(pbx.opened[0]!.flow.key, octets('SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n'))
	expect(await holds(() => ear.closed.length === 1)).toBe(true)
	expect(ear.faults.map(({ code, head }) => [code, latin1(head).slice(0, 14)])).toEqual([
		['length-missing', 'SIP/2.0 200 OK'],
	])
})
