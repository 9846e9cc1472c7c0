/**
 * What users of push gateways suffered in their calls, one test a case, named after what must happen. Numbers are those of
 * docs/failure-cases.md, which has all of them.
 */
import { expect, test } from 'bun:test'
import { SILENCE_MS } from '../../src/core/wake/device-branch.ts'
import { MIN_HOLD_MS, MIN_WAKES_TO_LEARN } from '../../src/core/wake/wake-times.ts'
import { Header } from '../../src/sip/headers.ts'
import {
	ACCEPTED,
	answerTo,
	BAD_TOKEN,
	bind,
	boundPhone,
	fallAsleep,
	grant,
	Phone,
	pushParamsOf,
	requestText,
	TOKEN,
} from '../core/peers.ts'
import { flowOf, GATEWAY, PBX, Rig } from '../core/rig.ts'
import { answers, asleep, BRANCH, calls, count, givesUp, verdicts, wakes } from './calling.ts'

test('1: a call for a sleeping phone is held, not refused, and the phone that wakes takes it', () => {
	const { rig, phone } = asleep()
	calls(rig)
	rig.pushed(ACCEPTED)
	rig.advance(5_000)
	expect([verdicts(rig), rig.words(phone.flow).includes('INVITE')]).toEqual([['100 INVITE'], false])
	wakes(rig, phone)
	answers(rig, phone)
	expect(verdicts(rig)).toEqual(['100 INVITE', '200 INVITE'])
})

test('1: a flow that swallows the INVITE is no answer: the phone is pushed, and the call goes on', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	calls(rig)
	rig.advance(SILENCE_MS)
	rig.pushed(ACCEPTED)
	expect([verdicts(rig), rig.pushes.length]).toEqual([['100 INVITE'], 1])
	wakes(rig, phone)
	answers(rig, phone)
	expect(verdicts(rig)).toEqual(['100 INVITE', '200 INVITE'])
})

test('3: three REGISTERs after one push, each with its 401, ring the phone once', () => {
	const { rig, phone } = asleep()
	calls(rig)
	rig.pushed(ACCEPTED)
	phone.flow = flowOf('203.0.113.9', 50_000)
	rig.clear()
	for (let round = 0; round < 3; round++) {
		rig.from(phone.flow, phone.register())
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 401))
		expect(count(rig, phone, 'INVITE')).toBe(round === 0 ? 0 : 1)
		bind(rig, phone)
		if (round === 0) rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
	}
	expect(count(rig, phone, 'INVITE')).toBe(1)
	answers(rig, phone)
	expect(verdicts(rig)).toEqual(['180 INVITE', '200 INVITE'])
})

test('3: what a phone says to an INVITE it has already taken never ends the call', () => {
	const { rig, phone } = asleep()
	calls(rig)
	rig.pushed(ACCEPTED)
	wakes(rig, phone)
	const invite = rig.last(phone.flow, 'INVITE')
	answers(rig, phone)
	for (const status of [482, 486, 487]) rig.from(phone.flow, answerTo(invite, status))
	expect(verdicts(rig)).toEqual(['100 INVITE', '200 INVITE'])
})

test('4: an app that is awake gets the call, and no push beside it', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	calls(rig)
	rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
	rig.advance(60_000)
	expect([count(rig, phone, 'INVITE'), rig.pushes]).toEqual([1, []])
})

test('5: a caller who hangs up leaves no phone ringing: the one that wakes late is told, with the reason', () => {
	const { rig, phone } = asleep()
	calls(rig)
	rig.pushed(ACCEPTED)
	givesUp(rig, ['Reason: Q.850;cause=16'])
	rig.advance(20_000)
	wakes(rig, phone)
	rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
	expect(rig.last(phone.flow, 'CANCEL').first(Header.Reason)).toBe('Q.850;cause=16')
	expect(rig.pushes.length).toBe(1)
})

test('5: a push is of no use to a phone after the hold', () => {
	const { rig } = asleep()
	calls(rig)
	expect(rig.pushes[0]!.expiresAt - rig.now).toBeLessThanOrEqual(rig.settings.holdMs)
})

test('7: a lost REGISTER costs nothing: its copy is answered, and the INVITE follows', () => {
	const { rig, phone } = asleep()
	calls(rig)
	rig.pushed(ACCEPTED)
	phone.flow = flowOf('203.0.113.9', 50_000)
	const register = phone.register()
	rig.from(phone.flow, register)
	rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
	rig.clear()
	/* the 200 was lost */
	expect(rig.from(phone.flow, register).map(({ word }) => word)).toEqual(['200 REGISTER'])
	rig.advance(600)
	expect([count(rig, phone, 'INVITE'), rig.pushes]).toEqual([1, []])
})

test('7: a phone that does not come back in time costs the queue no more than the hold, and one push', () => {
	const { rig } = asleep()
	calls(rig)
	rig.pushed(ACCEPTED)
	rig.advance(rig.settings.holdMs)
	expect([verdicts(rig), rig.pushes.length]).toEqual([['100 INVITE', '480 INVITE'], 1])
})

test('7: for a phone that always woke quickly a call does not wait as long as for one that is not known', () => {
	const { rig, phone } = asleep()
	for (let i = 0; i < MIN_WAKES_TO_LEARN; i++) {
		const call = { callId: `call-${i}`, branch: `z9hG4bK${i}` }
		calls(rig, call)
		rig.pushed(ACCEPTED)
		rig.advance(1_500)
		wakes(rig, phone)
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 486))
		rig.from(PBX, requestText('ACK', { ...call, contact: '' }))
		fallAsleep(rig)
	}
	calls(rig)
	rig.pushed(ACCEPTED)
	rig.advance(MIN_HOLD_MS - 1)
	expect(verdicts(rig)).toEqual(['100 INVITE'])
	rig.advance(1)
	expect(verdicts(rig)).toEqual(['100 INVITE', '480 INVITE'])
	expect(MIN_HOLD_MS).toBeLessThan(rig.settings.holdMs)
})

test('8: the INVITE follows the 2xx to REGISTER in the same turn', () => {
	const { rig, phone } = asleep()
	calls(rig)
	rig.pushed(ACCEPTED)
	rig.clear()
	const began = rig.now
	wakes(rig, phone)
	expect([rig.words(phone.flow), rig.now - began]).toEqual([['200 REGISTER', 'INVITE'], 0])
})

test('8: who answers a call that is over gets its INVITE, and its end: CallKit is never left alone', () => {
	const { rig, phone } = asleep()
	calls(rig)
	rig.pushed(ACCEPTED)
	givesUp(rig)
	wakes(rig, phone)
	answers(rig, phone)
	expect(rig.words(phone.flow).slice(-3)).toEqual(['INVITE', 'ACK', 'BYE'])
	expect(verdicts(rig)).toEqual(['100 INVITE', '487 INVITE'])
})

test('10: a flow that gives no sign of life is dead after 1.8 s, not after 32', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	calls(rig)
	rig.advance(SILENCE_MS - 1)
	expect(rig.pushes).toEqual([])
	rig.advance(1)
	expect(rig.pushes.length).toBe(1)
	rig.pushed(ACCEPTED)
	const before = count(rig, phone, 'INVITE')
	rig.advance(10_000)
	expect(count(rig, phone, 'INVITE')).toBe(before)
})

test('10: a phone that only its network acknowledges is asleep: what counts is an answer of the app', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	for (let i = 0; i < 30; i++) {
		rig.advance(500)
		/* keep-alives come from the system, not from the app */
		rig.from(phone.flow, '\r\n\r\n')
	}
	calls(rig)
	expect([count(rig, phone, 'INVITE'), rig.pushes.length]).toEqual([0, 1])
})

test('18: CANCEL of a held call is answered at once, and the next call waits anew', () => {
	const { rig, phone } = asleep()
	calls(rig)
	rig.pushed(ACCEPTED)
	rig.advance(15_000)
	expect(givesUp(rig).map(({ word }) => word)).toEqual(['200 CANCEL', '487 INVITE'])
	rig.from(PBX, requestText('ACK', { branch: BRANCH, contact: '' }))
	rig.clear()
	calls(rig, { branch: 'z9hG4bKnext', callId: 'next', cseq: 1 })
	rig.pushed(ACCEPTED)
	rig.advance(rig.settings.holdMs - 1)
	expect(verdicts(rig)).toEqual(['100 INVITE'])
	wakes(rig, phone)
	expect(rig.to(phone.flow).some(({ message }) => message.method === 'INVITE' && message.callId === 'next')).toBe(true)
})

test('19: a call answered elsewhere is told as such, and what the PBX says of it is passed untouched', () => {
	const rig = new Rig()
	const phones = [boundPhone(rig, '1001', 'aa'.repeat(32), 10), boundPhone(rig, '1001', 'bb'.repeat(32), 11)]
	calls(rig)
	for (const phone of phones) rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
	answers(rig, phones[0]!)
	expect(rig.last(phones[1]!.flow, 'CANCEL').first(Header.Reason)).toBe('SIP;cause=200;text="Call completed elsewhere"')
	const other = new Rig()
	const phone = boundPhone(other)
	calls(other)
	other.from(phone.flow, answerTo(other.last(phone.flow, 'INVITE'), 180))
	const reasons = ['SIP;cause=200;text="answered, elsewhere"', 'Q.850 ;cause=26', 'X-OWN;a']
	givesUp(
		other,
		reasons.map((reason) => `Reason: ${reason}`),
	)
	expect(other.last(phone.flow, 'CANCEL').rows(Header.Reason)).toEqual(reasons)
})

test('20: while the phone sleeps the caller hears 100 and nothing that is not true', () => {
	const { rig, phone } = asleep()
	calls(rig)
	rig.pushed(ACCEPTED)
	rig.advance(10_000)
	expect(verdicts(rig)).toEqual(['100 INVITE'])
	wakes(rig, phone)
	rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180, { toTag: 'phone' }))
	expect([verdicts(rig), rig.last(PBX, '180 INVITE').toTag]).toEqual([['100 INVITE', '180 INVITE'], 'phone'])
})

test('20: asked to ring early it does so under a To-tag of its own', () => {
	const { rig, phone } = asleep({ ringingOnPush: true })
	calls(rig)
	rig.pushed(ACCEPTED)
	const early = rig.last(PBX, '180 INVITE').toTag
	wakes(rig, phone)
	answers(rig, phone)
	expect([early === '', rig.last(PBX, '200 INVITE').toTag]).toEqual([false, 'phone'])
})

test('23: a call waits for an agent of whom no phone is awake, and every phone that wakes joins it', () => {
	const rig = new Rig()
	const phones = ['aa', 'bb', 'cc'].map((token, i) => boundPhone(rig, '1001', token.repeat(32), 10 + i))
	rig.advance(14_000)
	rig.clear()
	calls(rig)
	expect([rig.words(PBX), rig.pushes.length]).toEqual([['100 INVITE'], 3])
	for (const [i, phone] of phones.entries()) wakes(rig, phone, 50_000 + i)
	expect(phones.map((phone) => count(rig, phone, 'INVITE'))).toEqual([1, 1, 1])
})

test('23: a dead flow at the start does not spoil the wait: a device is its instance, not its address', () => {
	const { rig, phone } = asleep()
	rig.restart()
	calls(rig)
	rig.pushed(ACCEPTED)
	wakes(rig, phone)
	answers(rig, phone)
	expect(verdicts(rig)).toEqual(['100 INVITE', '200 INVITE'])
})

test('23: nobody to wake is said in the same turn, so that the queue moves on', () => {
	const { rig } = asleep()
	calls(rig)
	rig.pushed(BAD_TOKEN)
	expect(verdicts(rig)).toEqual(['100 INVITE', '480 INVITE'])
	rig.clear()
	rig.from(PBX, requestText('INVITE', { branch: 'z9hG4bKagain', callId: 'again' }))
	rig.advance(SILENCE_MS)
	expect([[...new Set(verdicts(rig))], rig.pushes]).toEqual([['100 INVITE', '480 INVITE'], []])
})

test('24: a MESSAGE to a phone that sleeps is told by an alert, never by a VoIP push, and comes when it wakes', () => {
	const rig = new Rig()
	const phone = new Phone('1001', flowOf('198.51.100.7', 40_007))
	const contact = `<${phone.uri}${pushParamsOf(`${TOKEN}:voip&${'ab'.repeat(32)}:remote`)}&remote>`
	bind(rig, phone, { contact })
	fallAsleep(rig)
	rig.from(PBX, requestText('MESSAGE', { contact: '', body: 'hello' }))
	expect(rig.pushes.map(({ kind, token }) => [kind, token.reveal()])).toEqual([['alert', 'ab'.repeat(32)]])
	rig.pushed(ACCEPTED)
	phone.flow = flowOf('203.0.113.9', 50_000)
	bind(rig, phone, { contact })
	rig.from(phone.flow, answerTo(rig.last(phone.flow, 'MESSAGE'), 200))
	expect(rig.words(PBX)).toContain('200 MESSAGE')
})

test('24: where there is only a VoIP token nobody is woken, and the sender is told so', () => {
	const { rig } = asleep()
	rig.from(PBX, requestText('MESSAGE', { contact: '', body: 'hello' }))
	rig.advance(60_000)
	expect([rig.pushes, rig.words(PBX)]).toEqual([[], ['480 MESSAGE']])
})

test('24: a call that is hung up while its phone sleeps ends there as well', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	calls(rig)
	const route = rig.last(phone.flow, 'INVITE').first(Header.RecordRoute)!
	answers(rig, phone)
	fallAsleep(rig)
	rig.from(PBX, requestText('BYE', { to: `<sip:1001@${GATEWAY}>;tag=phone`, rows: [`Route: ${route}`], cseq: 103 }))
	wakes(rig, phone)
	rig.from(phone.flow, answerTo(rig.last(phone.flow, 'BYE'), 200))
	expect([rig.words(PBX).at(-1), rig.pushes]).toEqual(['200 BYE', []])
})

test('4: an app that registers while its push is still being stored gets the call, and no push', () => {
	const { rig, phone } = asleep()
	rig.saving = 'waits'
	calls(rig)
	rig.advance(3)
	rig.from(phone.flow, phone.register())
	rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
	rig.saving = 'at-once'
	rig.commit()
	expect([count(rig, phone, 'INVITE'), rig.pushes]).toEqual([1, []])
})

test('4: an app whose answer to the first copy comes late is not pushed any more', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	calls(rig)
	const invite = rig.last(phone.flow, 'INVITE')
	rig.saving = 'waits'
	rig.advance(SILENCE_MS)
	rig.from(phone.flow, answerTo(invite, 180))
	rig.saving = 'at-once'
	rig.commit()
	expect([verdicts(rig), rig.pushes]).toEqual([['100 INVITE', '180 INVITE'], []])
})
