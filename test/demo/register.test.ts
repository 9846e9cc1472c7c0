import { expect, test } from 'bun:test'
import { lastRegister } from '../../src/demo/phone.ts'
import { Header } from '../../src/sip/headers.ts'
import { pair, registeredPair, traffic, types } from './wire.ts'

test('a phone registers with MD5 digest, and the PBX binds its Contact as it came', () => {
	const { pbx, phone, phoneEvents, wire } = registeredPair()
	expect(traffic(phone, 'in')).toEqual(['401 REGISTER', '200 REGISTER'])
	expect(types(phoneEvents)).toEqual(['registered'])
	expect(pbx.binding('1001', wire.now)?.contact).toBe(
		'sip:1001@127.0.0.21:5080;pn-provider=apns;pn-prid=ab12:voip;pn-param=TEAM.com.example.voip;pn-silent=1;pn-timeout=0;transport=udp',
	)
})

test('a phone takes the first challenge it knows: SHA-256 before MD5', () => {
	const { phone, phoneEvents } = registeredPair({ pbx: { algorithms: ['SHA-256', 'MD5'] } })
	expect(types(phoneEvents)).toEqual(['registered'])
	expect(lastRegister(phone)?.first(Header.Authorization)).toContain('algorithm=SHA-256')
})

test('a wrong password is refused after one try', () => {
	const { phone, phoneEvents, pbx, wire } = registeredPair({ phone: { password: 'guess' } })
	expect(traffic(phone, 'out')).toEqual(['REGISTER', 'REGISTER'])
	expect(phoneEvents).toMatchObject([{ type: 'refused', status: 401 }])
	expect(pbx.binding('1001', wire.now)).toBeUndefined()
})

test('a nonce is used again with a rising count, and a stale one is replaced without a refusal', () => {
	const { phone, phoneEvents, wire } = registeredPair()
	phone.register(wire.now)
	wire.run(200)
	expect(lastRegister(phone)?.first(Header.Authorization)).toContain('nc=00000002')
	wire.run(31_000)
	phone.register(wire.now)
	wire.run(200)
	expect(traffic(phone, 'in').slice(2)).toEqual(['200 REGISTER', '401 REGISTER', '200 REGISTER'])
	expect(types(phoneEvents)).toEqual(['registered', 'registered', 'registered'])
})

test('an expiry below the least of the PBX is raised by 423, one above the most is cut', () => {
	const short = registeredPair({ phone: { expiresSec: 30 }, pbx: { minExpiresSec: 120 } })
	expect(traffic(short.phone, 'in')).toEqual(['401 REGISTER', '423 REGISTER', '200 REGISTER'])
	expect(short.phoneEvents).toMatchObject([{ type: 'registered', expiresSec: 120 }])
	const long = registeredPair({ phone: { expiresSec: 9000, expiresIn: 'contact' }, pbx: { maxExpiresSec: 300 } })
	expect(long.phoneEvents).toMatchObject([{ type: 'registered', expiresSec: 300 }])
})

test('a binding is refreshed before it lapses, and lapses where the app sleeps', () => {
	const { pbx, phone, wire } = registeredPair()
	wire.run(595_000)
	expect(pbx.history).toHaveLength(2)
	phone.sleep()
	wire.run(700_000)
	expect(pbx.binding('1001', wire.now)).toBeUndefined()
})

test('a REGISTER that is lost goes out again after 500 ms, and comes to 408 after 32 s of silence', () => {
	const { phone, phoneEvents, wire } = pair()
	wire.loses = () => true
	phone.register(wire.now)
	const first = wire.now
	wire.run(40_000)
	expect(phoneEvents).toMatchObject([{ type: 'refused', status: 408, at: first + 32_000 }])
	const gaps = phone.recorded.slice(0, 6).map((entry) => entry.at - first)
	expect(gaps).toEqual([0, 500, 1500, 3500, 7500, 11_500])
})

test('a new Contact of the agent takes the place of the old one', () => {
	const { pbx, phone, wire } = registeredPair()
	phone.sleep()
	phone.wake(wire.now, { address: '127.0.0.22', port: 5081 })
	wire.run(200)
	expect(pbx.history.map(({ contact }) => contact.slice(0, 24))).toEqual([
		'sip:1001@127.0.0.21:5080',
		'sip:1001@127.0.0.22:5081',
	])
	phone.unregister(wire.now)
	wire.run(200)
	expect(pbx.binding('1001', wire.now)).toBeUndefined()
})

test('a relaunched app has forgotten its nonce and its Call-ID', () => {
	const { phone, wire } = registeredPair()
	const before = lastRegister(phone)?.callId
	phone.sleep()
	phone.wake(wire.now, undefined, true)
	expect(lastRegister(phone)?.callId).not.toBe(before)
	expect(lastRegister(phone)?.first(Header.Authorization)).toBeUndefined()
})
