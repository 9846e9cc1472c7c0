/** The one connection to a machine of the PBX: opened for what is sent, kept, and opened again. */
import { afterEach, expect, test } from 'bun:test'
import type { Flow } from '../../src/core/model.ts'
import {
	MAX_PEER_QUEUE_BYTES,
	MAX_PEERS,
	PEER_RETRY_MAX_MS,
	PEER_RETRY_MIN_MS,
	Peers,
} from '../../src/transport/peers.ts'
import { holds } from './loopback.ts'
import { certificateFiles, closeAfterTest, closeAll, Ear, listenStream, ORDINARY_CA, octets, sip } from './streams.ts'

afterEach(closeAll)

function peersOf(tls?: { serverName: string; ca: string }) {
	const ear = new Ear()
	const connected: Flow[] = []
	const unreachable: string[] = []
	const peers = new Peers({
		...{ index: 7, onMessage: ear.onMessage, onClose: ear.onClose, onError: ear.onError },
		target: (address, port) => ({ address, port, ...(tls && { tls }) }),
		onConnected: (flow) => void connected.push(flow),
		onUnreachable: (_address, _port, reason) => void unreachable.push(reason),
	})
	closeAfterTest(peers)
	return { peers, ear, connected, unreachable }
}

/** A port where nothing listens, and may later. */
function freePort(): number {
	const probe = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
	const { port } = probe
	probe.stop(true)
	return port
}

const MACHINE = '127.0.0.1'
const message = octets(sip('a'))

test('what is sent before there is a connection goes out by the first one, in order, and all of it by one', async () => {
	const { listener, ear: pbx } = await listenStream('tcp')
	const { peers, connected } = peersOf()
	for (const body of ['a', 'b', 'c']) peers.send(MACHINE, listener.port, octets(sip(body)))
	expect(await holds(() => pbx.messages.length === 3)).toBe(true)
	peers.send(MACHINE, listener.port, octets(sip('d')))
	expect(await holds(() => pbx.messages.length === 4)).toBe(true)
	expect(pbx.texts).toEqual(['a', 'b', 'c', 'd'].map((body) => sip(body)))
	expect([connected.length, peers.connections]).toEqual([1, 1])
	expect(connected[0]).toMatchObject({ listener: 7, address: MACHINE, port: listener.port })
})

test('a machine that is named is connected to without a word, and an answer goes by the connection it names', async () => {
	const { listener, ear: pbx } = await listenStream('tcp')
	const { peers, ear, connected } = peersOf()
	pbx.reaction = ({ key }, bytes) => void listener.send(key, bytes)
	peers.keep([{ address: MACHINE, port: listener.port }])
	expect(await holds(() => connected.length === 1)).toBe(true)
	expect(peers.sendOn(connected[0]!.key, message)).toBe(true)
	expect(await holds(() => ear.messages.length === 1)).toBe(true)
	expect(peers.sendOn('7|127.0.0.1|1|1', message)).toBe(false)
})

test('nothing listens there: it is told, once for all that was sent in a turn, and tried again until it is back', async () => {
	const port = freePort()
	const { peers, connected, unreachable } = peersOf()
	peers.keep([{ address: MACHINE, port }])
	peers.send(MACHINE, port, message)
	expect(await holds(() => unreachable.length === 1)).toBe(true)
	expect(unreachable).toEqual(['nothing listens there'])
	for (let i = 0; i < 3; i++) peers.send(MACHINE, port, message)
	expect(unreachable).toHaveLength(1)
	expect(await holds(() => unreachable.length === 2)).toBe(true)
	const { ear: pbx } = await listenStream('tcp', { port })
	expect(await holds(() => connected.length === 1, 4 * PEER_RETRY_MAX_MS)).toBe(true)
	peers.send(MACHINE, port, message)
	expect(await holds(() => pbx.messages.length === 1)).toBe(true)
	expect(pbx.texts).toEqual([sip('a')])
})

test('the waits double, and no longer than the longest', async () => {
	const { peers, unreachable } = peersOf()
	peers.keep([{ address: MACHINE, port: freePort() }])
	await Bun.sleep(7 * PEER_RETRY_MIN_MS + 100)
	expect(unreachable.length).toBeGreaterThanOrEqual(3)
	expect(unreachable.length).toBeLessThanOrEqual(4)
	expect(PEER_RETRY_MAX_MS / PEER_RETRY_MIN_MS).toBe(16)
})

test('a machine that spoke and closed is connected to again at once, one that is not named when there is something to say', async () => {
	const { listener, ear: pbx } = await listenStream('tcp')
	pbx.reaction = ({ key }, bytes) => {
		listener.send(key, bytes)
		listener.close(key)
	}
	const { peers, ear, connected, unreachable } = peersOf()
	const place = { address: MACHINE, port: listener.port }
	peers.keep([place])
	peers.send(MACHINE, listener.port, message)
	expect(await holds(() => connected.length === 2, PEER_RETRY_MIN_MS)).toBe(true)
	peers.keep([])
	peers.send(MACHINE, listener.port, message)
	expect(await holds(() => ear.closed.length === 2)).toBe(true)
	await Bun.sleep(50)
	expect(connected).toHaveLength(2)
	peers.send(MACHINE, listener.port, message)
	expect(await holds(() => connected.length === 3)).toBe(true)
	expect(unreachable).toEqual([])
})

test('one that closes without ever a word is waited for like one that refuses', async () => {
	const { listener, ear: pbx } = await listenStream('tcp')
	pbx.reaction = ({ key }) => listener.close(key)
	const { peers, connected, unreachable } = peersOf()
	peers.send(MACHINE, listener.port, message)
	expect(await holds(() => unreachable.length === 1)).toBe(true)
	peers.send(MACHINE, listener.port, message)
	await Bun.sleep(50)
	expect(connected).toHaveLength(1)
	expect(unreachable).toEqual(Array(2).fill('it closes connections without a word'))
})

test('over TLS a machine that proves another name is not spoken to', async () => {
	const own = certificateFiles('own', ['pbx.example'])
	const { listener, ear: pbx } = await listenStream('tls')
	for (const [tls, reason] of [
		[{ serverName: 'pbx.example', ca: ORDINARY_CA }, 'its certificate is for another name'],
		[{ serverName: 'localhost', ca: own.certPem }, 'its certificate is signed by itself and not trusted'],
	] as const) {
		const { peers, unreachable } = peersOf(tls)
		peers.send(MACHINE, listener.port, message)
		expect(await holds(() => unreachable.length === 1)).toBe(true)
		expect(unreachable).toEqual([reason])
	}
	const { peers } = peersOf({ serverName: 'localhost', ca: ORDINARY_CA })
	peers.send(MACHINE, listener.port, message)
	expect(await holds(() => pbx.messages.length === 1)).toBe(true)
})

test(`of a connection that is being opened no more than ${MAX_PEER_QUEUE_BYTES} octets wait`, async () => {
	/* a server that says nothing of TLS, so that the handshake hangs */
	const hanging = Bun.listen({ hostname: MACHINE, port: 0, socket: { data() {} } })
	closeAfterTest({ stop: () => hanging.stop(true) })
	const { peers, unreachable } = peersOf({ serverName: 'localhost', ca: ORDINARY_CA })
	const half = new Uint8Array(MAX_PEER_QUEUE_BYTES / 2)
	for (let i = 0; i < 2; i++) peers.send(MACHINE, hanging.port, half)
	await Bun.sleep(10)
	expect(unreachable).toEqual([])
	peers.send(MACHINE, hanging.port, half)
	await Bun.sleep(10)
	expect(unreachable).toEqual(['it does not take a connection in time'])
})

test(`machines that are remembered are ${MAX_PEERS}: those that are not named and not connected go`, async () => {
	const { peers, unreachable } = peersOf()
	const { listener, ear: pbx } = await listenStream('tcp')
	peers.keep([{ address: MACHINE, port: listener.port }])
	for (let i = 0; i < 2 * MAX_PEERS; i++) peers.send(`127.0.1.${i}`, 9, message)
	expect(peers.size).toBe(MAX_PEERS)
	expect(await holds(() => unreachable.length === MAX_PEERS - 1)).toBe(true)
	peers.send(MACHINE, listener.port, message)
	expect(await holds(() => pbx.messages.length === 1)).toBe(true)
})
