import { describe, expect, test } from 'bun:test'
import { FAULT_LIMITS, MAX_CONNECTED_PEERS, openUdpListener, RECEIVE_BUFFER_BYTES } from '../../src/transport/udp.ts'
import { bytesOf, holds, listen, peer } from './loopback.ts'

async function freePort(): Promise<number> {
	const socket = await Bun.udpSocket({ hostname: '127.0.0.1' })
	const { port } = socket
	socket.close()
	return port
}

/** IPv4 sockets bound to the port, as the kernel counts them. */
async function socketsOn(port: number): Promise<number> {
	const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
	const rows = (await Bun.file('/proc/net/udp').text()).split('\n').map((row) => row.trim().split(/ +/))
	return rows.filter((columns) => columns[1]?.endsWith(local)).length
}

describe('a UDP listener', () => {
	test('passes every octet both ways, also those that are no text, and an empty datagram', async () => {
		const a = await listen()
		const b = await listen()
		const every = Uint8Array.from({ length: 256 }, (_, octet) => octet)
		a.listener.send('127.0.0.1', b.listener.port, every)
		a.listener.send('127.0.0.1', b.listener.port, new Uint8Array())
		expect(await holds(() => b.received.length === 2)).toBe(true)
		expect([...b.received[0]!.bytes]).toEqual([...every])
		expect(b.received[1]!.bytes.length).toBe(0)
		b.listener.send('127.0.0.1', a.listener.port, b.received[0]!.bytes)
		expect(await holds(() => a.received.length === 1)).toBe(true)
		expect([...a.received[0]!.bytes]).toEqual([...every])
		expect(a.listener.stats).toMatchObject({ sent: 2, received: 1, sendFailed: 0 })
	})

	test('sends a view of a larger buffer and no more than it', async () => {
		const a = await listen()
		const b = await listen()
		a.listener.send('127.0.0.1', b.listener.port, bytesOf('before-REGISTER-after').subarray(7, 15))
		expect(await holds(() => b.received.length === 1)).toBe(true)
		expect(new TextDecoder().decode(b.received[0]!.bytes)).toBe('REGISTER')
	})

	test('names a flow by listener, address and port, and gives the same object for the same 4-tuple', async () => {
		const { listener, received } = await listen({ index: 3 })
		const phone = await peer()
		phone.socket.send('1', listener.port, '127.0.0.1')
		phone.socket.send('2', listener.port, '127.0.0.1')
		expect(await holds(() => received.length === 2)).toBe(true)
		const { flow } = received[0]!
		expect(flow).toEqual({ key: `3|127.0.0.1|${phone.port}`, listener: 3, address: '127.0.0.1', port: phone.port })
		expect(received[1]!.flow).toBe(flow)
	})

	test('a datagram for a flow leaves by the very address and port that the flow came in by', async () => {
		const listeners = [await listen(), await listen()]
		const phone = await peer()
		for (const { listener } of listeners) phone.socket.send('hello', listener.port, '127.0.0.1')
		expect(await holds(() => listeners.every(({ received }) => received.length === 1))).toBe(true)
		for (const { listener, received } of listeners) {
			const { address, port } = received[0]!.flow
			listener.send(address, port, bytesOf(`from ${listener.port}`))
		}
		expect(await holds(() => phone.texts.length === 2)).toBe(true)
		expect(phone.texts).toEqual(phone.from.map((port) => `from ${port}`))
		expect(new Set(phone.from)).toEqual(new Set(listeners.map(({ listener }) => listener.port)))
	})

	test('speaks IPv6, with addresses without brackets', async () => {
		const { listener, received } = await listen({ address: '::1' })
		const phone = await peer('::1')
		phone.socket.send('six', listener.port, '::1')
		expect(await holds(() => received.length === 1)).toBe(true)
		expect(received[0]!.flow.address).toBe('::1')
		listener.send('::1', phone.port, bytesOf('back'))
		expect(await holds(() => phone.texts.length === 1)).toBe(true)
		expect(phone.texts).toEqual(['back'])
	})

	test('on :: leaves the port to an IPv4 listener', async () => {
		const { listener } = await listen({ address: '::' })
		const four = await listen({ address: '127.0.0.1', port: listener.port })
		expect(four.listener.port).toBe(listener.port)
	})

	test('carries the largest datagram, and counts and tells one that is too large', async () => {
		const a = await listen()
		const b = await listen()
		a.listener.send('127.0.0.1', b.listener.port, new Uint8Array(65_508))
		a.listener.send('127.0.0.1', b.listener.port, new Uint8Array(65_507).fill(7))
		expect(await holds(() => b.received.length === 1)).toBe(true)
		expect(b.received[0]!.bytes.length).toBe(65_507)
		expect(a.listener.stats).toMatchObject({ sent: 1, sendFailed: 1 })
		expect(a.errors[0]).toContain(`could not send 65508 bytes to 127.0.0.1 port ${b.listener.port}`)
	})

	test('never throws, whatever the address, and tells only so many faults', async () => {
		const { listener, errors } = await listen()
		for (const address of ['', 'phone.example', '::1', '300.1.1.1']) listener.send(address, 5060, bytesOf('x'))
		for (const port of [-1, 65_536, Number.NaN]) listener.send('127.0.0.1', port, bytesOf('x'))
		expect(listener.stats.sendFailed).toBeGreaterThanOrEqual(5)
		expect(errors.length).toBe(FAULT_LIMITS.burst)
	})

	test('survives far ends that are gone and loses nothing meant for others', async () => {
		const { listener, received } = await listen()
		const phone = await peer()
		const dead = await freePort()
		for (let i = 0; i < 50; i++) {
			listener.send('127.0.0.1', dead, bytesOf('anyone?'))
			listener.send('127.0.0.1', phone.port, bytesOf(`${i}`))
			if (i % 10 === 0) await Bun.sleep(1)
		}
		expect(await holds(() => phone.texts.length === 50)).toBe(true)
		expect(phone.texts).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`))
		phone.socket.send('still here', listener.port, '127.0.0.1')
		expect(await holds(() => received.length === 1)).toBe(true)
		expect(listener.stats.sendFailed).toBe(0)
	})

	test('says in a sentence why it cannot listen', async () => {
		const { listener } = await listen()
		const none = { index: 0, onDatagram() {}, onError() {} }
		expect(await openUdpListener({ ...none, address: '127.0.0.1', port: listener.port })).toBe(
			`Cannot listen on UDP 127.0.0.1 port ${listener.port}: another program has it, perhaps a gateway that is running already.`,
		)
		expect(await openUdpListener({ ...none, address: '192.0.2.1', port: 0 })).toContain('does not have that address')
	})

	test('asks once about a 4-tuple it does not know, and keeps nothing of one it is told to refuse', async () => {
		const asked: string[] = []
		const { listener, received } = await listen({
			admit(_address, _port, bytes) {
				asked.push(new TextDecoder().decode(bytes))
				return bytes[0] === 'R'.charCodeAt(0)
			},
		})
		const phone = await peer()
		for (const text of ['junk', 'junk again', 'REGISTER', 'anything']) {
			phone.socket.send(text, listener.port, '127.0.0.1')
		}
		expect(await holds(() => listener.stats.received === 4)).toBe(true)
		expect(asked).toEqual(['junk', 'junk again', 'REGISTER'])
		expect(received.map(({ bytes }) => new TextDecoder().decode(bytes))).toEqual(['REGISTER', 'anything'])
		expect(listener.stats.refused).toBe(2)
	})

	test('asks for the receive buffer of its constant and says what it was granted', async () => {
		const { listener } = await listen()
		const bound = Number(await Bun.file('/proc/sys/net/core/rmem_max').text())
		const granted = listener.receiveBufferBytes()
		expect([RECEIVE_BUFFER_BYTES, Math.min(RECEIVE_BUFFER_BYTES, bound)]).toContain(granted!)
	})

	test('counts what the kernel dropped for want of buffer', async () => {
		const { listener } = await listen({ receiveBufferBytes: 4096 })
		if (listener.kernelDrops() === undefined) throw new Error('no C library here to ask')
		expect(listener.kernelDrops()).toBe(0)
		const phone = await peer()
		const burst = Array.from({ length: 64 }, () => [bytesOf('x'.repeat(1000)), listener.port, '127.0.0.1']).flat()
		phone.socket.sendMany(burst as never)
		expect(await holds(() => listener.stats.received + (listener.kernelDrops() ?? 0) === 64)).toBe(true)
		expect(listener.kernelDrops()).toBeGreaterThan(0)
		expect(listener.receiveBufferBytes()).toBeLessThanOrEqual(4096)
	})

	test('is silent after close, and counts what it is still asked to send', async () => {
		const { listener, received } = await listen()
		const phone = await peer()
		listener.close()
		listener.close()
		listener.send('127.0.0.1', phone.port, bytesOf('late'))
		phone.socket.send('late', listener.port, '127.0.0.1')
		await Bun.sleep(20)
		expect({ received: received.length, texts: phone.texts.length }).toEqual({ received: 0, texts: 0 })
		expect(listener.stats.sendFailed).toBe(1)
		expect(listener.kernelDrops()).toBeUndefined()
	})
})

describe('a connected peer', () => {
	test.each(['127.0.0.1', '0.0.0.0', '::1', '::'])(
		'of %s is heard as before, and answered from its port',
		async (address) => {
			const loopback = address.includes(':') ? '::1' : '127.0.0.1'
			const { listener, received, errors } = await listen({ address })
			const pbx = await peer(loopback)
			const phone = await peer(loopback)
			pbx.socket.send('before', listener.port, loopback)
			await holds(() => received.length === 1)
			await listener.connectPeers([{ address: loopback, port: pbx.port }])
			pbx.socket.send('INVITE', listener.port, loopback)
			phone.socket.send('REGISTER', listener.port, loopback)
			expect(await holds(() => received.length === 3)).toBe(true)
			expect(received.filter(({ flow }) => flow === received[0]!.flow).length).toBe(2)
			listener.send(loopback, pbx.port, bytesOf('100 Trying'))
			expect(await holds(() => pbx.texts.length === 1)).toBe(true)
			expect(pbx.from).toEqual([listener.port])
			expect(errors).toEqual([])
		},
	)

	test('has a socket of its own until it is no longer named, and only so many have', async () => {
		const { listener } = await listen()
		const peers = Array.from({ length: MAX_CONNECTED_PEERS + 2 }, (_, i) => ({ address: '127.0.0.1', port: 1024 + i }))
		await listener.connectPeers(peers)
		expect(await socketsOn(listener.port)).toBe(1 + MAX_CONNECTED_PEERS)
		await listener.connectPeers(peers.slice(0, 1))
		expect(await socketsOn(listener.port)).toBe(2)
		listener.close()
		expect(await socketsOn(listener.port)).toBe(0)
	})

	test('leaves the port closed to a second gateway', async () => {
		const { listener } = await listen()
		await listener.connectPeers([{ address: '127.0.0.1', port: await freePort() }])
		for (const flags of [0, 4]) {
			const second = async () => Bun.udpSocket({ hostname: '127.0.0.1', port: listener.port, flags } as never)
			await expect(second()).rejects.toThrow('EADDRINUSE')
		}
	})

	test('that moves is heard at its new address, and at its old one as a stranger', async () => {
		const { listener, received, errors } = await listen()
		const before = await peer()
		const after = await peer()
		await Promise.all([
			listener.connectPeers([{ address: '127.0.0.1', port: before.port }]),
			listener.connectPeers([{ address: '127.0.0.1', port: after.port }]),
		])
		before.socket.send('old', listener.port, '127.0.0.1')
		after.socket.send('new', listener.port, '127.0.0.1')
		expect(await holds(() => received.length === 2)).toBe(true)
		expect(errors).toEqual([])
	})

	test('that is down does no harm, and is heard when it is back', async () => {
		const { listener, received, errors } = await listen()
		const phone = await peer()
		const port = await freePort()
		await listener.connectPeers([{ address: '127.0.0.1', port }])
		for (let i = 0; i < 5; i++) {
			listener.send('127.0.0.1', port, bytesOf('anyone?'))
			listener.send('127.0.0.1', phone.port, bytesOf('you'))
			await Bun.sleep(1)
		}
		expect(await holds(() => phone.texts.length === 5)).toBe(true)
		const pbx = await peer('127.0.0.1', port)
		pbx.socket.send('back', listener.port, '127.0.0.1')
		expect(await holds(() => received.length === 1)).toBe(true)
		expect(errors).toEqual([])
		expect(listener.stats.unreachable).toBeGreaterThan(0)
	})

	test('of the other address family, or that cannot be reached, is no reason to stop', async () => {
		const { listener, received, errors } = await listen()
		const phone = await peer()
		await listener.connectPeers([
			{ address: '::1', port: 5060 },
			{ address: '255.255.255.255', port: 5060 },
		])
		phone.socket.send('on', listener.port, '127.0.0.1')
		expect(await holds(() => received.length === 1)).toBe(true)
		expect(errors.length).toBe(1)
		expect(errors[0]).toContain('no receive buffer apart for 255.255.255.255')
	})
})
