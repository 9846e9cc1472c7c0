/** What RFC 3261 §16 and §18 ask of a proxy, sentence by sentence, where no other test says it. docs/conformance.md has them all. */
import { describe, expect, test } from 'bun:test'
import { MAX_LIVE, MAX_LIVE_ID } from '../../src/core/wake/calls.ts'
import { Header } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { ACCEPTED, answerTo, bind, boundPhone, fallAsleep, Phone, requestText, SDP } from './peers.ts'
import { DOMAIN, flowOf, GATEWAY, PBX, Rig } from './rig.ts'

const INVITE = { branch: 'z9hG4bKinvite', body: SDP }
const STABLE = `sip:1001@${GATEWAY}`

/** An INVITE at one or more phones that are awake. */
function called(count = 1, shape = {}) {
	const rig = new Rig()
	const phones = Array.from({ length: count }, (_, i) => boundPhone(rig, '1001', i.toString(16).repeat(64), 10 + i))
	rig.from(PBX, requestText('INVITE', { ...INVITE, ...shape }))
	return { rig, phones, phone: phones[0]!, invites: phones.map((phone) => rig.last(phone.flow, 'INVITE')) }
}

describe('a request is let in (§16.3)', () => {
	test('a merged request is no error: the same INVITE with another branch goes on', () => {
		const { rig, phone } = called()
		rig.from(PBX, requestText('INVITE', { ...INVITE, branch: 'z9hG4bKother' }))
		expect(rig.words(phone.flow)).toEqual(['INVITE', 'INVITE'])
	})

	test('methods and headers nobody knows go on, and what is malformed in headers the proxy does not use', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const rows = ['X-Foo: ,;=', 'Date: yesterday', 'Contact: ;;;', 'Supported: ,,']
		rig.from(PBX, requestText('FOO', { contact: '', rows }))
		const { text } = rig.last(phone.flow, 'FOO')
		for (const row of rows.slice(0, 2)) expect(text).toContain(`\r\n${row}\r\n`)
		expect(text).toContain('\r\nSupported: ,,\r\n')
	})

	test('Max-Forwards of zero ends it with 483, also for OPTIONS; of one it goes on as zero', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		for (const method of ['INVITE', 'MESSAGE', 'OPTIONS']) rig.from(PBX, requestText(method, { maxForwards: 0 }))
		expect(rig.words(PBX)).toEqual(['483 INVITE', '483 MESSAGE', '483 OPTIONS'])
		rig.from(PBX, requestText('MESSAGE', { maxForwards: 1 }))
		expect(rig.last(phone.flow, 'MESSAGE').maxForwards).toBe(0)
	})

	test('a refusal is an answer of a UAS: To-tag, Via, Call-ID and CSeq as they should be (§8.2.6)', () => {
		const rig = new Rig()
		rig.from(PBX, requestText('INVITE', { ...INVITE, rows: ['Proxy-Require: foo'] }))
		const refused = rig.last(PBX, '420 INVITE')
		expect([refused.via.branch, refused.callId, refused.cseq]).toEqual([INVITE.branch, 'call-1@192.0.2.1', 102])
		expect([refused.fromTag, refused.toTag === '']).toEqual(['pbx', false])
	})
})

describe('where it goes (§16.4, §16.5)', () => {
	test('a Route of ours with a maddr or a port that is not ours is somebody else', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('MESSAGE', { rows: ['Route: <sip:gw.example:5070;lr>'] }))
		expect(rig.last(phone.flow, 'MESSAGE').list(Header.Route)).toEqual(['<sip:gw.example:5070;lr>'])
	})

	test('a maddr that names us has done its work, and is taken out', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(phone.flow, phone.request('MESSAGE', { uri: `sip:600@${GATEWAY};maddr=gw.example;user=phone` }))
		rig.from(PBX, requestText('MESSAGE', { uri: `${STABLE};maddr=gw.example` }))
		expect([rig.last(PBX, 'MESSAGE').uri, rig.last(phone.flow, 'MESSAGE').uri]).toEqual([
			`sip:600@${DOMAIN};user=phone`,
			phone.uri,
		])
	})

	test('a device is a target once, however often it registers while the call goes on', () => {
		const { rig, phone, invites } = called()
		rig.from(phone.flow, answerTo(invites[0]!, 180))
		for (let i = 0; i < 3; i++) bind(rig, phone)
		expect(rig.words(phone.flow).filter((word) => word === 'INVITE').length).toBe(1)
	})

	test('a device that registers while its agent is called joins, if it was known: new locations are monitored', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		fallAsleep(rig)
		rig.from(PBX, requestText('INVITE', INVITE))
		phone.flow = flowOf('203.0.113.9', 50_000)
		bind(rig, phone)
		expect(rig.words(phone.flow)).toEqual(['200 REGISTER', 'INVITE'])
	})

	test('the target is the Contact without what no Request-URI may have: method and headers', () => {
		const rig = new Rig()
		const phone = new Phone('1001', flowOf('198.51.100.7', 40_007))
		bind(rig, phone, {
			contact: '<sip:1001@10.0.0.5:5060;transport=udp;method=MESSAGE;ob?Subject=x&Route=%3Csip:evil%3E>',
		})
		rig.from(PBX, requestText('INVITE', INVITE))
		expect(rig.last(phone.flow, 'INVITE').uri).toBe('sip:1001@10.0.0.5:5060;transport=udp;ob')
	})
})

describe('as it goes on (§16.6)', () => {
	test('rows keep their order, their spelling and their values, and the body its octets', () => {
		const rows = ['x-One: 1', 'Supported: b', 'X-Two:   2', 's: hi', 'Supported: a, c', 'x-One: 0']
		const { rig, phone } = called(1, { rows })
		const { text, bodyAt } = rig.last(phone.flow, 'INVITE')
		const kept = text.split('\r\n').filter((row) => /^(?:x-One|Supported|X-Two|s):/.test(row))
		expect([kept, text.slice(bodyAt)]).toEqual([rows, SDP])
	})

	test('Record-Route is a SIP URI with lr and without transport, above those that were there', () => {
		const { invites } = called(1, { rows: ['Record-Route: <sip:other.example;lr>'] })
		const routes = invites[0]!.list(Header.RecordRoute)
		expect(routes).toEqual([expect.stringMatching(/^<sip:[^;>]+@gw\.example:5060;lr>$/), '<sip:other.example;lr>'])
	})

	test('a method nobody knows is recorded as well, for it may make a dialog; those that make none are not', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		for (const method of ['FOO', 'SUBSCRIBE', 'MESSAGE', 'INFO', 'PUBLISH']) rig.from(PBX, requestText(method))
		const recorded = rig.to(phone.flow).map(({ message }) => [message.method, message.find(Header.RecordRoute) >= 0])
		expect(Object.fromEntries(recorded)).toEqual({
			...{ FOO: true, SUBSCRIBE: true, MESSAGE: false, INFO: false, PUBLISH: false },
		})
	})

	test('our Via is on top, its branch begins with the magic cookie and is another one for each target', () => {
		const { invites } = called(2)
		for (const { via } of invites)
			expect([via.branch.slice(0, 7), via.host, via.rport]).toEqual(['z9hG4bK', 'gw.example', 0])
		expect(new Set(invites.map(({ via }) => via.branch)).size).toBe(2)
		expect(invites[0]!.list(Header.Via)[1]).toContain(INVITE.branch)
	})

	test('CANCEL and the ACK to a refusal have the branch of their INVITE', () => {
		const { rig, phones, invites } = called(2)
		rig.from(phones[0]!.flow, answerTo(invites[0]!, 180))
		rig.from(phones[1]!.flow, answerTo(invites[1]!, 486))
		rig.from(PBX, requestText('CANCEL', { branch: INVITE.branch, contact: '' }))
		expect(rig.last(phones[0]!.flow, 'CANCEL').via.branch).toBe(invites[0]!.via.branch)
		expect(rig.last(phones[1]!.flow, 'ACK').via.branch).toBe(invites[1]!.via.branch)
	})
})

describe('as answers come back (§16.7)', () => {
	test('100 stays here, every other provisional and its To-tag go on', () => {
		const { rig, phone, invites } = called()
		rig.from(phone.flow, answerTo(invites[0]!, 100))
		for (const status of [180, 183, 199]) rig.from(phone.flow, answerTo(invites[0]!, status, { toTag: `t${status}` }))
		expect(rig.words(PBX)).toEqual(['100 INVITE', '180 INVITE', '183 INVITE', '199 INVITE'])
		expect(rig.last(PBX, '183 INVITE').toTag).toBe('t183')
	})

	test('no request but INVITE is answered with 100 by the gateway (§16.2)', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('MESSAGE'))
		rig.from(phone.flow, phone.request('MESSAGE', { uri: `sip:600@${DOMAIN}` }))
		rig.advance(1_000)
		expect(rig.words(PBX)).not.toContain('100 MESSAGE')
		expect(rig.words(phone.flow)).not.toContain('100 MESSAGE')
	})

	test('a response loses our Via and nothing else; received and rport of the next one stay', () => {
		const { rig, phone, invites } = called()
		const rows = ['X-One: 1', 'Server: phone', 'Allow: INVITE']
		rig.from(phone.flow, answerTo(invites[0]!, 200, { contact: phone.uri, rows, toTag: 'phone' }))
		const ok = rig.last(PBX, '200 INVITE')
		for (const row of rows) expect(ok.text).toContain(`\r\n${row}\r\n`)
		expect(ok.list(Header.Via)).toEqual([invites[0]!.list(Header.Via)[1]!])
		expect(ok.list(Header.RecordRoute)).toEqual(invites[0]!.list(Header.RecordRoute))
		expect(ok.first(Header.Via)).toContain('received=192.0.2.1')
	})

	test('the challenges of all branches are in the one 401 or 407 that goes up', () => {
		const { rig, phones, invites } = called(3)
		const challenges = [
			'WWW-Authenticate: Digest realm="a", nonce="1"',
			'Proxy-Authenticate: Digest realm="b", nonce="2"',
			'WWW-Authenticate: Digest realm="c", nonce="3"',
		]
		for (const [i, status] of [401, 407, 401].entries())
			rig.from(phones[i]!.flow, answerTo(invites[i]!, status, { rows: [challenges[i]!] }))
		const { text } = rig.last(PBX, '401 INVITE')
		for (const challenge of challenges) expect(text.split(challenge).length).toBe(2)
	})

	test('the To-tag of a refusal stays as the phone gave it', () => {
		const { rig, phone, invites } = called()
		rig.from(phone.flow, answerTo(invites[0]!, 503, { toTag: 'phone' }))
		expect(rig.last(PBX, '500 INVITE').toTag).toBe('phone')
	})

	test('after a 6xx no sleeping phone is rung any more', () => {
		const rig = new Rig()
		const asleep = boundPhone(rig, '1001', 'aa'.repeat(32), 10)
		fallAsleep(rig)
		const awake = boundPhone(rig, '1001', 'bb'.repeat(32), 11)
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.pushed(ACCEPTED)
		rig.from(awake.flow, answerTo(rig.last(awake.flow, 'INVITE'), 603))
		expect(rig.words(PBX)).toEqual(['100 INVITE', '603 INVITE'])
		bind(rig, asleep)
		rig.from(asleep.flow, answerTo(rig.last(asleep.flow, 'INVITE'), 180))
		expect(rig.words(asleep.flow).slice(-2)).toEqual(['INVITE', 'CANCEL'])
		expect(rig.words(PBX).filter((word) => word.endsWith('INVITE')).length).toBe(2)
	})

	test('the response context lives until its last branch has ended, the final response notwithstanding', () => {
		const { rig, phones, invites } = called(2)
		rig.from(phones[1]!.flow, answerTo(invites[1]!, 180))
		rig.from(phones[0]!.flow, answerTo(invites[0]!, 200, { contact: phones[0]!.uri }))
		expect(rig.core.calls.count).toBe(1)
		rig.from(phones[1]!.flow, answerTo(invites[1]!, 487))
		expect(rig.core.calls.count).toBe(0)
	})

	test('an answer with no Via but ours goes to nobody (step 3): a final one is a 500 of our own', () => {
		const { rig, phone, invites } = called()
		/** Whoever got the request lost all Vias but the topmost one. */
		const bare = (request: SipMessage, status: number) =>
			answerTo(request, status, { contact: phone.uri }).replace(/(Via: .*\r\n)(?:Via: .*\r\n)+/, '$1')
		expect(rig.from(phone.flow, bare(invites[0]!, 180))).toEqual([])
		expect(rig.from(phone.flow, bare(invites[0]!, 486)).map(({ word }) => word)).toEqual(['ACK', '500 INVITE'])
		rig.from(PBX, requestText('MESSAGE'))
		rig.from(phone.flow, phone.request('MESSAGE', { uri: `sip:600@${DOMAIN}` }))
		rig.from(
			phone.flow,
			phone.request('INVITE', { uri: `sip:600@${DOMAIN}`, to: `<sip:600@${DOMAIN}>`, callId: 'out' }),
		)
		for (const [from, word, status, sent] of [
			[phone.flow, 'MESSAGE', 183, []],
			[phone.flow, 'MESSAGE', 200, ['500 MESSAGE']],
			[PBX, 'MESSAGE', 200, ['500 MESSAGE']],
			[PBX, 'INVITE', 180, []],
			/* nobody will ever acknowledge that one */
			[PBX, 'INVITE', 200, ['500 INVITE', 'ACK', 'BYE']],
		] as const)
			expect(rig.from(from, bare(rig.last(from, word), status)).map((one) => one.word)).toEqual([...sent])
	})

	test('a 2xx like that to a call for an agent is hung up, and is no answer: nothing is live, and others ring on', () => {
		for (const others of [0, 1]) {
			const rig = new Rig()
			const phones = [10, 11].slice(0, 1 + others).map((host) => boundPhone(rig, '1001', `${host}`.repeat(32), host))
			rig.from(PBX, requestText('INVITE'))
			const [phone, other] = phones
			const ok = answerTo(rig.last(phone!.flow, 'INVITE'), 200, { contact: phone!.uri })
			rig.clear()
			rig.from(phone!.flow, ok.replace(/(Via: .*\r\n)(?:Via: .*\r\n)+/, '$1'))
			expect(rig.words(phone!.flow)).toEqual(['ACK', 'BYE'])
			expect([rig.words(PBX), rig.core.calls.liveCount]).toEqual([others === 0 ? ['480 INVITE'] : [], 0])
			if (other !== undefined) expect(rig.words(other.flow)).toEqual([])
		}
	})

	test('every provisional but 100 sets timer C anew', () => {
		const { rig, phone, invites } = called()
		for (let minutes = 0; minutes < 9; minutes += 3) {
			rig.from(phone.flow, answerTo(invites[0]!, 180))
			rig.advance(180_000)
		}
		expect(rig.words(PBX)).not.toContain('408 INVITE')
	})
})

test('whatever address it hands out, Via, Record-Route or Contact, it hears there, on each listener (§18.2.1)', () => {
	const hosts = ['gw.example', 'gw2.example']
	const rig = new Rig({ advertised: hosts.map((host) => ({ host, port: 5060, transport: 'UDP' })) })
	for (const [listener, host] of hosts.entries()) {
		const phone = new Phone(`100${listener}`, flowOf('198.51.100.7', 40_000, listener))
		bind(rig, phone)
		/* the side of the PBX is the first listener, whichever the phone is on */
		const contact = `sip:${phone.user}@gw.example:5060`
		expect(rig.last(PBX, 'REGISTER').first(Header.Contact)).toContain(`<${contact}>`)
		rig.from(PBX, requestText('INVITE', { uri: contact, callId: `of-${host}` }))
		const invite = rig.last(phone.flow, 'INVITE')
		expect([invite.via.host, invite.via.port]).toEqual([host, 5060])
		const routes = invite.list(Header.RecordRoute)
		expect(routes.map((route) => route.slice(route.indexOf('@')))).toEqual(
			[...new Set([host, 'gw.example'])].map((own) => `@${own}:5060;lr>`),
		)
		/* an answer at the Via, and requests at the Contact and at each Record-Route */
		rig.from(phone.flow, answerTo(invite, 200, { contact: phone.uri, toTag: 'phone' }))
		expect(rig.last(PBX, '200 INVITE').first(Header.Contact)).toContain(`<${contact}>`)
		const bye = { uri: contact, to: `${invite.first(Header.To)};tag=phone`, callId: invite.callId }
		for (const route of routes) rig.from(PBX, requestText('OPTIONS', { ...bye, rows: [`Route: ${route}`] }))
		rig.from(PBX, requestText('BYE', bye))
		expect(rig.words(phone.flow).slice(-1 - routes.length)).toEqual([...routes.map(() => 'OPTIONS'), 'BYE'])
	}
})

describe('responses (§18.1.2)', () => {
	test('one whose sent-by is not ours is dropped without a word, from a phone and from the PBX', () => {
		const { rig, phone, invites } = called()
		rig.from(phone.flow, phone.request('MESSAGE', { uri: `sip:600@${DOMAIN}` }))
		const answers = [
			[phone.flow, answerTo(invites[0]!, 180), PBX, '180 INVITE'],
			[PBX, answerTo(rig.last(PBX, 'MESSAGE'), 200), phone.flow, '200 MESSAGE'],
		] as const
		for (const [from, answer, to, word] of answers) {
			rig.clear()
			for (const sentBy of ['gw.example:5070', '198.51.100.1:5060', 'other.example:5060'])
				expect(rig.from(from, answer.replace('UDP gw.example:5060', `UDP ${sentBy}`))).toEqual([])
			rig.from(from, answer)
			expect(rig.words(to)).toEqual([word])
		}
	})
})

test('a datagram that ends too soon is 400 for a request, and nothing for a response (§18.3)', () => {
	const { rig, phone, invites } = called()
	const short = (text: string) => text.replace('Content-Length: 0', 'Content-Length: 9')
	const sent = rig.from(PBX, short(requestText('MESSAGE')))
	expect(sent.map(({ word, message }) => [word, message.reason])).toEqual([['400 MESSAGE', expect.any(String)]])
	expect(rig.from(phone.flow, short(answerTo(invites[0]!, 180)))).toEqual([])
})

describe('our own answers', () => {
	test('the ACK to one is for nobody else, after a restart too', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		fallAsleep(rig)
		rig.from(PBX, requestText('INVITE', INVITE))
		rig.pushed(ACCEPTED)
		rig.from(PBX, requestText('CANCEL', { branch: INVITE.branch, contact: '' }))
		const { toTag } = rig.last(PBX, '487 INVITE')
		rig.restart()
		rig.from(PBX, requestText('ACK', { branch: INVITE.branch, to: `<${STABLE}>;tag=${toTag}`, contact: '' }))
		expect(rig.words(phone.flow)).toEqual([])
		rig.from(PBX, requestText('ACK', { to: `<${STABLE}>;tag=of-the-phone`, contact: '' }))
		expect(rig.words(phone.flow)).toEqual(['ACK'])
	})
})

test(`MAX_LIVE_ID: of a Call-ID ${MAX_LIVE_ID} chars are remembered, and its BYE ends the call all the same`, () => {
	expect(MAX_LIVE * MAX_LIVE_ID).toBeLessThan(10_000_000)
	const callId = 'x'.repeat(5_000)
	const { rig, phone, invites } = called(1, { callId })
	rig.from(phone.flow, answerTo(invites[0]!, 200, { contact: phone.uri, toTag: 'phone' }))
	expect(rig.core.snapshot(rig.now).calls.map(({ id }) => id.length)).toEqual([MAX_LIVE_ID])
	const rows = [`Route: ${invites[0]!.first(Header.RecordRoute)}`]
	rig.from(PBX, requestText('BYE', { callId, to: `<${STABLE}>;tag=phone`, rows, cseq: 103 }))
	rig.from(phone.flow, answerTo(rig.last(phone.flow, 'BYE'), 200))
	expect(rig.core.snapshot(rig.now).calls).toEqual([])
})
