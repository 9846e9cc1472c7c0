import { afterEach, describe, expect, test } from 'bun:test'
import { connect } from 'node:net'
import { Hoards } from '../../src/transport/hoards.ts'
import { Population } from '../../src/transport/population.ts'
import {
	CLOSE_MS,
	CONNECT_MS,
	KEEP_ALIVE_SEC,
	SEND_BUFFER_BYTES,
	STREAM_LIMITS,
	SWEEP_MS,
	USER_TIMEOUT_MS,
} from '../../src/transport/stream-limits.ts'
import { holds } from './loopback.ts'
import { Client, closeAll, dial, dialTcp, isSecure, isWeb, KINDS, listenStream, octets, sip, wrap } from './streams.ts'

afterEach(closeAll)

/** What is due is done with the next sweep but one at the latest, and a busy machine may take its time. */
const SOON_MS = 1_000

async function dialTcps(port: number, count: number): Promise<Client[]> {
	return Promise.all(Array.from({ length: count }, () => dialTcp(port)))
}

/** Sockets of this process connected to the port, as the kernel has them: columns of /proc/net/tcp. */
async function accepted(port: number): Promise<string[][]> {
	const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
	const rows = (await Bun.file('/proc/net/tcp').text()).split('\n').map((row) => row.trim().split(/ +/))
	return rows.filter((columns) => columns[1]?.endsWith(local) && columns[3] === '01')
}

describe.each([...KINDS])('a %s listener', (kind) => {
	test('with all the connections it may have refuses newer ones, if somebody vouches for all', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { connections: 3 } })
		ear.reaction = ({ key }) => listener.settle(key)
		for (let i = 1; i <= 3; i++) {
			const client = await dial(listener)
			client.write(wrap(kind, sip('here')))
			expect(await holds(() => ear.messages.length === i)).toBe(true)
		}
		const fourth = await dialTcp(listener.port)
		expect(await holds(() => fourth.isClosed)).toBe(true)
		expect(listener.connections).toBe(3)
		expect(listener.stats).toMatchObject({ accepted: 4, refused: 1 })
		expect(ear.errors).toEqual([
			`${kind.toUpperCase()} 127.0.0.1 port ${listener.port} has all the connections it may have: newer ones are refused`,
		])
		listener.close(ear.opened[0]!.flow.key)
		expect(await holds(() => ear.closed.length === 1)).toBe(true)
		await Bun.sleep(20)
		const fifth = await dial(listener)
		fifth.write(wrap(kind, sip('here')))
		expect(await holds(() => ear.messages.length === 4)).toBe(true)
	})

	test('gives the place of the oldest that nobody vouches for to a newer one, whatever it said', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { connections: 3 } })
		const talker = await dial(listener)
		talker.write(wrap(kind, sip('here')))
		expect(await holds(() => ear.messages.length === 1)).toBe(true)
		listener.settle(ear.opened[0]!.flow.key)
		const strangers = [await dial(listener), await dial(listener)]
		expect(await holds(() => ear.opened.length === 3)).toBe(true)
		for (const stranger of strangers) stranger.write(wrap(kind, sip('junk')))
		expect(await holds(() => ear.messages.length === 3)).toBe(true)
		const next = await dial(listener)
		expect(await holds(() => strangers[0]!.isClosed)).toBe(true)
		expect([talker, strangers[1]!, next].map(({ isClosed }) => isClosed)).toEqual([false, false, false])
		expect(ear.closed).toEqual([ear.opened[1]!.flow])
	})

	test('has so many of one source, and room for another', async () => {
		const { listener, ear } = await listenStream(kind, { address: '0.0.0.0', limits: { perSource: 2 } })
		const mine = [await dial(listener), await dial(listener)]
		const third = await dialTcp(listener.port)
		expect(await holds(() => third.isClosed)).toBe(true)
		mine[0]!.socket.destroy()
		expect(await holds(() => ear.closed.length === 1)).toBe(true)
		await dial(listener)
		expect(await holds(() => ear.opened.length === 3)).toBe(true)
		expect(listener.stats.refused).toBe(1)
	})

	test('asks whether a far end is welcome, before anything is read of it', async () => {
		const asked: string[] = []
		const { listener, ear } = await listenStream(kind, { admit: (address) => asked.push(address) === 1 })
		await dial(listener)
		const other = await dialTcp(listener.port)
		expect(await holds(() => other.isClosed)).toBe(true)
		expect(asked).toEqual(['127.0.0.1', '127.0.0.1'])
		expect(ear.opened.length).toBe(1)
		expect(listener.stats.refused).toBe(1)
	})

	test('closes one that says nothing, or only pings, when its time for a first message is up', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { firstMessageMs: 200 } })
		const silent = await dial(listener)
		const pinging = await dial(listener)
		const trickling = await dial(listener)
		const pings = setInterval(() => pinging.write(wrap(kind, '\r\n\r\n')), 20)
		const octetsOf = wrap(kind, sip('never whole'))
		let at = 0
		const trickle = setInterval(() => trickling.write(octetsOf.subarray(at, ++at)), 20)
		expect(
			await holds(() => [silent, pinging, trickling].every(({ isClosed }) => isClosed), 200 + 2 * SWEEP_MS + SOON_MS),
		).toBe(true)
		clearInterval(pings)
		clearInterval(trickle)
		expect(ear.closed.length).toBe(3)
		expect(listener.stats.timedOut).toBe(3)
	})

	test('closes one whose message takes too long, however steadily it trickles', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { partialMs: 200 } })
		const slow = await dial(listener)
		slow.write(wrap(kind, sip('first')))
		const octetsOf = wrap(kind, sip('x'.repeat(1_000)))
		let at = 0
		const trickle = setInterval(() => slow.write(octetsOf.subarray(at, ++at)), 10)
		expect(await holds(() => slow.isClosed, 200 + 2 * SWEEP_MS + SOON_MS)).toBe(true)
		clearInterval(trickle)
		expect(ear.texts).toEqual([sip('first')])
		expect(listener.stats.timedOut).toBe(1)
	})

	test('closes one that nobody vouches for after newcomerMs of silence, and keeps one that is settled', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { newcomerMs: 300 } })
		const phone = await dial(listener)
		phone.write(wrap(kind, sip('REGISTER')))
		expect(await holds(() => ear.messages.length === 1)).toBe(true)
		const stranger = await dial(listener)
		stranger.write(wrap(kind, sip('junk')))
		expect(await holds(() => ear.messages.length === 2)).toBe(true)
		listener.settle(ear.opened[0]!.flow.key)
		expect(await holds(() => stranger.isClosed, 300 + 2 * SWEEP_MS + SOON_MS)).toBe(true)
		phone.write(wrap(kind, sip('still here')))
		expect(await holds(() => ear.messages.length === 3)).toBe(true)
		expect(listener.stats.timedOut).toBe(1)
		listener.settle(ear.opened[1]!.flow.key)
	})

	test('closes an idle one, and none that says something now and then', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { idleMs: 600 } })
		/* a newcomer is given no longer: of the two, the one that lives is settled */
		ear.reaction = ({ key }) => key === ear.opened[1]?.flow.key && listener.settle(key)
		const idle = await dial(listener)
		const alive = await dial(listener)
		idle.write(wrap(kind, sip('once')))
		const talk = setInterval(() => alive.write(wrap(kind, sip('again'))), 50)
		expect(await holds(() => idle.isClosed, 600 + 2 * SWEEP_MS + SOON_MS)).toBe(true)
		clearInterval(talk)
		expect(alive.isClosed).toBe(false)
		expect(ear.closed).toEqual([ear.opened[0]!.flow])
	})

	test('takes no message of more than messageBytes, and one of as many', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { messageBytes: 5_000 } })
		const whole = (length: number) => sip('x'.repeat(length - sip('').length - 3))
		const client = await dial(listener)
		client.write(wrap(kind, whole(5_000)))
		expect(await holds(() => ear.messages.length === 1)).toBe(true)
		expect(ear.messages[0]!.bytes.length).toBe(5_000)
		client.write(wrap(kind, whole(5_001)))
		expect(await holds(() => client.isClosed)).toBe(true)
		expect(ear.messages.length).toBe(1)
		expect(isWeb(kind) ? [...client.heard.subarray(0, 4)] : ear.faults.map(({ code }) => code)).toEqual(
			isWeb(kind) ? [0x88, 2, 1009 >> 8, 1009 & 0xff] : ['message-too-large'],
		)
	})

	test('has the kernel ask silent far ends whether they are there', async () => {
		const { listener, ear } = await listenStream(kind)
		const client = await dial(listener)
		client.write(wrap(kind, sip('x')))
		expect(await holds(() => ear.messages.length === 1)).toBe(true)
		/* tr 02: the keep-alive timer runs, once nothing waits for an acknowledgement; tm->when: in hundredths of a second */
		let timer = ''
		let when = ''
		for (let i = 0; i < 50 && timer !== '02'; i++) {
			await Bun.sleep(20)
			;[timer, when] = (await accepted(listener.port))[0]![5]!.split(':') as [string, string]
		}
		expect(timer).toBe('02')
		expect(Number.parseInt(when, 16) / 100).toBeLessThanOrEqual(KEEP_ALIVE_SEC)
		expect(Number.parseInt(when, 16) / 100).toBeGreaterThan(KEEP_ALIVE_SEC - 5)
	})
})

describe.each(KINDS.filter((kind) => isSecure(kind) || isWeb(kind)))('a %s listener', (kind) => {
	test('closes one that does not get as far as SIP, however steadily it trickles', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { setupMs: 200 } })
		const silent = await dialTcp(listener.port)
		const slow = await dialTcp(listener.port)
		const beginning =
			kind === 'ws'
				? octets('GET / HTTP/1.1\r\nHost: x\r\nCookie: abcdefghijklmnopqrstuvwxyz')
				: Uint8Array.of(22, 3, 1, 1, 0, 1, 0, 0, 252)
		let at = 0
		const trickle = setInterval(() => slow.write(beginning.subarray(at, ++at)), 20)
		expect(await holds(() => silent.isClosed && slow.isClosed, 200 + 2 * SWEEP_MS + SOON_MS)).toBe(true)
		clearInterval(trickle)
		expect(ear.opened).toEqual([])
		expect(listener.stats.setupFailed).toBe(2)
	})

	test('has so many handshakes in flight: the oldest that keeps it waiting makes room', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { handshakes: 5 } })
		const silent = await dialTcps(listener.port, 20)
		expect(await holds(() => silent.filter(({ isClosed }) => isClosed).length === 15)).toBe(true)
		expect(listener.handshakes).toBe(5)
		const phone = await dial(listener)
		phone.write(wrap(kind, sip('in spite of them')))
		expect(await holds(() => ear.messages.length === 1)).toBe(true)
		expect(listener.handshakes).toBe(4)
	})

	test('lets no source alone end the handshakes of another', async () => {
		const { listener, ear } = await listenStream(kind, { address: '0.0.0.0', limits: { handshakes: 5 } })
		const slow = connect({ host: '127.0.0.1', port: listener.port, localAddress: '127.0.0.9' })
		const phone = new Client(slow)
		expect(await holds(() => listener.handshakes === 1)).toBe(true)
		const silent = await dialTcps(listener.port, 20)
		expect(await holds(() => silent.filter(({ isClosed }) => isClosed).length === 16)).toBe(true)
		expect([phone.isClosed, listener.handshakes, ear.closed.length]).toEqual([false, 5, 0])
	})

	test('serves those who are there while strangers connect, say nothing, and leave', async () => {
		const { listener, ear } = await listenStream(kind)
		ear.reaction = ({ key }, bytes) => void listener.send(key, bytes)
		const phone = await dial(listener)
		const strangers = await dialTcps(listener.port, 100)
		for (const [i, stranger] of strangers.entries()) {
			if (i % 3 === 0) stranger.write(Uint8Array.of(22, 3, 1, 0, 90, 1, 0, 0, 86))
			if (i % 3 === 1) stranger.socket.destroy()
			if (i % 10 === 0) phone.write(wrap(kind, sip('meanwhile', `${i}`)))
		}
		expect(
			await holds(() => ear.messages.length === 10 && phone.heard.length > 10 * sip('meanwhile', '0').length),
		).toBe(true)
		expect(ear.closed).toEqual([])
	})
})

describe('limits', () => {
	test('of connections may be shared by listeners', async () => {
		const population = new Population(2, 2)
		const a = await listenStream('tcp', { population })
		const b = await listenStream('ws', { population })
		for (const { listener, ear } of [a, b]) ear.reaction = ({ key }) => listener.settle(key)
		const one = await dial(a.listener)
		one.write(sip('here'))
		const two = await dial(b.listener)
		two.write(wrap('ws', sip('here')))
		expect(await holds(() => a.ear.messages.length + b.ear.messages.length === 2)).toBe(true)
		const three = await dialTcp(a.listener.port)
		expect(await holds(() => three.isClosed)).toBe(true)
		expect(population.size).toBe(2)
		one.socket.destroy()
		two.socket.destroy()
		expect(await holds(() => population.size === 0)).toBe(true)
	})

	test('of connections, shared: a newer one on any listener has the place of a stranger on another', async () => {
		const population = new Population(3, 9)
		const tcp = await listenStream('tcp', { population })
		const tls = await listenStream('tls', { population })
		const agent = await dial(tcp.listener)
		agent.write(sip('here'))
		expect(await holds(() => tcp.ear.messages.length === 1)).toBe(true)
		tcp.listener.settle(tcp.ear.opened[0]!.flow.key)
		const stranger = await dial(tcp.listener)
		const half = await dialTcp(tls.listener.port)
		expect(await holds(() => population.size === 3)).toBe(true)
		const first = await dial(tls.listener)
		first.write(sip('here'))
		expect(await holds(() => stranger.isClosed && tls.ear.messages.length === 1)).toBe(true)
		tls.listener.settle(tls.ear.opened[0]!.flow.key)
		expect(half.isClosed).toBe(false)
		const second = await dial(tcp.listener)
		expect(await holds(() => half.isClosed && tcp.ear.opened.length === 3)).toBe(true)
		expect([agent, first, second].map(({ isClosed }) => isClosed)).toEqual([false, false, false])
	})

	test('a close whose last octets nobody reads ends after CLOSE_MS', async () => {
		const { listener, ear } = await listenStream('tcp', { limits: { queuedBytes: 32 << 20 } })
		const deaf = await dial(listener)
		expect(await holds(() => ear.opened.length === 1)).toBe(true)
		deaf.socket.pause()
		const { key } = ear.opened[0]!.flow
		for (let i = 0; i < 400; i++) listener.send(key, new Uint8Array(65_000))
		const start = performance.now()
		listener.close(key)
		await Bun.sleep(20)
		expect(ear.closed.length).toBe(1)
		expect((await accepted(listener.port)).length).toBe(1)
		while ((await accepted(listener.port)).length > 0 && performance.now() - start < 2 * CLOSE_MS) await Bun.sleep(20)
		expect(performance.now() - start).toBeGreaterThan(CLOSE_MS - 1)
		expect(performance.now() - start).toBeLessThan(CLOSE_MS + 2 * SWEEP_MS + SOON_MS)
	})

	test('what waits of all connections together is bounded: who holds most is cut off, newcomers first', async () => {
		const { listener, ear } = await listenStream('tcp', { limits: { waitingBytes: 100_000 } })
		const half = sip('x'.repeat(30_000)).slice(0, -1)
		const agent = await dial(listener)
		agent.write(half)
		expect(await holds(() => ear.opened.length === 1)).toBe(true)
		listener.settle(ear.opened[0]!.flow.key)
		const hoarders = [await dial(listener), await dial(listener)]
		for (const hoarder of hoarders) hoarder.write(half)
		const phone = await dial(listener)
		await Bun.sleep(50)
		phone.write(sip('y'.repeat(16_000)).slice(0, -1))
		expect(await holds(() => hoarders.some(({ isClosed }) => isClosed))).toBe(true)
		expect(hoarders.filter(({ isClosed }) => isClosed).length).toBe(1)
		agent.write('x')
		phone.write('y')
		expect(await holds(() => ear.messages.length === 2)).toBe(true)
		expect(listener.stats.crowdedOut).toBe(1)
		hoarders.find(({ isClosed }) => !isClosed)!.write('x')
		expect(await holds(() => ear.messages.length === 3)).toBe(true)
		/* nothing waits any more */
		const again = [await dial(listener), await dial(listener), await dial(listener)]
		for (const one of again) one.write(half)
		await Bun.sleep(20)
		for (const one of again) one.write('x')
		expect(await holds(() => ear.messages.length === 6)).toBe(true)
		expect(listener.stats.crowdedOut).toBe(1)
	})

	test('who holds most is known, newcomers first, while sizes change and somebody comes to be vouched for', () => {
		const one = (isNewcomer: boolean, told: number) => ({ isNewcomer, told })
		const hoards = new Hoards<{ isNewcomer: boolean; told: number }>()
		const [small, large, known] = [one(true, 100), one(true, 60_000), one(false, 200_000)]
		for (const hoarder of [small, known, large]) hoards.changed(hoarder, 0)
		expect([hoards.octets, hoards.largest()]).toEqual([260_100, large])
		large.isNewcomer = false
		hoards.settled(large)
		expect(hoards.largest()).toBe(small)
		small.told = 0
		hoards.changed(small, 100)
		expect([hoards.octets, hoards.largest()]).toEqual([260_000, known])
		known.told = 10
		hoards.changed(known, 200_000)
		expect([hoards.octets, hoards.largest()]).toEqual([60_010, large])
	})

	test('hang together', () => {
		const durations = [
			STREAM_LIMITS.setupMs,
			STREAM_LIMITS.firstMessageMs,
			STREAM_LIMITS.partialMs,
			STREAM_LIMITS.idleMs,
		]
		for (const duration of [...durations, CLOSE_MS, CONNECT_MS]) expect(duration).toBeGreaterThanOrEqual(8 * SWEEP_MS)
		expect(STREAM_LIMITS.newcomerMs).toBeGreaterThan(STREAM_LIMITS.firstMessageMs)
		expect(STREAM_LIMITS.newcomerMs).toBeLessThan(STREAM_LIMITS.idleMs)
		expect(STREAM_LIMITS.queuedBytes).toBeGreaterThan(65_535)
		expect(STREAM_LIMITS.waitingBytes).toBeGreaterThan(STREAM_LIMITS.queuedBytes)
		expect(STREAM_LIMITS.handshakes).toBeLessThan(STREAM_LIMITS.connections)
		expect(STREAM_LIMITS.perSource).toBeLessThan(STREAM_LIMITS.connections)
		expect(USER_TIMEOUT_MS).toBeGreaterThan(CLOSE_MS)
		expect(SEND_BUFFER_BYTES).toBeLessThan(4 << 20)
	})
})
