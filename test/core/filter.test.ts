import { describe, expect, test } from 'bun:test'
import { COMEBACKS, MAX_STRANGER_OCTETS, MAX_USER_LENGTH } from '../../src/core/filter/filter.ts'
import { isScanner } from '../../src/core/filter/scanner.ts'
import {
	BURST_SEC,
	FAILURE_WINDOW_MS,
	MAX_BANS,
	MAX_SOURCES,
	sourceOf,
	TrustedNetworks,
} from '../../src/core/filter/sources.ts'
import { answerTo, bind, boundPhone, grant, Phone, requestText, TOKEN } from './peers.ts'
import { flowOf, PBX, Rig } from './rig.ts'

const STRANGER = flowOf('203.0.113.66', 5060)

const phoneAt = (flow = STRANGER, user = '1001') => new Phone(user, flow, { token: TOKEN })

/** A REGISTER that the PBX answers with this. */
function register(
	rig: Rig,
	phone: Phone,
	status: number,
	rows: readonly string[] = [],
	answerRows: readonly string[] = [],
) {
	const before = rig.words(PBX).length
	rig.from(phone.flow, phone.register({ rows }))
	if (rig.words(PBX).length === before) return false
	const message = rig.to(PBX).at(-1)!.message
	rig.from(PBX, status === 200 ? grant(message) : answerTo(message, status, { rows: answerRows }))
	return true
}

const CREDENTIALS = ['Authorization: Digest username="1001", realm="asterisk", response="00"']
const bans = (rig: Rig) => rig.core.snapshot(rig.now).bans.map(({ source, reason }) => [source, reason])

describe('a stranger', () => {
	test('may REGISTER, and nothing else reaches the PBX or gets an answer', () => {
		const rig = new Rig()
		for (const method of ['INVITE', 'OPTIONS', 'MESSAGE', 'SUBSCRIBE', 'BYE', 'ACK', 'CANCEL', 'PUBLISH', 'FOO'])
			expect(rig.from(STRANGER, phoneAt().request(method)), method).toEqual([])
		expect(rig.core.context.counters.strangersDropped).toBe(9)
		expect(rig.from(STRANGER, phoneAt().register()).map(({ word }) => word)).toEqual(['REGISTER'])
	})

	test('--strangers reject: 403 to all but ACK, and not faster than it may register', () => {
		const rig = new Rig({ strangers: 'reject', registerRate: 1 })
		expect(rig.from(STRANGER, phoneAt().request('INVITE')).map(({ word }) => word)).toEqual(['403 INVITE'])
		expect(rig.from(STRANGER, phoneAt().request('ACK'))).toEqual([])
		for (let i = 0; i < 100; i++) rig.from(STRANGER, phoneAt().request('OPTIONS'))
		expect(rig.words(STRANGER).length).toBe(BURST_SEC)
	})

	test('--strangers reject: a late copy of a request from a flow that was bound by then has its answer, and gets no other', () => {
		const rig = new Rig({ strangers: 'reject' })
		const phone = boundPhone(rig)
		const home = phone.flow
		const invite = phone.request('INVITE', { uri: 'sip:600@pbx.example' })
		rig.from(home, invite)
		rig.from(PBX, answerTo(rig.last(PBX, 'INVITE'), 401))
		phone.flow = flowOf('203.0.113.9', 50_000)
		bind(rig, phone)
		rig.clear()
		rig.from(home, invite)
		expect(rig.words(home)).toEqual(['401 INVITE'])
	})

	test('registers at --domain only, with From and To the same', () => {
		const rig = new Rig()
		const shapes = [{ domain: 'other.example' }, { from: 'sip:1002@pbx.example' }, { from: 'sip:1001@other.example' }]
		for (const shape of shapes) rig.from(STRANGER, phoneAt().register(shape))
		rig.from(STRANGER, phoneAt(STRANGER, '').register())
		expect(rig.words(PBX)).toEqual([])
	})

	test('cannot answer for anybody: its responses are dropped', () => {
		const rig = new Rig()
		boundPhone(rig)
		const invite = rig.from(PBX, requestText('INVITE')).find(({ word }) => word === 'INVITE')!
		rig.clear()
		rig.from(STRANGER, answerTo(invite.message, 200))
		expect(rig.sent).toEqual([])
	})

	test('what is no SIP, or malformed, gets no answer', () => {
		const rig = new Rig()
		for (const text of ['', '\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n', phoneAt().register().replace('CSeq', 'X-CSeq')])
			expect(rig.from(STRANGER, text)).toEqual([])
	})

	test(`MAX_USER_LENGTH: a user part of ${MAX_USER_LENGTH} chars is taken, a longer one not`, () => {
		const rig = new Rig()
		rig.from(STRANGER, phoneAt(STRANGER, 'a'.repeat(MAX_USER_LENGTH)).register())
		rig.from(STRANGER, phoneAt(STRANGER, 'a'.repeat(MAX_USER_LENGTH + 1)).register())
		expect(rig.words(PBX)).toEqual(['REGISTER'])
	})

	test('a REGISTER that may not go on for the rules of proxies is dropped: Max-Forwards 0, Proxy-Require', () => {
		const rig = new Rig()
		rig.from(STRANGER, phoneAt().register().replace('Max-Forwards: 70', 'Max-Forwards: 0'))
		rig.from(STRANGER, phoneAt().register({ rows: ['Proxy-Require: foo'] }))
		expect([rig.words(STRANGER), rig.words(PBX)]).toEqual([[], []])
	})

	test('a bound phone is told why', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.clear()
		rig.from(phone.flow, phone.register().replace('Max-Forwards: 70', 'Max-Forwards: 0'))
		rig.from(phone.flow, phone.register({ rows: ['Proxy-Require: foo'] }))
		expect(rig.words(phone.flow)).toEqual(['483 REGISTER', '420 REGISTER'])
	})

	test('a REGISTER that names another host in its Request-URI goes to the domain all the same', () => {
		const rig = new Rig()
		rig.from(
			STRANGER,
			phoneAt()
				.register()
				.replace(/^REGISTER \S+/, 'REGISTER sip:elsewhere.example:5080'),
		)
		expect(rig.last(PBX, 'REGISTER').uri).toBe('sip:pbx.example')
	})

	test('more than MAX_STRANGER_OCTETS are dropped unread', () => {
		const rig = new Rig()
		const long = (length: number) => phoneAt().register({ rows: [`X-Long: ${'x'.repeat(length)}`] })
		rig.from(STRANGER, long(MAX_STRANGER_OCTETS))
		expect(rig.words(PBX)).toEqual([])
		rig.from(STRANGER, long(MAX_STRANGER_OCTETS - 1_000))
		expect(rig.words(PBX)).toEqual(['REGISTER'])
	})
})

describe('the rate of REGISTERs', () => {
	test('BURST_SEC: a source may send as many at once, and then --register-rate a second', () => {
		const rig = new Rig({ registerRate: 2 })
		for (let i = 0; i < 50; i++) rig.from(STRANGER, phoneAt().register())
		expect(rig.words(PBX).length).toBe(2 * BURST_SEC)
		expect(rig.core.context.counters.rateLimited).toBe(50 - 2 * BURST_SEC)
		rig.now += 3_000
		for (let i = 0; i < 50; i++) rig.from(STRANGER, phoneAt().register())
		expect(rig.words(PBX).length).toBe(2 * BURST_SEC + 6)
	})

	test('another source is not slowed down by it', () => {
		const rig = new Rig({ registerRate: 1 })
		for (let i = 0; i < 50; i++) rig.from(STRANGER, phoneAt().register())
		rig.clear()
		rig.from(flowOf('203.0.113.67', 5060), phoneAt().register())
		expect(rig.words(PBX)).toEqual(['REGISTER'])
	})

	test('accepted ones cost nothing: a call centre behind one NAT comes back at once', () => {
		const rig = new Rig({ registerRate: 1 })
		for (let i = 0; i < 100; i++) {
			const phone = new Phone(`${3000 + i}`, flowOf('203.0.113.66', 10_000 + i))
			expect(register(rig, phone, 401)).toBe(true)
			expect(register(rig, phone, 200, CREDENTIALS)).toBe(true)
		}
		expect(rig.core.context.counters.rateLimited).toBe(0)
	})

	test('--register-rate 0 sets no bound', () => {
		const rig = new Rig({ registerRate: 0 })
		for (let i = 0; i < 200; i++) rig.from(STRANGER, phoneAt().register())
		expect(rig.words(PBX).length).toBe(200)
	})

	test('a bound flow registers its own agent at any rate, another name at the rate of a stranger', () => {
		const rig = new Rig({ registerRate: 1 })
		const phone = boundPhone(rig)
		for (let i = 0; i < 100; i++) rig.from(phone.flow, phone.register())
		expect(rig.words(PBX).length).toBe(100)
		rig.clear()
		for (let i = 0; i < 100; i++) rig.from(phone.flow, new Phone('1002', phone.flow).register())
		expect(rig.words(PBX).length).toBeLessThanOrEqual(BURST_SEC)
	})
})

describe('a ban', () => {
	test('scanners are known by what they call themselves', () => {
		expect(
			['friendly-scanner', 'sipvicious 0.3', 'VaxSIPUserAgent/3.1', 'pplsip'].every((name) => isScanner(name)),
		).toBe(true)
		expect([undefined, 'Linphonec/5.1.65', 'baresip v1.0.0', ''].some((name) => isScanner(name))).toBe(false)
	})

	test('falls on a scanner at its first word, for --ban-time', () => {
		const rig = new Rig()
		rig.from(STRANGER, phoneAt().request('OPTIONS', { rows: ['User-Agent: friendly-scanner'] }))
		expect(bans(rig)).toEqual([['203.0.113.66', 'scanner']])
		expect(rig.from(STRANGER, phoneAt().register())).toEqual([])
		expect(rig.core.context.counters.bannedDropped).toBe(1)
		rig.advance(600_000)
		expect(bans(rig)).toEqual([])
		expect(rig.eventNames()).toEqual(['source-banned', 'source-unbanned'])
		expect(rig.from(STRANGER, phoneAt().register()).length).toBe(1)
	})

	test('falls on wrong credentials, --ban-after in a row', () => {
		const rig = new Rig()
		for (let i = 0; i < 4; i++) register(rig, phoneAt(), 401, CREDENTIALS)
		expect(bans(rig)).toEqual([])
		register(rig, phoneAt(), 401, CREDENTIALS)
		expect(bans(rig)).toEqual([['203.0.113.66', 'failed authentication']])
	})

	test('falls on names the PBX does not know, and on 403', () => {
		for (const status of [403, 404]) {
			const rig = new Rig()
			for (let i = 0; i < 5; i++) register(rig, phoneAt(STRANGER, `${i}`), status)
			expect(bans(rig).length).toBe(1)
		}
	})

	test('not on a challenge, nor on a stale nonce', () => {
		const rig = new Rig()
		for (let i = 0; i < 10; i++) register(rig, phoneAt(), 401)
		const stale = ['WWW-Authenticate: Digest realm="asterisk", nonce="x", stale=TRUE']
		for (let i = 0; i < 10; i++) register(rig, phoneAt(), 401, CREDENTIALS, stale)
		expect(bans(rig)).toEqual([])
	})

	test('a success in between, or FAILURE_WINDOW_MS, begins the count anew', () => {
		const rig = new Rig()
		for (let i = 0; i < 4; i++) register(rig, phoneAt(), 401, CREDENTIALS)
		register(rig, phoneAt(), 200, CREDENTIALS)
		bind(rig, phoneAt(), { expires: 0 })
		for (let i = 0; i < 4; i++) register(rig, phoneAt(), 401, CREDENTIALS)
		rig.advance(FAILURE_WINDOW_MS + 1)
		register(rig, phoneAt(), 401, CREDENTIALS)
		expect(bans(rig)).toEqual([])
	})

	test('lets a known device pass: it comes back behind the same NAT', () => {
		const rig = new Rig()
		bind(rig, phoneAt(flowOf('198.51.100.7', 1)))
		rig.core.filter.sources.ban('203.0.113.66', 'scanner', rig.now)
		rig.clear()
		rig.from(STRANGER, phoneAt().register())
		expect(rig.words(PBX)).toEqual(['REGISTER'])
		rig.from(STRANGER, new Phone('1001', STRANGER, { token: 'ab'.repeat(32) }).register())
		rig.from(STRANGER, new Phone('1001', STRANGER).register())
		expect(rig.words(PBX)).toEqual(['REGISTER'])
	})

	test('nor is a known device held up by the haste of others behind its NAT; but it has a rate of its own', () => {
		const rig = new Rig({ registerRate: 1 })
		bind(rig, phoneAt(flowOf('198.51.100.7', 1)))
		rig.clear()
		for (let i = 0; i < 100; i++) rig.from(STRANGER, new Phone(`2${i}`, STRANGER).register())
		expect(rig.words(PBX).length).toBe(BURST_SEC)
		rig.clear()
		for (let i = 0; i < 100; i++) rig.from(STRANGER, phoneAt().register())
		expect(rig.words(PBX).length).toBe(COMEBACKS.burst)
	})

	test('never hits a bound flow of the same address', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.core.filter.sources.ban(phone.flow.address, 'scanner', rig.now)
		rig.clear()
		rig.from(phone.flow, phone.register())
		rig.from(phone.flow, phone.request('OPTIONS', { uri: 'sip:600@pbx.example' }))
		expect(rig.words(PBX)).toEqual(['REGISTER', 'OPTIONS'])
		expect(rig.core.admits(0, phone.flow.address, phone.flow.port, new Uint8Array(20))).toBe(true)
	})

	test('nor a second name that a bound flow of that address registers', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.core.filter.sources.ban(phone.flow.address, 'scanner', rig.now)
		rig.clear()
		rig.from(phone.flow, new Phone('1002', phone.flow).register())
		expect(rig.words(PBX)).toEqual(['REGISTER'])
	})

	test('the transport is told before it keeps anything: a banned source may only say REGISTER', () => {
		const rig = new Rig()
		rig.core.filter.sources.ban('203.0.113.66', 'scanner', rig.now)
		const admits = (text: string) => rig.core.admits(0, STRANGER.address, STRANGER.port, Buffer.from(text))
		expect([admits('OPTIONS sip:x SIP/2.0'), admits('REGISTER sip:x SIP/2.0'), admits('REGIST')]).toEqual([
			false,
			true,
			false,
		])
		expect(rig.core.admits(0, PBX.address, PBX.port, Buffer.from('x'))).toBe(true)
		expect(rig.core.admits(0, '203.0.113.1', 9, Buffer.from('x'))).toBe(true)
	})

	test('--ban-time 0 and --ban-after 0 ban nobody', () => {
		const never = new Rig({ banMs: 0 })
		never.from(STRANGER, phoneAt().request('OPTIONS', { rows: ['User-Agent: sipvicious'] }))
		const unlimited = new Rig({ banAfter: 0 })
		for (let i = 0; i < 20; i++) register(unlimited, phoneAt(), 401, CREDENTIALS)
		expect([bans(never), bans(unlimited)]).toEqual([[], []])
	})
})

describe('the memory for strangers is bounded', () => {
	const address = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`

	test(`MAX_SOURCES: ${MAX_SOURCES} sources, whoever comes`, () => {
		const { sources } = new Rig().core.filter
		for (let i = 0; i < MAX_SOURCES + 10; i++) sources.take(address(i), 0)
		expect(sources.size).toBe(MAX_SOURCES)
	})

	test(`MAX_BANS: ${MAX_BANS} bans; the oldest ends for one more`, () => {
		const rig = new Rig()
		const { sources } = rig.core.filter
		for (let i = 0; i <= MAX_BANS; i++) sources.ban(address(i), 'scanner', rig.now)
		rig.core.effects.length = 0
		expect([sources.banCount, sources.isBanned(address(0)), sources.isBanned(address(1))]).toEqual([
			MAX_BANS,
			false,
			true,
		])
		rig.advance(600_000)
		expect(sources.banCount).toBe(0)
	})

	test('a source of IPv6 is its /64, of a mapped address the IPv4 one', () => {
		expect(sourceOf('2001:db8:1:2:3:4:5:6')).toBe(sourceOf('2001:db8:1:2::1'))
		expect(sourceOf('2001:db8:1:3::1')).not.toBe(sourceOf('2001:db8:1:2::1'))
		expect(sourceOf('::ffff:192.0.2.1')).toBe('192.0.2.1')
	})
})

describe('the PBX', () => {
	test('is --pbx by address and port, and --trust by address', () => {
		const rig = new Rig({ trust: ['192.0.2.128/25', '2001:db8::/32'] })
		const isPbx = (address: string, port: number) => rig.core.filter.isPbx(flowOf(address, port))
		expect([
			isPbx('192.0.2.1', 5060),
			isPbx('192.0.2.1', 5061),
			isPbx('192.0.2.200', 9),
			isPbx('192.0.2.2', 5060),
		]).toEqual([true, false, true, false])
		expect([isPbx('2001:db8::7', 1), isPbx('2001:db9::7', 1), isPbx('::ffff:192.0.2.200', 1)]).toEqual([
			true,
			false,
			true,
		])
	})

	test('networks are looked at once for an address', () => {
		const networks = new TrustedNetworks(['10.0.0.0/8'])
		expect([networks.includes('10.1.1.1'), networks.includes('10.1.1.1'), networks.includes('11.1.1.1')]).toEqual([
			true,
			true,
			false,
		])
		expect(new TrustedNetworks([]).includes('10.1.1.1')).toBe(false)
	})

	test.each(['pbx.example', '', '127.1', '0x7f000001', '2130706433', '::1%lo:'])(
		'%p is no address, and in no network',
		(host) => {
			expect(new TrustedNetworks(['0.0.0.0/0', '::/0']).includes(host)).toBe(false)
		},
	)

	test('what it says malformed gets the status of the fault; a response, an ACK and a keep-alive get nothing', () => {
		const rig = new Rig()
		rig.from(PBX, requestText('OPTIONS').replace('CSeq: 102 OPTIONS', 'CSeq: 102 INVITE'))
		expect(rig.words(PBX)).toEqual(['400 INVITE'])
		rig.clear()
		rig.from(PBX, requestText('ACK').replace('CSeq: 102', 'CSeq: x'))
		rig.from(PBX, 'SIP/2.0 200 OK\r\n\r\n')
		rig.from(PBX, '\r\n\r\n')
		expect(rig.sent).toEqual([])
	})

	test('a response without a transaction goes nowhere (RFC 6026 §7.3)', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const via = `Via: SIP/2.0/UDP ${phone.flow.address}:${phone.flow.port};branch=z9hG4bKx`
		rig.from(
			PBX,
			requestText('BYE').replace(
				'BYE sip:1001@gw.example:5060 SIP/2.0',
				`SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP gw.example:5060;branch=z9hG4bKnone\r\n${via}`,
			),
		)
		expect(rig.sent).toEqual([])
	})
})
