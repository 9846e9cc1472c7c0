import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { because, binaryAbsent, until } from './binary.ts'
import { certificateFlags, Scene, STREAM_KINDS } from './scene.ts'

/** Bounded by the waits in it; this is for a busy machine. */
setDefaultTimeout(20_000)

let scene: Scene

afterEach(() => scene?.close())

const background = () => scene.world.sees("Anna's app is background", ({ gauges }) => gauges.devicesBackground === 1)

describe.skipIf(binaryAbsent !== undefined)(`phones on connections${because(binaryAbsent)}`, () => {
	test.each([...STREAM_KINDS])('%s: an awake phone is called, and calls, and the PBX knows it by UDP', async (kind) => {
		scene = await Scene.open(kind, 70 + STREAM_KINDS.indexOf(kind))
		const { anna, exchange, world } = scene
		exchange.call('1001')
		await scene.answered()
		await scene.hungUp('pbx')
		exchange.call('1001')
		await scene.answered()
		await scene.hungUp('phone')
		await world.sees('a ping is answered', ({ counters }) => counters.pongs > 1)
		expect(anna.count('in', 'INVITE')).toBe(2)
		expect(world.pushes).toEqual([])
		expect(exchange.pbx.history[0]!.contact).toBe(`sip:1001@127.0.0.1:${world.ports.sip}`)
	})

	test.each([...STREAM_KINDS])(
		'%s: a frozen app is woken, its new connection has the call, and its old one is closed',
		async (kind) => {
			scene = await Scene.open(kind, 74 + STREAM_KINDS.indexOf(kind))
			const { anna, exchange, line, world } = scene
			anna.phone.sleep()
			await background()
			expect(line.isOpen).toBe(true)
			exchange.call('1001')
			await until('the push is out', () => world.pushes.length === 1)
			await anna.wake('127.0.0.22')
			await scene.answered()
			await until('the old connection is closed', () => line.closedByGateway === 1)
			await scene.hungUp('pbx')
			expect(anna.count('in', 'INVITE')).toBe(1)
		},
	)

	test('a connection that the app ends makes it background at once, and the next call is pushed at once', async () => {
		scene = await Scene.open('tls', 78, '--ping-interval', '60s', '--ping-timeout', '1s')
		const { anna, exchange, line, world } = scene
		line.hangUp()
		await background()
		exchange.call('1001')
		await until('the push is out', () => world.pushes.length === 1, 1_000)
		await anna.wake('127.0.0.22')
		await scene.answered()
		await scene.hungUp('phone')
	})

	test('kill -9: after the restart there is no connection, and a call wakes the phone', async () => {
		scene = await Scene.open('tcp', 79, '--ping-interval', '60s', '--ping-timeout', '1s')
		const { anna, exchange, world } = scene
		world.signal('SIGKILL')
		await world.ended()
		await world.start()
		await background()
		exchange.call('1001')
		await until('the push is out', () => world.pushes.length === 1, 1_000)
		await anna.wake('127.0.0.22')
		await scene.answered()
		await scene.hungUp('pbx')
	})

	test('SIGHUP: new connections see the new certificate, and the old ones stay', async () => {
		scene = await Scene.open('tls', 80)
		const { exchange, world } = scene
		const before = await shownSerial(scene.phonePort)
		certificateFlags(world.folder, 1)
		world.signal('SIGHUP')
		await until('the certificate is another one', async () => (await shownSerial(scene.phonePort)) !== before)
		await until('it is told', () => world.log.some((line) => line.includes('certificates-reloaded')))
		writeFileSync(join(world.folder, 'gw.example.pem'), 'rubbish')
		world.signal('SIGHUP')
		await until('it is told', () => world.log.some((line) => line.includes('certificates-bad')))
		exchange.call('1001')
		await scene.answered()
		await scene.hungUp('pbx')
		expect(scene.line.closedByGateway).toBe(0)
	})
})

/** Serial number of the certificate that this port shows. */
function shownSerial(port: number): Promise<string> {
	return new Promise((resolve, reject) => {
		const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
			resolve(socket.getPeerCertificate().serialNumber)
			socket.destroy()
		})
		socket.once('error', reject)
	})
}
