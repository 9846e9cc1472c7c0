/** Closing a connection whose far end does not close it too: a phone that hangs, or somebody who wants our files. */
import { afterEach, describe, expect, test } from 'bun:test'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Flow } from '../../src/core/model.ts'
import { openStreamConnector } from '../../src/transport/connect.ts'
import { Population } from '../../src/transport/population.ts'
import { CLOSE_MS, SWEEP_MS } from '../../src/transport/stream-limits.ts'
import { holds } from './loopback.ts'
import {
	Client,
	closeAfterTest,
	closeAll,
	dial,
	dialTls,
	Ear,
	isSecure,
	KINDS,
	listenStream,
	ORDINARY_CA,
	request,
	sip,
	UPGRADE_ROWS,
	wrap,
} from './streams.ts'

afterEach(closeAll)

/** Between a far end and us, until it falls deaf: then what we say reaches nobody, and nobody closes anything. */
async function relayTo(port: number) {
	let isDeaf = false
	const sockets: Socket[] = []
	const server: Server = createServer({ allowHalfOpen: true }, (near) => {
		const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
		sockets.push(near, far)
		near.on('data', (bytes) => far.write(bytes))
		far.on('data', (bytes) => isDeaf || near.write(bytes))
		for (const socket of [near, far]) socket.on('error', () => {})
	})
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
	closeAfterTest({
		stop: () => {
			server.close()
			for (const socket of sockets) socket.destroy()
		},
	})
	return {
		port: (server.address() as { port: number }).port,
		fallsDeaf: () => {
			isDeaf = true
		},
	}
}

/** Sockets of this process with that port at one end (`local`: 1, `remote`: 2), as the kernel has them, those aside that it alone still has. */
async function sockets(end: 1 | 2, port: number): Promise<number> {
	const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
	const rows = (await Bun.file('/proc/net/tcp').text()).split('\n').map((row) => row.trim().split(/ +/))
	const own = (columns: string[]) => columns[end]?.endsWith(hex) && columns[3] !== '0A' && columns[9] !== '0'
	return rows.filter(own).length
}

const inTime = CLOSE_MS + 2 * SWEEP_MS + 1_000

describe.each([...KINDS])('a %s connection that we close', (kind) => {
	test('is no open file of ours after CLOSE_MS, though its far end says and closes nothing', async () => {
		const population = new Population(9, 9)
		const { listener, ear } = await listenStream(kind, { population })
		const relay = await relayTo(listener.port)
		const client = await dial({ ...listener, kind, port: relay.port })
		client.write(wrap(kind, sip('x')))
		expect(await holds(() => ear.messages.length === 1)).toBe(true)
		expect(await sockets(1, listener.port)).toBe(1)
		relay.fallsDeaf()
		listener.close(ear.opened[0]!.flow.key)
		expect(await holds(() => ear.closed.length === 1)).toBe(true)
		expect(await holds(() => population.size === 0, inTime)).toBe(true)
		expect(await sockets(1, listener.port)).toBe(0)
	})

	test('makes room for a newer one meanwhile, if nobody vouches for it', async () => {
		const population = new Population(2, 9)
		const { listener, ear } = await listenStream(kind, { population })
		const relay = await relayTo(listener.port)
		for (let i = 1; i <= 2; i++) {
			const client = await dial({ ...listener, kind, port: relay.port })
			client.write(wrap(kind, sip('x')))
			expect(await holds(() => ear.messages.length === i)).toBe(true)
		}
		relay.fallsDeaf()
		for (const { flow } of ear.opened) listener.close(flow.key)
		expect(await holds(() => ear.closed.length === 2)).toBe(true)
		expect(population.size).toBe(2)
		const phone = await dial(listener)
		phone.write(wrap(kind, sip('in spite of them')))
		expect(await holds(() => ear.messages.length === 3)).toBe(true)
		expect([listener.stats.refused, population.size]).toEqual([0, 2])
	})
})

describe.each(['ws', 'wss'] as const)('an upgrade that a %s listener refuses', (kind) => {
	test('counts as a connection until it is none, setupMs at the most', async () => {
		const population = new Population(9, 9)
		const { listener } = await listenStream(kind, { population, limits: { setupMs: 600 } })
		const relay = await relayTo(listener.port)
		const client = isSecure(kind)
			? await dialTls(relay.port)
			: new Client(connect({ port: relay.port, host: '127.0.0.1', allowHalfOpen: true }))
		expect(await holds(() => listener.handshakes === 1)).toBe(true)
		relay.fallsDeaf()
		client.write(request(UPGRADE_ROWS.slice(0, 2)))
		await Bun.sleep(100)
		expect([population.size, await sockets(1, listener.port)]).toEqual([1, 1])
		expect(await holds(() => population.size === 0, 600 + 2 * SWEEP_MS + 1_000)).toBe(true)
		expect(await sockets(1, listener.port)).toBe(0)
		expect(listener.stats.setupFailed).toBe(1)
	})
})

describe.each(['tcp', 'tls'] as const)('a connection over %s to a PBX', (kind) => {
	test('that hangs is no open file of ours CLOSE_MS after we closed it', async () => {
		const { listener } = await listenStream(kind)
		const relay = await relayTo(listener.port)
		const ear = new Ear()
		const gateway = openStreamConnector({ index: 7, ...ear })
		closeAfterTest(gateway)
		const tls = { serverName: 'localhost', ca: ORDINARY_CA }
		const target = { address: '127.0.0.1', port: relay.port, ...(kind === 'tls' && { tls }) }
		const { key } = (await gateway.connect(target)) as Flow
		expect(await sockets(2, relay.port)).toBe(1)
		relay.fallsDeaf()
		gateway.close(key)
		expect(await holds(() => ear.closed.length === 1)).toBe(true)
		for (const end = performance.now() + inTime; performance.now() < end && (await sockets(2, relay.port)) > 0; )
			await Bun.sleep(20)
		expect(await sockets(2, relay.port)).toBe(0)
	})
})
