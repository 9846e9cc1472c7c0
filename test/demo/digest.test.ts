import { expect, test } from 'bun:test'
import { authorization, chooseChallenge, parseDigest, verifyDigest } from '../../src/demo/digest.ts'

const NONCE = '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v'
const ANSWER = {
	username: 'Mufasa',
	password: 'Circle of Life',
	method: 'GET',
	uri: '/dir/index.html',
	nonceCount: 1,
	cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
}
const offer = (rest: string) => `Digest realm="http-auth@example.org", nonce="${NONCE}", qop="auth, auth-int"${rest}`

test('the examples of RFC 7616 3.9.1 come out, MD5 and SHA-256', () => {
	const responses = {
		MD5: '8ca523f5e9506fed4657c9700eebdbec',
		'SHA-256': '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1',
	}
	for (const [algorithm, response] of Object.entries(responses)) {
		const value = authorization(chooseChallenge([offer(`, algorithm=${algorithm}`)])!, ANSWER)
		expect(parseDigest(value)?.get('response')).toBe(response)
		expect(verifyDigest(parseDigest(value)!, 'GET', 'Circle of Life')).toBeTrue()
		expect(verifyDigest(parseDigest(value)!, 'GET', 'circle of life')).toBeFalse()
	}
})

test('a challenge without algorithm is MD5, unknown algorithms and other schemes are passed over', () => {
	const rows = [
		'Bearer realm="x"',
		offer(', algorithm=SHA-512-256'),
		offer(', stale=TRUE'),
		offer(', algorithm=SHA-256'),
	]
	expect(chooseChallenge(rows)).toMatchObject({ algorithm: 'MD5', stale: true, qop: true, opaque: undefined })
	expect(chooseChallenge(rows.slice(0, 2))).toBeUndefined()
})

test('a challenge without qop is answered as RFC 2069 had it', () => {
	const value = authorization(chooseChallenge(['Digest realm="a", nonce="b", opaque="c"'])!, ANSWER)
	expect(value).not.toContain('cnonce')
	expect(value).toEndWith('opaque="c"')
	expect(verifyDigest(parseDigest(value)!, 'GET', 'Circle of Life')).toBeTrue()
})

test('quoted pairs are taken out of their quotes', () => {
	expect(parseDigest('Digest realm="a\\"b", qop=auth')?.get('realm')).toBe('a"b')
})
