/** What strangers do to the binary's connections, and how agents fare meanwhile. */
import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { because, binaryAbsent, until } from './binary.ts'
import { Crowd, clientHello, stranger } from './crowd.ts'
import { portsOf } from './gateway.ts'
import { Handset, now } from './party.ts'
import { Scene } from './scene.ts'
import { type StreamKind, StreamLine } from './stream-line.ts'

/** Ten seconds are what the slowest of them are given; this is for a busy machine. */
setDefaultTimeout(40_000)

const HERE = ['127.0.0.66', '127.0.0.67', '127.0.0.68']
/** Behind the listener of the phone there are a TCP and a WebSocket listener. */
const listenersOf = (test: number) => [
	...['--listen', `tcp:127.0.0.1:${portsOf(test).own + 1}`],
	...['--listen', `ws:127.0.0.1:${portsOf(test).own + 2}`],
]

let scene: Scene
const open: { close(): void }[] = []

afterEach(async () => {
	for (const one of open.splice(0)) one.close()
	await scene?.close()
})

async function crowd(...parts: Parameters<typeof Crowd.open>): Promise<Crowd> {
	const one = await Crowd.open(...parts)
	open.push(one)
	return one
}

/** Another agent's phone at one of the listeners, registered. */
async function bruno(kind: StreamKind, port: number, address: string) {
	const line = new StreamLine(kind, address, { address: '127.0.0.1', port })
	const handset = new Handset('1002', port, line)
	open.push(line)
	handset.phone.register(now())
	await handset.next('registered')
	return { handset, line }
}

async function connections(): Promise<number> {
	const { listeners } = (await scene.world.status()) as unknown as { listeners: { connections?: number }[] }
	return listeners.reduce((sum, { connections = 0 }) => sum + connections, 0)
}

describe.skipIf(binaryAbsent !== undefined)(`strangers on connections${because(binaryAbsent)}`, () => {
	test('half messages, half handshakes and half upgrades keep nobody waiting, and end after ten seconds', async () => {
		scene = await Scene.open('tls', 140, ...listenersOf(140))
		const port = scene.phonePort
		const hello = await clientHello()
		const crowds = [
			await crowd(port + 1, HERE, 100, stranger('REGISTER', '1001').slice(0, 90)),
			await crowd(port, HERE, 100, hello.slice(0, 90)),
			await crowd(port + 2, HERE, 100, 'GET / HTTP/1.1\r\nHost: x\r\nCookie: '),
		]
		const trickle = setInterval(() => {
			for (const one of crowds) one.say('x')
		}, 500)
		open.push({ close: () => clearInterval(trickle) })
		const began = performance.now()
		let works = 0
		while (crowds.some(({ closed, size }) => closed < size) && performance.now() - began < 20_000) {
			await scene.works()
			works++
			await Bun.sleep(200)
		}
		expect(crowds.map(({ closed, size, heard }) => [closed, size, heard])).toEqual(Array(3).fill([300, 300, '']))
		expect(works).toBeGreaterThan(5)
		const { listeners } = (await scene.world.status()) as unknown as { listeners: { ended?: Record<string, number> }[] }
		expect(listeners.map(({ ended }) => [ended?.['setup'], ended?.['time']])).toEqual([
			[undefined, undefined],
			[300, 0],
			[0, 300],
			[300, 0],
		])
		expect([scene.line.closedByGateway, scene.world.pushes, await connections()]).toEqual([0, [], 1])
	})

	test('with --max-connections there, strangers go for phones, on whichever listener, and agents stay', async () => {
		scene = await Scene.open('tls', 141, ...listenersOf(141), '--max-connections', '40')
		const port = scene.phonePort
		/* who has not registered yet, and is no part of the crowd */
		const slow = await crowd(port + 1, ['127.0.0.40'], 1)
		const idle = await crowd(port + 1, HERE, 30)
		await until('the oldest have gone', () => idle.closed >= 52)
		expect(await connections()).toBe(40)
		await scene.works()
		const { handset } = await bruno('ws', port + 2, '127.0.0.31')
		scene.exchange.call('1002')
		await handset.next('incoming')
		expect(slow.closed).toBe(0)
		expect([scene.line.closedByGateway, idle.closed]).toEqual([0, 53])
	})

	test('with --max-connections-per-source a source has so many, and nobody else fewer', async () => {
		scene = await Scene.open('tls', 142, ...listenersOf(142), '--max-connections-per-source', '5')
		const port = scene.phonePort
		const mine = await crowd(port + 1, [HERE[0]!], 20)
		await until('all but five are turned away', () => mine.closed === 15)
		const more = await crowd(port + 2, [HERE[0]!], 5)
		await until('they are counted over all listeners', () => more.closed === 5)
		const others = await crowd(port + 1, [HERE[1]!], 5)
		await scene.works()
		expect([others.closed, mine.closed]).toEqual([0, 15])
	})

	test('a flood of TLS handshakes leaves agents their turns', async () => {
		scene = await Scene.open('tls', 143)
		const hello = await clientHello()
		const end = performance.now() + 2_500
		let handshakes = 0
		const flood = async (address: string) => {
			while (performance.now() < end) {
				const some = await crowd(scene.phonePort, [address], 25, hello)
				await Bun.sleep(20)
				if (some.heard.length > 0) handshakes += some.size
				some.close()
			}
		}
		const floods = Promise.all(HERE.map(flood))
		let works = 0
		for (; performance.now() < end; works++) await scene.works()
		await floods
		expect(handshakes).toBeGreaterThan(50)
		expect(works).toBeGreaterThan(1)
		expect([scene.line.closedByGateway, scene.world.pushes]).toEqual([0, []])
	})

	test('a phone that never reads is cut off, and another has its calls meanwhile', async () => {
		scene = await Scene.open('tls', 144, ...listenersOf(144))
		const { line } = await bruno('tcp', scene.phonePort + 1, '127.0.0.31')
		line.stopReading()
		/* each is answered with 400 and as many octets */
		const wrong = stranger('INFO', '1002', `Call-Info: <sip:a@b>`).replace('rport;', `rport;x=${'y'.repeat(8_000)};`)
		const bytes = Buffer.from(wrong.replace('CSeq: 1', 'CSeq: one'), 'latin1')
		for (let i = 0; i < 4_000; i++) line.send(bytes)
		await scene.works()
		await scene.world.sees('it is cut off', ({ gauges }) => gauges.devicesBackground === 1, 10_000)
		await scene.works()
		expect(await connections()).toBe(1)
	})

	test('a ban closes what strangers from there say, and neither bound phones nor those that come back', async () => {
		scene = await Scene.open('tls', 145, ...listenersOf(145))
		const { world, exchange, anna, phonePort } = scene
		const there = HERE[0]!
		const { handset } = await bruno('tcp', phonePort + 1, there)
		const scanner = await crowd(phonePort + 1, [there], 1)
		scanner.say(stranger('REGISTER', '100', 'User-Agent: friendly-scanner'))
		await until('the scanner is turned out', () => scanner.closed === 1)
		expect((await world.status()).bans.map(({ source }) => source)).toEqual([there])
		const again = await crowd(phonePort + 1, [there], 3, stranger('OPTIONS', '100'))
		await until('they are turned out', () => again.closed === 3)
		expect([scanner.heard, again.heard]).toEqual(['', ''])
		await anna.wake(there)
		await anna.next('registered')
		await scene.works()
		exchange.call('1002')
		await handset.next('incoming')
		handset.phone.answer(now())
		await Promise.all([handset.next('answered'), exchange.next('answered')])
	})

	test('over the rate of their source REGISTERs are dropped, those of bound phones never', async () => {
		scene = await Scene.open('tcp', 146, '--register-rate', '1')
		const some = await crowd(scene.phonePort, [HERE[0]!], 1)
		for (let i = 0; i < 40; i++) some.say(stranger('REGISTER', `${2_000 + i}`))
		await scene.world.sees('they are dropped', ({ counters }) => counters.rateLimited > 20)
		for (let i = 0; i < 15; i++) await scene.registers()
		await scene.works()
		expect((await scene.world.status()).counters.registers).toBeLessThan(2 * 17 + 20)
	})

	test.each([
		[147, '300 header rows', Array.from({ length: 300 }, (_, i) => `X-Row: ${i}`)],
		[148, 'a head of 40,000 octets', [`X-Long: ${'x'.repeat(40_000)}`]],
		[149, 'a body of 70,000 octets', ['Content-Length: 70000']],
	])('%i: %s: 513 on a bound connection and nothing on another, and both are closed', async (number, what, rows) => {
		scene = await Scene.open('tcp', number)
		const { anna, line, phonePort } = scene
		const message = stranger('MESSAGE', '1001', ...rows)
		const text = what.includes('body') ? message.replace('Content-Length: 0\r\n', '') : message
		const other = await crowd(phonePort, [HERE[0]!], 1, text)
		await until('the stranger is turned out', () => other.closed === 1)
		expect(other.heard).toBe('')
		line.send(Buffer.from(text, 'latin1'))
		await until('it is answered', () =>
			anna.phone.recorded.some(({ direction, message }) => direction === 'in' && message.status === 513),
		)
		await until('it is closed', () => line.closedByGateway === 1)
		await scene.works()
	})
})
