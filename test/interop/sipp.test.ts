import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { because, binaryAbsent } from './binary.ts'
import { portsOf, TOPIC, World } from './gateway.ts'
import { type Sipp, type SippOptions, sipp, sippAbsent } from './sipp.ts'

const absent = binaryAbsent ?? sippAbsent
const PBX = '127.0.0.10'
const TOKEN = 'a11a'.repeat(16)
const INSTANCE = '0b2ea0f6-9a3c-4a3e-8f0e-6f6d0c7a1001'
const AGENT = 'sip:1001@pbx.example'

/** Bounded by sipp's own limit and by those of the waits. */
setDefaultTimeout(15_000)

let world: World
let running: Sipp[] = []

afterEach(async () => {
	for (const process of running) process.kill()
	running = []
	await world?.close()
})

function run(options: SippOptions): Sipp {
	const process = sipp(world, options)
	running.push(process)
	return process
}

const registrar = (calls: number) => run({ scenario: 'registrar', address: PBX, port: world.ports.pbx, calls })

/** The app registers from `address` and stays there for `stayMs`, to do what `answers` says. */
const app = (address: string, answers: string, stayMs: number, keys = {}) =>
	run({
		...{ scenario: 'register', address, port: world.ports.own, to: world.ports.sip, answers },
		...{ keys: { token: TOKEN, instance: INSTANCE, ...keys }, pauseMs: stayMs },
	})

/** The PBX calls the agent, from another port than that of its registrar. */
const caller = (scenario: string, pauseMs = 50, keys = {}) =>
	run({ scenario, address: PBX, port: world.ports.own + 1, to: world.ports.sip, pauseMs, keys })

const registered = () => world.sees('the agent is registered', ({ gauges }) => gauges.devicesForeground === 1)

/** An app that was there, and that iOS has put to sleep. */
async function sleepingApp(): Promise<void> {
	await app('127.0.0.21', 'answer', 0).done
	await world.sees('the app sleeps', ({ gauges }) => gauges.devicesBackground === 1)
}

/** The push wakes the app, which registers from another network. */
function wakesOnPush(answers: string, keys = {}): Promise<Sipp> {
	return new Promise((resolve) => {
		world.onPush = () => resolve(app('127.0.0.22', answers, 800, keys))
	})
}

describe.skipIf(absent !== undefined)(`sipp against the binary${because(absent)}`, () => {
	test('an awake app is called: 100, 180, 200, ACK, BYE', async () => {
		world = await World.open(portsOf(0))
		const pbx = registrar(1)
		const phone = app('127.0.0.21', 'answer', 1500)
		await registered()
		await caller('call').done
		await Promise.all([pbx.done, phone.done])
		const { agents, counters } = await world.status()
		expect(agents.map(({ agent }) => agent)).toEqual([AGENT])
		expect(counters.pongs).toBeGreaterThan(1)
		expect(world.pushes).toEqual([])
	})

	test('an app on TCP is called: the PBX on UDP sees no difference', async () => {
		const ports = portsOf(81)
		const listen = ['--listen', `udp:127.0.0.1:${ports.sip}`, '--listen', `tcp:127.0.0.1:${ports.own + 3}`]
		world = await World.open(ports, ...listen)
		const pbx = registrar(1)
		const phone = run({
			...{ scenario: 'register', address: '127.0.0.21', port: ports.own, to: ports.own + 3, answers: 'answer' },
			...{ keys: { token: TOKEN, instance: INSTANCE }, pauseMs: 1500, mode: 't1' },
		})
		await registered()
		await caller('call').done
		await Promise.all([pbx.done, phone.done])
		expect((await world.status()).counters.callsAnswered).toBe(1)
		expect(world.pushes).toEqual([])
	})

	test('a sleeping app is woken by one push, and gets the held call at the address it wakes at', async () => {
		world = await World.open(portsOf(1))
		const pbx = registrar(2)
		await sleepingApp()
		const woken = wakesOnPush('answer')
		await caller('call').done
		await Promise.all([pbx.done, (await woken).done])
		expect(world.pushes.map(({ token, topic }) => ({ token, topic }))).toEqual([{ token: TOKEN, topic: TOPIC }])
		expect(world.pushes[0]?.payload).toMatchObject({ callerName: 'Carla Caller', callerNumber: '0612345678' })
		const [push] = (await world.status()).pushes
		expect(push).toMatchObject({ agent: AGENT, result: 'accepted', wakeMs: expect.any(Number) })
	})

	test('a caller that gives up while held has 487 at once, and the app that wakes later gets INVITE and CANCEL', async () => {
		world = await World.open(portsOf(2))
		const pbx = registrar(2)
		await sleepingApp()
		await caller('cancel-held', 300).done
		expect(world.pushes).toHaveLength(1)
		await Promise.all([app('127.0.0.22', 'cancelled', 1000).done, pbx.done])
		const { counters, gauges } = await world.status()
		expect({ ...gauges, ...counters }).toMatchObject({ callsHeld: 1, ghostsReplayed: 1, callsCancelled: 1 })
	})

	test('a caller that gives up while it rings has the 487, and the phone the CANCEL with its reason', async () => {
		world = await World.open(portsOf(3))
		const pbx = registrar(1)
		const phone = app('127.0.0.21', 'cancelled', 1000)
		await registered()
		await caller('cancel-ringing', 100).done
		await Promise.all([pbx.done, phone.done])
		expect((await world.status()).counters.callsCancelled).toBe(1)
	})

	test.each(['486 Busy Here', '603 Decline'])('the %s of the phone reaches the PBX', async (status) => {
		world = await World.open(portsOf(status.startsWith('4') ? 4 : 5))
		const pbx = registrar(1)
		const phone = app('127.0.0.21', 'declined', 800, { status })
		await registered()
		await caller('call-declined', 0, { code: status.slice(0, 3) }).done
		await Promise.all([pbx.done, phone.done])
		expect((await world.status()).counters.callsDeclined).toBe(1)
	})

	test('a woken phone that declines is heard too', async () => {
		world = await World.open(portsOf(6))
		const pbx = registrar(2)
		await sleepingApp()
		const woken = wakesOnPush('declined', { status: '486 Busy Here' })
		await caller('call-declined', 0, { code: '486' }).done
		await Promise.all([pbx.done, (await woken).done])
	})

	test('a push that APNs refuses ends the hold at once with 480', async () => {
		world = await World.open(portsOf(7))
		const pbx = registrar(1)
		await sleepingApp()
		await pbx.done
		world.apns.next({ kind: 'answer', status: 400, reason: 'BadDeviceToken' })
		world.apns.next({ kind: 'answer', status: 400, reason: 'BadDeviceToken' })
		const began = performance.now()
		await caller('call-unanswered').done
		expect(performance.now() - began).toBeLessThan(2000)
	})

	test('PRACK, INFO, UPDATE and new offers pass in a dialog, from either side', async () => {
		world = await World.open(portsOf(8))
		const pbx = registrar(1)
		const phone = app('127.0.0.21', 'dialog-app', 1500)
		await registered()
		await caller('dialog').done
		await Promise.all([pbx.done, phone.done])
	})

	test('scanners get no answer, nothing of theirs reaches the PBX, and the bound phone still works', async () => {
		world = await World.open(portsOf(9))
		const pbx = registrar(1)
		const phone = app('127.0.0.21', 'answer', 4500)
		await registered()
		await pbx.done
		let heard = 0
		const listening = await Bun.udpSocket({
			...{ hostname: PBX, port: world.ports.pbx },
			socket: { data: () => void heard++, error: () => {} },
		})
		const scan = (address: string, agent: string, from: string) =>
			run({
				...{ scenario: 'scanner', address, port: world.ports.own + 2, to: world.ports.sip },
				...{ keys: { agent, from, to: from } },
			})
		await Promise.all([
			scan('127.0.0.66', 'friendly-scanner', '100@pbx.example').done,
			scan('127.0.0.67', 'softphone', '100@other.example').done,
		])
		listening.close()
		expect(heard).toBe(0)
		await caller('call').done
		await phone.done
		expect((await world.status()).bans.map(({ source }) => source)).toEqual(['127.0.0.66'])
	})
})
