/** Pushes that woke nobody, and what the PBX and the contact centre are told of it. */
import { describe, expect, test } from 'bun:test'
import type { Context } from '../../src/core/context.ts'
import type { PushOutcome } from '../../src/core/inputs.ts'
import { Availability, MAX_UNREACHABLE } from '../../src/core/reach/availability.ts'
import { Agent, type Device, type Devices } from '../../src/core/registrar/devices.ts'
import { GHOST_MS } from '../../src/core/wake/device-branch.ts'
import { ACCEPTED, answerTo, BAD_TOKEN, bind, boundPhone, fallAsleep, grant, Phone, requestText, SDP } from './peers.ts'
import { flowOf, PBX, Rig } from './rig.ts'

const HOLD_MS = 20_000
/** A push that is this old wakes nobody any more. */
const WINDOW_MS = HOLD_MS + GHOST_MS

let serial = 0

/** A call to the agent; APNs takes the push. */
function call(rig: Rig, outcome: PushOutcome = ACCEPTED): string {
	const branch = `z9hG4bKcall${++serial}`
	const { length } = rig.pushes
	rig.from(PBX, requestText('INVITE', { branch, callId: branch, body: SDP }))
	if (rig.pushes.length > length) rig.pushed(outcome)
	return branch
}

/** So many pushes without a wake, each to the end of its time. */
function missed(rig: Rig, count: number): void {
	for (let i = 0; i < count; i++) {
		call(rig)
		rig.advance(WINDOW_MS)
	}
}

function asleep(settings = {}) {
	const rig = new Rig(settings)
	const phone = boundPhone(rig)
	fallAsleep(rig)
	return { rig, phone }
}

const deviceOf = (rig: Rig) => rig.core.snapshot(rig.now).agents[0]!.devices[0]!
const told = (rig: Rig, ...names: string[]) =>
	rig.events.filter(({ name }) => names.includes(name)).map(({ name, fields }) => [name, fields])
const qualify = (rig: Rig) => {
	rig.now++
	return rig.from(PBX, requestText('OPTIONS')).map(({ word }) => word)
}

describe('a suspect device', () => {
	test('is one whose last three accepted pushes were followed by no sign of life', () => {
		const { rig } = asleep()
		missed(rig, 2)
		expect(deviceOf(rig)).toMatchObject({ missedWakes: 2, suspect: false })
		expect(told(rig, 'device-suspect')).toEqual([])
		missed(rig, 1)
		expect(deviceOf(rig)).toMatchObject({ missedWakes: 3, suspect: true })
		expect(told(rig, 'device-suspect')).toEqual([
			['device-suspect', { agent: 'sip:1001@pbx.example', device: 1, missedWakes: 3 }],
		])
		const { gauges, counters } = rig.core.snapshot(rig.now)
		expect([gauges.devicesSuspect, counters.wakesMissed]).toEqual([1, 3])
	})

	test('is watched for no longer than until its next sign of life', () => {
		const { rig, phone } = asleep()
		call(rig)
		call(rig)
		expect(rig.core.suspicion.awaited).toBe(2)
		rig.now++
		bind(rig, phone)
		expect(rig.core.suspicion.awaited).toBe(0)
		fallAsleep(rig)
		missed(rig, 1)
		expect([rig.core.suspicion.awaited, deviceOf(rig).missedWakes]).toEqual([0, 1])
	})

	test('is told once, however many pushes it misses after', () => {
		const { rig } = asleep()
		missed(rig, 5)
		expect(told(rig, 'device-suspect', 'agent-unreachable').length).toBe(2)
	})

	test('is pushed all the same: no call is missed for statistics', () => {
		const { rig } = asleep()
		missed(rig, 3)
		rig.clear()
		call(rig)
		expect(rig.pushes.length).toBe(1)
	})

	test('is not counted on: OPTIONS of the PBX is 480, and causes no push', () => {
		const { rig } = asleep()
		expect(qualify(rig)).toEqual(['200 OPTIONS'])
		missed(rig, 3)
		rig.clear()
		expect([qualify(rig), rig.pushes]).toEqual([['480 OPTIONS'], []])
	})

	test('beside another device that can be woken leaves its agent reachable', () => {
		const { rig } = asleep()
		missed(rig, 3)
		boundPhone(rig, '1001', 'bb'.repeat(32), 11)
		fallAsleep(rig)
		expect(qualify(rig)).toEqual(['200 OPTIONS'])
	})

	test('is trusted again with its next REGISTER, and the agent is back', () => {
		const { rig, phone } = asleep()
		missed(rig, 3)
		rig.clear()
		bind(rig, phone)
		expect(deviceOf(rig)).toMatchObject({ missedWakes: 0, suspect: false })
		expect(rig.eventNames()).toEqual(['device-foreground', 'device-trusted', 'agent-back'])
		expect(rig.tables.devices.get(1)!.missedWakes).toBe(0)
		expect(qualify(rig)).toEqual(['200 OPTIONS'])
	})

	test('is trusted again with a pong', () => {
		const { rig, phone } = asleep()
		missed(rig, 3)
		rig.clear()
		rig.advance(30_000)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'OPTIONS'), 200))
		expect(deviceOf(rig)).toMatchObject({ missedWakes: 0, suspect: false })
	})

	test('is none with --suspect-after 0', () => {
		const { rig } = asleep({ suspectAfter: 0 })
		missed(rig, 4)
		expect(deviceOf(rig)).toMatchObject({ missedWakes: 4, suspect: false })
		expect(qualify(rig)).toEqual(['200 OPTIONS'])
	})

	test('stays one over a restart', () => {
		const { rig } = asleep()
		missed(rig, 3)
		rig.restart()
		expect(deviceOf(rig)).toMatchObject({ missedWakes: 3, suspect: true })
		expect(told(rig, 'device-suspect', 'agent-unreachable')).toEqual([])
		expect(qualify(rig)).toEqual(['480 OPTIONS'])
	})

	test('without pings is known by its REGISTERs alone', () => {
		const rig = new Rig({ pingIntervalMs: 0 })
		const phone = boundPhone(rig)
		missed(rig, 3)
		expect([deviceOf(rig).suspect, qualify(rig)]).toEqual([true, ['480 OPTIONS']])
		bind(rig, phone)
		expect([deviceOf(rig).suspect, qualify(rig)]).toEqual([false, ['200 OPTIONS']])
	})
})

describe('a push counts as missed', () => {
	test('only when hold and ghost are over', () => {
		const { rig } = asleep()
		call(rig)
		rig.advance(WINDOW_MS - 1)
		expect(deviceOf(rig).missedWakes).toBe(0)
		rig.advance(1)
		expect(deviceOf(rig).missedWakes).toBe(1)
	})

	test('not where the caller hung up after a second and the phone registered within the minute', () => {
		const { rig, phone } = asleep()
		const branch = call(rig)
		rig.advance(1_000)
		rig.from(PBX, requestText('CANCEL', { branch, callId: branch, contact: '' }))
		rig.advance(GHOST_MS - 2_000)
		bind(rig, phone)
		rig.advance(WINDOW_MS)
		expect(deviceOf(rig).missedWakes).toBe(0)
	})

	test('where the caller hung up after a second and the phone never registered', () => {
		const { rig } = asleep()
		const branch = call(rig)
		rig.advance(1_000)
		rig.from(PBX, requestText('CANCEL', { branch, callId: branch, contact: '' }))
		rig.advance(WINDOW_MS)
		expect(deviceOf(rig).missedWakes).toBe(1)
	})

	test('not where the phone answered a ping meanwhile', () => {
		const { rig, phone } = asleep()
		call(rig)
		rig.advance(31_000)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'OPTIONS'), 200))
		rig.advance(WINDOW_MS)
		expect(deviceOf(rig).missedWakes).toBe(0)
	})

	test('not where APNs refused it or gave no answer', () => {
		const { rig } = asleep()
		call(rig, { kind: 'failed', status: 0, reason: 'timeout' })
		rig.advance(WINDOW_MS)
		call(rig, { kind: 'throttled', status: 429, reason: 'TooManyRequests' })
		rig.advance(WINDOW_MS)
		expect(deviceOf(rig).missedWakes).toBe(0)
	})

	test('not for a device that signed off meanwhile', () => {
		const { rig, phone } = asleep()
		call(rig)
		bind(rig, phone, { expires: 0 })
		rig.advance(WINDOW_MS)
		expect(rig.core.snapshot(rig.now).counters.wakesMissed).toBe(0)
	})

	test('after a restart too, and a wake after one is measured', () => {
		const { rig, phone } = asleep()
		call(rig)
		rig.restart()
		rig.advance(WINDOW_MS)
		expect(deviceOf(rig).missedWakes).toBe(1)
		call(rig)
		rig.restart()
		rig.advance(3_000)
		bind(rig, phone)
		expect(deviceOf(rig)).toMatchObject({ missedWakes: 0, lastWakeMs: 3_000 })
	})

	test('not where its time ran out while the gateway was down', () => {
		const { rig } = asleep()
		call(rig)
		rig.now += WINDOW_MS
		rig.restart()
		rig.advance(WINDOW_MS)
		expect(deviceOf(rig).missedWakes).toBe(0)
	})
})

describe('wake-slow', () => {
	const wokenAfter = (ms: number, settings = {}) => {
		const { rig, phone } = asleep(settings)
		call(rig)
		rig.advance(ms)
		bind(rig, phone)
		return told(rig, 'wake-slow').map(([, fields]) => fields)
	}

	test('tells a wake that took longer than --wake-slow, and no other', () => {
		expect(wokenAfter(8_000)).toEqual([])
		expect(wokenAfter(8_001)).toEqual([
			{ agent: 'sip:1001@pbx.example', device: 1, push: expect.any(String), wakeMs: 8_001 },
		])
		expect(wokenAfter(15_000, { wakeSlowMs: 0 })).toEqual([])
	})
})

describe('an agent', () => {
	const AGENT = 'sip:1001@pbx.example'
	const heard = (rig: Rig) => told(rig, 'agent-unreachable', 'agent-back')

	test('with a dead token is unreachable when it sleeps, and back with its REGISTER', () => {
		const { rig, phone } = asleep()
		call(rig, BAD_TOKEN)
		expect(heard(rig)).toEqual([['agent-unreachable', { agent: AGENT, reason: 'token-dead' }]])
		rig.clear()
		bind(rig, phone)
		expect(heard(rig)).toEqual([['agent-back', { agent: AGENT }]])
	})

	test('without push is unreachable as soon as it sleeps, and back with a pong: it is pinged on at the full rate', () => {
		const rig = new Rig()
		const phone = boundPhone(rig, '1001', '')
		rig.advance(13_000)
		expect(heard(rig)).toEqual([['agent-unreachable', { agent: AGENT, reason: 'asleep' }]])
		rig.clear()
		rig.advance(5_000)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'OPTIONS'), 200))
		expect(heard(rig)).toEqual([['agent-back', { agent: AGENT }]])
	})

	test('that can be woken is not unreachable for sleeping', () => {
		expect(heard(asleep().rig)).toEqual([])
	})

	test('is reachable as long as one device is', () => {
		const { rig } = asleep()
		boundPhone(rig, '1001', 'bb'.repeat(32), 11)
		fallAsleep(rig)
		const [first, second] = [rig.pushes.length, rig.pushes.length + 1]
		rig.from(PBX, requestText('INVITE', { body: SDP }))
		rig.pushed(BAD_TOKEN, rig.pushes[first])
		expect(heard(rig)).toEqual([])
		rig.pushed(BAD_TOKEN, rig.pushes[second])
		expect(heard(rig).length).toBe(1)
	})

	test('whose last device expires is unreachable; one that signs off meant it', () => {
		const expiring = new Rig()
		const phone = boundPhone(expiring)
		bind(expiring, phone, { expires: 60 })
		expiring.advance(61_000)
		expect(heard(expiring)).toEqual([['agent-unreachable', { agent: AGENT, reason: 'expired' }]])
		expiring.clear()
		bind(expiring, phone)
		expect(heard(expiring)).toEqual([['agent-back', { agent: AGENT }]])
		const leaving = new Rig()
		bind(leaving, boundPhone(leaving), { expires: 0 })
		expect(heard(leaving)).toEqual([])
	})

	test('whose last device expired while the gateway was down is told to be unreachable at the start, once', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		bind(rig, phone, { expires: 60 })
		rig.now += 61_000
		rig.restart()
		expect(heard(rig)).toEqual([['agent-unreachable', { agent: AGENT, reason: 'expired' }]])
		rig.restart()
		expect(heard(rig)).toEqual([])
	})

	test('that is told to be unreachable and then signs off is back when it registers again', () => {
		const { rig, phone } = asleep()
		call(rig, BAD_TOKEN)
		rig.clear()
		bind(rig, phone, { expires: 0 })
		expect(heard(rig)).toEqual([])
		bind(rig, phone)
		expect(heard(rig)).toEqual([['agent-back', { agent: AGENT }]])
	})

	test('that was unreachable before a restart is not told again, and is told when it is back', () => {
		const { rig, phone } = asleep()
		call(rig, BAD_TOKEN)
		rig.restart()
		expect(heard(rig)).toEqual([])
		bind(rig, phone)
		expect(heard(rig)).toEqual([['agent-back', { agent: AGENT }]])
	})
})

test('MAX_UNREACHABLE: more agents out of reach than that are not remembered', () => {
	const rig = new Rig()
	const told: string[] = []
	const context = { settings: rig.settings, event: (name: string) => told.push(name) } as unknown as Context
	const availability = new Availability(context, { wakeable: () => true, isSuspect: () => false })
	availability.begin({ agents: [] as Agent[] } as unknown as Devices)
	const gone = (n: number) => ({ agent: new Agent(`sip:${n}@pbx.example`, `${n}`), expiresAt: 0 }) as unknown as Device
	for (let n = 0; n <= MAX_UNREACHABLE; n++) availability.deviceGone(gone(n), 1)
	told.length = 0
	const back = (n: number) => {
		const { agent } = gone(n)
		agent.devices.push({ reach: 'foreground' } as Device)
		availability.changed(agent)
		return told.splice(0)
	}
	expect([back(0), back(1)]).toEqual([[], ['agent-back']])
})

describe('an INVITE for an agent with nobody to wake is 480 in the same instant', () => {
	const answered = (rig: Rig) => {
		rig.clear()
		rig.from(PBX, requestText('INVITE', { branch: 'z9hG4bKnow', callId: 'now', body: SDP }))
		return { words: rig.words(PBX), others: rig.sent.length - rig.to(PBX).length, pushes: rig.pushes.length }
	}
	const AT_ONCE = { words: ['100 INVITE', '480 INVITE'], others: 0, pushes: 0 }

	test('where the token is dead', () => {
		const { rig } = asleep()
		call(rig, BAD_TOKEN)
		expect(answered(rig)).toEqual(AT_ONCE)
		expect(rig.events.map(({ name, fields }) => [name, fields['how']])).toEqual([['call-failed', 'nobody to wake']])
	})

	test('where the sleeping device has no push parameters', () => {
		const rig = new Rig()
		boundPhone(rig, '1001', '')
		fallAsleep(rig)
		expect(answered(rig)).toEqual(AT_ONCE)
	})

	test('where no key is configured', () => {
		expect(answered(asleep({ providers: [] }).rig)).toEqual(AT_ONCE)
	})

	test('where APNs refuses the key', () => {
		const { rig } = asleep()
		rig.from(PBX, requestText('INVITE', { body: SDP }))
		rig.pushed({ kind: 'misconfigured', status: 403, reason: 'InvalidProviderToken', hint: 'Look at the key.' })
		expect(rig.words(PBX)).toEqual(['100 INVITE', '480 INVITE'])
	})

	test('but a device that is awake gets it, dead token or not', () => {
		const { rig, phone } = asleep()
		call(rig, BAD_TOKEN)
		bind(rig, phone)
		rig.clear()
		rig.from(PBX, requestText('INVITE', { branch: 'z9hG4bKnow', callId: 'now', body: SDP }))
		expect(rig.words(phone.flow)).toEqual(['INVITE'])
	})
})

describe('a VoIP push', () => {
	const voip = (rig: Rig) => rig.pushes.filter(({ topic }) => topic.endsWith('.voip')).length
	const OTHERS = [
		...['OPTIONS', 'MESSAGE', 'NOTIFY', 'SUBSCRIBE', 'PUBLISH', 'REFER', 'INFO', 'UPDATE', 'PRACK', 'BYE', 'CANCEL'],
		...['ACK', 'REGISTER', 'PING'],
	]

	for (const method of OTHERS) {
		test(`is never sent for ${method}, inside or outside a dialog`, () => {
			const { rig } = asleep()
			rig.from(PBX, requestText(method, { branch: 'z9hG4bKout' }))
			rig.from(PBX, requestText(method, { branch: 'z9hG4bKin', to: '<sip:1001@gw.example:5060>;tag=phone' }))
			rig.advance(60_000)
			expect(voip(rig)).toBe(0)
		})
	}

	test('is never sent for what does not come from the PBX: a stranger, or another agent', () => {
		const { rig } = asleep()
		const other = new Phone('1002', flowOf('198.51.100.9', 40_009))
		rig.from(other.flow, requestText('INVITE', { branch: 'z9hG4bKstranger', body: SDP }))
		bind(rig, other)
		rig.from(other.flow, other.request('INVITE', { body: SDP }))
		expect(voip(rig)).toBe(0)
	})

	test('is sent for an INVITE', () => {
		const { rig } = asleep()
		call(rig)
		expect(voip(rig)).toBe(1)
	})
})

test('a REGISTER that is stored whole clears the streak in the same row', () => {
	const { rig, phone } = asleep()
	missed(rig, 2)
	rig.saving = 'waits'
	phone.flow = flowOf('203.0.113.9', 50_000)
	rig.from(phone.flow, phone.register())
	rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
	rig.commit()
	expect(rig.tables.devices.get(1)!.missedWakes).toBe(0)
})
