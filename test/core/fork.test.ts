/** RFC 3261 §16.7, RFC 5393, RFC 3326: one call for several phones, some awake and some not. */
import { describe, expect, test } from 'bun:test'
import { sharesOf } from '../../src/core/wake/breadth.ts'
import { Header } from '../../src/sip/headers.ts'
import { ACCEPTED, answerTo, bind, boundPhone, fallAsleep, type Phone, requestText, SDP } from './peers.ts'
import { flowOf, PBX, Rig } from './rig.ts'

const INVITE = { branch: 'z9hG4bKinvite', body: SDP }

/** Phones of one agent: the first of them asleep and pushed to, the others awake; a call has come. */
function forked(asleep: number, awake: number, rows: readonly string[] = []) {
	const rig = new Rig()
	const phone = (_: unknown, i: number) => boundPhone(rig, '1001', i.toString(16).repeat(64), 10 + i)
	const phones = Array.from({ length: asleep }, phone)
	if (asleep > 0) fallAsleep(rig)
	phones.push(...Array.from({ length: awake }, (_, i) => phone(_, asleep + i)))
	rig.from(PBX, requestText('INVITE', { ...INVITE, rows }))
	for (const push of rig.pushes) rig.pushed(ACCEPTED, push)
	return { rig, phones }
}

function wake(rig: Rig, phone: Phone): void {
	phone.flow = flowOf('203.0.113.9', 10_000 + phone.flow.port)
	bind(rig, phone)
}

const says = (rig: Rig, phone: Phone, status: number, rows: readonly string[] = []) =>
	rig.from(
		phone.flow,
		answerTo(rig.last(phone.flow, 'INVITE'), status, { contact: phone.uri, rows, toTag: phone.token! }),
	)
const finals = (rig: Rig) => rig.words(PBX).filter((word) => /^[2-6]\d\d INVITE$/.test(word))

describe('awake and asleep, mixed', () => {
	test('all of them are one call: two ring at once, two join as they wake, and the last to wake may answer', () => {
		const { rig, phones } = forked(2, 2)
		expect(phones.map((phone) => rig.words(phone.flow).includes('INVITE'))).toEqual([false, false, true, true])
		for (const phone of phones.slice(2)) says(rig, phone, 180)
		for (const phone of phones.slice(0, 2)) {
			wake(rig, phone)
			says(rig, phone, 180)
		}
		says(rig, phones[1]!, 200)
		expect(finals(rig)).toEqual(['200 INVITE'])
		for (const phone of [phones[0]!, phones[2]!, phones[3]!])
			expect(rig.last(phone.flow, 'CANCEL').first(Header.Reason)).toBe('SIP;cause=200;text="Call completed elsewhere"')
	})

	test('a 6xx of an awake one ends it for those that sleep: they get INVITE and CANCEL with its cause', () => {
		const { rig, phones } = forked(1, 1)
		says(rig, phones[1]!, 603)
		expect(finals(rig)).toEqual(['603 INVITE'])
		wake(rig, phones[0]!)
		says(rig, phones[0]!, 180)
		expect(rig.last(phones[0]!.flow, 'CANCEL').first(Header.Reason)).toBe('SIP;cause=603')
	})

	test.each([482, 486, 487])('a late %i of a branch that is over never reaches the caller', (status) => {
		const { rig, phones } = forked(0, 2)
		for (const phone of phones) says(rig, phone, 180)
		says(rig, phones[0]!, 200)
		says(rig, phones[1]!, status)
		expect(finals(rig)).toEqual(['200 INVITE'])
		expect(rig.words(phones[1]!.flow).at(-1)).toBe('ACK')
	})

	test('two 2xx: the first is the call, the second is acknowledged and hung up, and never seen by the PBX', () => {
		const { rig, phones } = forked(1, 1)
		wake(rig, phones[0]!)
		for (const phone of phones) says(rig, phone, 200)
		expect([finals(rig), rig.words(phones[1]!.flow).slice(-2)]).toEqual([['200 INVITE'], ['ACK', 'BYE']])
	})

	test('a Reason of a phone in its final response reaches the caller as it is', () => {
		const { rig, phones } = forked(0, 1)
		says(rig, phones[0]!, 486, ['Reason: Q.850;cause=17;text="User busy"'])
		expect(rig.last(PBX, '486 INVITE').rows(Header.Reason)).toEqual(['Q.850;cause=17;text="User busy"'])
	})
})

describe('RFC 5393 §5.3', () => {
	const breadths = (rig: Rig, phones: readonly Phone[]) =>
		phones.map((phone) => rig.last(phone.flow, 'INVITE').rows(Header.MaxBreadth).join())

	test('Max-Breadth is shared out among the devices, and 60 where there is none', () => {
		const given = forked(0, 3, ['Max-Breadth: 7'])
		expect(breadths(given.rig, given.phones)).toEqual(['3', '2', '2'])
		const none = forked(0, 3)
		expect(breadths(none.rig, none.phones)).toEqual(['20', '20', '20'])
		const one = forked(0, 1, ['Max-Breadth: nonsense'])
		expect(breadths(one.rig, one.phones)).toEqual(['60'])
		for (const count of [1, 2, 7, 10]) expect(sharesOf(60, count).reduce((sum, share) => sum + share)).toBe(60)
	})

	test('440 where it is less than the devices, awake or not; nobody rings, and nobody is woken', () => {
		for (const breadth of [0, 1]) {
			const { rig, phones } = forked(1, 1, [`Max-Breadth: ${breadth}`])
			expect([finals(rig), rig.pushes]).toEqual([['440 INVITE'], []])
			expect(rig.words(phones[1]!.flow)).toEqual([])
		}
	})

	test('one that wakes has the share that was kept for it', () => {
		const { rig, phones } = forked(1, 1, ['Max-Breadth: 3'])
		wake(rig, phones[0]!)
		expect(breadths(rig, phones)).toEqual(['2', '1'])
	})
})
