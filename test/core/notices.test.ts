/** Alerts and background pushes: what a sleeping phone is told that is no call. */
import { describe, expect, test } from 'bun:test'
import { DIALOG_HOLD_MS } from '../../src/core/proxy/device-request.ts'
import { MAX_HELD_MESSAGES, MAX_HELD_MESSAGES_PER_AGENT, MESSAGE_HOLD_MS } from '../../src/core/proxy/held-message.ts'
import { ALERT_LIFE_MS, ALERT_LIMITS, BACKGROUND_LIMITS } from '../../src/core/wake/notices.ts'
import { Header } from '../../src/sip/headers.ts'
import { ACCEPTED, answerTo, BAD_TOKEN, bind, fallAsleep, only, Phone, requestText, SDP, TOKEN } from './peers.ts'
import { flowOf, GATEWAY, PBX, Rig } from './rig.ts'

const STABLE = `sip:1001@${GATEWAY}`
const REMOTE = 'ab'.repeat(32)
const HOME = flowOf('198.51.100.7', 40_007)
const MOVED = flowOf('203.0.113.9', 50_000)

/** A phone with both tokens of linphone, or the ordinary one alone. */
const phoneWith = (prid = `${TOKEN}:voip&${REMOTE}:remote`, services = 'voip&remote', flow = HOME) => {
	const phone = new Phone('1001', flow, { instance: `urn:uuid:${flow.port}` })
	const params = `;pn-provider=apns;pn-prid=${prid};pn-param=TEAM000001.com.example.app.${services}`
	Object.defineProperty(phone, 'contact', { value: `<${phone.uri}${params}>;+sip.instance="<urn:uuid:${flow.port}>"` })
	return phone
}

/** One that sleeps. */
function sleeping(settings = {}, phone = phoneWith()) {
	const rig = new Rig(settings)
	bind(rig, phone)
	fallAsleep(rig)
	return { rig, phone }
}

/** One that sleeps in a call. */
function inCall(phone = phoneWith()) {
	const rig = new Rig()
	bind(rig, phone)
	rig.from(PBX, requestText('INVITE', { branch: 'z9hG4bKinvite', body: SDP }))
	const invite = rig.last(phone.flow, 'INVITE')
	const route = invite.first(Header.RecordRoute)!
	rig.from(phone.flow, answerTo(invite, 200, { contact: phone.uri, toTag: 'phone' }))
	fallAsleep(rig)
	const fromPbx = (method: string, shape = {}) =>
		requestText(method, { uri: STABLE, to: `<${STABLE}>;tag=phone`, rows: [`Route: ${route}`], cseq: 103, ...shape })
	return { rig, phone, fromPbx }
}

const message = (shape = {}) =>
	requestText('MESSAGE', {
		contact: '',
		from: '"Ada Lovelace" <sip:5551234@pbx.example>;tag=pbx',
		body: 'the secret text',
		...shape,
	})

/** Of an agent of its own. */
const agent = (user: string, nth: number) => {
	const phone = new Phone(user, flowOf(`198.51.100.${nth % 250}`, 30_000 + nth))
	const token = (0xabc000 + nth).toString(16).padStart(64, 'd')
	const params = `;pn-provider=apns;pn-prid=${token}:remote;pn-param=TEAM000001.com.example.app.remote`
	Object.defineProperty(phone, 'contact', { value: `<${phone.uri}${params}>` })
	return phone
}
const to = (user: string, callId: string) =>
	message({ uri: `sip:${user}@${GATEWAY}`, to: `<sip:${user}@${GATEWAY}>`, callId })

const kinds = (rig: Rig) => rig.pushes.map(({ kind, topic, token }) => [kind, topic, token.reveal()])

describe('a MESSAGE to a sleeping device', () => {
	test('is told by an alert to its ordinary token that names the sender and nothing of the text', () => {
		const { rig } = sleeping()
		rig.from(PBX, message({ callId: 'message-1' }))
		expect(kinds(rig)).toEqual([['alert', 'com.example.app', REMOTE]])
		const [{ payload, minimalPayload, expiresAt }] = rig.pushes as [(typeof rig.pushes)[0]]
		expect(JSON.parse(payload)).toEqual({
			aps: {
				alert: { title: 'Ada Lovelace', body: 'New message' },
				sound: 'default',
				'content-available': 1,
				'mutable-content': 1,
			},
			callId: 'message-1',
			senderName: 'Ada Lovelace',
			senderNumber: '5551234',
			agent: 'sip:1001@pbx.example',
		})
		expect(payload + minimalPayload).not.toContain('secret')
		expect(expiresAt).toBe(rig.now + ALERT_LIFE_MS)
		expect(rig.words(PBX)).toEqual([])
	})

	test('leaves nothing behind: neither the request, nor the message, nor its push', () => {
		const { rig, phone } = sleeping()
		const none = { requests: 0, messages: 0, notices: 0 }
		expect(rig.core.pending).toEqual(none)
		rig.from(PBX, message())
		expect(rig.core.pending).toEqual({ requests: 0, messages: 1, notices: 1 })
		rig.pushed(ACCEPTED)
		bind(rig, phone)
		expect(rig.core.pending).toEqual({ requests: 1, messages: 0, notices: 0 })
		rig.from(phone.flow, answerTo(rig.last(phone.flow, 'MESSAGE'), 200))
		expect(rig.core.pending).toEqual(none)
		fallAsleep(rig)
		rig.from(PBX, message({ callId: 'nobody-comes' }))
		rig.pushed(BAD_TOKEN)
		expect(rig.core.pending).toEqual(none)
	})

	test('goes to the flow it registers from, once, and its answer to the PBX', () => {
		const { rig, phone } = sleeping()
		rig.from(PBX, message())
		rig.pushed(ACCEPTED)
		rig.advance(2_000)
		phone.flow = MOVED
		bind(rig, phone)
		const sent = only(rig.to(MOVED), 'MESSAGE')
		expect(sent.uri).toBe(phone.uri)
		rig.from(MOVED, answerTo(sent, 200))
		expect(rig.words(PBX).filter((word) => word.endsWith('MESSAGE'))).toEqual(['200 MESSAGE'])
		bind(rig, phone)
		rig.advance(60_000)
		expect(rig.words(MOVED).filter((word) => word === 'MESSAGE')).toEqual(['MESSAGE'])
	})

	test(`nobody in ${MESSAGE_HOLD_MS / 1000} s: 480, so that its server keeps it`, () => {
		const { rig, phone } = sleeping()
		rig.from(PBX, message())
		rig.pushed(ACCEPTED)
		rig.advance(MESSAGE_HOLD_MS - 1)
		expect(rig.words(PBX)).toEqual([])
		rig.advance(1)
		expect(rig.words(PBX)).toEqual(['480 MESSAGE'])
		bind(rig, phone)
		expect(rig.words(phone.flow).filter((word) => word === 'MESSAGE')).toEqual([])
	})

	test('a refused alert ends it at once; the VoIP token is not dead for that', () => {
		const { rig } = sleeping()
		rig.from(PBX, message())
		expect(rig.pushed(BAD_TOKEN).map(({ word }) => word)).toEqual(['480 MESSAGE'])
		rig.clear()
		rig.from(PBX, message())
		expect([rig.words(PBX), rig.pushes]).toEqual([['480 MESSAGE'], []])
		rig.from(PBX, requestText('INVITE', { body: SDP }))
		expect(kinds(rig)).toEqual([['voip', 'com.example.app.voip', TOKEN]])
	})

	test('a throttled alert does not: the phone may come by itself', () => {
		const { rig } = sleeping()
		rig.from(PBX, message())
		expect(rig.pushed({ kind: 'throttled', status: 429, reason: 'TooManyRequests' })).toEqual([])
	})

	test('a retransmission tells nobody again', () => {
		const { rig } = sleeping()
		const text = message()
		rig.from(PBX, text)
		rig.from(PBX, text)
		expect(rig.pushes.length).toBe(1)
	})

	test('without an ordinary token, or without a key, it is 480 at once, and never a VoIP push', () => {
		for (const [settings, phone] of [
			[{}, phoneWith(`${TOKEN}:voip`, 'voip')],
			[{ providers: [] }, phoneWith()],
		] as const) {
			const { rig } = sleeping(settings, phone)
			rig.from(PBX, message())
			expect(rig.pushes).toEqual([])
			expect([rig.words(PBX), rig.words(HOME).includes('MESSAGE')]).toEqual([['480 MESSAGE'], false])
		}
	})

	test('several devices: each gets one alert, and the first that registers gets the message', () => {
		const phone = phoneWith()
		const { rig } = sleeping({}, phone)
		const other = phoneWith(`${'cd'.repeat(32)}:remote`, 'remote', MOVED)
		bind(rig, other)
		rig.advance(13_000)
		rig.clear()
		rig.from(PBX, message())
		expect(rig.pushes.map(({ token }) => token.reveal())).toEqual([REMOTE, 'cd'.repeat(32)])
		rig.pushed(BAD_TOKEN, rig.pushes[0]!)
		bind(rig, other)
		bind(rig, phone)
		expect(rig.words(MOVED).filter((word) => word === 'MESSAGE')).toEqual(['MESSAGE'])
		expect(rig.words(phone.flow).filter((word) => word === 'MESSAGE')).toEqual([])
	})

	test('one that sleeps beside it and cannot be pushed to does not swallow it', () => {
		const { rig, phone } = sleeping()
		const dumb = new Phone('1001', MOVED)
		bind(rig, dumb)
		rig.advance(13_000)
		rig.clear()
		rig.from(PBX, message())
		expect([rig.pushes.map(({ kind }) => kind), rig.words(MOVED).includes('MESSAGE')]).toEqual([['alert'], false])
		bind(rig, phone)
		expect(rig.words(phone.flow)).toContain('MESSAGE')
	})

	test('an agent whose only phone sleeps and cannot be pushed to: 480 at once, for NOTIFY as well', () => {
		const { rig } = sleeping({}, new Phone('1001', HOME))
		rig.from(PBX, message())
		rig.from(PBX, requestText('NOTIFY'))
		expect([rig.words(PBX), rig.pushes, rig.words(HOME).includes('MESSAGE')]).toEqual([
			['480 MESSAGE', '480 NOTIFY'],
			[],
			false,
		])
	})

	test('without pings it goes to the device that no push of a call can wake', () => {
		const rig = new Rig({ pingIntervalMs: 0 })
		const phone = new Phone('1001', HOME)
		bind(rig, phone)
		rig.from(PBX, message())
		expect(rig.words(HOME).at(-1)).toBe('MESSAGE')
	})

	test('an awake device gets it at once, and no push', () => {
		const rig = new Rig()
		const phone = phoneWith()
		bind(rig, phone)
		rig.from(PBX, message())
		expect([rig.words(phone.flow).at(-1), rig.pushes]).toEqual(['MESSAGE', []])
	})

	test('ALERT_LIMITS: a device is not told more often than that, and messages are held all the same', () => {
		const { rig } = sleeping()
		for (let i = 0; i <= ALERT_LIMITS.burst; i++) rig.from(PBX, message({ callId: `m${i}` }))
		expect([rig.pushes.length, rig.words(PBX)]).toEqual([ALERT_LIMITS.burst, []])
		rig.advance(1000 / ALERT_LIMITS.perSecond)
		rig.from(PBX, message({ callId: 'later' }))
		expect(rig.pushes.length).toBe(ALERT_LIMITS.burst + 1)
	})

	test('MAX_HELD_MESSAGES_PER_AGENT: beyond it the PBX keeps them, and those of others have room', () => {
		const { rig, phone } = sleeping()
		const other = agent('1002', 8)
		bind(rig, other)
		rig.advance(13_000)
		rig.clear()
		for (let i = 0; i < MAX_HELD_MESSAGES_PER_AGENT; i++) rig.from(PBX, message({ callId: `m${i}` }))
		expect(rig.words(PBX)).toEqual([])
		rig.from(PBX, message({ callId: 'one-more' }))
		rig.from(PBX, to('1002', 'for-another'))
		expect(rig.words(PBX)).toEqual(['480 MESSAGE'])
		bind(rig, phone)
		rig.clear()
		fallAsleep(rig)
		rig.from(PBX, message({ callId: 'room-again' }))
		expect(rig.words(PBX)).not.toContain('480 MESSAGE')
	})

	test('MAX_HELD_MESSAGES: beyond it the PBX keeps them', () => {
		const rig = new Rig()
		const users = Array.from({ length: MAX_HELD_MESSAGES / MAX_HELD_MESSAGES_PER_AGENT + 1 }, (_, i) => `${2000 + i}`)
		for (const [i, user] of users.entries()) bind(rig, agent(user, i))
		rig.advance(13_000)
		rig.clear()
		const [last, ...others] = users as [string, ...string[]]
		for (const user of others)
			for (let i = 0; i < MAX_HELD_MESSAGES_PER_AGENT; i++) rig.from(PBX, to(user, `${user}-${i}`))
		expect([rig.words(PBX), rig.core.pending.messages]).toEqual([[], MAX_HELD_MESSAGES])
		rig.from(PBX, to(last, 'one-more'))
		expect(rig.words(PBX)).toEqual(['480 MESSAGE'])
	})

	test('the gateway goes: 480', () => {
		const { rig } = sleeping()
		rig.from(PBX, message())
		rig.input({ type: 'end' })
		expect(rig.words(PBX)).toEqual(['480 MESSAGE'])
	})

	test('the counters tell, and the events name the kind', () => {
		const { rig } = sleeping()
		rig.from(PBX, message())
		rig.pushed(BAD_TOKEN)
		const { noticesSent, noticesRefused, requestsHeld, pushesSent, pushesRefused } = rig.core.context.counters
		expect([noticesSent, noticesRefused, requestsHeld, pushesSent, pushesRefused]).toEqual([1, 1, 1, 0, 0])
		expect(rig.events.map(({ name, fields }) => [name, fields['kind']])).toEqual([
			['push-sent', 'alert'],
			['push-refused', 'alert'],
		])
	})

	test('a key that may not send alerts leaves the gateway ready for calls, and the hint is told', () => {
		const { rig } = sleeping()
		rig.from(PBX, message())
		rig.pushed({ kind: 'misconfigured', status: 400, reason: 'TopicDisallowed', hint: 'Check it.' })
		expect(rig.events.at(-1)).toMatchObject({ name: 'push-refused', fields: { hint: 'Check it.' } })
	})

	test('the environment APNs found for it is learnt and stored', () => {
		const { rig } = sleeping()
		rig.from(PBX, message())
		rig.pushed({ kind: 'accepted', status: 200, environment: 'sandbox' })
		expect([...rig.tables.devices.values()].map(({ push }) => push?.environment)).toEqual(['sandbox'])
	})
})

describe('a request in a call to a sleeping device', () => {
	for (const method of ['BYE', 'INVITE', 'UPDATE', 'INFO', 'REFER', 'NOTIFY'])
		test(`${method} fetches it by a background push, and reaches it where it registers`, () => {
			const { rig, phone, fromPbx } = inCall()
			rig.from(PBX, fromPbx(method))
			expect(kinds(rig)).toEqual([['background', 'com.example.app', REMOTE]])
			expect(JSON.parse(rig.pushes[0]!.payload)).toEqual({ aps: { 'content-available': 1 } })
			expect(rig.pushes[0]!.expiresAt).toBe(rig.now + DIALOG_HOLD_MS)
			rig.pushed(ACCEPTED)
			phone.flow = MOVED
			bind(rig, phone)
			rig.from(MOVED, answerTo(rig.last(MOVED, method), 200, { contact: phone.uri }))
			expect(rig.words(PBX).at(-1)).toBe(`200 ${method}`)
		})

	test('a MESSAGE in a call is an alert; OPTIONS, PRACK and ACK wake nobody', () => {
		const { rig, fromPbx } = inCall()
		for (const method of ['OPTIONS', 'PRACK', 'ACK']) rig.from(PBX, fromPbx(method))
		expect(rig.pushes).toEqual([])
		rig.from(PBX, fromPbx('MESSAGE'))
		expect(rig.pushes.map(({ kind }) => kind)).toEqual(['alert'])
	})

	test('BACKGROUND_LIMITS: a device is not fetched more often than that', () => {
		const { rig, fromPbx } = inCall()
		for (let i = 0; i < BACKGROUND_LIMITS.burst + 2; i++) rig.from(PBX, fromPbx('INFO', { cseq: 200 + i }))
		expect(rig.pushes.length).toBe(BACKGROUND_LIMITS.burst)
	})

	test('a refused push does not end it: the request waits for the phone all the same', () => {
		const { rig, fromPbx } = inCall()
		rig.from(PBX, fromPbx('BYE'))
		expect(rig.pushed(BAD_TOKEN)).toEqual([])
	})

	test('an awake one is not pushed to', () => {
		const { rig, phone, fromPbx } = inCall()
		bind(rig, phone)
		rig.from(PBX, fromPbx('BYE'))
		expect(rig.pushes).toEqual([])
	})
})

test('a device with an ordinary token alone is woken by no call, and hears of messages', () => {
	const { rig } = sleeping({}, phoneWith(`${REMOTE}:remote`, 'remote'))
	rig.from(PBX, requestText('INVITE', { body: SDP }))
	expect([rig.words(PBX), rig.pushes]).toEqual([['100 INVITE', '480 INVITE'], []])
	rig.from(PBX, message())
	expect(rig.pushes.map(({ kind }) => kind)).toEqual(['alert'])
})
