import { describe, expect, test } from 'bun:test'
import { Header, headerId, headerName } from '../../src/sip/headers.ts'
import { decodeLatin1, encodeLatin1, installLatin1Codec } from '../../src/sip/latin1.ts'
import { EMPTY_VIA } from '../../src/sip/message.ts'
import { isKeepAlive, parse } from '../../src/sip/parse.ts'
import { MAX_HEAD_OCTETS, MAX_ROWS, unfold } from '../../src/sip/rows.ts'
import { octets, parsed, sample } from './sample.ts'

describe('header names (RFC 3261 §7.3.1, §7.3.3)', () => {
	const idOf = (name: string) => headerId(Buffer.from(name, 'latin1'), 0, name.length)

	test('each long name is known in any case', () => {
		for (const id of Object.values(Header)) {
			if (id === Header.Other) continue
			const name = headerName(id)
			expect([idOf(name), idOf(name.toLowerCase()), idOf(name.toUpperCase())]).toEqual([id, id, id])
		}
	})

	test('compact forms are the same headers, in either case', () => {
		const compact = { v: 'Via', f: 'From', t: 'To', i: 'CallId', m: 'Contact', l: 'ContentLength', c: 'ContentType' }
		for (const [letter, key] of Object.entries(compact)) {
			expect(idOf(letter)).toBe(Header[key as keyof typeof Header])
			expect(idOf(letter.toUpperCase())).toBe(Header[key as keyof typeof Header])
		}
		expect([idOf('k'), idOf('o'), idOf('r'), idOf('x')]).toEqual([
			Header.Supported,
			Header.Event,
			Header.ReferTo,
			Header.SessionExpires,
		])
	})

	test('a name that only looks like one is another header', () => {
		for (const name of ['Viaa', 'Vi', 'Max_Forwards', 'Max\rForwards', '__proto__', 'constructor', 'z', '']) {
			expect(idOf(name)).toBe(Header.Other)
		}
	})
})

describe('a message', () => {
	test('gives the essentials of a request', () => {
		const m = parsed(sample())
		expect(m.fault).toBeUndefined()
		expect([m.method, m.status, m.uri, m.callId, m.cseq, m.cseqMethod]).toEqual([
			'INVITE',
			0,
			'sip:lena@dest.example',
			'4711@origin.example',
			77,
			'INVITE',
		])
		expect([m.fromTag, m.toTag, m.maxForwards, m.headerCount]).toEqual(['8e1d', '', 40, 7])
		expect(m.requestUri?.host).toBe('dest.example')
		expect(m.via).toEqual({
			transport: 'UDP',
			host: '198.51.100.20',
			port: 5062,
			branch: 'z9hG4bKone',
			received: '',
			rport: -1,
		})
	})

	test('gives the essentials of a response', () => {
		const m = parsed(sample([['To', '<sip:l@d.example>;tag=c']], 'SIP/2.0 486 Busy Here'))
		expect([m.fault, m.method, m.status, m.reason, m.uri, m.toTag]).toEqual([undefined, '', 486, 'Busy Here', '', 'c'])
	})

	test('folds count as one SP, and white space round a value is none of it (§7.3.1)', () => {
		const m = parsed(sample([['Subject', '  a \r\n \t b\r\n\t\r\n c \t']]))
		expect(m.value(m.headerCount - 1)).toBe('a b c')
		expect(unfold('x\r\n y')).toBe('x y')
	})

	test('rows of one list are one list, in order; commas in quotes and <> do not split', () => {
		const m = parsed(
			sample([
				['Route', '<sip:a;x="1,2">, "b,\\",b" <sip:b,c>'],
				['route', '<sip:c>'],
			]),
		)
		expect(m.list(Header.Route)).toEqual(['<sip:a;x="1,2">', '"b,\\",b" <sip:b,c>', '<sip:c>'])
		expect(m.rows(Header.Route).length).toBe(2)
		expect(m.find(Header.Route, m.find(Header.Route) + 1)).toBe(8)
		expect([m.first(Header.Contact), m.find(Header.Contact)]).toEqual([undefined, -1])
	})

	test('octets above 0x7F are kept, one char an octet', () => {
		const m = parsed(sample([['Subject', '\xff\xc3\xa9']]))
		expect(m.value(m.headerCount - 1)).toBe('\xff\xc3\xa9')
	})

	test('Content-Length counts octets, and what is behind it is cut off (§18.3)', () => {
		const m = parsed(`${sample([], undefined, 'b\xc3\xa9dy')}surplus`)
		expect(m.fault).toBeUndefined()
		expect(m.body()).toEqual(octets('b\xc3\xa9dy'))
	})

	test('without Content-Length the body ends with the datagram (§18.3)', () => {
		const m = parsed(sample([['Content-Length', '']], undefined, 'all of it'))
		expect(m.body()).toEqual(octets('all of it'))
	})

	test('without any Via there is EMPTY_VIA, and nothing to answer', () => {
		const m = parsed(sample([['Via', '']]))
		expect([m.via, m.fault?.code, m.fault?.status]).toEqual([EMPTY_VIA, 'via-missing', 0])
	})

	test('the start line decides before the rows do, and the rows before what they say', () => {
		const line = 'INVITE sip:lena@dest.example SIP/4.0'
		expect(parsed(sample([['CSeq', 'x']], line)).fault?.code).toBe('version')
		expect(
			parsed(
				sample([
					['CSeq', 'x'],
					['b d', 'x'],
				]),
			).fault?.code,
		).toBe('header-line')
	})

	test('the version is compared without case (§7.1)', () => {
		expect(parsed(sample([], 'INVITE sip:lena@dest.example sip/2.0')).fault).toBeUndefined()
	})

	test('methods are case-sensitive: invite is not INVITE', () => {
		const m = parsed(sample([['CSeq', '77 invite']], 'invite sip:lena@dest.example SIP/2.0'))
		expect([m.method, m.fault]).toEqual(['invite', undefined])
	})

	test('CSeq may be as great as 32 bits are, and no greater', () => {
		expect(parsed(sample([['CSeq', '4294967295 INVITE']])).cseq).toBe(4_294_967_295)
		expect(parsed(sample([['CSeq', '4294967296 INVITE']])).fault?.code).toBe('cseq-malformed')
	})

	test('a Contact is judged in a REGISTER alone: elsewhere a proxy does not use it (§16.3(1))', () => {
		expect(parsed(sample([['Contact', '<<<']])).fault).toBeUndefined()
		const line = 'REGISTER sip:dest.example SIP/2.0'
		const register = (contact: string) =>
			parsed(
				sample(
					[
						['CSeq', '1 REGISTER'],
						['Contact', contact],
					],
					line,
				),
			).fault?.code
		expect([register('*'), register('<<<'), register('<sip:a@b>,')]).toEqual([
			undefined,
			'contact-malformed',
			'contact-malformed',
		])
	})
})

describe('limits', () => {
	const rows = (count: number) => sample().replace('Max-Forwards', `${'X: y\r\n'.repeat(count)}Max-Forwards`)

	test('MAX_ROWS header rows are taken, one more is a 513 that can still be answered', () => {
		expect(parsed(rows(MAX_ROWS - 7)).fault).toBeUndefined()
		const m = parsed(rows(MAX_ROWS - 6))
		expect([m.fault?.code, m.fault?.status, m.via.branch]).toEqual(['too-many-headers', 513, 'z9hG4bKone'])
	})

	test('a head of MAX_HEAD_OCTETS is taken, a greater one is a 513', () => {
		const pad = (n: number) => sample([['X-Pad', 'p'.repeat(n)]])
		const most = MAX_HEAD_OCTETS - pad(1).length + 3
		expect(parsed(pad(most)).fault).toBeUndefined()
		const m = parsed(pad(most + 1))
		expect([m.fault?.code, m.fault?.status, m.callId]).toEqual(['head-too-large', 513, '4711@origin.example'])
	})
})

describe('keep-alives (RFC 5626 §4.4)', () => {
	test('empty, CR and LF alone, or up to four octets', () => {
		for (const text of ['', '\r\n', '\r\n\r\n', '\r\n\r\n\r\n', '\0\0\0\0', 'ping'])
			expect(isKeepAlive(octets(text))).toBe(true)
		for (const text of ['hello', '\r\n\r\nA', sample()]) expect(isKeepAlive(octets(text))).toBe(false)
	})
})

describe('latin1', () => {
	test('each octet is one char, however long the datagram', () => {
		const bytes = Uint8Array.from({ length: 65_535 }, (_, i) => i & 0xff)
		const text = decodeLatin1(bytes)
		expect([text.length, text.charCodeAt(255), text.charCodeAt(65_534)]).toEqual([65_535, 255, 254])
		expect(encodeLatin1(text)).toEqual(bytes)
	})

	test('an installed codec is the one that is used', () => {
		installLatin1Codec({ decode: () => 'NOTIFY', encode: () => new Uint8Array(3) })
		const used = [decodeLatin1(new Uint8Array(1)), encodeLatin1('x').length]
		installLatin1Codec()
		expect(used).toEqual(['NOTIFY', 3])
		expect(parse(octets(sample())).method).toBe('INVITE')
	})
})
