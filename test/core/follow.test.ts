/** Requests in a dialog whose device moves, or sleeps, before it has answered. */
import { describe, expect, test } from 'bun:test'
import { DIALOG_HOLD_MS } from '../../src/core/proxy/device-request.ts'
import { Header } from '../../src/sip/headers.ts'
import {
	answerTo,
	bind,
	boundPhone,
	fallAsleep,
	grant,
	only,
	Phone,
	pushParamsOf,
	requestText,
	SDP,
	TOKEN,
} from './peers.ts'
import { flowOf, GATEWAY, PBX, Rig } from './rig.ts'

const MOVED = flowOf('203.0.113.9', 50_000)
const STABLE = `sip:1001@${GATEWAY}`

/** A call of the PBX that was answered. */
function answered(settings = {}) {
	const rig = new Rig(settings)
	const phone = boundPhone(rig)
	rig.from(PBX, requestText('INVITE', { branch: 'z9hG4bKinvite', body: SDP }))
	const invite = rig.last(phone.flow, 'INVITE')
	const route = invite.first(Header.RecordRoute)!
	rig.from(phone.flow, answerTo(invite, 200, { contact: phone.uri, toTag: 'phone' }))
	rig.clear()
	const fromPbx = (method: string, shape = {}) =>
		requestText(method, { uri: STABLE, to: `<${STABLE}>;tag=phone`, rows: [`Route: ${route}`], cseq: 103, ...shape })
	return { rig, phone, fromPbx }
}

/** The phone registers from somewhere else; gives what went there besides the 2xx. */
function move(rig: Rig, phone: Phone, contact = `<sip:1001@203.0.113.9:50000${pushParamsOf(TOKEN)}>`) {
	phone.flow = MOVED
	bind(rig, phone, { contact })
	return rig.to(MOVED).filter(({ word }) => word !== '200 REGISTER')
}

describe('a device that moves before it has answered', () => {
	for (const method of ['BYE', 'INFO', 'UPDATE', 'INVITE']) {
		test(`${method} follows it at once, as the same request, and one answer comes back`, () => {
			const { rig, phone, fromPbx } = answered()
			rig.from(PBX, fromPbx(method))
			const first = rig.last(phone.flow, method)
			const [again, ...more] = move(rig, phone)
			expect([again?.word, more]).toEqual([method, []])
			expect(again!.message.via.branch).toBe(first.via.branch)
			expect(again!.message.uri).toBe('sip:1001@203.0.113.9:50000')
			rig.from(MOVED, answerTo(again!.message, 200, { contact: phone.uri }))
			expect(rig.words(PBX).filter((word) => word.endsWith(` ${method}`) && !word.startsWith('100'))).toEqual([
				`200 ${method}`,
			])
			rig.clear()
			rig.advance(40_000)
			expect(rig.words(MOVED).filter((word) => word === method)).toEqual([])
		})
	}

	test('retransmissions go to the new flow alone, and timer F runs on', () => {
		const { rig, phone, fromPbx } = answered()
		const began = rig.now
		rig.from(PBX, fromPbx('BYE'))
		const home = phone.flow
		rig.advance(5_000)
		move(rig, phone)
		rig.clear()
		rig.advance(began + 32_000 - rig.now)
		expect(rig.words(home).filter((word) => word === 'BYE')).toEqual([])
		expect(rig.words(MOVED).filter((word) => word === 'BYE').length).toBeGreaterThan(5)
		rig.clear()
		rig.advance(10_000)
		expect([rig.words(MOVED).filter((word) => word === 'BYE'), rig.words(PBX)]).toEqual([[], []])
	})

	test('one that answered provisionally is followed too, and an INVITE that rings is cancelled there', () => {
		const { rig, phone, fromPbx } = answered()
		rig.from(PBX, fromPbx('INFO', { branch: 'z9hG4bKinfo' }))
		rig.from(PBX, fromPbx('INVITE', { branch: 'z9hG4bKre', cseq: 104 }))
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INFO'), 100))
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		expect(move(rig, phone).map(({ word }) => word)).toEqual(['INFO'])
		rig.from(PBX, fromPbx('CANCEL', { branch: 'z9hG4bKre', cseq: 104 }))
		expect(rig.words(MOVED)).toContain('CANCEL')
	})

	test('a refresh from where it is sends nothing again', () => {
		const { rig, phone, fromPbx } = answered()
		rig.from(PBX, fromPbx('INFO'))
		rig.clear()
		bind(rig, phone)
		expect(rig.words(phone.flow)).toEqual(['200 REGISTER'])
	})

	test('what was answered is not sent again', () => {
		const { rig, phone, fromPbx } = answered()
		rig.from(PBX, fromPbx('BYE'))
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'BYE'), 200))
		expect(move(rig, phone)).toEqual([])
	})
})

describe('a device that sleeps', () => {
	test('a BYE waits for it, and is answered when it registers', () => {
		const { rig, phone, fromPbx } = answered()
		fallAsleep(rig)
		rig.from(PBX, fromPbx('BYE'))
		rig.advance(10_000)
		const [bye] = move(rig, phone)
		rig.from(MOVED, answerTo(bye!.message, 200))
		expect(rig.words(PBX).filter((word) => word.endsWith('BYE'))).toEqual(['200 BYE'])
		expect(rig.core.calls.liveCount).toBe(0)
	})

	test('from its old flow again it gets the request again: the app may have been started anew', () => {
		const { rig, phone, fromPbx } = answered()
		fallAsleep(rig)
		rig.from(PBX, fromPbx('BYE'))
		rig.advance(100)
		rig.clear()
		bind(rig, phone)
		expect(rig.words(phone.flow)).toEqual(['200 REGISTER', 'BYE'])
	})

	for (const method of ['BYE', 'INVITE', 'INFO'])
		test(`${method}: who does not come in ${DIALOG_HOLD_MS / 1000} s is answered for with 500, and no VoIP push goes out`, () => {
			const { rig, phone, fromPbx } = answered({ holdMs: 60_000 })
			fallAsleep(rig)
			rig.from(PBX, fromPbx(method))
			rig.advance(DIALOG_HOLD_MS - 1)
			expect(rig.words(PBX).filter((word) => word === `500 ${method}`)).toEqual([])
			rig.advance(1)
			expect(only(rig.to(PBX), `500 ${method}`).reason).toBe('Device Asleep')
			expect(rig.pushes).toEqual([])
			expect(move(rig, phone)).toEqual([])
		})

	test('a shorter --hold is the limit here too', () => {
		const { rig, fromPbx } = answered({ holdMs: 3_000 })
		fallAsleep(rig)
		rig.from(PBX, fromPbx('BYE'))
		rig.advance(3_000)
		expect(rig.words(PBX)).toEqual(['500 BYE'])
	})

	test('a re-INVITE that the PBX takes back while the device sleeps ends with 487 at once, and never reaches it', () => {
		const { rig, phone, fromPbx } = answered()
		fallAsleep(rig)
		rig.from(PBX, fromPbx('INVITE', { branch: 'z9hG4bKre' }))
		rig.clear()
		rig.from(PBX, fromPbx('CANCEL', { branch: 'z9hG4bKre' }))
		expect(rig.words(PBX)).toEqual(['200 CANCEL', '487 INVITE'])
		rig.from(PBX, fromPbx('ACK', { branch: 'z9hG4bKre' }))
		expect(move(rig, phone)).toEqual([])
		rig.advance(DIALOG_HOLD_MS)
		expect([rig.words(PBX).filter((word) => word.endsWith(' INVITE')), rig.words(MOVED).includes('INVITE')]).toEqual([
			['487 INVITE'],
			false,
		])
	})

	test('once the phone has come back it is asked again: a CANCEL waits for its first word, and goes to it', () => {
		const { rig, phone, fromPbx } = answered()
		fallAsleep(rig)
		rig.from(PBX, fromPbx('INVITE', { branch: 'z9hG4bKre' }))
		const [again] = move(rig, phone)
		rig.clear()
		rig.from(PBX, fromPbx('CANCEL', { branch: 'z9hG4bKre' }))
		expect(rig.words(PBX)).toEqual(['200 CANCEL'])
		rig.from(MOVED, answerTo(again!.message, 180))
		expect(rig.words(MOVED)).toEqual(['CANCEL'])
	})

	test('a re-INVITE that the PBX took back before an awake phone said anything is not sent after it', () => {
		const { rig, phone, fromPbx } = answered()
		rig.from(PBX, fromPbx('INVITE', { branch: 'z9hG4bKre' }))
		rig.from(PBX, fromPbx('CANCEL', { branch: 'z9hG4bKre' }))
		expect(move(rig, phone)).toEqual([])
		rig.advance(32_000)
		expect([rig.words(PBX).at(-1), rig.words(MOVED).includes('INVITE')]).toEqual(['487 INVITE', false])
	})
})

describe('a goodbye that crosses the first REGISTER of another device', () => {
	const OTHER = flowOf('203.0.113.20', 51_000)

	test('leaves the agent at the PBX', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const other = new Phone('1001', OTHER, { token: TOKEN.replace('fa', 'fb') })
		rig.from(other.flow, other.register({ expires: 600 }))
		const first = rig.last(PBX, 'REGISTER')
		rig.from(phone.flow, phone.register({ expires: 0 }))
		const goodbye = rig.last(PBX, 'REGISTER')
		expect(goodbye.first(Header.Contact)).toBe(`<${STABLE}>;expires=600`)
		rig.from(PBX, grant(first))
		rig.from(PBX, grant(goodbye))
		expect([...rig.core.devices.all].map(({ flow }) => flow.key)).toEqual([OTHER.key])
		expect(rig.last(phone.flow, '200 REGISTER').find(Header.Contact)).toBe(-1)
	})

	test('what the other asks for is not believed beyond an hour', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const other = new Phone('1001', OTHER, { token: TOKEN.replace('fa', 'fb') })
		rig.from(other.flow, other.register({ expires: 4_000_000_000 }))
		rig.from(phone.flow, phone.register({ expires: 0 }))
		expect(rig.last(PBX, 'REGISTER').first(Header.Contact)).toBe(`<${STABLE}>;expires=3600`)
	})

	test('once the other was refused the last goodbye is one', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const other = new Phone('1001', OTHER, { token: TOKEN.replace('fa', 'fb') })
		rig.from(other.flow, other.register({ expires: 600 }))
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 403))
		rig.from(phone.flow, phone.register({ expires: 0 }))
		expect(rig.last(PBX, 'REGISTER').first(Header.Contact)).toBe(`<${STABLE}>;expires=0`)
	})

	test('nor is one waited for that the PBX never answered', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const other = new Phone('1001', OTHER, { token: TOKEN.replace('fa', 'fb') })
		rig.from(other.flow, other.register({ expires: 600 }))
		rig.advance(32_000)
		rig.from(phone.flow, phone.register({ expires: 0 }))
		expect(rig.last(PBX, 'REGISTER').first(Header.Contact)).toBe(`<${STABLE}>;expires=0`)
	})
})
