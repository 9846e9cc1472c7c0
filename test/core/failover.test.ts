/** A PBX of two machines: what one does not answer, the other one does (RFC 3263 §4.3). */
import { describe, expect, test } from 'bun:test'
import { FAILOVER_MS, MAX_TRIES } from '../../src/core/pbx/hops.ts'
import { LEFT_BEHIND_MS } from '../../src/core/pbx/left-behind.ts'
import type { Settings } from '../../src/core/settings.ts'
import { Header } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { answerTo, bind, boundPhone, grant, Phone, requestText } from './peers.ts'
import { flowOf, PBX, Rig, streamOf } from './rig.ts'
import { targetOf } from './target.ts'

const SECOND = flowOf('192.0.2.2', 5060)
const PHONE = flowOf('198.51.100.7', 40_007)

function pairRig(settings: Partial<Settings> = {}): Rig {
	const rig = new Rig(settings)
	rig.input({ type: 'pbx-resolved', targets: [targetOf(PBX), targetOf(SECOND, { rank: 1, name: 'two.pbx.example' })] })
	return rig
}

/** A phone that is bound; its registration is at the first machine. */
function bound(rig: Rig): Phone {
	const phone = boundPhone(rig)
	/* of the time before: it must not look like a sign of life */
	rig.advance(1)
	rig.clear()
	return phone
}

const call = (phone: Phone, shape: Parameters<Phone['request']>[1] = {}) =>
	phone.request('INVITE', { uri: 'sip:600@pbx.example', to: '<sip:600@pbx.example>', callId: 'out-1', ...shape })

describe('a REGISTER that gets no answer', () => {
	test('goes to the next machine in time, as a transaction of its own; the phone gets that answer', () => {
		const rig = pairRig()
		const phone = new Phone('1001', PHONE)
		rig.from(PHONE, phone.register())
		const first = rig.last(PBX, 'REGISTER')
		rig.advance(FAILOVER_MS - 1)
		expect(rig.words(SECOND)).toEqual([])
		rig.advance(1)
		const second = rig.last(SECOND, 'REGISTER')
		expect(second.via.branch).not.toBe(first.via.branch)
		expect(second.via.branch.split('.')[1]).toBe(first.via.branch.split('.')[1]!)
		expect(second.list(Header.Via).length).toBe(2)
		for (const id of [Header.Contact, Header.CallId, Header.CSeq, Header.To, Header.MaxForwards])
			expect(second.first(id)).toBe(first.first(id))
		rig.from(SECOND, grant(second))
		expect(rig.words(PHONE)).toEqual(['200 REGISTER'])
		expect(rig.core.devices.agentCount).toBe(1)
	})

	test('a late answer of the first machine changes nothing', () => {
		const rig = pairRig()
		const phone = new Phone('1001', PHONE)
		rig.from(PHONE, phone.register())
		rig.advance(FAILOVER_MS)
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 403))
		expect(rig.words(PHONE)).toEqual([])
		rig.from(SECOND, grant(rig.last(SECOND, 'REGISTER')))
		expect(rig.words(PHONE)).toEqual(['200 REGISTER'])
	})

	test('the first machine is sent no more copies, and is down after a second silence', () => {
		const rig = pairRig()
		for (const user of ['1001', '1002']) rig.from(PHONE, new Phone(user, PHONE).register())
		rig.advance(FAILOVER_MS)
		rig.clear()
		expect(rig.core.targets.all.map(({ state }) => state)).toEqual(['down', 'up'])
		for (const { message } of rig.advance(20_000)) expect(message.method).not.toBe('')
		expect(rig.words(PBX)).toEqual([])
	})

	test('stays where it is while that machine speaks to others: it is slow, and must not be asked twice', () => {
		const rig = pairRig()
		rig.from(PHONE, new Phone('1001', PHONE).register())
		for (let i = 0; i < 5; i++) {
			rig.advance(2_000)
			rig.from(PBX, '\r\n\r\n')
		}
		expect(rig.words(SECOND)).toEqual([])
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
		expect(rig.words(PHONE)).toEqual(['200 REGISTER'])
	})

	test('one that died in the moment after is found out at the next look', () => {
		const rig = pairRig()
		rig.from(PHONE, new Phone('1001', PHONE).register())
		rig.advance(10)
		rig.from(PBX, '\r\n\r\n')
		rig.advance(2 * FAILOVER_MS - 10)
		expect(rig.words(SECOND)).toEqual(['REGISTER'])
	})

	test('where no machine answers the phone hears nothing, and the operator does', () => {
		const rig = pairRig()
		rig.from(PHONE, new Phone('1001', PHONE).register())
		rig.advance(60_000)
		expect(rig.words(PHONE)).toEqual([])
		expect(rig.eventNames()).toContain('pbx-silent')
		expect(rig.core.transactions.count).toBe(0)
	})

	test('tries so many machines and no more', () => {
		const rig = new Rig()
		const many = Array.from({ length: MAX_TRIES + 2 }, (_, i) => flowOf(`192.0.2.${10 + i}`, 5060))
		rig.input({ type: 'pbx-resolved', targets: many.map((flow, rank) => targetOf(flow, { rank })) })
		rig.from(PHONE, new Phone('1001', PHONE).register())
		rig.advance(31_000)
		expect(many.filter((flow) => rig.words(flow).length > 0)).toEqual(many.slice(0, MAX_TRIES))
	})
})

describe('503', () => {
	test('is tried at the next machine at once; with Retry-After the first one rests', () => {
		const rig = pairRig()
		rig.from(PHONE, new Phone('1001', PHONE).register())
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 503, { rows: ['Retry-After: 30'] }))
		expect([rig.words(SECOND), rig.words(PHONE)]).toEqual([['REGISTER'], []])
		rig.from(SECOND, grant(rig.last(SECOND, 'REGISTER')))
		rig.clear()
		rig.from(PHONE, new Phone('1002', PHONE).register())
		expect([rig.words(PBX), rig.words(SECOND)]).toEqual([[], ['REGISTER']])
		rig.advance(31_000)
		rig.clear()
		rig.from(PHONE, new Phone('1003', PHONE).register())
		expect([rig.words(PBX), rig.words(SECOND)]).toEqual([['REGISTER'], []])
	})

	test('without Retry-After says nothing of other requests', () => {
		const rig = pairRig()
		rig.from(PHONE, new Phone('1001', PHONE).register())
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 503))
		expect(rig.words(SECOND)).toEqual(['REGISTER'])
		expect(rig.core.targets.all.map(({ state }) => state)).toEqual(['up', 'up'])
	})

	test('of all machines reaches the phone', () => {
		const rig = pairRig()
		rig.from(PHONE, new Phone('1001', PHONE).register())
		for (const flow of [PBX, SECOND]) rig.from(flow, answerTo(rig.last(flow, 'REGISTER'), 503))
		expect(rig.words(PHONE)).toEqual(['503 REGISTER'])
	})

	test('of the only machine reaches the phone as ever', () => {
		const rig = new Rig()
		rig.from(PHONE, new Phone('1001', PHONE).register())
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 503, { rows: ['Retry-After: 30'] }))
		expect(rig.words(PHONE)).toEqual(['503 REGISTER'])
		rig.from(PHONE, new Phone('1002', PHONE).register())
		expect(rig.words(PBX)).toEqual(['REGISTER', 'REGISTER'])
	})
})

/** A call that the first machine has not answered yet, and that the second one was asked for. */
function failedOver() {
	const rig = pairRig()
	const phone = bound(rig)
	rig.from(phone.flow, call(phone))
	const first = rig.last(PBX, 'INVITE')
	rig.advance(FAILOVER_MS)
	return { rig, phone, first, second: rig.last(SECOND, 'INVITE') }
}

const lateOk = (first: SipMessage) => answerTo(first, 200, { contact: 'sip:600@192.0.2.1:5060' })

describe('an INVITE of an agent', () => {
	test('that gets no answer goes to the next machine, and is answered from there', () => {
		const rig = pairRig()
		const phone = bound(rig)
		rig.from(phone.flow, call(phone))
		rig.advance(FAILOVER_MS)
		const second = rig.last(SECOND, 'INVITE')
		rig.from(SECOND, answerTo(second, 180))
		rig.from(SECOND, answerTo(second, 200, { contact: 'sip:600@192.0.2.2:5060' }))
		expect(rig.words(phone.flow).filter((word) => !word.includes('OPTIONS'))).toEqual([
			'100 INVITE',
			'180 INVITE',
			'200 INVITE',
		])
	})

	test('is not sent on once the first machine has said 100', () => {
		const rig = pairRig()
		const phone = bound(rig)
		rig.from(phone.flow, call(phone))
		rig.from(PBX, answerTo(rig.last(PBX, 'INVITE'), 100))
		rig.advance(30_000)
		expect(rig.words(SECOND)).toEqual([])
	})

	test('a first machine that wakes up late is cancelled: one call, not two', () => {
		const rig = pairRig()
		const phone = bound(rig)
		rig.from(phone.flow, call(phone))
		const first = rig.last(PBX, 'INVITE')
		rig.advance(FAILOVER_MS)
		rig.from(SECOND, answerTo(rig.last(SECOND, 'INVITE'), 180))
		rig.clear()
		rig.from(PBX, answerTo(first, 100))
		rig.from(PBX, answerTo(first, 180))
		expect(rig.words(PBX)).toEqual(['CANCEL'])
		expect(rig.last(PBX, 'CANCEL').via.branch).toBe(first.via.branch)
		rig.from(PBX, answerTo(rig.last(PBX, 'CANCEL'), 200))
		rig.from(PBX, answerTo(first, 487))
		expect(rig.words(PBX)).toEqual(['CANCEL', 'ACK'])
		expect(rig.words(phone.flow)).toEqual([])
	})

	test('a 2xx that crosses that CANCEL goes on, so that the phone can hang it up (RFC 3261 §16.7 step 5)', () => {
		const rig = pairRig()
		const phone = bound(rig)
		rig.from(phone.flow, call(phone))
		const first = rig.last(PBX, 'INVITE')
		rig.advance(FAILOVER_MS)
		rig.from(SECOND, answerTo(rig.last(SECOND, 'INVITE'), 200, { contact: 'sip:600@192.0.2.2:5060' }))
		rig.clear()
		rig.from(PBX, answerTo(first, 200, { contact: 'sip:600@192.0.2.1:5060' }))
		expect(rig.words(phone.flow)).toEqual(['200 INVITE'])
	})

	test('a late 2xx of the first machine cancels the second that rings', () => {
		const { rig, phone, first, second } = failedOver()
		rig.from(SECOND, answerTo(second, 180))
		rig.clear()
		rig.from(PBX, lateOk(first))
		expect([rig.words(phone.flow), rig.words(SECOND)]).toEqual([['200 INVITE'], ['CANCEL']])
		expect(rig.last(SECOND, 'CANCEL').via.branch).toBe(second.via.branch)
		rig.from(PBX, lateOk(first))
		rig.from(SECOND, answerTo(second, 180))
		rig.from(SECOND, answerTo(second, 487))
		expect(rig.words(SECOND)).toEqual(['CANCEL', 'ACK'])
		expect(rig.words(phone.flow)).toEqual(['200 INVITE', '200 INVITE'])
		expect(rig.words(PBX)).toEqual([])
	})

	test('a late 2xx of the first machine ends the sending to the second, which is cancelled as soon as it rings', () => {
		const { rig, phone, first, second } = failedOver()
		rig.from(PBX, lateOk(first))
		rig.clear()
		rig.advance(5_000)
		expect(rig.words(SECOND)).toEqual([])
		rig.from(SECOND, answerTo(second, 180))
		expect([rig.words(SECOND), rig.words(phone.flow).includes('180 INVITE')]).toEqual([['CANCEL'], false])
		rig.advance(200_000)
		expect(rig.core.transactions.count).toBe(0)
	})

	test('a late 2xx of the first machine after the 486 of the second is acknowledged and hung up', () => {
		const { rig, phone, first, second } = failedOver()
		rig.from(SECOND, answerTo(second, 486))
		rig.clear()
		const rows = [`Record-Route: <sip:192.0.2.99;lr>`, `Record-Route: ${first.first(Header.RecordRoute)}`]
		const late = lateOk(first).replace(`Record-Route: ${first.first(Header.RecordRoute)}`, rows.join('\r\n'))
		for (let copy = 0; copy < 2; copy++) rig.from(PBX, late)
		expect([rig.words(PBX), rig.words(phone.flow)]).toEqual([['ACK', 'BYE', 'ACK'], []])
		const bye = rig.last(PBX, 'BYE')
		expect([bye.uri, bye.callId, bye.toTag, bye.cseq]).toEqual([
			'sip:600@192.0.2.1:5060',
			'out-1',
			'remote',
			first.cseq + 1,
		])
		for (const word of ['ACK', 'BYE']) expect(rig.last(PBX, word).list(Header.Route)).toEqual(['<sip:192.0.2.99;lr>'])
	})

	test('and so is that of a phone on a connection, whose calls have two Record-Routes of ours', () => {
		const tls = { host: 'gw.example', port: 5061, transport: 'TLS' } as const
		const rig = pairRig({ advertised: [{ host: 'gw.example', port: 5060, transport: 'UDP' }, tls] })
		const phone = new Phone('1001', streamOf('198.51.100.7', 40_007, 1))
		bind(rig, phone)
		rig.advance(1)
		rig.from(phone.flow, call(phone, { rows: ['Record-Route: <sip:10.0.0.9;lr>'] }))
		const first = rig.last(PBX, 'INVITE')
		expect(first.list(Header.RecordRoute)).toHaveLength(3)
		rig.advance(FAILOVER_MS)
		rig.from(SECOND, answerTo(rig.last(SECOND, 'INVITE'), 486))
		const own = `Record-Route: ${first.first(Header.RecordRoute)}`
		rig.from(PBX, lateOk(first).replace(own, ['Record-Route: <sip:192.0.2.99;lr>', own].join('\r\n')))
		for (const word of ['ACK', 'BYE']) expect(rig.last(PBX, word).list(Header.Route)).toEqual(['<sip:192.0.2.99;lr>'])
	})

	test('what was left behind is forgotten in time', () => {
		const rig = pairRig()
		const phone = bound(rig)
		rig.from(phone.flow, call(phone))
		const first = rig.last(PBX, 'INVITE')
		rig.advance(FAILOVER_MS)
		rig.from(SECOND, answerTo(rig.last(SECOND, 'INVITE'), 180))
		rig.advance(LEFT_BEHIND_MS + 1)
		rig.clear()
		rig.from(PBX, answerTo(first, 180))
		expect(rig.words(PBX)).toEqual([])
	})

	test('503 after ringing is the end of the call, before it the next machine is asked', () => {
		for (const [early, asked] of [
			[100, ['INVITE']],
			[183, []],
		] as const) {
			const rig = pairRig()
			const phone = bound(rig)
			rig.from(phone.flow, call(phone))
			rig.from(PBX, answerTo(rig.last(PBX, 'INVITE'), early))
			rig.from(PBX, answerTo(rig.last(PBX, 'INVITE'), 503))
			expect(rig.words(SECOND)).toEqual([...asked])
			expect(rig.words(PBX)).toEqual(['INVITE', 'ACK'])
		}
	})

	test('that its caller has cancelled is sent nowhere else', () => {
		const rig = pairRig()
		const phone = bound(rig)
		const branch = 'z9hG4bKcancelled'
		rig.from(phone.flow, call(phone, { branch }))
		rig.from(phone.flow, phone.request('CANCEL', { uri: 'sip:600@pbx.example', branch, callId: 'out-1', contact: '' }))
		rig.advance(FAILOVER_MS * 3)
		expect(rig.words(SECOND)).toEqual([])
	})

	test('CANCEL goes to the machine that has the call', () => {
		const rig = pairRig()
		const phone = bound(rig)
		const branch = 'z9hG4bKlater'
		rig.from(phone.flow, call(phone, { branch }))
		rig.advance(FAILOVER_MS)
		rig.from(SECOND, answerTo(rig.last(SECOND, 'INVITE'), 180))
		rig.clear()
		rig.from(phone.flow, phone.request('CANCEL', { uri: 'sip:600@pbx.example', branch, callId: 'out-1', contact: '' }))
		expect([rig.words(PBX), rig.words(SECOND)]).toEqual([[], ['CANCEL']])
	})
})

describe('whose calls go where', () => {
	test('an agent calls through the machine that has its registration, until it registers anew', () => {
		const rig = pairRig()
		const phone = new Phone('1001', PHONE)
		rig.from(PHONE, phone.register())
		rig.advance(FAILOVER_MS)
		rig.from(SECOND, grant(rig.last(SECOND, 'REGISTER')))
		rig.from(PBX, '\r\n\r\n')
		rig.clear()
		rig.from(PHONE, call(phone))
		expect([rig.words(PBX), rig.words(SECOND)]).toEqual([[], ['INVITE']])
		rig.clear()
		bind(rig, phone)
		rig.from(PHONE, call(phone, { callId: 'out-2' }))
		expect([rig.words(PBX), rig.words(SECOND)]).toEqual([['REGISTER', 'INVITE'], []])
	})

	test('in a dialog: the machine that the Request-URI names by address or name, or the next Route', () => {
		const rig = pairRig()
		const phone = bound(rig)
		rig.from(phone.flow, call(phone))
		const invite = rig.last(PBX, 'INVITE')
		const own = invite.first(Header.RecordRoute)!
		const bye = (uri: string, routes = '') =>
			phone.request('BYE', {
				uri,
				to: '<sip:600@pbx.example>;tag=b',
				callId: 'out-1',
				rows: [`Route: ${own}${routes}`],
			})
		const gets = (text: string) => {
			rig.clear()
			rig.from(phone.flow, text)
			return [rig.words(PBX), rig.words(SECOND)]
		}
		expect(gets(bye('sip:600@192.0.2.2:5060'))).toEqual([[], ['BYE']])
		expect(gets(bye('sip:600@two.pbx.example:5060'))).toEqual([[], ['BYE']])
		expect(gets(bye('sip:600@192.0.2.1', ', <sip:192.0.2.2;lr>'))).toEqual([[], ['BYE']])
		expect(gets(bye('sip:600@203.0.113.9:5060'))).toEqual([['BYE'], []])
	})

	test('two machines of one name: a dialog stays with the one it was made with', () => {
		const rig = new Rig()
		const name = 'pbx.example'
		rig.input({ type: 'pbx-resolved', targets: [PBX, SECOND].map((flow) => targetOf(flow, { name })) })
		const phone = new Phone('1001', PHONE)
		rig.from(PHONE, phone.register())
		const home = rig.core.targets.pick('sip:1001@pbx.example')!.address === PBX.address ? PBX : SECOND
		const other = home === PBX ? SECOND : PBX
		rig.from(home, grant(rig.last(home, 'REGISTER')))
		const bye = (invite: SipMessage, peer: string) =>
			phone.request('BYE', {
				uri: 'sip:600@pbx.example',
				to: peer,
				callId: invite.callId,
				rows: [`Route: ${invite.first(Header.RecordRoute)}`],
			})
		for (const flow of [PBX, SECOND]) {
			const via = `SIP/2.0/UDP ${flow.address}:5060;branch=z9hG4bK${flow.address};rport`
			rig.clear()
			rig.from(flow, requestText('INVITE', { via, callId: `in-${flow.address}`, contact: '<sip:600@pbx.example>' }))
			const invite = rig.last(PHONE, 'INVITE')
			rig.from(PHONE, answerTo(invite, 200, { contact: phone.uri }))
			rig.from(PHONE, bye(invite, '<sip:5551234@pbx.example>;tag=pbx'))
			expect([PBX, SECOND].map((one) => rig.words(one).includes('BYE'))).toEqual([flow === PBX, flow === SECOND])
		}
		/* a call of the agent that its own machine did not answer */
		rig.clear()
		rig.from(PHONE, call(phone))
		const own = rig.last(home, 'INVITE')
		rig.advance(FAILOVER_MS)
		rig.from(other, answerTo(rig.last(other, 'INVITE'), 200, { contact: 'sip:600@pbx.example' }))
		rig.clear()
		rig.from(PHONE, bye(own, '<sip:600@pbx.example>;tag=remote'))
		expect([rig.words(home).includes('BYE'), rig.words(other).includes('BYE')]).toEqual([false, true])
		/* one of which nothing is known: where the agent is registered */
		rig.clear()
		rig.from(PHONE, bye(own, '<sip:600@pbx.example>;tag=remote').replaceAll('out-1', 'unknown'))
		expect([rig.words(home).includes('BYE'), rig.words(other).includes('BYE')]).toEqual([true, false])
	})

	test('in a dialog nothing is sent to another machine: the dialog is not there', () => {
		const rig = pairRig()
		const phone = bound(rig)
		rig.from(phone.flow, call(phone))
		const own = rig.last(PBX, 'INVITE').first(Header.RecordRoute)!
		rig.clear()
		rig.from(
			phone.flow,
			phone.request('BYE', {
				uri: 'sip:600@192.0.2.1:5060',
				to: '<sip:600@pbx.example>;tag=b',
				callId: 'out-1',
				rows: [`Route: ${own}`],
			}),
		)
		rig.advance(40_000)
		expect(rig.words(SECOND).filter((word) => word === 'BYE')).toEqual([])
	})

	test('the second machine calls the agent as the first one does', () => {
		const rig = pairRig()
		const phone = bound(rig)
		rig.from(
			SECOND,
			requestText('INVITE', { via: 'SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKtwo;rport', callId: 'in-2' }),
		)
		expect(rig.words(phone.flow)).toContain('INVITE')
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 200, { contact: phone.uri }))
		expect(rig.words(SECOND)).toEqual(['100 INVITE', '200 INVITE'])
	})
})
