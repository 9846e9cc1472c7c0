import { describe, expect, test } from 'bun:test'
import { ackFor, cancel, reasonPhrase, request, response } from '../../src/sip/build.ts'
import { Header } from '../../src/sip/headers.ts'
import { parse } from '../../src/sip/parse.ts'
import { parsed, sample, textOf } from './sample.ts'

const source = { address: '192.0.2.7', port: 40_000 }

describe('response (RFC 3261 §8.2.6)', () => {
	test('copies Vias, From, To, Call-ID and CSeq, and stamps the topmost Via', () => {
		const invite = parsed(
			sample([
				['Via', 'SIP/2.0/UDP h;rport;branch=z9hG4bK1'],
				['v', 'SIP/2.0/TCP b'],
				['Record-Route', '<sip:r>'],
			]),
		)
		expect(textOf(response(invite, source, 486, { toTag: 'ours', rows: [['X-Why', 'so']] }))).toBe(
			'SIP/2.0 486 Busy Here\r\n' +
				'Via: SIP/2.0/UDP h;rport=40000;received=192.0.2.7;branch=z9hG4bK1\r\nVia: SIP/2.0/TCP b\r\n' +
				'From: "Otto" <sip:otto@origin.example>;tag=8e1d\r\nTo: <sip:lena@dest.example>;tag=ours\r\n' +
				'Call-ID: 4711@origin.example\r\nCSeq: 77 INVITE\r\nX-Why: so\r\nContent-Length: 0\r\n\r\n',
		)
	})

	test('a To-tag of the request stays', () => {
		const bye = parsed(sample([['To', '<sip:l@d>;tag=theirs']]))
		expect(parse(response(bye, undefined, 200, { toTag: 'ours' })).toTag).toBe('theirs')
	})

	test('a 100 has no tag of ours and copies the Timestamp', () => {
		const answer = parse(response(parsed(sample([['Timestamp', '54']])), source, 100, { toTag: 'ours' }))
		expect([answer.toTag, answer.name(answer.headerCount - 2), answer.value(answer.headerCount - 2)]).toEqual([
			'',
			'Timestamp',
			'54',
		])
		expect(textOf(response(parsed(sample([['Timestamp', '54']])), source, 180))).not.toContain('Timestamp')
	})

	test('a header the request lacks is left out', () => {
		const poor = parsed(
			sample([
				['From', ''],
				['To', ''],
				['Call-ID', ''],
			]),
		)
		expect(textOf(response(poor, undefined, 400, { toTag: 'x', reason: 'Missing From' }))).toBe(
			'SIP/2.0 400 Missing From\r\nVia: SIP/2.0/UDP 198.51.100.20:5062;branch=z9hG4bKone\r\nCSeq: 77 INVITE\r\nContent-Length: 0\r\n\r\n',
		)
	})

	test('carries a body with its type and length', () => {
		const answer = parse(response(parsed(sample()), source, 200, { contentType: 'text/plain', body: 'h\xe9' }))
		expect([answer.first(Header.ContentType), answer.first(Header.ContentLength), answer.body().length]).toEqual([
			'text/plain',
			'2',
			2,
		])
	})
})

describe('requests of our own', () => {
	const parts = {
		via: 'SIP/2.0/UDP h;branch=z9hG4bKq',
		from: '<sip:a@b>;tag=1',
		to: '<sip:c@d>',
		callId: 'c1',
		cseq: 3,
	}

	test('have what §8.1.1 asks for, and can be read', () => {
		const m = parse(request({ method: 'OPTIONS', uri: 'sip:c@d', ...parts, rows: [['Route', '<sip:r;lr>']] }))
		expect([m.fault, m.method, m.maxForwards, m.cseqMethod, m.list(Header.Route)]).toEqual([
			undefined,
			'OPTIONS',
			70,
			'OPTIONS',
			['<sip:r;lr>'],
		])
	})

	const sent = parsed(
		sample([
			['Via', 'SIP/2.0/UDP gw;branch=z9hG4bKgw, SIP/2.0/UDP h;branch=z9hG4bK1'],
			['Route', '<sip:r1;lr>, <sip:r2>'],
			['Require', '100rel'],
		]),
	)

	test('CANCEL takes Request-URI, topmost Via, From, To, Call-ID, CSeq number and Routes of the INVITE (§9.1)', () => {
		const m = parse(cancel(sent, [['Reason', 'SIP;cause=200']]))
		expect([m.fault, m.method, m.uri, m.cseq, m.callId, m.toTag]).toEqual([
			undefined,
			'CANCEL',
			sent.uri,
			77,
			sent.callId,
			'',
		])
		expect([m.rows(Header.Via), m.list(Header.Route), m.first(Header.Reason), m.find(Header.Require)]).toEqual([
			['SIP/2.0/UDP gw;branch=z9hG4bKgw'],
			['<sip:r1;lr>', '<sip:r2>'],
			'SIP;cause=200',
			-1,
		])
	})

	test('ACK to a non-2xx takes the To of the response (§17.1.1.3)', () => {
		const busy = parsed(sample([['To', '<sip:lena@dest.example>;tag=busy']], 'SIP/2.0 486 Busy Here'))
		const m = parse(ackFor(sent, busy))
		expect([m.fault, m.method, m.toTag, m.cseqMethod, m.via.branch]).toEqual([
			undefined,
			'ACK',
			'busy',
			'ACK',
			'z9hG4bKgw',
		])
		expect(m.rows(Header.Via).length).toBe(1)
	})
})

test('a status without a phrase of its own gets that of its class', () => {
	expect([reasonPhrase(487), reasonPhrase(199), reasonPhrase(499), reasonPhrase(699)]).toEqual([
		'Request Terminated',
		'Progress',
		'Request Failure',
		'Global Failure',
	])
})
