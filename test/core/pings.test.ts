import { describe, expect, test } from 'bun:test'
import { BACKGROUND_SLOWDOWN } from '../../src/core/reach/pings.ts'
import { Header } from '../../src/sip/headers.ts'
import { answerTo, bind, boundPhone, fallAsleep, Phone } from './peers.ts'
import { flowOf, PBX, Rig, type Sent } from './rig.ts'

const INTERVAL = 5_000
const TIMEOUT = 1_500

const pings = (sent: readonly Sent[]) => sent.filter(({ word }) => word === 'OPTIONS')

/** Lets time pass with a phone that answers every ping with this status. */
function awake(rig: Rig, phone: Phone, ms: number, status = 200): number {
	let count = 0
	for (let passed = 0; passed < ms; passed += 100)
		for (const { message } of pings(rig.advance(100))) {
			rig.from(phone.flow, answerTo(message, status))
			count++
		}
	return count
}

const reachOf = (rig: Rig) => rig.core.devices.device(1)!.reach

describe('pings', () => {
	test('an OPTIONS goes to the Contact of the device on its flow, every interval', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const [first] = pings(rig.advance(INTERVAL))
		expect([first!.to.key, first!.message.uri, first!.message.maxForwards]).toEqual([phone.flow.key, phone.uri, 70])
		expect(first!.message.first(Header.UserAgent)).toBe('gateway-under-test')
		rig.from(phone.flow, answerTo(first!.message, 200))
		expect(awake(rig, phone, 10 * INTERVAL)).toBe(10)
	})

	test('they are spread evenly: of 100 devices bound at once, no tenth of the interval has fewer than 8 or more than 12', () => {
		const rig = new Rig()
		for (let i = 0; i < 100; i++) bind(rig, new Phone(`${2000 + i}`, flowOf('198.51.100.7', 20_000 + i)))
		const counts = Array.from({ length: 10 }, () => pings(rig.advance(INTERVAL / 10)).length)
		expect(counts.reduce((sum, count) => sum + count)).toBe(100)
		expect(Math.min(...counts)).toBeGreaterThanOrEqual(8)
		expect(Math.max(...counts)).toBeLessThanOrEqual(12)
	})

	test('any answer is a pong, whatever its status', () => {
		for (const status of [200, 401, 404, 405, 481, 486, 501, 603]) {
			const rig = new Rig()
			awake(rig, boundPhone(rig), 4 * INTERVAL, status)
			expect([reachOf(rig), rig.core.context.counters.pongs]).toEqual(['foreground', 4])
		}
	})

	test('a pong is noted with its time', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const [ping] = pings(rig.advance(INTERVAL))
		rig.from(phone.flow, answerTo(ping!.message, 200))
		expect(rig.core.snapshot(rig.now).agents[0]!.devices[0]!.lastPongAt).toBe(rig.now)
	})

	test('--ping-misses in a row, each after --ping-timeout: background, stored, once', () => {
		const rig = new Rig()
		boundPhone(rig)
		const bound = rig.now
		while (pings(rig.sent).length < 2) rig.advance(1)
		rig.advance(TIMEOUT - 1)
		expect(reachOf(rig)).toBe('foreground')
		rig.advance(1)
		expect([reachOf(rig), rig.tables.devices.get(1)!.reach]).toEqual(['background', 'background'])
		expect(rig.now - bound).toBeLessThanOrEqual(2 * INTERVAL + TIMEOUT)
		rig.advance(300_000)
		expect(rig.eventNames()).toEqual(['device-background'])
	})

	test('one missed pong between two that came is none', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		for (let round = 0; round < 6; round++) {
			const [ping] = pings(rig.advance(INTERVAL))
			if (round % 2 === 0) rig.from(phone.flow, answerTo(ping!.message, 200))
		}
		expect(reachOf(rig)).toBe('foreground')
	})

	test(`BACKGROUND_SLOWDOWN: a background device is pinged ${BACKGROUND_SLOWDOWN} times more seldom`, () => {
		const rig = new Rig()
		boundPhone(rig)
		fallAsleep(rig)
		expect(pings(rig.advance(BACKGROUND_SLOWDOWN * INTERVAL * 10)).length).toBe(10)
	})

	test('a pong brings it back to the foreground and to the quick pace, stored', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		fallAsleep(rig)
		const ping = pings(rig.advance(BACKGROUND_SLOWDOWN * INTERVAL)).at(-1)!
		rig.from(phone.flow, answerTo(ping.message, 200))
		expect([reachOf(rig), rig.tables.devices.get(1)!.reach]).toEqual(['foreground', 'foreground'])
		expect(rig.eventNames()).toEqual(['device-foreground'])
		expect(awake(rig, phone, 4 * INTERVAL)).toBe(4)
	})

	test('so does a REGISTER', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		fallAsleep(rig)
		bind(rig, phone)
		expect([reachOf(rig), rig.tables.devices.get(1)!.reach]).toEqual(['foreground', 'foreground'])
	})

	test('whatever comes by a flow says that each device of it is awake, the first word as the hundredth', () => {
		const rig = new Rig()
		const flow = flowOf('198.51.100.7', 20_000)
		const phones = ['1001', '1002', '1003'].map((user) => new Phone(user, flow))
		for (const phone of phones) bind(rig, phone)
		const reaches = () => [1, 2, 3].map((id) => rig.core.devices.device(id)!.reach)
		for (const word of [1, 2, 100]) {
			fallAsleep(rig)
			expect(reaches()).toEqual(['background', 'background', 'background'])
			for (let i = 0; i < word; i++) {
				rig.advance(1)
				rig.from(flow, phones[1]!.request('MESSAGE', { to: '<sip:5551234@pbx.example>' }))
			}
			expect(reaches()).toEqual(['foreground', 'foreground', 'foreground'])
			const seen = rig.core.snapshot(rig.now).agents.map(({ devices }) => devices[0]!.lastPongAt)
			expect(seen).toEqual([rig.now, rig.now, rig.now])
		}
	})

	test('a pong from another flow is none', () => {
		const rig = new Rig()
		boundPhone(rig)
		const other = boundPhone(rig, '1002', undefined, 8)
		for (let i = 0; i < 4; i++)
			for (const { message, to } of pings(rig.advance(INTERVAL)))
				if (to.port !== other.flow.port) rig.from(other.flow, answerTo(message, 200))
		expect(reachOf(rig)).toBe('background')
	})

	test('a pong to an earlier ping is none: it came from before the phone fell asleep', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const [old] = pings(rig.advance(INTERVAL))
		fallAsleep(rig)
		rig.from(phone.flow, answerTo(old!.message, 200))
		expect(reachOf(rig)).toBe('background')
	})

	test('a forged or broken ping branch is nothing', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const [ping] = pings(rig.advance(INTERVAL))
		const answer = answerTo(ping!.message, 200)
		for (const branch of ['z9hG4bKping.', 'z9hG4bKping.zz.1', 'z9hG4bKping.1', 'z9hG4bKping..1'])
			rig.from(phone.flow, answer.replace(/z9hG4bKping\.[^;]*/, branch))
		expect(rig.core.context.counters.pongs).toBe(0)
	})

	test('a device that is gone is pinged no more', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		bind(rig, phone, { expires: 0 })
		expect(pings(rig.advance(60_000))).toEqual([])
	})

	test('after a restart the reach is what it was, and pings go on', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		fallAsleep(rig)
		rig.restart()
		expect(reachOf(rig)).toBe('background')
		const [ping] = pings(rig.advance(INTERVAL))
		rig.from(phone.flow, answerTo(ping!.message, 200))
		expect(reachOf(rig)).toBe('foreground')
	})

	test('no branch comes twice (RFC 3261 §8.1.1.7): not when the device signs off and on, nor after a restart', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const branchOf = () => pings(rig.advance(INTERVAL))[0]!.message.via.branch
		const branches = [branchOf()]
		bind(rig, phone, { expires: 0 })
		bind(rig, phone)
		branches.push(branchOf())
		rig.restart()
		branches.push(branchOf())
		expect([new Set(branches).size, [...rig.core.devices.all].map(({ id }) => id)]).toEqual([3, [1]])
	})

	test('--ping-interval 0: no pings', () => {
		const rig = new Rig({ pingIntervalMs: 0 })
		boundPhone(rig)
		expect(rig.advance(600_000)).toEqual([])
		expect(reachOf(rig)).toBe('foreground')
	})
})

describe('the qualify of the PBX', () => {
	const qualified = (rig: Rig, uri = 'sip:1001@gw.example:5060') => {
		rig.clear()
		rig.from(
			PBX,
			new Phone('pbx', PBX).request('OPTIONS', { uri, via: `SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKqualify${rig.now}` }),
		)
		return rig.words(PBX)
	}

	test('an agent that can be called or woken is 200, without a word to the phone', () => {
		const rig = new Rig()
		boundPhone(rig)
		expect(qualified(rig)).toEqual(['200 OPTIONS'])
		fallAsleep(rig)
		expect(qualified(rig)).toEqual(['200 OPTIONS'])
		expect(rig.sent.length).toBe(1)
	})

	test('one asleep without push is 480, one that is not bound 404, the gateway itself 200', () => {
		const rig = new Rig()
		boundPhone(rig, '1001', '')
		fallAsleep(rig)
		rig.now++
		expect(qualified(rig)).toEqual(['480 OPTIONS'])
		rig.now++
		expect(qualified(rig, 'sip:1009@gw.example:5060')).toEqual(['404 OPTIONS'])
		rig.now++
		expect(qualified(rig, 'sip:gw.example:5060')).toEqual(['200 OPTIONS'])
	})
})
