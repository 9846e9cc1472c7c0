/** In-dialog requests both ways, and what agents' phones ask of the PBX. */
import { describe, expect, test } from 'bun:test'
import { CANCEL_WAIT_MS, TIMER_C_MS } from '../../src/core/proxy/pass.ts'
import { Header } from '../../src/sip/headers.ts'
import { answerTo, bind, boundPhone, fallAsleep, only, pushParamsOf, requestText, SDP, TOKEN } from './peers.ts'
import { DOMAIN, flowOf, GATEWAY, PBX, Rig } from './rig.ts'

const MOVED = flowOf('203.0.113.9', 50_000)
const STABLE = `sip:1001@${GATEWAY}`

/** A call of the PBX that was answered; `route` is the Record-Route both sides have. */
function answered() {
	const rig = new Rig()
	const phone = boundPhone(rig)
	rig.from(PBX, requestText('INVITE', { branch: 'z9hG4bKinvite', body: SDP }))
	const invite = rig.last(phone.flow, 'INVITE')
	const route = invite.first(Header.RecordRoute)!
	rig.from(phone.flow, answerTo(invite, 200, { contact: phone.uri, toTag: 'phone' }))
	rig.clear()
	const fromPbx = (method: string, shape = {}) =>
		requestText(method, { uri: STABLE, to: `<${STABLE}>;tag=phone`, rows: [`Route: ${route}`], cseq: 103, ...shape })
	const fromPhone = (method: string, shape = {}) =>
		phone.request(method, {
			uri: 'sip:5551234@192.0.2.1:5060',
			from: `<${STABLE}>;tag=phone`,
			to: '"Caller" <sip:5551234@pbx.example>;tag=pbx',
			rows: [`Route: ${route}`],
			cseq: 7,
			...shape,
		})
	return { rig, phone, route, fromPbx, fromPhone }
}

const IN_DIALOG = ['BYE', 'PRACK', 'UPDATE', 'INVITE', 'INFO', 'REFER', 'NOTIFY', 'MESSAGE', 'OPTIONS', 'FOO']

describe('in a dialog', () => {
	for (const method of IN_DIALOG) {
		test(`${method} of the PBX reaches the phone, and its answer the PBX`, () => {
			const { rig, phone, fromPbx } = answered()
			rig.from(PBX, fromPbx(method))
			const request = rig.last(phone.flow, method)
			expect([request.uri, request.find(Header.Route)]).toEqual([phone.uri, -1])
			rig.from(phone.flow, answerTo(request, 200, { contact: `${phone.uri}${pushParamsOf(TOKEN)}` }))
			expect(rig.last(PBX, `200 ${method}`).first(Header.Contact)).toBe(`<${STABLE}>`)
		})

		test(`${method} of the phone reaches the PBX, and its answer the phone`, () => {
			const { rig, phone, fromPhone } = answered()
			rig.from(phone.flow, fromPhone(method))
			const request = rig.last(PBX, method)
			expect([request.uri, request.find(Header.Route)]).toEqual(['sip:5551234@192.0.2.1:5060', -1])
			expect(request.first(Header.Contact)).toBe(`<${STABLE}>`)
			rig.from(PBX, answerTo(request, 200))
			expect(rig.words(phone.flow).at(-1)).toBe(`200 ${method}`)
		})
	}

	test('no push parameter of another phone reaches this one (RFC 8599 §13)', () => {
		const { rig, phone, route, fromPbx } = answered()
		const other = `<sip:1002@gw.example:5060${pushParamsOf(TOKEN)}>`
		rig.from(PBX, fromPbx('REFER', { rows: [`Route: ${route}`, `Refer-To: ${other}`] }))
		expect(rig.last(phone.flow, 'REFER').text).toContain('Refer-To: <sip:1002@gw.example:5060>')
	})

	test('target refreshes are recorded, BYE is not', () => {
		const { rig, phone, fromPbx } = answered()
		for (const method of ['INVITE', 'UPDATE', 'REFER', 'BYE']) rig.from(PBX, fromPbx(method))
		const recorded = ['INVITE', 'UPDATE', 'REFER', 'BYE'].map(
			(method) => rig.last(phone.flow, method).find(Header.RecordRoute) >= 0,
		)
		expect(recorded).toEqual([true, true, true, false])
	})

	test('the ACK to a 2xx passes both ways, without a transaction', () => {
		const { rig, phone, fromPbx, fromPhone } = answered()
		const before = rig.core.transactions.count
		rig.from(PBX, fromPbx('ACK', { contact: '' }))
		rig.from(phone.flow, fromPhone('ACK', { contact: '' }))
		expect([rig.words(phone.flow), rig.words(PBX), rig.core.transactions.count]).toEqual([['ACK'], ['ACK'], before])
	})

	test('after the phone moved, requests go to its new flow, and come from it', () => {
		const { rig, phone, fromPbx, fromPhone } = answered()
		phone.flow = MOVED
		bind(rig, phone)
		rig.clear()
		rig.from(PBX, fromPbx('BYE'))
		rig.from(MOVED, fromPhone('INFO'))
		expect([rig.words(MOVED), rig.words(PBX)]).toEqual([['BYE'], ['INFO']])
	})

	test('after a restart as well: the token is a function of the device and the persistent key', () => {
		const { rig, phone, route, fromPbx, fromPhone } = answered()
		rig.restart()
		rig.from(PBX, fromPbx('UPDATE'))
		rig.from(phone.flow, fromPhone('INFO'))
		expect(rig.last(phone.flow, 'UPDATE').first(Header.RecordRoute)).toBe(route)
		expect(rig.words(PBX)).toEqual(['INFO'])
	})

	test('a forged token is 403, one of a device that is gone 481', () => {
		const { rig, phone, fromPbx } = answered()
		const forged = `Route: <sip:1.${'0'.repeat(20)}@${GATEWAY};lr>`
		rig.from(PBX, fromPbx('BYE', { rows: [forged] }))
		bind(rig, phone, { expires: 0 })
		rig.clear()
		rig.from(PBX, fromPbx('BYE'))
		expect(rig.words(PBX)).toEqual(['481 BYE'])
		const { rig: other, fromPbx: text } = answered()
		other.from(PBX, text('BYE', { rows: [forged] }))
		other.from(PBX, text('ACK', { rows: [forged] }))
		expect(other.sent.map(({ word }) => word)).toEqual(['403 BYE'])
	})

	test('a PBX that lost the Route still names the agent by its Contact', () => {
		const { rig, phone, fromPbx } = answered()
		rig.from(PBX, fromPbx('BYE', { rows: [] }))
		expect(rig.words(phone.flow)).toEqual(['BYE'])
	})

	test('without Route and with a URI that is not ours it is 481', () => {
		const { rig, fromPbx } = answered()
		rig.from(PBX, fromPbx('BYE', { rows: [], uri: 'sip:1001@198.51.100.7:40007' }))
		expect(rig.words(PBX)).toEqual(['481 BYE'])
	})

	test('a strict router: our Route in the Request-URI, the target at the end of Route (§16.4)', () => {
		const { rig, phone, route, fromPbx } = answered()
		const uri = route.slice(1, -1)
		rig.from(PBX, fromPbx('BYE', { uri, rows: [`Route: <${STABLE}>`] }))
		const bye = rig.last(phone.flow, 'BYE')
		expect([bye.uri, bye.find(Header.Route)]).toEqual([phone.uri, -1])
		rig.from(PBX, fromPbx('INFO', { uri, rows: ['Route: <sip:next.example;lr>', `Route: <${phone.uri}>`] }))
		const info = rig.last(phone.flow, 'INFO')
		expect([info.uri, info.list(Header.Route)]).toEqual([phone.uri, ['<sip:next.example;lr>']])
	})

	test('all our values at the top of Route go, others stay', () => {
		const { rig, phone, route, fromPbx } = answered()
		rig.from(PBX, fromPbx('BYE', { rows: [`Route: ${route},<sip:gw.example;lr>`, 'Route: <sip:next.example;lr>'] }))
		expect(rig.last(phone.flow, 'BYE').list(Header.Route)).toEqual(['<sip:next.example;lr>'])
	})

	test('a BYE ends the live call on the page', () => {
		const { rig, phone, fromPbx } = answered()
		expect(rig.core.snapshot(rig.now).gauges.callsLive).toBe(1)
		rig.from(PBX, fromPbx('BYE'))
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'BYE'), 200))
		expect(rig.core.snapshot(rig.now).gauges.callsLive).toBe(0)
	})

	test('a 503 of the phone is a 500 for the PBX, a 503 of the PBX stays one', () => {
		const { rig, phone, fromPbx, fromPhone } = answered()
		rig.from(PBX, fromPbx('INFO'))
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INFO'), 503))
		rig.from(phone.flow, fromPhone('UPDATE'))
		rig.from(PBX, answerTo(rig.last(PBX, 'UPDATE'), 503))
		expect([rig.words(PBX).includes('500 INFO'), rig.words(phone.flow).includes('503 UPDATE')]).toEqual([true, true])
	})

	test('RFC 4320 §4.2: a non-INVITE nobody answers gets no 408', () => {
		const { rig, phone, fromPbx } = answered()
		rig.from(PBX, fromPbx('INFO'))
		rig.clear()
		rig.advance(40_000)
		expect([rig.words(PBX), new Set(rig.words(phone.flow))]).toEqual([[], new Set(['INFO', 'OPTIONS'])])
	})

	test('a request in the name of another agent is refused', () => {
		const { rig, phone, fromPhone } = answered()
		boundPhone(rig, '1002', undefined, 9)
		rig.from(phone.flow, fromPhone('INFO', { from: `<sip:1002@${DOMAIN}>;tag=x` }))
		expect([rig.words(PBX), rig.words(phone.flow), rig.eventNames()]).toEqual([
			[],
			['403 INFO'],
			['own-name-violation'],
		])
	})

	test("another agent's phone cannot use the route of this one's dialog", () => {
		const { rig, fromPhone } = answered()
		const other = boundPhone(rig, '1002', undefined, 9)
		rig.from(other.flow, fromPhone('BYE'))
		rig.from(other.flow, fromPhone('ACK'))
		expect([rig.words(PBX), rig.words(other.flow)]).toEqual([[], ['403 BYE']])
	})
})

describe('out of a dialog, from the PBX', () => {
	for (const method of ['MESSAGE', 'NOTIFY', 'SUBSCRIBE', 'INFO']) {
		test(`${method} goes to the phone seen last`, () => {
			const rig = new Rig()
			boundPhone(rig, '1001', 'aa'.repeat(32), 10)
			rig.now++
			const last = boundPhone(rig, '1001', 'bb'.repeat(32), 11)
			rig.from(PBX, requestText(method))
			expect(rig.sent.map(({ word, to }) => [word, to.key])).toEqual([[method, last.flow.key]])
		})
	}

	test('REGISTER is 405: the gateway is no registrar', () => {
		const rig = new Rig()
		boundPhone(rig)
		rig.from(PBX, requestText('REGISTER'))
		expect(rig.words(PBX)).toEqual(['405 REGISTER'])
	})
})

describe('an agent calls', () => {
	const calling = (shape = {}, before: (rig: Rig) => void = () => {}) => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		before(rig)
		rig.from(
			phone.flow,
			phone.request('INVITE', {
				uri: `sip:600@${DOMAIN}`,
				to: `<sip:600@${DOMAIN}>`,
				callId: 'out',
				body: SDP,
				...shape,
			}),
		)
		return { rig, phone }
	}

	test('100, and the INVITE to the PBX with our Contact and Record-Route', () => {
		const { rig, phone } = calling()
		expect(rig.words(phone.flow)).toEqual(['100 INVITE'])
		const invite = rig.last(PBX, 'INVITE')
		expect([invite.uri, invite.first(Header.Contact)]).toEqual([`sip:600@${DOMAIN}`, `<${STABLE}>`])
		expect(invite.first(Header.RecordRoute)).toMatch(/^<sip:1\.[0-9a-f]{20}@gw\.example:5060;lr>$/)
	})

	test('to the PBX and to nowhere else, whatever Request-URI and Route say', () => {
		for (const shape of [
			{ uri: 'sip:victim@198.18.0.1:5060' },
			{ uri: 'sip:600@198.18.0.1', rows: ['Route: <sip:198.18.0.2;lr>'] },
			{ rows: [`Route: <sip:${GATEWAY};lr>`, 'Route: <sip:198.18.0.2;lr>'] },
		]) {
			const { rig, phone } = calling(shape)
			expect(new Set(rig.sent.map(({ to }) => to.key))).toEqual(new Set([phone.flow.key, PBX.key]))
			expect(rig.words(PBX)).toEqual(['INVITE'])
		}
	})

	test('a number at the gateway means the domain', () => {
		const { rig } = calling({ uri: `sip:600:pw@${GATEWAY};user=phone` })
		expect(rig.last(PBX, 'INVITE').uri).toBe(`sip:600:pw@${DOMAIN};user=phone`)
	})

	test("in another's name: 403, and an event", () => {
		for (const from of [
			`<sip:1002@${DOMAIN}>;tag=x`,
			'<sip:1001@other.example>;tag=x',
			'<sip:anonymous@anonymous.invalid>;tag=x',
		]) {
			const { rig, phone } = calling({ from })
			expect([rig.words(PBX), rig.words(phone.flow), rig.eventNames()]).toEqual([
				[],
				['403 INVITE'],
				['own-name-violation'],
			])
		}
	})

	test('identity asserted by a phone is taken out (RFC 3325 §6)', () => {
		const { rig } = calling({
			rows: [
				'P-Asserted-Identity: <sip:boss@pbx.example>',
				'Remote-Party-ID: <sip:boss@pbx.example>',
				'P-Preferred-Identity: <sip:1001@pbx.example>',
			],
		})
		const invite = rig.last(PBX, 'INVITE')
		expect([invite.find(Header.PAssertedIdentity), invite.find(Header.RemotePartyId)]).toEqual([-1, -1])
		expect(invite.first(Header.PPreferredIdentity)).toBe('<sip:1001@pbx.example>')
	})

	test('a wish for the identity of another agent is not passed on (RFC 3325 §9.2)', () => {
		for (const wish of [
			`<sip:1002@${DOMAIN}>`,
			'"Boss" <sip:1002@other.example>',
			`<sip:1001@${DOMAIN}>, <sip:100%32@x>`,
		]) {
			const { rig } = calling({ rows: [`P-Preferred-Identity: ${wish}`] }, (world) =>
				boundPhone(world, '1002', undefined, 8),
			)
			expect(rig.last(PBX, 'INVITE').find(Header.PPreferredIdentity)).toBe(-1)
		}
		const number = '<sip:+390612345@pbx.example>'
		const { rig } = calling({ rows: [`P-Preferred-Identity: ${number}`] }, (world) =>
			boundPhone(world, '1002', undefined, 8),
		)
		expect(rig.last(PBX, 'INVITE').first(Header.PPreferredIdentity)).toBe(number)
	})

	test('push parameters leave in no header', () => {
		const { rig } = calling({
			contact: `<sip:1001@10.0.0.5${pushParamsOf(TOKEN)}>;+sip.instance="<urn:uuid:1>";reg-id=1;expires=3;q=1`,
			rows: [`Refer-To: "T" <sip:7@${DOMAIN}${pushParamsOf(TOKEN)}>;x=1`],
		})
		const invite = rig.last(PBX, 'INVITE')
		expect([invite.first(Header.Contact), invite.first(Header.ReferTo)]).toEqual([
			`<${STABLE}>;q=1`,
			`"T" <sip:7@${DOMAIN}>;x=1`,
		])
	})

	test('401 goes back to the phone, which ends the first try; 200 makes a live call', () => {
		const { rig, phone } = calling()
		rig.from(PBX, answerTo(rig.last(PBX, 'INVITE'), 401, { rows: ['WWW-Authenticate: Digest realm="a"'] }))
		expect([rig.words(phone.flow), rig.words(PBX)]).toEqual([
			['100 INVITE', '401 INVITE'],
			['INVITE', 'ACK'],
		])
		rig.from(phone.flow, phone.request('INVITE', { uri: `sip:600@${DOMAIN}`, callId: 'out', cseq: 8 }))
		rig.from(PBX, answerTo(rig.last(PBX, 'INVITE'), 183))
		rig.from(PBX, answerTo(rig.last(PBX, 'INVITE'), 200))
		expect(rig.words(phone.flow).slice(-2)).toEqual(['183 INVITE', '200 INVITE'])
		expect(rig.core.snapshot(rig.now).calls).toMatchObject([{ direction: 'from-agent', state: 'live', id: 'out' }])
	})

	test('CANCEL: 200 to the phone, CANCEL to the PBX once it has answered provisionally, 487 back', () => {
		const { rig, phone } = calling({ branch: 'z9hG4bKout' })
		const cancel = phone.request('CANCEL', {
			branch: 'z9hG4bKout',
			uri: `sip:600@${DOMAIN}`,
			rows: ['Reason: Q.850;cause=16'],
		})
		rig.from(phone.flow, cancel)
		expect([rig.words(phone.flow), rig.words(PBX)]).toEqual([['100 INVITE', '200 CANCEL'], ['INVITE']])
		rig.from(PBX, answerTo(rig.last(PBX, 'INVITE'), 100))
		expect(rig.last(PBX, 'CANCEL').first(Header.Reason)).toBe('Q.850;cause=16')
		rig.from(PBX, answerTo(rig.last(PBX, 'INVITE'), 487))
		expect(rig.words(phone.flow).at(-1)).toBe('487 INVITE')
	})

	test('CANCEL after the PBX rang goes on at once', () => {
		const { rig, phone } = calling({ branch: 'z9hG4bKout' })
		rig.from(PBX, answerTo(rig.last(PBX, 'INVITE'), 180))
		rig.from(phone.flow, phone.request('CANCEL', { branch: 'z9hG4bKout' }))
		expect(rig.words(PBX)).toEqual(['INVITE', 'CANCEL'])
	})

	test('a PBX that does not answer: 408 after timer B', () => {
		const { rig, phone } = calling()
		rig.advance(32_000)
		expect(rig.words(phone.flow).filter((word) => word !== 'OPTIONS')).toEqual(['100 INVITE', '408 INVITE'])
	})

	test(`TIMER_C_MS, CANCEL_WAIT_MS: ${TIMER_C_MS} ms after the last provisional it is cancelled, ${CANCEL_WAIT_MS} ms later 487`, () => {
		const rig = new Rig({ pingIntervalMs: 0 })
		const phone = boundPhone(rig)
		rig.from(phone.flow, phone.request('INVITE', { uri: `sip:600@${DOMAIN}` }))
		rig.from(PBX, answerTo(rig.last(PBX, 'INVITE'), 180))
		rig.advance(TIMER_C_MS - 1)
		expect(rig.words(PBX)).toEqual(['INVITE'])
		rig.advance(1)
		expect(rig.words(PBX)).toEqual(['INVITE', 'CANCEL'])
		rig.advance(CANCEL_WAIT_MS)
		expect(rig.words(phone.flow)).toEqual(['100 INVITE', '180 INVITE', '487 INVITE'])
		rig.from(PBX, answerTo(rig.last(PBX, 'INVITE'), 200))
		expect(rig.words(phone.flow).at(-1)).toBe('487 INVITE')
	})

	test('OPTIONS to the gateway itself is answered by it; another request there is 404', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(phone.flow, phone.request('OPTIONS', { uri: `sip:${GATEWAY}` }))
		rig.from(phone.flow, phone.request('MESSAGE', { uri: `sip:${GATEWAY}` }))
		expect(rig.words(phone.flow)).toEqual(['200 OPTIONS', '404 MESSAGE'])
		expect(rig.last(phone.flow, '200 OPTIONS').first(Header.Allow)).toContain('INVITE')
	})

	test('a To-tag without a route of ours: 403; an ACK like it: nothing', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(phone.flow, phone.request('BYE', { to: '<sip:600@pbx.example>;tag=x' }))
		rig.from(phone.flow, phone.request('ACK', { to: '<sip:600@pbx.example>;tag=x' }))
		expect([rig.words(phone.flow), rig.words(PBX)]).toEqual([['403 BYE'], []])
	})

	test('to a node of the PBX that is trusted, the dialog goes straight', () => {
		const rig = new Rig({ trust: ['192.0.2.0/24'] })
		const phone = boundPhone(rig)
		const node = flowOf('192.0.2.7', 5060)
		rig.from(node, requestText('INVITE', { contact: '<sip:5551234@192.0.2.7:5062>' }))
		const invite = rig.last(phone.flow, 'INVITE')
		rig.from(phone.flow, answerTo(invite, 200, { contact: phone.uri }))
		const rows = [`Route: ${invite.first(Header.RecordRoute)}`]
		rig.from(phone.flow, phone.request('BYE', { uri: 'sip:5551234@192.0.2.7:5062', to: '<sip:x@y>;tag=pbx', rows }))
		expect(only(rig.to(flowOf('192.0.2.7', 5062)), 'BYE').uri).toBe('sip:5551234@192.0.2.7:5062')
	})

	test('what the phone says malformed gets 400, and keep-alives nothing', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(phone.flow, phone.request('OPTIONS').replace('Call-ID', 'X-Call-ID'))
		rig.from(phone.flow, '\r\n\r\n')
		expect([rig.words(phone.flow).map((word) => word.slice(0, 3)), rig.words(PBX)]).toEqual([['400'], []])
	})

	test('before the PBX is resolved: 503', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.input({ type: 'pbx-resolved', targets: [] })
		rig.from(phone.flow, phone.request('MESSAGE', { uri: `sip:600@${DOMAIN}` }))
		expect(rig.words(phone.flow)).toEqual(['503 MESSAGE'])
	})

	test('a phone taken for asleep may ask the PBX for something all the same', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		fallAsleep(rig)
		rig.from(phone.flow, phone.request('MESSAGE', { uri: `sip:600@${DOMAIN}` }))
		expect(rig.words(PBX)).toEqual(['MESSAGE'])
	})
})

describe('what belongs to others', () => {
	test('a phone cannot cancel a call of the PBX, though it knows its Via', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const other = boundPhone(rig, '1002', 'ab'.repeat(32), 8)
		rig.from(PBX, requestText('INVITE', { branch: 'z9hG4bKinvite', body: SDP }))
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 180))
		rig.from(other.flow, requestText('CANCEL', { branch: 'z9hG4bKinvite', contact: '' }))
		expect(rig.words(other.flow)).toEqual(['481 CANCEL'])
		expect(rig.words(phone.flow)).not.toContain('CANCEL')
		rig.from(PBX, requestText('CANCEL', { branch: 'z9hG4bKinvite', contact: '' }))
		expect(rig.words(phone.flow)).toContain('CANCEL')
	})

	test('an agent asks trusted nodes for nothing out of a dialog', () => {
		const rig = new Rig({ trust: ['10.0.0.0/8'] })
		const phone = boundPhone(rig)
		rig.from(phone.flow, phone.request('MESSAGE', { uri: 'sip:x@10.1.2.3:161' }))
		expect(rig.words(PBX)).toEqual(['MESSAGE'])
	})

	test('the Contact of a redirecting phone leaves without its push parameters, in whatever case', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('INVITE', { branch: 'z9hG4bKinvite', body: SDP }))
		const contact = 'sip:1003@10.0.0.9;PN-PRID=abc;pn-provider=apns;x=1'
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 302, { contact }))
		expect(rig.last(PBX, '302 INVITE').first(Header.Contact)).toBe('<sip:1003@10.0.0.9;x=1>')
	})
})

test('a made-up dialog carries no name of another agent, bound or not', () => {
	const { rig, phone, fromPhone, route } = answered()
	const forged = {
		callId: 'made-up',
		from: '<sip:1002@pbx.example>;tag=x',
		to: '<sip:600@pbx.example>;tag=y',
		rows: [`Route: ${route}`],
	}
	rig.from(phone.flow, phone.request('MESSAGE', forged))
	expect([rig.words(phone.flow), rig.words(PBX)]).toEqual([['403 MESSAGE'], []])
	/* in a call that is live it may well be what the PBX called */
	rig.from(phone.flow, fromPhone('BYE', { from: '<sip:queue@pbx.example>;tag=phone' }))
	expect(rig.words(PBX)).toEqual(['BYE'])
})
