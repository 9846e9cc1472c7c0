import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { MIN_PUSH_EXPIRES_SEC } from '../../src/core/registrar/bindings.ts'
import { MAX_CONTACT_LENGTH, MAX_CONTACTS } from '../../src/core/registrar/contact.ts'
import { MAX_DEVICES_PER_AGENT } from '../../src/core/registrar/devices.ts'
import { MAX_FCM_TOKEN_LENGTH, MAX_TOKEN_LENGTH } from '../../src/core/registrar/push-params.ts'
import { Header } from '../../src/sip/headers.ts'
import {
	ACCEPTED,
	answerTo,
	bind,
	boundPhone,
	fallAsleep,
	grant,
	Phone,
	pushParamsOf,
	requestText,
	TOKEN,
} from './peers.ts'
import { DOMAIN, flowOf, GATEWAY, PBX, Rig } from './rig.ts'

const HOME = flowOf('198.51.100.7', 40_007)
const MOBILE = flowOf('203.0.113.9', 50_000)
const STABLE = `<sip:1001@${GATEWAY}>`

const phoneAt = (flow = HOME, token: string | undefined = TOKEN) => new Phone('1001', flow, { token })

/** What the PBX got of this REGISTER. */
function relayed(rig: Rig, phone: Phone, shape = {}) {
	rig.clear()
	rig.from(phone.flow, phone.register(shape))
	return rig.last(PBX, 'REGISTER')
}

describe('a REGISTER on its way', () => {
	test('digest passes through untouched, both ways', () => {
		const rig = new Rig()
		const phone = phoneAt()
		rig.from(HOME, phone.register())
		const challenge = 'WWW-Authenticate: Digest realm="asterisk", nonce="abc", qop="auth",  algorithm=MD5'
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 401, { rows: [challenge] }))
		expect(rig.to(HOME).at(-1)!.text).toContain(`${challenge}\r\n`)
		const credentials =
			'Authorization: Digest username="1001",  realm="asterisk",uri="sip:pbx.example", response="00ff"'
		rig.from(HOME, phone.register({ rows: [credentials] }))
		expect(rig.to(PBX).at(-1)!.text).toContain(`${credentials}\r\n`)
		expect([rig.tables.devices.size, rig.eventNames()]).toEqual([0, []])
	})

	test('its Contact is one of the gateway, without transport, instance or pn-*', () => {
		const rig = new Rig()
		const phone = new Phone('1001', HOME, { token: TOKEN, instance: 'urn:uuid:1' })
		const contact = `"Joe" <sip:1001@10.0.0.5:5060;transport=udp${pushParamsOf(TOKEN)}>;+sip.instance="<urn:uuid:1>";q=0.5`
		const register = relayed(rig, phone, { contact })
		expect(register.rows(Header.Contact)).toEqual([`${STABLE};expires=3600`])
		expect(register.text).not.toContain('urn:uuid:1')
	})

	test('the Contact is the same for every address, device, transport, Call-ID and life of the gateway', () => {
		const rig = new Rig()
		const contacts = new Set<string>()
		for (const phone of [phoneAt(), phoneAt(MOBILE), new Phone('1001', MOBILE, { instance: 'urn:uuid:2' })]) {
			bind(rig, phone)
			contacts.add(rig.last(PBX, 'REGISTER').first(Header.Contact)!)
			rig.restart()
		}
		expect([...contacts]).toEqual([`${STABLE};expires=3600`])
	})

	test('Route goes, Max-Forwards counts down, the sender is stamped, the rest passes byte for byte', () => {
		const rig = new Rig()
		const register = relayed(rig, phoneAt(), { rows: ['Route: <sip:gw.example;lr>', 'X-Odd:  kept;;,'] })
		expect([register.find(Header.Route), register.maxForwards]).toEqual([-1, 69])
		expect(register.text).toContain('\r\nX-Odd:  kept;;,\r\n')
		const vias = register.list(Header.Via)
		expect(vias[0]).toStartWith(`SIP/2.0/UDP ${GATEWAY};branch=z9hG4bK`)
		expect(vias[1]).toContain('received=198.51.100.7')
		expect(vias[1]).toContain('rport=40007')
	})

	test('a retransmitted REGISTER is absorbed, and gets the same answer again', () => {
		const rig = new Rig()
		const phone = phoneAt()
		const text = phone.register()
		rig.from(HOME, text)
		expect(rig.from(HOME, text)).toEqual([])
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
		expect(rig.from(HOME, text).map(({ word }) => word)).toEqual(['200 REGISTER'])
		expect(rig.words(PBX)).toEqual(['REGISTER'])
	})

	test('423, 403 and others go back as they came, and bind nothing', () => {
		for (const status of [403, 404, 423, 500]) {
			const rig = new Rig()
			rig.from(HOME, phoneAt().register())
			rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), status, { rows: ['Min-Expires: 60'] }))
			expect(rig.last(HOME, `${status} REGISTER`).first(Header.MinExpires)).toBe('60')
			expect([rig.tables.devices.size, rig.core.devices.agentCount]).toEqual([0, 0])
			expect(rig.eventNames()).toEqual(['register-refused'])
		}
	})

	test('a provisional answer above 100 passes', () => {
		const rig = new Rig()
		rig.from(HOME, phoneAt().register())
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 100))
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 199))
		expect(rig.words(HOME)).toEqual(['199 REGISTER'])
	})

	test('RFC 4320 §4.2: a PBX that is silent leaves the phone without an answer; the operator hears of it', () => {
		const rig = new Rig()
		rig.from(HOME, phoneAt().register())
		rig.advance(40_000)
		expect([rig.words(HOME), rig.eventNames()]).toEqual([[], ['pbx-silent']])
		expect(rig.core.snapshot(rig.now).pbx.silent).toBe(true)
		bind(rig, phoneAt())
		expect(rig.eventNames()).toContain('pbx-back')
		expect(rig.core.snapshot(rig.now).pbx.silent).toBe(false)
	})
})

describe('the 2xx to a REGISTER', () => {
	test('shows the phone its own Contact, with all its parameters', () => {
		const answer = bind(new Rig(), phoneAt())
		expect(answer.rows(Header.Contact)).toEqual([`<sip:1001@10.0.0.5:5060${pushParamsOf(TOKEN)}>;expires=3600`])
		expect(answer.list(Header.Via).length).toBe(1)
	})

	test('comes only after the binding is committed', () => {
		const rig = new Rig()
		rig.saving = 'waits'
		rig.from(HOME, phoneAt().register())
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
		expect([rig.words(HOME), rig.saves.length]).toEqual([[], 1])
		rig.commit()
		expect([rig.words(HOME), rig.tables.devices.size]).toEqual([['200 REGISTER'], 1])
	})

	test('a commit that fails: 503 and Retry-After, and the next one stores the whole row', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.saving = 'fails'
		rig.from(phone.flow, phone.register())
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
		expect(rig.saves[0]!.changes[0]).toMatchObject({ op: 'refresh' })
		expect(rig.last(phone.flow, '503 REGISTER').first(Header.RetryAfter)).toBe('10')
		expect(rig.core.snapshot(rig.now).storeFault).toBe('disk full')
		rig.saving = 'at-once'
		rig.clear()
		bind(rig, phone)
		expect(rig.saves[0]!.changes[0]).toMatchObject({ op: 'put' })
		expect(rig.eventNames()).toContain('store-back')
		expect(rig.core.snapshot(rig.now).storeFault).toBeUndefined()
	})

	test('a refresh on the same flow stores the few fields that change', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		rig.now += 1000
		bind(rig, phone)
		expect(rig.saves.map(({ changes }) => changes)).toEqual([
			[
				{
					table: 'device',
					op: 'refresh',
					id: 1,
					expiresAt: rig.now + 3600_000,
					pbxExpiresAt: rig.now + 3600_000,
					registeredAt: rig.now,
					reach: 'foreground',
				},
			],
		])
	})

	test('a granted expiry below the asked one is what the phone sees and what is stored', () => {
		const rig = new Rig()
		const answer = bind(rig, phoneAt(), {}, 120)
		expect(answer.first(Header.Contact)).toEndWith(';expires=120')
		expect([...rig.tables.devices.values()][0]!.expiresAt).toBe(rig.now + 120_000)
	})

	test('an Expires of the PBX is brought down to what the phone asked for', () => {
		const rig = new Rig({ pbxExpiresSec: 7200 })
		const phone = phoneAt()
		rig.from(HOME, phone.register({ expires: 600 }))
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER'), 7200, ['Expires: 7200']))
		expect(rig.last(HOME, '200 REGISTER').first(Header.Expires)).toBe('600')
	})

	test('without a Contact of ours in it, its Expires says what was granted', () => {
		const rig = new Rig()
		rig.from(HOME, phoneAt().register())
		rig.from(
			PBX,
			answerTo(rig.last(PBX, 'REGISTER'), 200, { rows: ['Contact: <sip:other@192.0.2.77>', 'Expires: 90'] }),
		)
		expect(rig.last(HOME, '200 REGISTER').first(Header.Contact)).toEndWith(';expires=90')
	})
})

describe('expiry', () => {
	test('--pbx-expires raises what is asked of the PBX; the phone keeps its own', () => {
		const rig = new Rig({ pbxExpiresSec: 86_400 })
		const phone = phoneAt()
		expect(relayed(rig, phone, { expires: 300 }).first(Header.Contact)).toBe(`${STABLE};expires=86400`)
		expect(rig.last(PBX, 'REGISTER').first(Header.Expires)).toBe('86400')
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
		expect(rig.last(HOME, '200 REGISTER').first(Header.Contact)).toEndWith(';expires=300')
		const [row] = rig.tables.devices.values()
		expect([row!.expiresAt, row!.pbxExpiresAt]).toEqual([rig.now + 300_000, rig.now + 86_400_000])
	})

	test('--pbx-expires does not raise the 0 of an un-REGISTER', () => {
		const rig = new Rig({ pbxExpiresSec: 86_400 })
		const phone = boundPhone(rig)
		expect(relayed(rig, phone, { expires: 0 }).first(Header.Contact)).toBe(`${STABLE};expires=0`)
	})

	test('the Contact parameter beats the header, and no expiry at all is an hour', () => {
		const rig = new Rig()
		const asked = (shape: object) => relayed(rig, phoneAt(), shape).first(Header.Contact)
		expect(asked({ contact: '<sip:1001@10.0.0.5>;expires=60', expires: 600 })).toEndWith('expires=60')
		expect(asked({ contact: '<sip:1001@10.0.0.5>', expires: undefined })).toEndWith('expires=3600')
		expect(asked({ contact: '<sip:1001@10.0.0.5>;expires=soon', expires: 600 })).toEndWith('expires=3600')
	})

	test('a binding lapses at its time, and is deleted', () => {
		const rig = new Rig()
		bind(rig, phoneAt(), { expires: 60 })
		rig.advance(59_999)
		expect(rig.core.devices.agentCount).toBe(1)
		rig.advance(1)
		expect([rig.core.devices.agentCount, rig.tables.devices.size]).toEqual([0, 0])
		expect(rig.eventNames()).toContain('device-expired')
	})

	test('a refresh moves it, a shorter one too', () => {
		const rig = new Rig()
		const phone = phoneAt()
		bind(rig, phone, { expires: 60 })
		rig.advance(50_000)
		bind(rig, phone, { expires: 60 })
		rig.advance(50_000)
		expect(rig.core.devices.agentCount).toBe(1)
		bind(rig, phone, { expires: 5 })
		rig.advance(5_000)
		expect(rig.core.devices.agentCount).toBe(0)
	})

	test('what lapsed while the gateway was down is gone at once', () => {
		const rig = new Rig()
		bind(rig, phoneAt(), { expires: 60 })
		rig.now += 61_000
		rig.restart()
		expect([rig.core.devices.agentCount, rig.tables.devices.size]).toEqual([0, 0])
	})
})

describe('several devices of an agent', () => {
	const twoDevices = () => {
		const rig = new Rig()
		const one = new Phone('1001', HOME, { instance: 'urn:uuid:1' })
		const two = new Phone('1001', MOBILE, { instance: 'urn:uuid:2' })
		bind(rig, one)
		bind(rig, two)
		return { rig, one, two }
	}

	test('removing one asks the PBX for what the other still has', () => {
		const { rig, one } = twoDevices()
		rig.now += 600_000
		expect(relayed(rig, one, { expires: 0 }).first(Header.Contact)).toBe(`${STABLE};expires=3000`)
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
		const answer = rig.last(HOME, '200 REGISTER')
		expect(answer.find(Header.Contact)).toBe(-1)
		expect([...rig.tables.devices.values()].map(({ key }) => key)).toEqual(['i:<urn:uuid:2>'])
	})

	test('removing the last one removes the agent at the PBX', () => {
		const { rig, one, two } = twoDevices()
		bind(rig, one, { expires: 0 })
		expect(relayed(rig, two, { expires: 0 }).first(Header.Contact)).toBe(`${STABLE};expires=0`)
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
		expect([rig.core.devices.agentCount, rig.tables.devices.size]).toEqual([0, 0])
		expect(rig.core.snapshot(rig.now).agents).toEqual([])
	})

	test('a device sees its own Contact only, in the answer and when it asks', () => {
		const { rig, one } = twoDevices()
		const answer = bind(rig, one, { contact: '', expires: undefined })
		expect(answer.rows(Header.Contact)).toEqual([`<${one.uri}>;expires=3600`])
	})

	test('a stranger that asks what is bound sees nothing', () => {
		const { rig } = twoDevices()
		const stranger = new Phone('1001', flowOf('203.0.113.99', 1))
		expect(bind(rig, stranger, { contact: '', expires: undefined }).find(Header.Contact)).toBe(-1)
	})

	test('Contact: * with Expires: 0 removes all of them', () => {
		const { rig, one } = twoDevices()
		expect(relayed(rig, one, { contact: '*', expires: 0 }).first(Header.Contact)).toBe('*')
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 200))
		expect([rig.core.devices.agentCount, rig.tables.devices.size]).toEqual([0, 0])
	})

	test('Contact: * with another expiry, or beside another Contact: 400', () => {
		const { rig, one } = twoDevices()
		for (const shape of [{ contact: '*' }, { contact: '*, <sip:1001@10.0.0.5>', expires: 0 }]) {
			rig.clear()
			rig.from(one.flow, one.register(shape))
			expect([rig.words(HOME), rig.words(PBX)]).toEqual([['400 REGISTER'], []])
		}
	})

	test('one device from another address is the same device', () => {
		const rig = new Rig()
		const phone = phoneAt()
		bind(rig, phone)
		phone.flow = MOBILE
		bind(rig, phone)
		expect([...rig.tables.devices.values()].map(({ id, flow }) => [id, flow.key])).toEqual([[1, MOBILE.key]])
		expect([rig.core.devices.flow(HOME.key), rig.core.devices.flow(MOBILE.key)?.devices.size]).toEqual([undefined, 1])
	})

	test('a device is its instance, else its token, else Contact user and transport; never address and port', () => {
		const rig = new Rig()
		bind(rig, new Phone('1001', HOME, { token: TOKEN, instance: 'urn:uuid:A' }))
		bind(rig, new Phone('1001', MOBILE, { token: 'ab'.repeat(32) }))
		const plain = new Phone('1001', MOBILE)
		bind(rig, plain, { contact: '<sip:x@10.0.0.1:1;transport=TCP>' })
		bind(rig, plain, { contact: '<sip:x@10.0.0.2:2;transport=tcp>' })
		expect([...rig.tables.devices.values()].map(({ key }) => key)).toEqual([
			'i:<urn:uuid:a>',
			`p:${'ab'.repeat(32)}`,
			'c:x;tcp',
		])
	})

	test('the same token under a new instance replaces the old device', () => {
		const rig = new Rig()
		bind(rig, new Phone('1001', HOME, { token: TOKEN, instance: 'urn:uuid:1' }))
		bind(rig, new Phone('1001', MOBILE, { token: TOKEN, instance: 'urn:uuid:2' }))
		expect([...rig.tables.devices.values()].map(({ key }) => key)).toEqual(['i:<urn:uuid:2>'])
	})

	test(`MAX_DEVICES_PER_AGENT: beyond ${MAX_DEVICES_PER_AGENT} the one registered longest ago goes`, () => {
		const rig = new Rig()
		for (let i = 0; i <= MAX_DEVICES_PER_AGENT; i++) {
			bind(rig, new Phone('1001', flowOf('198.51.100.7', 1000 + i), { instance: `urn:uuid:${i}` }))
			rig.now += 10
		}
		expect([...rig.tables.devices.keys()]).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
		expect(rig.eventNames()).toContain('limit-reached')
	})
})

describe('push parameters', () => {
	const pushOf = (contactParams: string) => {
		const rig = new Rig()
		bind(rig, phoneAt(), { contact: `<sip:1001@10.0.0.5${contactParams}>` })
		const push = [...rig.tables.devices.values()][0]!.push
		return push && { ...push, token: push.token.reveal(), prid: undefined, remoteToken: push.remoteToken?.reveal() }
	}
	const rfc8599 = {
		provider: 'apns',
		environment: 'production',
		topic: 'com.example.app.voip',
		token: TOKEN,
		remoteToken: undefined,
		prid: undefined,
		dialect: 'rfc8599',
	}

	test('RFC 8599: provider, prid and param', () => {
		expect(pushOf(pushParamsOf(TOKEN.toUpperCase()))).toEqual(rfc8599 as never)
	})

	test('apns.dev is the sandbox', () => {
		expect(pushOf(pushParamsOf(TOKEN, 'apns.dev'))).toMatchObject({ environment: 'sandbox' })
	})

	test("linphone's two tokens with their services, and its param with two", () => {
		const param = 'pn-param=TEAM000001.com.example.soft.remote&voip'
		const params = `;pn-provider=apns;pn-prid=${'ab'.repeat(32)}:remote&${TOKEN}:voip;${param}`
		expect(pushOf(params)).toEqual({
			...rfc8599,
			topic: 'com.example.soft.voip',
			remoteToken: 'ab'.repeat(32),
		} as never)
	})

	test('escaped separators are read as well', () => {
		expect(pushOf(`;pn-provider=apns;pn-prid=${TOKEN}%3Avoip;pn-param=T.com.example.app.voip`)).toMatchObject({
			token: TOKEN,
		})
	})

	test('legacy: app-id, pn-type, pn-tok', () => {
		expect(pushOf(`;app-id=com.example.old.dev;pn-type=apple;pn-tok=${TOKEN}`)).toEqual({
			...rfc8599,
			environment: 'sandbox',
			topic: 'com.example.old.voip',
			dialect: 'legacy',
		} as never)
	})

	test('a topic the phone does not name is the configured one', () => {
		expect(pushOf(`;pn-provider=apns;pn-prid=${TOKEN}`)).toMatchObject({ topic: 'com.example.app.voip' })
		expect(pushOf(`;pn-type=apple;pn-tok=${TOKEN}`)).toMatchObject({ topic: 'com.example.app.voip' })
	})

	test('an ordinary token is none for calls: its service says so, or its topic', () => {
		const ordinary = { ...rfc8599, topic: 'com.example.soft', remoteToken: TOKEN }
		for (const params of [
			`pn-prid=${TOKEN}:remote;pn-param=TEAM000001.com.example.soft.remote`,
			`pn-prid=${TOKEN};pn-param=TEAM000001.com.example.soft.remote`,
			`pn-prid=${TOKEN};pn-param=TEAM000001.com.example.soft`,
		])
			expect(pushOf(`;pn-provider=apns;${params}`)).toEqual(ordinary as never)
		expect(pushOf(`;pn-provider=apns;pn-prid=${TOKEN}:remote`)).toMatchObject({ topic: 'com.example.app' })
	})

	test('a bundle id without a service is for calls where --apns-topic is that of its calls', () => {
		const params = `;pn-provider=apns;pn-prid=${TOKEN};pn-param=TEAM000001.com.example.app`
		expect(pushOf(params)).toEqual(rfc8599 as never)
	})

	test('a token of FCM is one for all, in either dialect and all that linphone called it, and its case counts', () => {
		const token = 'dGVzdA-t_1:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx'
		const fcm = { ...rfc8599, provider: 'fcm', topic: '929724111839', token, remoteToken: token }
		expect(pushOf(`;pn-provider=fcm;pn-prid=${token};pn-param=929724111839`)).toEqual(fcm as never)
		for (const type of ['firebase', 'google', 'fcm', 'GCM'])
			expect(pushOf(`;app-id=929724111839;pn-type=${type};pn-tok=${token}`)).toEqual({
				...fcm,
				dialect: 'legacy',
			} as never)
		expect(pushOf(`;pn-provider=fcm;pn-prid=${token.replace(':', '%3A')}`)).toEqual({ ...fcm, topic: '' } as never)
	})

	test(`MAX_FCM_TOKEN_LENGTH: a token of ${MAX_FCM_TOKEN_LENGTH} characters is taken, a longer one is not`, () => {
		expect(pushOf(pushParamsOf('z'.repeat(MAX_FCM_TOKEN_LENGTH), 'fcm'))).toBeDefined()
		expect(pushOf(pushParamsOf('z'.repeat(MAX_FCM_TOKEN_LENGTH + 1), 'fcm'))).toBeUndefined()
	})

	test('what is no token, or another provider, is a device without push', () => {
		expect(pushOf(';pn-provider=webpush;pn-prid=abc;pn-param=p')).toBeUndefined()
		expect(pushOf(';pn-provider=fcm;pn-prid=a%2Fb')).toBeUndefined()
		expect(pushOf(pushParamsOf('not-hex'))).toBeUndefined()
		expect(pushOf(`;pn-provider=apns;pn-prid=${TOKEN}:other;pn-param=TEAM000001.com.example.app.voip`)).toBeUndefined()
		expect(pushOf(';pn-type=wp;pn-tok=abc')).toBeUndefined()
	})

	test(`MAX_TOKEN_LENGTH: a token of ${MAX_TOKEN_LENGTH} digits is taken, a longer one is not`, () => {
		expect(pushOf(pushParamsOf('a'.repeat(MAX_TOKEN_LENGTH)))).toBeDefined()
		expect(pushOf(pushParamsOf('a'.repeat(MAX_TOKEN_LENGTH + 1)))).toBeUndefined()
	})

	test('a token that changes, or goes, is stored anew', () => {
		const rig = new Rig()
		const phone = new Phone('1001', HOME, { token: TOKEN, instance: 'urn:uuid:1' })
		bind(rig, phone)
		const instance = ';+sip.instance="<urn:uuid:1>"'
		bind(rig, phone, { contact: `<${phone.uri}${pushParamsOf('cd'.repeat(32))}>${instance}` })
		expect([...rig.tables.devices.values()][0]!.push!.token.reveal()).toBe('cd'.repeat(32))
		bind(rig, phone, { contact: `<${phone.uri}>${instance}` })
		expect([...rig.tables.devices.values()].map(({ push }) => push)).toEqual([undefined])
	})

	test('of a phone that moved they are what its new Contact says, whatever the old one said', () => {
		const rig = new Rig()
		const phone = new Phone('1001', HOME, { token: TOKEN, instance: 'urn:uuid:1' })
		const moves = (address: string, params: string, expires = 3600) => {
			bind(rig, phone, { contact: `<sip:1001@${address}${params}>;+sip.instance="<urn:uuid:1>"`, expires })
			return [...rig.tables.devices.values()][0]!.push?.token.reveal()
		}
		const params = pushParamsOf(TOKEN)
		/* too short to be pushed to: bound without a token, and given it later */
		expect(moves('10.0.0.5', params, MIN_PUSH_EXPIRES_SEC - 1)).toBeUndefined()
		expect(moves('10.0.0.6', params)).toBe(TOKEN)
		expect(moves('10.0.0.7', params)).toBe(TOKEN)
		expect(moves('10.0.0.8', pushParamsOf('cd'.repeat(32)))).toBe('cd'.repeat(32))
		/* the end of the old parameters alone is another thing */
		const last = params.slice(params.lastIndexOf(';'))
		expect(moves('10.0.0.5', params)).toBe(TOKEN)
		expect(moves('10.0.0.6', last)).toBeUndefined()
		expect(moves('10.0.0.7', `;transport=udp${params}`)).toBe(TOKEN)
		expect(moves('10.0.0.8', '')).toBeUndefined()
	})

	test('what they leave to --apns-topic is of this start: one that was wrong is mended by the next REGISTER', () => {
		for (const address of ['10.0.0.5', '10.0.0.6']) {
			const wrong = new Rig({ apnsTopic: 'com.example.typo.voip' })
			const phone = new Phone('1001', HOME)
			const binds = (rig: Rig, at: string) => {
				const contact = `<sip:1001@${at};pn-provider=apns;pn-prid=${TOKEN}>;+sip.instance="<urn:uuid:1>"`
				bind(rig, phone, { contact })
				return [...rig.tables.devices.values()][0]!.push?.topic
			}
			expect(binds(wrong, '10.0.0.5')).toBe('com.example.typo.voip')
			const right = new Rig()
			for (const [id, row] of wrong.tables.devices) right.tables.devices.set(id, row)
			right.restart()
			expect(binds(right, address)).toBe(right.settings.apnsTopic)
		}
	})
})

describe('Feature-Caps (RFC 8599 §5)', () => {
	const CAPS = ['*;+sip.pns="apns"']
	const caps = (shape: object, settings = {}, grantedSec?: number) => {
		const rig = new Rig(settings)
		const answer = bind(rig, phoneAt(), shape, grantedSec)
		return [rig.last(PBX, 'REGISTER').rows(Header.FeatureCaps), answer.rows(Header.FeatureCaps)]
	}

	test('a provider the gateway pushes to: upstream and in the 2xx', () => {
		expect(caps({})).toEqual([CAPS, CAPS])
	})

	test('a provider without prid is a question, and so is an empty one', () => {
		expect(caps({ contact: '<sip:1001@10.0.0.5;pn-provider=apns>' })).toEqual([CAPS, CAPS])
		expect(caps({ contact: '<sip:1001@10.0.0.5;pn-provider>' })).toEqual([CAPS, CAPS])
	})

	test('none for the legacy dialect, for no push at all, and without a key', () => {
		expect(caps({ contact: `<sip:1001@10.0.0.5;pn-type=apple;pn-tok=${TOKEN}>` })).toEqual([[], []])
		expect(caps({ contact: '<sip:1001@10.0.0.5>' })).toEqual([[], []])
		expect(caps({}, { providers: [] })).toEqual([[], []])
	})

	test('somebody nearer to the phone has claimed it already', () => {
		expect(caps({ rows: ['Feature-Caps: *;+sip.pns="apns"'] })).toEqual([CAPS, []])
	})

	test(`MIN_PUSH_EXPIRES_SEC: below ${MIN_PUSH_EXPIRES_SEC} s asked there is no promise and no push; granted, none in the 2xx`, () => {
		expect(caps({ expires: MIN_PUSH_EXPIRES_SEC - 1 })).toEqual([[], []])
		expect(caps({ expires: MIN_PUSH_EXPIRES_SEC })).toEqual([CAPS, CAPS])
		expect(caps({}, {}, MIN_PUSH_EXPIRES_SEC - 1)).toEqual([CAPS, []])
		const rig = new Rig()
		bind(rig, phoneAt(), { expires: MIN_PUSH_EXPIRES_SEC - 1 })
		expect([...rig.tables.devices.values()][0]!.push).toBeUndefined()
	})
})

describe('limits of a REGISTER', () => {
	const refused = (contact: string) => {
		const rig = new Rig()
		rig.from(HOME, phoneAt().register({ contact }))
		return [rig.words(HOME), rig.words(PBX)]
	}

	test(`MAX_CONTACTS: ${MAX_CONTACTS} are taken, one more is 400`, () => {
		const contacts = (n: number) => Array.from({ length: n }, (_, i) => `<sip:u${i}@10.0.0.5>`).join(', ')
		expect(refused(contacts(MAX_CONTACTS))).toEqual([[], ['REGISTER']])
		expect(refused(contacts(MAX_CONTACTS + 1))).toEqual([['400 REGISTER'], []])
	})

	test(`MAX_CONTACT_LENGTH: ${MAX_CONTACT_LENGTH} chars are taken, one more is 400, and 16 kB of a stranger are nothing`, () => {
		const contact = (length: number) => `<${'sip:1001@10.0.0.5;x='.padEnd(length, 'x')}>`
		expect(refused(contact(MAX_CONTACT_LENGTH))).toEqual([[], ['REGISTER']])
		expect(refused(contact(MAX_CONTACT_LENGTH + 1))).toEqual([['400 REGISTER'], []])
		expect(refused(contact(16_384))).toEqual([[], []])
	})

	test('a Contact of another scheme is 400: no device can be reached by it', () => {
		expect(refused('<mailto:joe@example.com>')).toEqual([['400 REGISTER'], []])
	})

	test('several Contacts in one REGISTER are several devices, each with its own expiry', () => {
		const rig = new Rig()
		const answer = bind(rig, phoneAt(), {
			contact: '<sip:a@10.0.0.5>;expires=60, <sip:b@10.0.0.5>;expires=0, "B, \\"C\\"" <sip:c@10.0.0.5>',
		})
		expect(answer.list(Header.Contact)).toEqual([
			'<sip:a@10.0.0.5>;expires=60',
			'"B, \\"C\\"" <sip:c@10.0.0.5>;expires=3600',
		])
		expect(rig.tables.devices.size).toBe(2)
	})

	test('a User-Agent is kept for the page, 120 chars of it', () => {
		const rig = new Rig()
		bind(rig, phoneAt(), { rows: [`User-Agent: ${'u'.repeat(500)}`] })
		expect([...rig.tables.devices.values()][0]!.userAgent).toBe('u'.repeat(120))
	})
})

const CAPTURES = `${import.meta.dir}/../../../shared/captures`
describe.if(existsSync(CAPTURES))('REGISTERs of real phones (skipped where the folder of captures is absent)', () => {
	for (const name of [
		'ast16-linphone-udp',
		'ast22-linphone-udp',
		'ast22-linphone-tcp',
		'ast16-baresip-tcp',
		'ast22-baresip-udp',
	]) {
		test(`${name}: relayed, bound, and shown its own Contact`, () => {
			const rig = new Rig({ domain: 'pbx.lab.test' })
			rig.from(HOME, new Uint8Array(readFileSync(`${CAPTURES}/${name}.phone.REGISTER-auth.sip`)))
			const register = rig.last(PBX, 'REGISTER')
			expect(register.first(Header.Contact)).toMatch(/^<sip:\w+@gw\.example:5060>;expires=\d+$/)
			rig.from(PBX, grant(register))
			const [row] = rig.tables.devices.values()
			expect(rig.last(HOME, '200 REGISTER').first(Header.Contact)).toContain(row!.contact)
			expect(row!.push?.token.reveal().length).toBe(name.includes('linphone') ? 64 : undefined)
			expect(row!.key).toStartWith('i:')
		})
	}
})

test('the agent of a user part with escapes is one agent, whichever way it is written', () => {
	const rig = new Rig()
	bind(rig, new Phone('j%6fe%20x', HOME))
	bind(rig, new Phone('joe%20x', HOME))
	expect([rig.core.devices.agentCount, rig.core.devices.agent(`sip:joe%20x@${DOMAIN}`)?.devices.length]).toEqual([1, 2])
	expect(rig.core.devices.agentByUser('%6aoe%20x')?.aor).toBe(`sip:joe%20x@${DOMAIN}`)
})

test('before the PBX is resolved a REGISTER waits for its retransmission', () => {
	const rig = new Rig()
	rig.input({ type: 'pbx-resolved', targets: [] })
	expect(rig.from(HOME, phoneAt().register())).toEqual([])
})

describe('a phone that comes back', () => {
	const held = () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		fallAsleep(rig)
		rig.from(PBX, requestText('INVITE', { branch: 'z9hG4bKheld' }))
		rig.pushed(ACCEPTED)
		return { rig, phone }
	}

	test('and names its old Contact with expires=0 beside the new one stays bound, in whichever order', () => {
		for (const order of [0, 1]) {
			const { rig, phone } = held()
			const id = rig.core.devices.agent('sip:1001@pbx.example')!.devices[0]!.id
			const contacts = [phone.contact, `${phone.contact.replace('10.0.0.5', '10.0.0.4')};expires=0`]
			if (order === 1) contacts.reverse()
			bind(rig, phone, { contact: contacts.join(', ') })
			const devices = rig.core.devices.agent('sip:1001@pbx.example')!.devices
			expect(devices.map((device) => device.id)).toEqual([id])
			expect(rig.words(phone.flow).filter((word) => word === 'INVITE').length).toBe(1)
		}
	})

	test('after it signed off keeps its id, so that its dialogs live on', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const [device] = rig.core.devices.agent('sip:1001@pbx.example')!.devices
		bind(rig, phone, { expires: 0 })
		expect(rig.core.devices.agent('sip:1001@pbx.example')).toBeUndefined()
		bind(rig, phone)
		const [again] = rig.core.devices.agent('sip:1001@pbx.example')!.devices
		expect([again!.id, again!.routeToken]).toEqual([device!.id, device!.routeToken])
	})

	test('an older REGISTER whose answer comes last does not move it back', () => {
		const rig = new Rig()
		const phone = boundPhone(rig)
		const old = phone.register()
		rig.from(flowOf('192.0.2.99', 9), old)
		const late = rig.last(PBX, 'REGISTER')
		bind(rig, phone)
		rig.from(PBX, grant(late))
		expect(rig.core.devices.agent('sip:1001@pbx.example')!.devices[0]!.flow.key).toBe(phone.flow.key)
	})
})

test('the expiry granted is that of our Contact, not of a desk phone registered beside it', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	rig.from(phone.flow, phone.register())
	const register = rig.last(PBX, 'REGISTER')
	const own = register.first(Header.Contact)!
	const answer = grant(register).replace(/^Contact: .*$/m, `Contact: <sip:1001@10.9.9.9>;expires=15, ${own}`)
	rig.from(PBX, answer)
	expect(rig.last(phone.flow, '200 REGISTER').first(Header.Contact)).toContain('expires=3600')
})
