import { describe, expect, test } from 'bun:test'
import {
	canonicalUser,
	hostPort,
	parseUri,
	sameUri,
	unescape as unescaped,
	uriParam,
	uriScheme,
	withoutParams,
} from '../../src/sip/uri.ts'

describe('parseUri (RFC 3261 §19.1.1)', () => {
	test('gives every part as it came, scheme and host in lower case', () => {
		expect(parseUri('SIPS:A%4a:p:w@Host.Example:5061;transport=TCP;lr?Subject=x&b=c')).toEqual({
			scheme: 'sips',
			user: 'A%4a',
			password: 'p:w',
			host: 'host.example',
			port: 5061,
			params: ';transport=TCP;lr',
			headers: '?Subject=x&b=c',
		})
	})

	test('no user, no port, IPv6', () => {
		expect(parseUri('sip:[2001:DB8::1]')).toEqual({
			scheme: 'sip',
			user: undefined,
			password: undefined,
			host: '2001:db8::1',
			port: 0,
			params: '',
			headers: '',
		})
	})

	test('the @ is sought before ; and ?: the user part may hold them unescaped', () => {
		const uri = parseUri('sip:user;par=u%40x?y/z@host;p')
		expect([uri?.user, uri?.host, uri?.params]).toEqual(['user;par=u%40x?y/z', 'host', ';p'])
	})

	test('what is none is undefined', () => {
		const bad = [
			'',
			'sip:',
			'sip:@h',
			'sip::p@h',
			'sip:a@',
			'sip:a@b@c',
			'sip:h:',
			'sip:h:0',
			'sip:h:65536',
			'sip:h:5060x',
		]
		const more = [
			'sip:2001:db8::1',
			'sip:[]',
			'sip:[::1',
			'sip:a b@h',
			'sip:<h>',
			'sip:h"',
			'tel:1',
			'h',
			'sip:[12]',
			'sip:a@h@',
		]
		for (const text of [...bad, ...more]) expect([text, parseUri(text)]).toEqual([text, undefined])
	})
})

describe('parameters', () => {
	const params = ';lr;Transport=udp;pn-prid=a:b=c;empty=;q?'

	test('absent is undefined, a flag is null, a value is raw up to the next ;', () => {
		expect(uriParam(params, 'LR')).toBeNull()
		expect(uriParam(params, 'transport')).toBe('udp')
		expect(uriParam(params, 'pn-prid')).toBe('a:b=c')
		expect(uriParam(params, 'empty')).toBe('')
		expect([uriParam(params, 'l'), uriParam('', 'lr'), uriParam(params, '__proto__')]).toEqual([
			undefined,
			undefined,
			undefined,
		])
	})

	test('withoutParams drops what it is told to, everything else byte for byte', () => {
		const uri = 'sip:u;pn-tok=no@H:5;a=%41;PN-Prid=x;lr;pn-tok=y?pn-tok=z'
		expect(withoutParams(uri, (name) => name.startsWith('pn-'))).toBe('sip:u;pn-tok=no@H:5;a=%41;lr?pn-tok=z')
		expect(withoutParams(uri, () => false)).toBe(uri)
		expect(withoutParams('urn:x;pn-tok=1', () => true)).toBe('urn:x;pn-tok=1')
	})
})

describe('escapes (§19.1.2)', () => {
	test('are undone once and never again', () => {
		expect(unescaped('v%61lue%25%34%31%00%zz%4')).toBe('value%41\0%zz%4')
	})

	test('canonicalUser undoes those of unreserved characters alone', () => {
		expect(canonicalUser('%61%2d%3b%40b;')).toBe('a-%3B%40b;')
		expect(canonicalUser('%2561')).toBe('%2561')
	})
})

describe('sameUri (§19.1.4)', () => {
	const same: ReadonlyArray<readonly [string, string]> = [
		['sip:%61lice@atlanta.com;transport=TCP', 'sip:alice@AtLanTa.CoM;Transport=tcp'],
		['sip:carol@chicago.com', 'sip:carol@chicago.com;newparam=5'],
		['sip:carol@chicago.com;security=on', 'sip:carol@chicago.com;newparam=5'],
		[
			'sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com',
			'sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com',
		],
		[
			'sip:alice@atlanta.com?subject=project%20x&priority=urgent',
			'sip:alice@atlanta.com?priority=urgent&subject=project%20x',
		],
		['sip:a@[2001:db8::1]', 'sip:a@[2001:0DB8:0:0:0:0:0:1]'],
		['sip:a@[::ffff:192.0.2.1]', 'sip:a@[::ffff:c000:201]'],
	]
	const other: ReadonlyArray<readonly [string, string]> = [
		['SIP:ALICE@AtLanTa.CoM;Transport=udp', 'sip:alice@AtLanTa.CoM;Transport=UDP'],
		['sip:bob@biloxi.com', 'sip:bob@biloxi.com:5060'],
		['sip:bob@biloxi.com', 'sip:bob@biloxi.com;transport=udp'],
		['sip:bob@biloxi.com', 'sip:bob@biloxi.com:6000;transport=tcp'],
		['sip:carol@chicago.com', 'sip:carol@chicago.com?Subject=next%20meeting'],
		['sip:bob@phone21.boxesbybob.com', 'sip:bob@192.0.2.4'],
		['sip:carol@chicago.com;security=on', 'sip:carol@chicago.com;security=off'],
		['sip:a@b.example', 'sips:a@b.example'],
		['sip:a@b.example', 'sip:b.example'],
		['sip:a%3Bb@c.example', 'sip:a;b@c.example'],
		['sip:a:p@b.example', 'sip:a:q@b.example'],
		['sip:[2001:db8::1]', 'sip:[2001:db8::2]'],
	]
	for (const [a, b] of same) {
		test(`${a} is ${b}, either way round`, () => expect([sameUri(a, b), sameUri(b, a)]).toEqual([true, true]))
	}
	for (const [a, b] of other) {
		test(`${a} is not ${b}`, () => expect([sameUri(a, b), sameUri(b, a)]).toEqual([false, false]))
	}

	test('is not transitive: one-sided parameters are ignored', () => {
		const [on, none, off] = ['sip:a@b;security=on', 'sip:a@b', 'sip:a@b;security=off']
		expect([sameUri(on, none), sameUri(none, off), sameUri(on, off)]).toEqual([true, true, false])
	})
})

test('uriScheme is lower case, or empty', () => {
	expect(['TEL:1', 'soap.beep://x', 'host', '1x:y', ':', 'a b:c'].map(uriScheme)).toEqual([
		'tel',
		'soap.beep',
		'',
		'',
		'',
		'',
	])
})

test('hostPort brackets IPv6 and leaves out port 0', () => {
	expect([hostPort('h', 0), hostPort('h', 5), hostPort('::1', 0), hostPort('::1', 5)]).toEqual([
		'h',
		'h:5',
		'[::1]',
		'[::1]:5',
	])
})
