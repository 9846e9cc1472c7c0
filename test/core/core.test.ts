/** What belongs to no single room: the snapshot, and the limits no other test comes near. */
import { expect, test } from 'bun:test'
import { isScanner } from '../../src/core/filter/scanner.ts'
import { MAX_LIVE } from '../../src/core/wake/calls.ts'
import { SIXTY_FOUR_T1 } from '../../src/transaction/timers.ts'
import { ACCEPTED, answerTo, bind, boundPhone, fallAsleep, Phone, requestText, TOKEN } from './peers.ts'
import { flowOf, PBX, Rig } from './rig.ts'

test('a device is shown by its instance, its masked token or its Contact user, and no token whole', () => {
	const rig = new Rig()
	bind(rig, new Phone('1001', flowOf('198.51.100.7', 1), { token: TOKEN, instance: 'urn:uuid:1' }))
	bind(rig, new Phone('1001', flowOf('198.51.100.7', 2), { token: 'ab'.repeat(32) }))
	bind(rig, new Phone('1001', flowOf('198.51.100.7', 3)))
	const snapshot = rig.core.snapshot(rig.now)
	expect(snapshot.agents[0]!.devices.map(({ label }) => label)).toEqual(['urn:uuid:1', 'abab…ab', '1001;udp'])
	expect(JSON.stringify(snapshot)).not.toContain(TOKEN)
	expect(snapshot.gauges).toMatchObject({ agents: 1, devicesForeground: 3, devicesBackground: 0 })
})

test('no event, and nothing of a save but the token itself, shows a token', () => {
	const rig = new Rig()
	const phone = new Phone('1001', flowOf('198.51.100.7', 1), { token: TOKEN })
	bind(rig, phone)
	rig.advance(13_000)
	rig.from(PBX, requestText('INVITE'))
	rig.pushed(ACCEPTED)
	bind(rig, phone)
	expect(rig.eventNames()).toContain('push-sent')
	expect(JSON.stringify(rig.events)).not.toContain(TOKEN)
})

test('states of a call on the page: calling, ringing, live', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	const states = () => rig.core.snapshot(rig.now).calls.map(({ state }) => state)
	rig.from(PBX, requestText('INVITE'))
	const seen = [...states()]
	for (const status of [180, 200]) {
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), status, { contact: phone.uri }))
		seen.push(...states())
	}
	expect(seen).toEqual(['calling', 'ringing', 'live'])
})

test(`MAX_LIVE: of more than ${MAX_LIVE} live calls the oldest is forgotten`, () => {
	const { calls } = new Rig().core
	const live = (id: string) =>
		calls.enterLive(
			{ id, agent: 'a', direction: 'to-agent', state: 'live', caller: 'c', since: 0, holdUntil: undefined },
			PBX,
		)
	for (let i = 0; i <= MAX_LIVE; i++) live(`${i}`)
	expect([calls.liveCount, calls.views()[0]!.id]).toEqual([MAX_LIVE, '1'])
})

test('of a User-Agent the first 100 chars are looked at', () => {
	expect([isScanner(`${'x'.repeat(90)}sipcli`), isScanner(`${'x'.repeat(100)}sipcli`)]).toEqual([true, false])
})

test('timer B of a phone that is never taken for asleep (no pings, no push): 480', () => {
	const rig = new Rig({ pingIntervalMs: 0, holdMs: 120_000 })
	const phone = boundPhone(rig, '1001', '')
	rig.from(PBX, requestText('INVITE'))
	rig.advance(SIXTY_FOUR_T1 - 1)
	expect(rig.words(PBX)).toEqual(['100 INVITE'])
	rig.advance(1)
	expect([rig.words(PBX), rig.words(phone.flow).length, rig.core.calls.count]).toEqual([
		['100 INVITE', '480 INVITE'],
		7,
		0,
	])
})

test('nothing under way and nobody bound: all that is left is to forget', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	rig.from(PBX, requestText('INVITE', { branch: 'z9hG4bKx' }))
	rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 486))
	rig.from(PBX, requestText('ACK', { branch: 'z9hG4bKx' }))
	bind(rig, phone, { expires: 0 })
	rig.advance(SIXTY_FOUR_T1)
	expect([rig.core.transactions.count, rig.core.calls.count, rig.core.nextDeadline()]).toEqual([0, 0, Infinity])
})

test('a device is woken by the call that finds it asleep after a restart too', () => {
	const rig = new Rig()
	boundPhone(rig)
	fallAsleep(rig)
	rig.restart()
	rig.from(PBX, requestText('INVITE'))
	expect(rig.pushes.length).toBe(1)
})
