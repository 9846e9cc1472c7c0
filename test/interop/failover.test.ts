import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { because, binaryAbsent, until } from './binary.ts'
import { portsOf, World } from './gateway.ts'
import { Caller, Machine } from './pair.ts'

setDefaultTimeout(30_000)

/** Of the ports of this folder. */
const TEST = 46
const EVERY_MS = 25
const RUN_MS = 8_000
const DIES_AFTER_MS = 2_000
const BACK_AFTER_MS = 5_500

const closers: (() => unknown)[] = []
afterEach(async () => {
	for (const close of closers.splice(0)) await close()
})

async function open(kind: 'udp' | 'tcp' = 'udp') {
	const ports = portsOf(TEST)
	const first = new Machine('127.0.0.11', ports.pbx, kind)
	const second = new Machine('127.0.0.12', ports.pbx, kind)
	for (const machine of [first, second]) {
		await machine.start()
		closers.push(() => machine.die())
	}
	const pbx = [first, second].flatMap(({ address, port }) => ['--pbx', `${kind}:${address}:${port}`])
	const listen = ['udp', 'tcp'].flatMap((one) => ['--listen', `${one}:127.0.0.1:${ports.sip}`])
	const world = await World.open(ports, ...listen, ...pbx, '--pbx-ping', '1s', '--ping-interval', '0')
	closers.push(() => world.close())
	const caller = await Caller.open('127.0.0.21', { address: '127.0.0.1', port: ports.sip })
	closers.push(() => caller.close())
	caller.register()
	await until('the phone is registered', () => caller.registered)
	return { first, second, world, caller }
}

/** When each call began, ms since the start of the run. */
async function callAtARate(caller: Caller, events: readonly (readonly [atMs: number, what: () => unknown])[]) {
	const begunAt = new Map<string, number>()
	const start = performance.now()
	const left = [...events]
	for (let elapsed = 0; elapsed < RUN_MS; elapsed = performance.now() - start) {
		if (left.length > 0 && elapsed >= left[0]![0]) await left.shift()![1]()
		begunAt.set(caller.call(), elapsed)
		await Bun.sleep(EVERY_MS)
	}
	return begunAt
}

describe.skipIf(binaryAbsent !== undefined)(`a PBX of two machines${because(binaryAbsent)}`, () => {
	test('one dies and comes back at some thirty calls a second: no call is lost but those in it', async () => {
		const { first, second, world, caller } = await open()
		let inIt: readonly string[] = []
		const begunAt = await callAtARate(caller, [
			[
				DIES_AFTER_MS,
				() => {
					first.die()
					inIt = [...first.taken].filter((callId) => !first.answered.has(callId))
				},
			],
			[BACK_AFTER_MS, () => first.start()],
		])
		const unanswered = () => [...caller.calls].filter(([callId, status]) => status === 0 && !inIt.includes(callId))
		await until('every call has its answer', () => unanswered().length === 0, 8_000).catch(() => {})
		expect(unanswered()).toEqual([])
		const lost = [...caller.calls].filter(([callId, status]) => status !== 200 && !inIt.includes(callId))
		expect(lost).toEqual([])
		expect(caller.calls.size).toBeGreaterThan(100)
		expect(second.answered.size).toBeGreaterThan(30)
		expect([...first.taken].filter((callId) => second.taken.has(callId))).toEqual([])
		const backAt = [...first.taken].map((callId) => begunAt.get(callId)!).find((at) => at > BACK_AFTER_MS)
		expect(backAt).toBeLessThan(BACK_AFTER_MS + 2_500)
		const told = world.log.flatMap((line) => /pbx-(?:down|up)(?=.*127\.0\.0\.11)/.exec(line) ?? [])
		expect(told).toEqual(['pbx-down', 'pbx-up'])
	})

	test('over TCP not even those in it are lost that were not answered: its port refuses, and the other one has them', async () => {
		const { first, second, world, caller } = await open('tcp')
		const begunAt = await callAtARate(caller, [
			[DIES_AFTER_MS, () => first.die()],
			[BACK_AFTER_MS, () => first.start()],
		])
		const unanswered = () => [...caller.calls].filter(([, status]) => status === 0)
		await until('every call has its answer', () => unanswered().length === 0, 8_000).catch(() => {})
		expect([...caller.calls].filter(([, status]) => status !== 200)).toEqual([])
		expect(caller.calls.size).toBeGreaterThan(100)
		expect(second.answered.size).toBeGreaterThan(30)
		const backAt = [...first.taken].map((callId) => begunAt.get(callId)!).find((at) => at > BACK_AFTER_MS)
		expect(backAt).toBeLessThan(BACK_AFTER_MS + 4_500)
		const told = world.log.flatMap((line) => /pbx-(?:down|up)(?=.*127\.0\.0\.11)/.exec(line) ?? [])
		expect(told).toEqual(['pbx-down', 'pbx-up'])
	})

	test('status and metrics tell of each machine', async () => {
		const { first, second, world } = await open()
		first.die()
		await world.sees('the first machine is down', ({ pbx }) => pbx.targets[0]?.state === 'down', 8_000)
		const { pbx } = await world.status()
		expect(pbx).toMatchObject({ address: second.address, silent: false })
		expect(pbx.targets.map(({ address, rank, state }) => [address, rank, state])).toEqual([
			[first.address, 0, 'down'],
			[second.address, 1, 'up'],
		])
		const metrics = await (await fetch(`${world.url}metrics`)).text()
		expect(metrics).toContain(`push_gateway_pbx_up{machine="${first.address}:${first.port}"} 0`)
		await first.start()
		await world.sees('it is back', ({ pbx }) => pbx.targets[0]?.state === 'up', 8_000)
	})
})
