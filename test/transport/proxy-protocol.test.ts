import { afterEach, describe, expect, test } from 'bun:test'
import { MAX_PROXY_OCTETS, readProxyHeader, TrustedProxies } from '../../src/transport/proxy-protocol.ts'
import { holds } from './loopback.ts'
import { closeAll, dial, dialTcp, KINDS, listenStream, sip, wrap } from './streams.ts'

afterEach(closeAll)

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
const header = (command: number, family: number, body: readonly number[]) =>
	Uint8Array.from([...SIGNATURE, command, family, body.length >> 8, body.length & 0xff, ...body])

const PROXY = 0x21
const LOCAL = 0x20
const FOUR = [192, 0, 2, 7, 198, 51, 100, 1, 0xc0, 0x01, 0x13, 0xc5]
const SIX = [
	0x20,
	0x01,
	0x0d,
	0xb8,
	...Array<number>(11).fill(0),
	7,
	...Array<number>(16).fill(9),
	0xff,
	0xff,
	0x13,
	0xc5,
]
const MAPPED = [...Array<number>(10).fill(0), 0xff, 0xff, 192, 0, 2, 8, ...Array<number>(16).fill(9), 0, 80, 0x13, 0xc5]

describe('§2.2: a PROXY header, version 2', () => {
	test('says for whom a TCP connection is, over IPv4 and IPv6', () => {
		const four = header(PROXY, 0x11, FOUR)
		expect(readProxyHeader(four)).toEqual({ kind: 'source', address: '192.0.2.7', port: 49_153, length: 28 })
		const six = header(PROXY, 0x21, SIX)
		expect(readProxyHeader(six)).toEqual({ kind: 'source', address: '2001:db8::7', port: 65_535, length: 52 })
		expect(readProxyHeader(header(PROXY, 0x21, MAPPED))).toMatchObject({ address: '192.0.2.8', port: 80 })
	})

	test('what the load balancer adds to the addresses is skipped, and what follows is not its', () => {
		const more = header(PROXY, 0x11, [...FOUR, 0x01, 0, 3, 1, 2, 3])
		expect(readProxyHeader(Uint8Array.from([...more, 22, 3, 1]))).toMatchObject({ address: '192.0.2.7', length: 34 })
	})

	test('of a health check, or of none in particular, leaves the address as it is', () => {
		expect(readProxyHeader(header(LOCAL, 0x00, []))).toEqual({ kind: 'local', length: 16 })
		expect(readProxyHeader(header(LOCAL, 0x11, FOUR))).toEqual({ kind: 'local', length: 28 })
		expect(readProxyHeader(header(PROXY, 0x00, [1, 2]))).toEqual({ kind: 'local', length: 18 })
	})

	test('is waited for until it is whole, cut at any octet', () => {
		const whole = header(PROXY, 0x11, FOUR)
		for (let cut = 0; cut < whole.length; cut++) expect(readProxyHeader(whole.subarray(0, cut)).kind).toBe('partial')
	})

	test('that is none is known by the first octet that differs', () => {
		for (let at = 0; at < SIGNATURE.length; at++) {
			const wrong = Uint8Array.from(SIGNATURE.slice(0, at + 1))
			wrong[at]! ^= 1
			expect(readProxyHeader(wrong)).toEqual({ kind: 'malformed' })
		}
		expect(readProxyHeader(Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n')).kind).toBe('malformed')
	})

	test('of another version, command, family or transport, or too short for its addresses, is malformed', () => {
		const wrong = [
			header(0x11, 0x11, FOUR),
			header(0x22, 0x11, FOUR),
			header(PROXY, 0x12, FOUR),
			header(PROXY, 0x31, Array<number>(216).fill(0)),
			header(PROXY, 0x11, FOUR.slice(0, 11)),
			header(PROXY, 0x21, FOUR),
		]
		for (const octets of wrong) expect(readProxyHeader(octets)).toEqual({ kind: 'malformed' })
	})

	test('is at most MAX_PROXY_OCTETS long', () => {
		const fits = header(PROXY, 0x11, [...FOUR, ...Array<number>(MAX_PROXY_OCTETS - 28).fill(0)])
		expect(readProxyHeader(fits)).toMatchObject({ kind: 'source', length: MAX_PROXY_OCTETS })
		const head = header(PROXY, 0x11, Array<number>(MAX_PROXY_OCTETS - 15).fill(0)).subarray(0, 16)
		expect(readProxyHeader(head)).toEqual({ kind: 'malformed' })
	})
})

test('those are trusted that are in a range, also as IPv4 in IPv6', () => {
	const proxies = new TrustedProxies(['10.0.0.0/8', '2001:db8::/32'])
	expect(['10.1.2.3', '::ffff:10.1.2.3', '2001:db8:1::9'].map((address) => proxies.trusts(address))).toEqual([
		true,
		true,
		true,
	])
	expect(['11.1.2.3', '2001:db9::', '::1'].map((address) => proxies.trusts(address))).toEqual([false, false, false])
	expect(new TrustedProxies([]).trusts('10.1.2.3')).toBe(false)
})

describe.each([...KINDS])('a %s listener behind a load balancer', (kind) => {
	test('takes the far end’s address from the header, before anything else', async () => {
		const asked: string[] = []
		const { listener, ear } = await listenStream(kind, {
			proxyProtocol: ['127.0.0.0/8'],
			admit: (address, port) => asked.push(`${address} ${port}`) > 0,
		})
		const client = await dial(listener, { preface: header(PROXY, 0x11, FOUR) })
		client.write(wrap(kind, sip('from far away')))
		expect(await holds(() => ear.messages.length === 1)).toBe(true)
		expect(ear.messages[0]!.flow).toEqual({
			key: '0|192.0.2.7|49153|1',
			listener: 0,
			address: '192.0.2.7',
			port: 49_153,
		})
		expect(asked).toEqual(['192.0.2.7 49153'])
	})

	test('closes what comes from it without a header, and says so', async () => {
		const { listener, ear } = await listenStream(kind, { proxyProtocol: ['127.0.0.1/32'] })
		const client = await dialTcp(listener.port, { preface: Buffer.from(sip('no header')) })
		expect(await holds(() => client.isClosed)).toBe(true)
		expect(ear.messages.length + ear.opened.length).toBe(0)
		expect(ear.errors[0]).toBe('The load balancer 127.0.0.1 sends something else than a PROXY header, version 2')
	})

	test('counts connections by the far end, not by the load balancer', async () => {
		const { listener, ear } = await listenStream(kind, { proxyProtocol: ['127.0.0.1/32'], limits: { perSource: 2 } })
		const one = header(PROXY, 0x11, FOUR)
		await dial(listener, { preface: one })
		await dial(listener, { preface: one })
		const third = await dialTcp(listener.port, { preface: one })
		expect(await holds(() => third.isClosed)).toBe(true)
		await dial(listener, { preface: header(PROXY, 0x21, SIX) })
		expect(await holds(() => ear.opened.length === 3)).toBe(true)
	})

	test('believes nobody else', async () => {
		const { listener, ear } = await listenStream(kind, { proxyProtocol: ['192.0.2.0/24'] })
		const liar = await dialTcp(listener.port, { preface: header(PROXY, 0x11, FOUR) })
		liar.write(sip('x'))
		await dial(listener)
		expect(await holds(() => ear.opened.length > 0)).toBe(true)
		expect(ear.opened.every(({ flow }) => flow.address === '127.0.0.1')).toBe(true)
	})
})
