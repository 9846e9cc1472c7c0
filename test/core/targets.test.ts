import { describe, expect, test } from 'bun:test'
import type { PbxTarget } from '../../src/core/inputs.ts'
import { hashOf, lot, mixed } from '../../src/core/pbx/draw.ts'
import { PROBE_AGAIN_MS, PROBE_PATIENCE_MS } from '../../src/core/pbx/prober.ts'
import { TARGET, type TargetEvent, type TargetState } from '../../src/core/pbx/target-state.ts'
import { KEEP_GONE_MS, MAX_GONE, MAX_REST_SEC, RETRY_DOWN_MS } from '../../src/core/pbx/targets.ts'
import { Header } from '../../src/sip/headers.ts'
import { answerTo, bind, boundPhone, Phone, requestText } from './peers.ts'
import { flowOf, PBX, Rig } from './rig.ts'
import { targetOf } from './target.ts'

const SECOND = flowOf('192.0.2.2', 5060)
const THIRD = flowOf('192.0.2.3', 5060)
const NAMES = Array.from({ length: 4_000 }, (_, i) => `sip:${i}@pbx.example`)
const PING_MS = 5_000

function rigWith(targets: readonly PbxTarget[], settings: ConstructorParameters<typeof Rig>[0] = {}): Rig {
	const rig = new Rig(settings)
	rig.input({ type: 'pbx-resolved', targets })
	return rig
}

const pair = (settings?: ConstructorParameters<typeof Rig>[0]) =>
	rigWith([targetOf(PBX), targetOf(SECOND, { rank: 1 })], settings)

/** How many of the names go to each address. */
function shares(rig: Rig): Record<string, number> {
	const counts: Record<string, number> = {}
	for (const name of NAMES) {
		const address = rig.core.targets.pick(name)!.address
		counts[address] = (counts[address] ?? 0) + 1
	}
	return counts
}

const miss = (rig: Rig, { address, port }: typeof PBX, times = 2) => {
	for (let i = 0; i < times; i++) rig.core.targets.missed(rig.core.targets.at(address, port)!, rig.now)
}
const stateOf = (rig: Rig, { address, port }: typeof PBX) => rig.core.targets.at(address, port)?.state
const told = (rig: Rig) => rig.events.map(({ name, fields }) => `${name} ${fields['address']}`)

describe('the state of a machine', () => {
	test('every state has a row for every event, and leads to a state there is', () => {
		const states = Object.keys(TARGET) as TargetState[]
		const events: TargetEvent[] = ['heard', 'missed', 'refused', 'unavailable', 'rested', 'removed']
		for (const state of states) {
			expect(Object.keys(TARGET[state])).toEqual(events)
			for (const event of events) expect(states).toContain(TARGET[state][event].to)
		}
	})

	test('whatever is heard of one that is down brings it back; one that rests is left in peace', () => {
		expect([TARGET.down.heard.to, TARGET.suspect.heard.to, TARGET.resting.heard.to]).toEqual(['up', 'up', 'resting'])
	})

	test('one question without an answer makes it suspect, a second one down', () => {
		expect([TARGET.up.missed.to, TARGET.suspect.missed.to]).toEqual(['suspect', 'down'])
	})
})

describe('choosing', () => {
	test('the first rank has all while it lives, then the next one', () => {
		const rig = pair()
		expect(shares(rig)).toEqual({ '192.0.2.1': NAMES.length })
		miss(rig, PBX, 1)
		expect(shares(rig)).toEqual({ '192.0.2.1': NAMES.length })
		miss(rig, PBX, 1)
		expect(shares(rig)).toEqual({ '192.0.2.2': NAMES.length })
		rig.from(PBX, '')
		expect(shares(rig)).toEqual({ '192.0.2.1': NAMES.length })
	})

	test('machines of one rank share the agents by their weights (RFC 2782)', () => {
		const rig = rigWith([
			targetOf(PBX, { weight: 60 }),
			targetOf(SECOND, { weight: 20 }),
			targetOf(THIRD, { weight: 20 }),
		])
		const counts = shares(rig)
		for (const [address, share] of Object.entries({ '192.0.2.1': 0.6, '192.0.2.2': 0.2, '192.0.2.3': 0.2 }))
			expect(Math.abs(counts[address]! / NAMES.length - share)).toBeLessThan(0.03)
	})

	test('weight 0 has hardly a chance beside others, and an even one among its like', () => {
		const beside = shares(rigWith([targetOf(PBX, { weight: 10 }), targetOf(SECOND, { weight: 0 })]))
		expect(beside['192.0.2.2'] ?? 0).toBeLessThan(NAMES.length * 0.005)
		const alone = shares(rigWith([targetOf(PBX), targetOf(SECOND)]))
		expect(Math.abs(alone['192.0.2.1']! / NAMES.length - 0.5)).toBeLessThan(0.03)
	})

	test('an agent stays at its machine: after a restart, and when another one fails', () => {
		const three = () => rigWith([PBX, SECOND, THIRD].map((flow) => targetOf(flow, { weight: 1 })))
		const [rig, other] = [three(), three()]
		const before = NAMES.map((name) => rig.core.targets.pick(name)!.address)
		expect(NAMES.map((name) => other.core.targets.pick(name)!.address)).toEqual(before)
		miss(rig, SECOND)
		const moved = NAMES.filter((name, i) => rig.core.targets.pick(name)!.address !== before[i])
		expect(moved).toEqual(NAMES.filter((_, i) => before[i] === SECOND.address))
	})

	test('where all are down the first rank is tried all the same', () => {
		const rig = pair()
		miss(rig, PBX)
		miss(rig, SECOND)
		expect(shares(rig)).toEqual({ '192.0.2.1': NAMES.length })
	})

	test('the hash moves every bit, so that neighbours do not stay together', () => {
		const same = NAMES.filter((name) => mixed(hashOf(name), 1) % 2 === mixed(hashOf(name), 2) % 2).length
		expect(Math.abs(same / NAMES.length - 0.5)).toBeLessThan(0.05)
		expect(lot(0xffff_ffff, 1)).toBeGreaterThan(0)
	})
})

describe('what DNS says anew', () => {
	test('a machine that stays keeps its state, one that goes is asked nothing any more, one that comes is asked', () => {
		const rig = pair({ pbxPingMs: PING_MS })
		miss(rig, PBX)
		rig.clear()
		rig.input({ type: 'pbx-resolved', targets: [targetOf(PBX, { rank: 1 }), targetOf(THIRD)] })
		expect([stateOf(rig, PBX), stateOf(rig, SECOND), stateOf(rig, THIRD)]).toEqual(['down', 'gone', 'up'])
		expect(rig.words(THIRD)).toEqual(['OPTIONS'])
		expect([PBX, SECOND, THIRD].map((flow) => rig.core.filter.isPbx(flow))).toEqual([true, true, true])
		rig.clear()
		rig.advance(60_000)
		expect(rig.words(SECOND)).toEqual([])
		expect(rig.core.targets.all).toHaveLength(2)
	})

	test('a machine that goes keeps the calls it has, and gets no new ones', () => {
		const rig = rigWith([targetOf(PBX), targetOf(SECOND, { rank: 1, name: 'two.pbx.example' })])
		const phone = boundPhone(rig)
		const via = 'SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKtwo;rport'
		rig.from(SECOND, requestText('INVITE', { via, callId: 'in-2' }))
		const invite = rig.last(phone.flow, 'INVITE')
		rig.from(phone.flow, answerTo(invite, 200, { contact: phone.uri, toTag: 'phone' }))
		rig.input({ type: 'pbx-resolved', targets: [targetOf(PBX)] })
		miss(rig, PBX)
		rig.clear()
		const rows = [`Route: ${invite.first(Header.RecordRoute)}`]
		rig.from(
			SECOND,
			requestText('UPDATE', { to: `${invite.first(Header.To)};tag=phone`, via: `${via}u`, callId: 'in-2', rows }),
		)
		expect(rig.words(phone.flow)).toContain('UPDATE')
		const bye = (uri: string) =>
			rig.from(phone.flow, phone.request('BYE', { uri, to: '<sip:5551234@pbx.example>;tag=pbx', callId: 'in-2', rows }))
		bye('sip:600@two.pbx.example')
		bye('sip:600@192.0.2.2:5060')
		expect(rig.words(SECOND)).toEqual(['BYE', 'BYE'])
		expect(shares(rig)).toEqual({ '192.0.2.1': NAMES.length })
		expect(rig.core.targets.next('sip:1001@pbx.example', [rig.core.targets.at(PBX.address, 5060)!])).toBeUndefined()
	})

	test(`KEEP_GONE_MS: after ${KEEP_GONE_MS / 3_600_000} h it is no PBX any more, unless it came back`, () => {
		const rig = pair()
		const first = () => rig.input({ type: 'pbx-resolved', targets: [targetOf(PBX)] })
		first()
		rig.advance(KEEP_GONE_MS - 1)
		expect(rig.core.filter.isPbx(SECOND)).toBe(true)
		rig.advance(1)
		expect([rig.core.filter.isPbx(SECOND), stateOf(rig, SECOND)]).toEqual([false, undefined])
		rig.input({ type: 'pbx-resolved', targets: [targetOf(PBX), targetOf(SECOND)] })
		first()
		rig.advance(1_000)
		rig.input({ type: 'pbx-resolved', targets: [targetOf(PBX), targetOf(SECOND)] })
		rig.advance(KEEP_GONE_MS + 1)
		expect([rig.core.filter.isPbx(SECOND), stateOf(rig, SECOND)]).toEqual([true, 'up'])
	})

	test(`MAX_GONE: ${MAX_GONE} machines that went are kept, the last ones`, () => {
		const rig = new Rig()
		const flows = Array.from({ length: MAX_GONE + 2 }, (_, i) => flowOf(`192.0.2.${50 + i}`, 5060))
		for (const flow of flows) rig.input({ type: 'pbx-resolved', targets: [targetOf(flow)] })
		const rest = flows.map((flow) => rig.core.filter.isPbx(flow))
		expect(rest).toEqual(flows.map((_, i) => i > 0))
		expect(rig.core.filter.isPbx(PBX)).toBe(false)
	})
})

describe('OPTIONS to the machines of the PBX', () => {
	test('asks at once, and again after --pbx-ping of silence; any answer is one', () => {
		const rig = pair({ pbxPingMs: PING_MS })
		for (const flow of [PBX, SECOND]) rig.from(flow, answerTo(rig.last(flow, 'OPTIONS'), 404))
		rig.clear()
		rig.advance(PING_MS - 1)
		expect(rig.sent).toEqual([])
		rig.advance(1)
		expect([rig.words(PBX), rig.words(SECOND)]).toEqual([['OPTIONS'], ['OPTIONS']])
		expect(rig.core.targets.at(PBX.address, PBX.port)!.lastStatus).toBe(404)
	})

	test('a machine that speaks by itself is not asked', () => {
		const rig = rigWith([targetOf(PBX)], { pbxPingMs: PING_MS })
		rig.from(PBX, answerTo(rig.last(PBX, 'OPTIONS'), 200))
		rig.clear()
		for (let i = 0; i < 10; i++) {
			rig.advance(PING_MS - 1_000)
			rig.from(PBX, '\r\n\r\n')
		}
		expect(rig.words(PBX)).toEqual([])
	})

	test('no answer twice: down within seconds, told once, and asked again every two seconds', () => {
		const rig = pair({ pbxPingMs: PING_MS })
		rig.from(SECOND, answerTo(rig.last(SECOND, 'OPTIONS'), 200))
		rig.advance(PROBE_PATIENCE_MS)
		expect(stateOf(rig, PBX)).toBe('suspect')
		rig.advance(PROBE_PATIENCE_MS)
		expect([stateOf(rig, PBX), stateOf(rig, SECOND)]).toEqual(['down', 'up'])
		rig.clear()
		rig.advance(PROBE_AGAIN_MS)
		expect(rig.words(PBX)).toEqual(['OPTIONS'])
		rig.from(PBX, answerTo(rig.last(PBX, 'OPTIONS'), 200))
		expect(told(rig)).toEqual(['pbx-up 192.0.2.1'])
	})

	test('told when it goes down and when it comes back, each once', () => {
		const rig = pair({ pbxPingMs: PING_MS })
		rig.from(SECOND, answerTo(rig.last(SECOND, 'OPTIONS'), 200))
		rig.clear()
		for (let i = 0; i < 60; i++) {
			rig.advance(1_000)
			rig.from(SECOND, '\r\n\r\n')
		}
		expect(told(rig)).toEqual(['pbx-down 192.0.2.1'])
		expect(rig.events[0]!.fields).toMatchObject({ name: '192.0.2.1', port: 5060, reason: 'it gives no answer' })
		rig.from(PBX, '\r\n\r\n')
		rig.advance(30_000)
		expect(
			told(rig)
				.filter((word) => word.endsWith('192.0.2.1'))
				.slice(0, 2),
		).toEqual(['pbx-down 192.0.2.1', 'pbx-up 192.0.2.1'])
	})

	test('the PBX is silent while every machine is down, and not before', () => {
		const rig = pair()
		miss(rig, PBX)
		expect(rig.core.pbxSilent).toBe(false)
		miss(rig, SECOND, 1)
		expect(rig.core.pbxSilent).toBe(false)
		miss(rig, SECOND, 1)
		expect([rig.core.pbxSilent, rig.core.snapshot(rig.now).pbx.silent]).toEqual([true, true])
		rig.from(SECOND, '\r\n\r\n')
		expect(rig.core.pbxSilent).toBe(false)
		const rest = rigWith([targetOf(PBX)])
		rest.core.targets.unavailable(rest.core.targets.first!, 60, rest.now)
		expect(rest.core.pbxSilent).toBe(false)
	})

	test('the last answer on the page is that of the machine it stands beside', () => {
		const rig = pair()
		rig.from(PBX, '\r\n\r\n')
		const heardAt = rig.now
		rig.advance(1_000)
		rig.from(SECOND, '\r\n\r\n')
		expect(rig.core.snapshot(rig.now).pbx).toMatchObject({ address: PBX.address, lastAnswerAt: heardAt })
	})

	test('503 with Retry-After: it gets nothing until then, and not longer than the limit', () => {
		for (const [asked, restMs] of [
			['20', 20_000],
			['7200 (upgrade);duration=60', MAX_REST_SEC * 1000],
		] as const) {
			const rig = pair({ pbxPingMs: PING_MS })
			rig.from(SECOND, answerTo(rig.last(SECOND, 'OPTIONS'), 200))
			rig.from(PBX, answerTo(rig.last(PBX, 'OPTIONS'), 503, { rows: [`Retry-After: ${asked}`] }))
			expect([stateOf(rig, PBX), told(rig)]).toEqual(['resting', ['pbx-down 192.0.2.1']])
			rig.clear()
			rig.advance(restMs - 1)
			expect([stateOf(rig, PBX), rig.words(PBX)]).toEqual(['resting', []])
			rig.advance(1)
			expect([stateOf(rig, PBX), rig.words(PBX)]).toEqual(['up', ['OPTIONS']])
		}
	})

	test('--pbx-ping 0 asks nothing; one that is down gets a request again after a while', () => {
		const rig = pair()
		miss(rig, PBX)
		rig.clear()
		rig.advance(RETRY_DOWN_MS - 1)
		expect([rig.sent, stateOf(rig, PBX)]).toEqual([[], 'down'])
		rig.advance(1)
		expect(stateOf(rig, PBX)).toBe('suspect')
	})
})

describe('whose word counts', () => {
	test('every machine is the PBX: a call comes through from each', () => {
		const rig = pair()
		const phone = boundPhone(rig)
		expect(phone).toBeInstanceOf(Phone)
		for (const flow of [PBX, SECOND]) expect(rig.core.filter.isPbx(flow)).toBe(true)
		expect(rig.core.filter.isPbx(flowOf(SECOND.address, 5070))).toBe(false)
	})

	test('an agent is shown and bound as with one machine', () => {
		const rig = pair()
		const phone = new Phone('1001', flowOf('198.51.100.7', 40_007))
		expect(bind(rig, phone).status).toBe(200)
		expect(rig.core.snapshot(rig.now).pbx).toMatchObject({
			address: '192.0.2.1',
			targets: [
				{ address: '192.0.2.1', rank: 0, state: 'up', lastHeardAt: rig.now },
				{ address: '192.0.2.2', rank: 1, state: 'up', lastHeardAt: undefined },
			],
		})
	})
})
