/** Phones over TCP and TLS that are not ours: sipp, and for TLS, which Debian's has not, a relay that speaks it. */
import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { because, binaryAbsent, until } from './binary.ts'
import { portsOf, World } from './gateway.ts'
import {
	ANSWERED,
	app,
	callee,
	calleeScenario,
	caller,
	callerScenario,
	callingApp,
	callingPbx,
	pbx,
	type Rung,
} from './ladder.ts'
import { Relay } from './relay.ts'
import { certificateFlags } from './scene.ts'
import { type Sipp, type SippOptions, sipp, sippAbsent } from './sipp.ts'

const absent = binaryAbsent ?? sippAbsent
const PBX = '127.0.0.10'
const KEYS = { token: 'a11a'.repeat(16), instance: '0b2ea0f6-9a3c-4a3e-8f0e-6f6d0c7a1001' }

/** Bounded by sipp's own limit and by those of the waits. */
setDefaultTimeout(20_000)

const BY_EITHER: readonly (readonly Rung[])[] = [
	[...ANSWERED, caller('BYE'), callee('200 BYE')],
	[...ANSWERED, callee('BYE'), caller('200 BYE')],
]

let world: World
const open: { close(): void }[] = []
const running: Sipp[] = []

afterEach(async () => {
	for (const process of running.splice(0)) process.kill()
	for (const relay of open.splice(0)) relay.close()
	await world?.close()
})

function run(options: SippOptions): Sipp {
	const process = sipp(world, { keys: KEYS, ...options })
	running.push(process)
	return process
}

async function openWorld(kind: 'tcp' | 'tls', test: number): Promise<void> {
	const ports = portsOf(test)
	world = await World.open(ports, (folder) => [
		...['--listen', `udp:127.0.0.1:${ports.sip}`, '--listen', `${kind}:127.0.0.1:${ports.own}`],
		...(kind === 'tls' ? certificateFlags(folder) : []),
	])
}

async function relayOf(kind: 'tcp' | 'tls', from: string): Promise<Relay> {
	const relay = await Relay.open({ from, to: world.ports.own, secure: kind === 'tls' })
	open.push(relay)
	return relay
}

const registrar = (calls: number) => run({ scenario: 'registrar', address: PBX, port: world.ports.pbx, calls })
const calling = (scenario: SippOptions['scenario']) =>
	run({ scenario, address: PBX, port: world.ports.own + 1, to: world.ports.sip })

/** The phone registers by that port, and stays `stayMs` to do what `answers` says. */
const phone = (to: number, answers: SippOptions['scenario'], stayMs: number, mode: 't1' | 'tn' = 't1') =>
	run({
		...{ scenario: 'register', address: '127.0.0.21', port: world.ports.own + 2, to, answers },
		...{ pauseMs: stayMs, mode },
	})

/** The phone registers by that port, is called, and whoever the ladder says hangs up. */
async function called(to: number, ladder: readonly Rung[], mode: 't1' | 'tn' = 't1'): Promise<void> {
	const pbxSide = registrar(1)
	const phoneSide = phone(to, calleeScenario('app', ladder, app), 700, mode)
	await pbxSide.done
	await world.sees('the agent is awake', ({ gauges }) => gauges.devicesForeground === 1)
	await calling(callerScenario('pbx', ladder, callingPbx)).done
	await phoneSide.done
}

describe.skipIf(absent !== undefined)(`sipp over connections${because(absent)}`, () => {
	for (const [i, kind] of (['tcp', 'tls'] as const).entries()) {
		test(`${kind}: the PBX calls, and either side hangs up`, async () => {
			await openWorld(kind, 120 + i)
			const relay = await relayOf(kind, '127.0.0.21')
			for (const ladder of BY_EITHER) await called(relay.port, ladder)
			const { agents, counters } = await world.status()
			expect(counters).toMatchObject({ callsAnswered: 2, malformed: 0 })
			expect(agents[0]!.devices.map(({ address }) => address)).toEqual(['127.0.0.21'])
			expect([world.pushes, relay.isClosed]).toEqual([[], false])
		})

		test(`${kind}: the agent calls, and either side hangs up`, async () => {
			await openWorld(kind, 122 + i)
			const relay = await relayOf(kind, '127.0.0.21')
			const pbxSide = registrar(1)
			await phone(relay.port, 'answer', 0).done
			await pbxSide.done
			for (const ladder of BY_EITHER) {
				const far = run({ scenario: calleeScenario('pbx', ladder, pbx), address: PBX, port: world.ports.pbx })
				const near = run({
					...{ scenario: callerScenario('app', ladder, callingApp), answers: 'answer', mode: 't1' },
					...{ address: '127.0.0.21', port: world.ports.own + 2, to: relay.port },
				})
				await Promise.all([near.done, far.done])
			}
			expect((await world.status()).counters).toMatchObject({ callsFromAgents: 2, malformed: 0 })
		})

		test(`${kind}: a push wakes the phone, its new connection has the call, and the old one is closed`, async () => {
			await openWorld(kind, 124 + i)
			const [asleep, awake] = [await relayOf(kind, '127.0.0.21'), await relayOf(kind, '127.0.0.22')]
			const pbxSide = registrar(2)
			await phone(asleep.port, 'answer', 0).done
			await world.sees('the app sleeps', ({ gauges }) => gauges.devicesBackground === 1)
			expect(asleep.isClosed).toBe(false)
			const [, ladder] = BY_EITHER
			const woken = Promise.withResolvers<Sipp>()
			world.onPush = () => woken.resolve(phone(awake.port, calleeScenario('app', ladder!, app), 700))
			await calling(callerScenario('pbx', ladder!, callingPbx)).done
			await Promise.all([pbxSide.done, (await woken.promise).done])
			await until('the old connection is closed', () => asleep.isClosed)
			expect([world.pushes.length, awake.isClosed]).toEqual([1, false])
		})
	}

	test('tcp, a connection for each of its calls (-t tn): the PBX calls', async () => {
		await openWorld('tcp', 126)
		await called(world.ports.own, BY_EITHER[0]!, 'tn')
		expect((await world.status()).counters.callsAnswered).toBe(1)
	})
})
