/** The binary, Google's stand-in and a phone of Android on real sockets; APNs is configured beside it. */
import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Line } from '../../src/demo/line.ts'
import { error, GoogleStandIn, keyFile, PROJECT } from '../push/fcm/stand-in.ts'
import { BINARY, because, binaryAbsent, until } from './binary.ts'
import { cleanEnvironment, portsOf, World } from './gateway.ts'
import { Exchange, Handset, now } from './party.ts'

/** Bounded by the waits in it; this is for a busy machine. */
setDefaultTimeout(20_000)

const TOKEN = 'fX9-interop_1:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx'

let google: GoogleStandIn
let world: World
let exchange: Exchange
let anna: Handset

afterEach(async () => {
	anna?.line.close()
	exchange?.line.close()
	await world?.close()
	await google?.stop()
})

/** Anna's phone of Android is registered, and asleep. */
async function open(): Promise<void> {
	google = new GoogleStandIn()
	exchange = new Exchange(await Line.open('127.0.0.10'))
	const flags = (folder: string) => {
		writeFileSync(join(folder, 'fcm.json'), keyFile(google.tokenUri), { mode: 0o600 })
		writeFileSync(join(folder, 'google.pem'), google.ca)
		return ['--fcm-key', join(folder, 'fcm.json'), '--fcm-url', google.url, '--fcm-ca', join(folder, 'google.pem')]
	}
	world = await World.open({ ...portsOf(95), pbx: exchange.line.endpoint.port }, flags)
	const push = { dialect: 'rfc8599', provider: 'fcm', param: PROJECT, prid: TOKEN } as const
	anna = new Handset('1001', world.ports.sip, await Line.open('127.0.0.21'), '127.0.0.1', push)
	anna.phone.register(now())
	await anna.next('registered')
	anna.phone.sleep()
	await world.sees("Anna's app is background", ({ gauges }) => gauges.devicesBackground === 1)
}

describe.skipIf(binaryAbsent !== undefined)(`the binary wakes Android${because(binaryAbsent)}`, () => {
	test('a call wakes the app by one message, and rings where it comes back; the page tells, and no secret with it', async () => {
		await open()
		google.onMessage = () => {
			void anna.wake('127.0.0.22')
			return undefined
		}
		const { id } = exchange.call('1001')
		const { call } = await anna.next('incoming')
		anna.phone.calls.answer(call, now())
		await exchange.next('answered')
		expect([google.faults, google.messages.map(({ message }) => message.data['callId'])]).toEqual([[], [id]])
		await world.sees('the wake is told', ({ pushes }) => pushes[0]?.wakeMs !== undefined)
		const { pushes, agents, counters } = await world.status()
		expect(pushes[0]).toMatchObject({ callId: id, result: 'accepted', status: 200 })
		expect([agents[0]!.devices[0]!.push?.provider, counters.pushesAccepted]).toEqual(['fcm', 1])
		const shown = [await (await fetch(world.url)).text(), JSON.stringify(await world.status()), ...world.log].join('\n')
		expect(shown).toContain('provider=fcm')
		for (const secret of [TOKEN, 'PRIVATE KEY', ...google.granted]) expect(shown).not.toContain(secret)
	})

	test('a refused token is 480 at once, and dead; the next call is not pushed', async () => {
		await open()
		google.onMessage = () => error(404, 'NOT_FOUND', 'UNREGISTERED')
		exchange.call('1001')
		expect((await exchange.next('failed')).status).toBe(480)
		expect((await world.status()).pushes[0]).toMatchObject({ result: 'refused', status: 404, reason: 'UNREGISTERED' })
		exchange.call('1001')
		expect((await exchange.next('failed')).status).toBe(480)
		expect(google.messages.length).toBe(1)
	})

	test('a key that Google refuses makes the gateway unready, with a sentence what to do', async () => {
		await open()
		google.onToken = () => Response.json({ error: 'invalid_grant' }, { status: 400 })
		world.signal('SIGKILL')
		await world.ended()
		/* it may be ready for a moment, before Google has answered */
		const started = world.start().catch(() => {})
		await until('it says so', () => world.log.some((line) => line.includes('push-misconfigured')))
		const answer = await fetch(`${world.url}readyz`)
		expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining('--fcm-key')])
		world.signal('SIGKILL')
		await started
	})

	test('a file that is no key keeps it from starting, with a sentence what to do', async () => {
		google = new GoogleStandIn()
		const { sip, http } = portsOf(95)
		const usual = [
			'--listen',
			`udp:127.0.0.1:${sip}`,
			'--http',
			`127.0.0.1:${http}`,
			'--pbx',
			'127.0.0.10',
			'--domain',
			'a.b',
		]
		const command = [BINARY, ...usual, '--db', '/tmp/never-made.db', '--fcm-key', import.meta.path]
		const child = Bun.spawn(command, { env: cleanEnvironment(), stdout: 'ignore', stderr: 'pipe', timeout: 10_000 })
		const said = await child.stderr.text()
		expect([await child.exited, said]).toEqual([
			1,
			expect.stringMatching(/^--fcm-key: \S+ is no JSON object\. Make one in the Firebase console/m),
		])
	})
})
