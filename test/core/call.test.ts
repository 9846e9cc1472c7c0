/** Calls of the PBX to phones that are awake. */
import { describe, expect, test } from 'bun:test'
import { CANCEL_WAIT_MS, TIMER_C_MS } from '../../src/core/proxy/pass.ts'
import { MAX_CALLS } from '../../src/core/wake/calls.ts'
import { SILENCE_MS } from '../../src/core/wake/device-branch.ts'
import { CANCEL_GRACE_MS } from '../../src/core/wake/patience.ts'
import { Header } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { ACCEPTED, answerTo, bind, boundPhone, only, type Phone, requestText, SDP, TOKEN } from './peers.ts'
import { flowOf, GATEWAY, PBX, Rig } from './rig.ts'

const INVITE = { branch: 'z9hG4bKinvite', body: SDP }

/** Phones of one agent that are awake, and an INVITE for it that just came. */
function ringing(count = 1, shape = {}) {
	const rig = new Rig()
	const phones = Array.from({ length: count }, (_, i) => boundPhone(rig, '1001', i.toString(16).repeat(64), 10 + i))
	const sent = rig.from(PBX, requestText('INVITE', { ...INVITE, ...shape }))
	const invites = phones.map((phone) => rig.last(phone.flow, 'INVITE'))
	return { rig, phones, sent, invites, phone: phones[0]!, invite: invites[0]! }
}

const cancelText = (rows: readonly string[] = []) => requestText('CANCEL', { branch: INVITE.branch, contact: '', rows })
const ok = (invite: SipMessage, phone: Phone, toTag = 'phone') =>
	answerTo(invite, 200, { contact: `${phone.uri};ob`, toTag })

describe('an INVITE for a phone that is awake', () => {
	test('100 goes first, then the INVITE on the flow of the phone', () => {
		const { sent, phone } = ringing()
		expect(sent.map(({ word, to }) => [word, to.key])).toEqual([
			['100 INVITE', PBX.key],
			['INVITE', phone.flow.key],
		])
	})

	test('its Request-URI is the Contact of the phone; Max-Forwards, Via, Record-Route and the body are right', () => {
		const { invite, phone } = ringing(1, { rows: ['X-Queue: sales'] })
		expect([invite.uri, invite.maxForwards, invite.list(Header.Via).length]).toEqual([phone.uri, 69, 2])
		expect(invite.via.host).toBe('gw.example')
		expect(invite.rows(Header.RecordRoute)).toEqual([
			expect.stringMatching(/^<sip:1\.[0-9a-f]{20}@gw\.example:5060;lr>$/),
		])
		expect(invite.text).toContain('X-Queue: sales')
		expect(String.fromCharCode(...invite.body())).toBe(SDP)
	})

	test('a retransmission of it is absorbed', () => {
		const { rig } = ringing()
		expect(rig.from(PBX, requestText('INVITE', INVITE)).map(({ word }) => word)).toEqual(['100 INVITE'])
	})

	test('180 and 200 pass, with the Contact of the gateway for the agent', () => {
		const { rig, phone, invite } = ringing()
		rig.from(phone.flow, answerTo(invite, 100))
		rig.from(phone.flow, answerTo(invite, 180, { contact: phone.uri }))
		rig.from(phone.flow, ok(invite, phone))
		expect(rig.words(PBX)).toEqual(['100 INVITE', '180 INVITE', '200 INVITE'])
		for (const word of ['180 INVITE', '200 INVITE']) {
			const answer = rig.last(PBX, word)
			expect(answer.first(Header.Contact)).toBe(`<sip:1001@${GATEWAY}>`)
			expect([answer.list(Header.Via).length, answer.via.branch, answer.toTag === '']).toEqual([
				1,
				INVITE.branch,
				false,
			])
		}
		expect(rig.core.snapshot(rig.now).calls.map(({ state }) => state)).toEqual(['live'])
		expect(rig.core.calls.count).toBe(0)
	})

	test('a retransmitted 2xx goes on upstream, the ACK to the phone', () => {
		const { rig, phone, invite } = ringing()
		for (let i = 0; i < 3; i++) rig.from(phone.flow, ok(invite, phone))
		expect(rig.words(PBX).filter((word) => word === '200 INVITE').length).toBe(3)
		const route = invite.first(Header.RecordRoute)!
		const rows = [`Route: ${route}`]
		const [ack] = rig.from(PBX, requestText('ACK', { uri: `${phone.uri};ob`, to: '<sip:1001@x>;tag=phone', rows }))
		expect([ack!.word, ack!.to.key, ack!.message.uri, ack!.message.find(Header.Route)]).toEqual([
			'ACK',
			phone.flow.key,
			`${phone.uri};ob`,
			-1,
		])
	})

	test('the phone declines: its own answer reaches the PBX, and the gateway acknowledges', () => {
		const { rig, phone, invite } = ringing()
		rig.from(phone.flow, answerTo(invite, 603, { rows: ['Reason: SIP;cause=603;text="Decline"'] }))
		expect(rig.words(PBX)).toEqual(['100 INVITE', '603 INVITE'])
		expect(rig.last(PBX, '603 INVITE').first(Header.Reason)).toBe('SIP;cause=603;text="Decline"')
		expect(rig.words(phone.flow)).toEqual(['INVITE', 'ACK'])
		rig.from(PBX, requestText('ACK', { branch: INVITE.branch, to: '<sip:1001@x>;tag=remote' }))
		expect(rig.words(phone.flow)).toEqual(['INVITE', 'ACK'])
		expect([rig.core.calls.count, rig.core.context.counters.callsDeclined]).toEqual([0, 1])
	})

	test('RFC 3261 §16.7 step 6: a 503 of the phone is a 500 for the PBX', () => {
		const { rig, phone, invite } = ringing()
		rig.from(phone.flow, answerTo(invite, 503, { rows: ['Retry-After: 9'] }))
		expect(rig.words(PBX)).toEqual(['100 INVITE', '500 INVITE'])
	})

	test('a 3xx passes with the targets it names', () => {
		const { rig, phone, invite } = ringing()
		rig.from(phone.flow, answerTo(invite, 302, { contact: 'sip:other@example.com' }))
		expect(rig.last(PBX, '302 INVITE').first(Header.Contact)).toBe('<sip:other@example.com>')
	})

	test('an agent nobody knows is 404, and so is a URI without a user', () => {
		const rig = new Rig()
		rig.from(PBX, requestText('INVITE', { uri: 'sip:1009@gw.example:5060' }))
		rig.from(PBX, requestText('INVITE', { uri: 'sip:gw.example:5060' }))
		expect(rig.words(PBX)).toEqual(['404 INVITE', '404 INVITE'])
	})

	test('a 483, 420, 416 and a loop are refused before anything else', () => {
		const rig = new Rig()
		boundPhone(rig)
		rig.from(PBX, requestText('INVITE', { maxForwards: 0 }))
		rig.from(PBX, requestText('INVITE', { rows: ['Proxy-Require: foo, bar'] }))
		rig.from(PBX, requestText('INVITE', { uri: 'tel:+4911' }))
		expect(rig.words(PBX)).toEqual(['483 INVITE', '420 INVITE', '416 INVITE'])
		expect(rig.last(PBX, '420 INVITE').first(Header.Unsupported)).toBe('foo, bar')
	})

	test('RFC 5393 §4.2: coming back unchanged it is a loop (482); changed, a spiral that may go on', () => {
		const { rig, invite } = ringing()
		const via = (uri: string) => requestText('INVITE', { uri, body: SDP, rows: [`Via: ${invite.list(Header.Via)[0]}`] })
		expect(only(rig.from(PBX, via('sip:1001@gw.example:5060')), '482 INVITE').status).toBe(482)
		expect(rig.from(PBX, via('sip:1001@gw.example:5060;spiral')).map(({ word }) => word)).toContain('INVITE')
	})

	test('Max-Forwards is added where it is absent (§16.6 step 3)', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('INVITE', INVITE).replace('Max-Forwards: 70\r\n', ''))
		expect(rig.last(phone.flow, 'INVITE').maxForwards).toBe(70)
	})

	test('a Request-URI the PBX escaped otherwise is the same agent', () => {
		const rig = new Rig()
		const phone = boundPhone(rig, 'joe%20x')
		rig.from(PBX, requestText('INVITE', { uri: `sip:%6aoe%20x@${GATEWAY}` }))
		expect(rig.words(phone.flow)).toEqual(['INVITE'])
	})
})

describe('silence', () => {
	test(`SILENCE_MS: no answer at all in ${SILENCE_MS} ms → background, held, pushed, in the same transaction`, () => {
		const { rig, phone, invite } = ringing()
		rig.advance(SILENCE_MS - 1)
		expect([rig.words(phone.flow), rig.pushes.length]).toEqual([['INVITE', 'INVITE', 'INVITE'], 0])
		rig.order.length = 0
		rig.advance(1)
		expect(rig.order).toEqual(['save device', 'save call', 'push'])
		expect(rig.core.snapshot(rig.now).calls.map(({ state }) => state)).toEqual(['held'])
		rig.pushed(ACCEPTED)
		rig.advance(3_000)
		expect(rig.words(phone.flow).filter((word) => word === 'INVITE').length).toBe(3)
		phone.flow = flowOf('203.0.113.9', 50_000)
		rig.clear()
		bind(rig, phone)
		const again = rig.last(phone.flow, 'INVITE')
		expect([again.via.branch, again.cseq]).toEqual([invite.via.branch, invite.cseq])
		rig.from(phone.flow, ok(again, phone))
		expect(rig.words(PBX)).toContain('200 INVITE')
	})

	test('a provisional answer ends it: the phone rings as long as it likes', () => {
		const { rig, phone, invite } = ringing()
		rig.from(phone.flow, answerTo(invite, 180))
		rig.advance(60_000)
		expect([rig.words(phone.flow).filter((word) => word === 'INVITE').length, rig.pushes.length]).toEqual([1, 0])
		expect(rig.words(PBX)).toEqual(['100 INVITE', '180 INVITE'])
	})

	test('the answer to the first copy that comes late counts, and nothing is sent twice', () => {
		const { rig, phone, invite } = ringing()
		rig.advance(SILENCE_MS)
		rig.pushed(ACCEPTED)
		rig.from(phone.flow, answerTo(invite, 180))
		rig.clear()
		bind(rig, phone)
		expect(rig.words(phone.flow)).toEqual(['200 REGISTER'])
		rig.from(phone.flow, ok(invite, phone))
		expect(rig.words(PBX)).toContain('200 INVITE')
	})

	test('a phone without push that is silent is 480 at once', () => {
		const rig = new Rig()
		const phone = boundPhone(rig, '1001', '')
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.advance(SILENCE_MS)
		expect(rig.words(PBX)).toEqual(['100 INVITE', '480 INVITE'])
		rig.advance(60_000)
		expect([rig.words(phone.flow).filter((word) => word === 'INVITE').length, rig.pushes.length]).toEqual([3, 0])
	})

	test('a phone that moves before it answers is followed by the same request', () => {
		const { rig, phone, invite } = ringing()
		rig.advance(300)
		phone.flow = flowOf('203.0.113.9', 50_000)
		bind(rig, phone)
		expect(rig.last(phone.flow, 'INVITE').via.branch).toBe(invite.via.branch)
		expect(rig.pushes).toEqual([])
	})
})

describe('a fork', () => {
	test('goes to all phones that are awake, each with its own branch', () => {
		const { invites } = ringing(3)
		expect(new Set(invites.map(({ via }) => via.branch)).size).toBe(3)
	})

	test('the first 2xx ends the others: CANCEL with the Reason of RFC 3326', () => {
		const { rig, phones, invites } = ringing(3)
		for (const [i, phone] of phones.entries()) rig.from(phone.flow, answerTo(invites[i]!, 180, { toTag: `t${i}` }))
		rig.from(phones[1]!.flow, ok(invites[1]!, phones[1]!))
		for (const i of [0, 2]) {
			const cancel = rig.last(phones[i]!.flow, 'CANCEL')
			expect([cancel.via.branch, cancel.cseq, cancel.uri]).toEqual([invites[i]!.via.branch, 102, phones[i]!.uri])
			expect(cancel.first(Header.Reason)).toBe('SIP;cause=200;text="Call completed elsewhere"')
			rig.from(phones[i]!.flow, answerTo(cancel, 200))
			rig.from(phones[i]!.flow, answerTo(invites[i]!, 487))
		}
		expect(rig.words(phones[1]!.flow)).not.toContain('CANCEL')
		expect(rig.words(PBX).filter((word) => word !== '180 INVITE')).toEqual(['100 INVITE', '200 INVITE'])
		expect(rig.core.calls.count).toBe(0)
	})

	test('§9.1: a phone that has not answered provisionally is cancelled when it does', () => {
		const { rig, phones, invites } = ringing(2)
		rig.from(phones[0]!.flow, ok(invites[0]!, phones[0]!))
		expect(rig.words(phones[1]!.flow)).toEqual(['INVITE'])
		rig.from(phones[1]!.flow, answerTo(invites[1]!, 180))
		expect(rig.words(phones[1]!.flow)).toEqual(['INVITE', 'CANCEL'])
		expect(rig.words(PBX)).toEqual(['100 INVITE', '200 INVITE'])
	})

	test('a second 2xx never reaches the PBX: ACK for every copy, one BYE', () => {
		const { rig, phones, invites } = ringing(2)
		rig.from(phones[0]!.flow, ok(invites[0]!, phones[0]!))
		for (let i = 0; i < 2; i++) rig.from(phones[1]!.flow, ok(invites[1]!, phones[1]!, 'second'))
		expect(rig.words(phones[1]!.flow)).toEqual(['INVITE', 'ACK', 'BYE', 'ACK'])
		const bye = rig.last(phones[1]!.flow, 'BYE')
		expect([bye.uri, bye.toTag, bye.cseq, bye.fault]).toEqual([`${phones[1]!.uri};ob`, 'second', 103, undefined])
		expect(rig.words(PBX)).toEqual(['100 INVITE', '200 INVITE'])
		expect(rig.core.calls.count).toBe(0)
	})

	test('all decline: the best answer goes up, and only when the last one has come', () => {
		for (const [statuses, best] of [
			[[486, 404, 480], 486],
			[[486, 401, 480], 401],
			[[500, 302, 486], 302],
			[[503, 500, 502], 500],
		] as const) {
			const { rig, phones, invites } = ringing(3)
			for (const [i, phone] of phones.entries()) {
				expect(rig.words(PBX)).toEqual(['100 INVITE'])
				rig.from(phone.flow, answerTo(invites[i]!, statuses[i]!))
			}
			expect(rig.words(PBX)).toEqual(['100 INVITE', `${best} INVITE`])
		}
	})

	test('a 6xx ends the others at once and wins (§16.7 step 5)', () => {
		const { rig, phones, invites } = ringing(2)
		rig.from(phones[0]!.flow, answerTo(invites[0]!, 180))
		rig.from(phones[1]!.flow, answerTo(invites[1]!, 603))
		expect(rig.words(phones[0]!.flow)).toEqual(['INVITE', 'CANCEL'])
		rig.from(phones[0]!.flow, answerTo(invites[0]!, 487))
		expect(rig.words(PBX)).toEqual(['100 INVITE', '180 INVITE', '603 INVITE'])
	})
})

describe('CANCEL of the caller', () => {
	test('while a phone rings: 200 at once, CANCEL with the Reason to the phone, its 487 to the PBX', () => {
		const { rig, phone, invite } = ringing()
		rig.from(phone.flow, answerTo(invite, 180))
		const reason = 'Q.850;cause=16, SIP;cause=200;text="Call completed elsewhere"'
		rig.from(PBX, cancelText([`Reason: ${reason}`]))
		expect(rig.words(PBX)).toEqual(['100 INVITE', '180 INVITE', '200 CANCEL'])
		expect(rig.last(phone.flow, 'CANCEL').first(Header.Reason)).toBe(reason)
		rig.from(phone.flow, answerTo(invite, 487))
		expect(rig.words(PBX).slice(3)).toEqual(['487 INVITE'])
		expect([rig.core.calls.count, rig.core.context.counters.callsCancelled]).toEqual([0, 1])
	})

	test(`CANCEL_GRACE_MS: a phone that does not confirm it is not waited for beyond ${CANCEL_GRACE_MS} ms`, () => {
		const { rig, phone, invite } = ringing()
		rig.from(phone.flow, answerTo(invite, 180))
		rig.from(PBX, cancelText())
		rig.advance(CANCEL_GRACE_MS - 1)
		expect(rig.words(PBX)).not.toContain('487 INVITE')
		rig.advance(1)
		expect(rig.words(PBX)).toContain('487 INVITE')
	})

	test('CANCEL_GRACE_MS: a CANCEL after a 6xx makes nobody wait longer for the phone that does not confirm', () => {
		const { rig, phones, invites } = ringing(2)
		rig.from(phones[0]!.flow, answerTo(invites[0]!, 180))
		rig.from(phones[1]!.flow, answerTo(invites[1]!, 603))
		rig.advance(CANCEL_GRACE_MS - 1)
		rig.from(PBX, cancelText())
		expect(rig.words(PBX)).not.toContain('487 INVITE')
		rig.advance(1)
		expect(rig.words(PBX)).toContain('487 INVITE')
	})

	test('before the phone answered: 200 and 487 at once, and the phone is cancelled when it does answer', () => {
		const { rig, phone, invite } = ringing()
		rig.from(PBX, cancelText())
		expect(rig.words(PBX)).toEqual(['100 INVITE', '200 CANCEL', '487 INVITE'])
		rig.from(phone.flow, answerTo(invite, 180))
		expect(rig.words(phone.flow)).toEqual(['INVITE', 'CANCEL'])
		rig.from(phone.flow, answerTo(invite, 487))
		expect(rig.core.calls.count).toBe(0)
	})

	test('crossing the 200 of the phone: the answer wins', () => {
		const { rig, phone, invite } = ringing()
		rig.from(phone.flow, answerTo(invite, 180))
		rig.from(PBX, cancelText())
		rig.from(phone.flow, ok(invite, phone))
		expect(rig.words(PBX).slice(2)).toEqual(['200 CANCEL', '200 INVITE'])
	})

	test('a 2xx after the 487: ACK and BYE to the phone, nothing to the PBX', () => {
		const { rig, phone, invite } = ringing()
		rig.from(PBX, cancelText())
		rig.from(phone.flow, ok(invite, phone))
		expect(rig.words(phone.flow)).toEqual(['INVITE', 'ACK', 'BYE'])
		expect(rig.words(PBX)).toEqual(['100 INVITE', '200 CANCEL', '487 INVITE'])
	})

	test('of nothing: 481', () => {
		const rig = new Rig()
		rig.from(PBX, cancelText())
		expect(rig.words(PBX)).toEqual(['481 CANCEL'])
	})

	test('a second CANCEL, and one after the end, change nothing', () => {
		const { rig, phone, invite } = ringing()
		rig.from(phone.flow, answerTo(invite, 180))
		for (let i = 0; i < 2; i++) rig.from(PBX, cancelText())
		expect(rig.words(phone.flow)).toEqual(['INVITE', 'CANCEL'])
		rig.from(phone.flow, answerTo(invite, 487))
		rig.from(PBX, cancelText())
		expect(rig.words(PBX).filter((word) => word === '487 INVITE').length).toBe(1)
	})
})

describe('limits of a call', () => {
	test(`TIMER_C_MS: after ${TIMER_C_MS} ms of ringing 408, and the phone is cancelled`, () => {
		const { rig, phone, invite } = ringing()
		rig.advance(100)
		rig.from(phone.flow, answerTo(invite, 180))
		rig.advance(TIMER_C_MS - 1)
		expect(rig.words(PBX)).toEqual(['100 INVITE', '180 INVITE'])
		rig.advance(1)
		expect([rig.words(PBX).at(-1), rig.words(phone.flow).includes('CANCEL')]).toEqual(['408 INVITE', true])
		expect(CANCEL_WAIT_MS).toBeLessThan(TIMER_C_MS)
	})

	test(`MAX_CALLS: beyond ${MAX_CALLS} the PBX gets 503 and tries elsewhere`, () => {
		const rig = new Rig({ pingIntervalMs: 0, holdMs: 600_000 })
		boundPhone(rig, '1001', TOKEN)
		rig.saving = 'waits'
		for (let i = 0; i < MAX_CALLS; i++) {
			rig.core.handle(
				{ type: 'datagram', flow: PBX, bytes: Buffer.from(requestText('INVITE', { callId: `c${i}` })) },
				rig.now,
			)
			rig.core.effects.length = 0
		}
		rig.from(PBX, requestText('INVITE', { callId: 'one-more' }))
		expect([rig.words(PBX), rig.eventNames()]).toEqual([['100 INVITE', '503 INVITE'], ['limit-reached']])
		expect(rig.last(PBX, '503 INVITE').first(Header.RetryAfter)).toBe('5')
	}, 30_000)
})

test('a phone that signs off and on again with the INVITE out, and falls asleep, is woken as any other', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	rig.from(PBX, requestText('INVITE'))
	bind(rig, phone, { expires: 0 })
	rig.advance(100)
	bind(rig, phone)
	rig.advance(SILENCE_MS + 10)
	expect([rig.pushes.length, rig.words(PBX).includes('480 INVITE')]).toEqual([1, false])
})
