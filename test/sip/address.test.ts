import { describe, expect, test } from 'bun:test'
import { headerParam, parseNameAddr, setHeaderParam, splitList } from '../../src/sip/address.ts'

describe('parseNameAddr (RFC 3261 §20.10)', () => {
	test('a quoted display name comes without quotes and backslashes', () => {
		expect(parseNameAddr('"A \\"B\\", <C>" <sip:a@b;lr>;tag=1 ; q="x;y"')).toEqual({
			display: 'A "B", <C>',
			uri: 'sip:a@b;lr',
			params: ';tag=1 ; q="x;y"',
		})
	})

	test('parameters of a bare addr-spec belong to the header', () => {
		expect(parseNameAddr('sip:a@b;tag=1')).toEqual({ display: '', uri: 'sip:a@b', params: ';tag=1' })
	})

	test('no white space is needed before <', () => {
		expect(parseNameAddr('caller<sip:a@b>')).toEqual({ display: 'caller', uri: 'sip:a@b', params: '' })
	})

	test('what is none is undefined', () => {
		const bad = [
			'',
			'*',
			'sip:',
			'<sip:a@b',
			'sip:a@b>',
			'"x <sip:a>',
			'"x" sip:a',
			'< sip:a@b>',
			'sip:a@b?x',
			'x, y <sip:a>',
		]
		for (const text of [
			...bad,
			'<sip:a>;',
			'<sip:a>;a=',
			'<sip:a>;=b',
			'<sip:a>,<sip:b>',
			'<sip:a> x',
			'<sip:a>;tag',
		]) {
			expect([text, parseNameAddr(text)]).toEqual([text, undefined])
		}
	})
})

test('splitList splits at commas outside quotes and <>, and is total', () => {
	expect(splitList(' a , "b,\\"," ,<c,d>,e ')).toEqual(['a', '"b,\\","', '<c,d>', 'e'])
	expect([splitList(''), splitList(','), splitList('"a,b'), splitList('<a,b')]).toEqual([
		[''],
		['', ''],
		['"a,b'],
		['<a,b'],
	])
})

describe('header parameters', () => {
	test('headerParam: undefined absent, null a flag, quoted unquoted', () => {
		const params = ' ; Flag;a = 1;+sip.instance="<urn:x;y=\\"z>"'
		expect(headerParam(params, 'flag')).toBeNull()
		expect(headerParam(params, 'A')).toBe('1')
		expect(headerParam(params, '+sip.instance')).toBe('<urn:x;y="z>')
		expect([headerParam(params, 'y'), headerParam('', 'a')]).toEqual([undefined, undefined])
	})

	test('setHeaderParam replaces in place, appends, removes, makes a flag', () => {
		expect(setHeaderParam(';a=1;expires=60;b', 'Expires', '7')).toBe(';a=1;Expires=7;b')
		expect(setHeaderParam(';a', 'b', '"x"')).toBe(';a;b="x"')
		expect(setHeaderParam(';a;b=1;c', 'b', undefined)).toBe(';a;c')
		expect([setHeaderParam('', 'ob', ''), setHeaderParam(';a', 'b', undefined)]).toEqual([';ob', ';a'])
	})
})
