import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { because, binaryAbsent, until } from './binary.ts'
import { now, Party } from './party.ts'

/** Bounded by the waits in it; this is for a busy machine. */
setDefaultTimeout(20_000)

let party: Party

afterEach(() => party?.close())

async function killed(): Promise<void> {
	party.world.signal('SIGKILL')
	expect(await party.world.ended()).toBe('SIGKILL')
}

/** The call that was held before the gateway went completes when Anna's phone registers from another address. */
async function completes(callId: string): Promise<void> {
	const { anna, exchange, world } = party
	await anna.wake('127.0.0.22')
	const { call } = await anna.next('incoming')
	expect(call.id).toBe(callId)
	anna.phone.answer(now())
	await Promise.all([anna.next('answered'), exchange.next('answered')])
	exchange.pbx.hangup(exchange.pbx.calls.current!, now())
	await anna.next('ended')
	expect(anna.count('in', 'INVITE')).toBe(1)
	/* killed before it had stored what APNs said, the gateway sends the same push again, and no other */
	expect(new Set(world.pushes.map(({ apnsId }) => apnsId)).size).toBe(1)
}

describe.skipIf(binaryAbsent !== undefined)(`the binary is killed, stopped and started${because(binaryAbsent)}`, () => {
	test('kill -9: a held call completes after the restart, a live one goes on, and nobody registers anew', async () => {
		party = await Party.open(20)
		const { anna, bruno, exchange, world } = party
		await party.annaSleeps()
		const live = exchange.call('1002')
		await bruno.next('incoming')
		bruno.phone.answer(now())
		await exchange.next('answered')
		const held = await party.heldForAnna()
		await killed()
		await world.start()
		await world.sees('the call is held again', ({ gauges }) => gauges.callsHeld === 1)
		exchange.pbx.hangup(live, now())
		await bruno.next('ended')
		exchange.call('1002')
		await bruno.next('incoming')
		bruno.phone.answer(now())
		await exchange.next('answered')
		bruno.phone.hangup(now())
		await exchange.next('ended')
		expect(bruno.count('out', 'REGISTER')).toBe(2)
		exchange.feed.skip()
		await completes(held.id)
		expect(exchange.pbx.history.map(({ contact }) => contact)).toEqual([
			...[anna, bruno, anna].map(({ user }) => `sip:${user}@127.0.0.1:${world.ports.sip}`),
		])
	})

	test('a hold whose time ran out while the gateway was down ends with 480 as it comes back', async () => {
		party = await Party.open(21, '--hold', '2s')
		await party.annaSleeps()
		await party.heldForAnna()
		await killed()
		await Bun.sleep(2000)
		await party.world.start()
		expect((await party.exchange.next('failed', 1000)).status).toBe(480)
	})

	test('a caller can give up a call that was held before the restart; the phone that wakes later is told', async () => {
		party = await Party.open(22)
		const { anna, exchange, world } = party
		await party.annaSleeps()
		const call = await party.heldForAnna()
		await killed()
		await world.start()
		exchange.pbx.cancel(call, now(), 'SIP;cause=487;text="Gave up"')
		expect((await exchange.next('failed')).status).toBe(487)
		await anna.wake('127.0.0.22')
		expect((await anna.next('cancelled')).reason).toContain('Gave up')
	})

	test('SIGTERM: a held call outlives a graceful restart, and the exit code is 0', async () => {
		party = await Party.open(23)
		const { exchange, world } = party
		await party.annaSleeps()
		const held = await party.heldForAnna()
		const began = now()
		world.signal('SIGTERM')
		expect(await world.ended()).toBe(0)
		expect(now() - began).toBeLessThan(1500)
		expect(exchange.feed.take('failed')).toBeUndefined()
		await world.start()
		await completes(held.id)
	})

	test('SIGTERM while a phone rings: its answer still goes out, and new calls get 503', async () => {
		party = await Party.open(24)
		const { bruno, exchange, world } = party
		exchange.call('1002')
		await bruno.next('incoming')
		await exchange.next('ringing')
		world.signal('SIGTERM')
		await until('it drains', () => world.log.some((line) => line.includes('drain-started')))
		exchange.call('1001')
		expect((await exchange.next('failed')).status).toBe(503)
		bruno.phone.answer(now())
		exchange.feed.skip()
		await exchange.next('answered')
		expect(await world.ended()).toBe(0)
	})

	test('SIGTERM while a phone rings and nobody answers: it stops ringing and the PBX has its 480 before the end', async () => {
		party = await Party.open(26)
		const { bruno, exchange, world } = party
		exchange.call('1002')
		await bruno.next('incoming')
		world.signal('SIGTERM')
		expect((await exchange.next('failed', 8000)).status).toBe(480)
		expect((await bruno.next('cancelled')).reason).toContain('cause=480')
		expect(await world.ended()).toBe(0)
	})

	test('SIGTERM while an agent calls: the answer of the PBX still goes out', async () => {
		party = await Party.open(27)
		const { anna, bruno, exchange, world } = party
		anna.phone.call('600', now())
		const { call } = await exchange.next('incoming')
		world.signal('SIGTERM')
		await until('it drains', () => world.log.some((line) => line.includes('drain-started')))
		bruno.phone.call('600', now())
		expect((await bruno.next('failed')).status).toBe(503)
		exchange.pbx.answer(call, now())
		await anna.next('answered')
		expect(await world.ended()).toBe(0)
	})

	test('a second SIGTERM ends it at once', async () => {
		party = await Party.open(25)
		const { bruno, exchange, world } = party
		exchange.call('1002')
		await bruno.next('incoming')
		world.signal('SIGTERM')
		await until('it drains', () => world.log.some((line) => line.includes('drain-started')))
		const began = now()
		world.signal('SIGTERM')
		expect(await world.ended()).toBe(0)
		expect(now() - began).toBeLessThan(1500)
		expect((await exchange.next('failed')).status).toBe(480)
	})
})
