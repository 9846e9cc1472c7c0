import { describe, expect, test } from 'bun:test'
import { Edit } from '../../src/sip/edit.ts'
import { Header } from '../../src/sip/headers.ts'
import { parsed, sample, textOf } from './sample.ts'

const VIA = 'SIP/2.0/UDP 198.51.100.20:5062;branch=z9hG4bKone'
const edited = (text: string, change: (edit: Edit) => Edit): string => textOf(change(new Edit(parsed(text))).finish())

/** The values of the Via rows after stamping `via`. */
const stamped = (via: string, address: string, port: number): string | undefined =>
	parsed(edited(sample([['Via', via]]), (e) => e.stampVia(address, port))).first(Header.Via)

describe('an edit', () => {
	test('touches what it is told to and nothing else', () => {
		const odd = sample([
			['X-Odd', ' ;,;;\r\n\t,\xff "'],
			['Subject', ''],
		]).replace('CSeq: 77', 'cseq :  0077')
		const out = edited(odd, (e) =>
			e.uri('sip:x@y').pushVia('new').set(Header.MaxForwards, '39').push(Header.RecordRoute, '<sip:r;lr>'),
		)
		const want = odd
			.replace('sip:lena@dest.example SIP', 'sip:x@y SIP')
			.replace(`Via: ${VIA}\r\n`, `Via: new\r\nVia: ${VIA}\r\nRecord-Route: <sip:r;lr>\r\n`)
			.replace('Max-Forwards: 40', 'Max-Forwards: 39')
		expect(out).toBe(want)
	})

	test('a stamped Via is below a pushed one, in whatever order the calls come', () => {
		const via = `${VIA};rport`
		const text = sample([['Via', via]])
		const want = [`new`, `${VIA};rport=9;received=192.0.2.7`]
		expect(parsed(edited(text, (e) => e.pushVia('new').stampVia('192.0.2.7', 9))).rows(Header.Via)).toEqual(want)
		expect(parsed(edited(text, (e) => e.stampVia('192.0.2.7', 9).pushVia('new'))).rows(Header.Via)).toEqual(want)
	})

	test('push puts the newest on top of its like, below the Vias where there is none', () => {
		const out = parsed(
			edited(sample([['Via', `${VIA}, SIP/2.0/TCP b`]]), (e) =>
				e.push(Header.Route, '<sip:1>').push(Header.Route, '<sip:0>'),
			),
		)
		expect(out.rows(Header.Route)).toEqual(['<sip:0>', '<sip:1>'])
		expect(out.find(Header.Route)).toBe(1)
		const above = parsed(edited(sample([['Route', '<sip:9>']]), (e) => e.push(Header.Route, '<sip:0>')))
		expect(above.list(Header.Route)).toEqual(['<sip:0>', '<sip:9>'])
	})

	test('popVia and popFirst drop one value, of a row or of a comma list', () => {
		const text = sample([
			['Via', `${VIA} , SIP/2.0/TCP b;branch=2`],
			['Route', '<sip:a,b>, <sip:c>'],
			['route', '<sip:d>'],
		])
		expect(parsed(edited(text, (e) => e.popVia())).rows(Header.Via)).toEqual(['SIP/2.0/TCP b;branch=2'])
		expect(parsed(edited(text, (e) => e.popVia().popVia())).rows(Header.Via)).toEqual([])
		expect(parsed(edited(text, (e) => e.popFirst(Header.Route))).rows(Header.Route)).toEqual(['<sip:c>', '<sip:d>'])
		const all = edited(text, (e) =>
			e.popFirst(Header.Route).popFirst(Header.Route).popFirst(Header.Route).popFirst(Header.Route),
		)
		expect(parsed(all).rows(Header.Route)).toEqual([])
	})

	test('set leaves one row; remove and removeNamed leave none; compact names count', () => {
		const text = sample([
			['Contact', '<sip:1>'],
			['m', '<sip:2>'],
			['X-Gone', '1'],
			['x-gone', '2'],
			['Expires', '5'],
		])
		const out = parsed(edited(text, (e) => e.set(Header.Contact, '*').removeNamed('x-gone').remove(Header.Expires)))
		expect([out.rows(Header.Contact), out.headerCount]).toEqual([['*'], 8])
	})

	test('append goes to the end of the head, before a Content-Length that is the last row', () => {
		expect(edited(sample(), (e) => e.append('X-A', '1').append('X-B', '2'))).toContain(
			'CSeq: 77 INVITE\r\nX-A: 1\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n',
		)
		const other = sample([['Subject', 's']])
		expect(edited(other, (e) => e.set(Header.Expires, '3'))).toEndWith('Subject: s\r\nExpires: 3\r\n\r\n')
	})

	test('row gives one row a value and keeps its name as sent', () => {
		expect(edited(sample([['m', '<sip:1>']]), (e) => e.row(7, '<sip:2>'))).toContain('\r\nm: <sip:2>\r\n')
	})

	test('the body goes out octet for octet', () => {
		const body = '\0\r\n\r\n\xff\xfe'
		expect(edited(sample([], undefined, body), (e) => e.uri('sip:x'))).toEndWith(`\r\n\r\n${body}`)
	})
})

describe('stampVia (§18.2.1, RFC 3581 §4)', () => {
	test('received is added where sent-by is not the source address, and only there', () => {
		expect(stamped(VIA, '198.51.100.20', 5062)).toBe(VIA)
		expect(stamped(VIA, '192.0.2.7', 5062)).toBe(`${VIA};received=192.0.2.7`)
		expect(stamped('SIP/2.0/UDP name.example', '192.0.2.7', 1)).toBe('SIP/2.0/UDP name.example;received=192.0.2.7')
	})

	test('rport is filled where asked for, and then received is always there', () => {
		expect(stamped('SIP/2.0/UDP 192.0.2.7;rport;branch=z9hG4bKx', '192.0.2.7', 41000)).toBe(
			'SIP/2.0/UDP 192.0.2.7;rport=41000;received=192.0.2.7;branch=z9hG4bKx',
		)
	})

	test('only the topmost value is stamped, in a comma list too', () => {
		expect(stamped('SIP/2.0/UDP a;rport;branch=1 , SIP/2.0/UDP b;rport', '192.0.2.7', 8)).toBe(
			'SIP/2.0/UDP a;rport=8;received=192.0.2.7;branch=1 , SIP/2.0/UDP b;rport',
		)
	})

	test('a received or rport the sender made up is overwritten', () => {
		expect(stamped('SIP/2.0/UDP 192.0.2.7;received=9.9.9.9', '192.0.2.7', 8)).toBe(
			'SIP/2.0/UDP 192.0.2.7;received=192.0.2.7',
		)
		expect(stamped('SIP/2.0/UDP h;received=9.9.9.9;x;rport = 77;y', '192.0.2.7', 8)).toBe(
			'SIP/2.0/UDP h;received=192.0.2.7;x;rport =8;y',
		)
		expect(stamped('SIP/2.0/UDP h;rport=77;x;received=[::1];y', '2001:db8::7', 8)).toBe(
			'SIP/2.0/UDP h;rport=8;x;received=2001:db8::7;y',
		)
		expect(stamped('SIP/2.0/UDP h;rport=77;y', '192.0.2.7', 8)).toBe('SIP/2.0/UDP h;rport=8;received=192.0.2.7;y')
	})
})
