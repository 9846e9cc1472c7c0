import { describe, expect, test } from 'bun:test'
import { closedFlow, Departed, MAX_DEPARTED } from '../../src/core/departed.ts'
import { GIVEN_UP_MS, MAX_EARLY_BYTES, MAX_EARLY_CONNECTIONS, MAX_EARLY_REQUESTS } from '../../src/core/latecomers.ts'
import { PROBE_AGAIN_MS } from '../../src/core/reach/probes.ts'
import type { Settings } from '../../src/core/settings.ts'
import { SILENCE_MS } from '../../src/core/wake/device-branch.ts'
import { Header } from '../../src/sip/headers.ts'
import { parse } from '../../src/sip/parse.ts'
import { ACCEPTED, answerTo, bind, grant, Phone, requestText, TOKEN } from './peers.ts'
import { DOMAIN, flowOf, octets, PBX, Rig, streamOf } from './rig.ts'

const LISTENERS = [
	{ host: 'gw.example', port: 5060, transport: 'UDP' },
	{ host: 'gw.example', port: 5061, transport: 'TLS' },
	{ host: 'gw.example', port: 443, transport: 'WSS' },
] as const

const HOME = streamOf('203.0.113.7', 40_000, 1)
const AWAY = streamOf('198.51.100.9', 41_000, 2)

function rigOf(settings: Partial<Settings> = {}): Rig {
	return new Rig({ advertised: LISTENERS, ...settings })
}

/** One phone on TLS, bound. */
function bound(settings: Partial<Settings> = {}, token = TOKEN): { rig: Rig; phone: Phone } {
	const rig = rigOf(settings)
	const phone = new Phone('1001', HOME, { token: token || undefined, instance: 'urn:uuid:one' })
	bind(rig, phone)
	rig.clear()
	return { rig, phone }
}

/** The PBX calls the agent. */
const callIn = (rig: Rig) => rig.from(PBX, requestText('INVITE'))

const close = (rig: Rig, flow = HOME) => rig.input({ type: 'flow-closed', flow })

describe('a phone on a connection', () => {
	test('its REGISTER goes to the PBX by the listener of the PBX, with the one Contact of the agent', () => {
		const rig = rigOf()
		const phone = new Phone('1001', HOME, { token: TOKEN })
		bind(rig, phone)
		const register = rig.last(PBX, 'REGISTER')
		expect(register.first(Header.Via)).toStartWith('SIP/2.0/UDP gw.example:5060;branch=')
		expect(register.first(Header.Contact)).toStartWith('<sip:1001@gw.example:5060>')
		expect(rig.to(PBX)[0]!.to.listener).toBe(0)
		expect(rig.to(HOME)[0]!.to.key).toBe(HOME.key)
	})

	test('RFC 5658 §5.2: a call to it has two Record-Routes, its own side on top', () => {
		const { rig } = bound()
		callIn(rig)
		const invite = rig.last(HOME, 'INVITE')
		expect(invite.first(Header.Via)).toStartWith('SIP/2.0/TLS gw.example:5061;branch=')
		const [own, far] = invite.list(Header.RecordRoute)
		expect(own).toEndWith('@gw.example:5061;transport=tls;lr>')
		expect(far).toEndWith('@gw.example:5060;lr>')
	})

	test('a call of its own has them the other way round, and both are ours again in the dialog', () => {
		const { rig, phone } = bound()
		rig.from(HOME, phone.request('INVITE', { uri: 'sip:600@pbx.example', to: '<sip:600@pbx.example>' }))
		const invite = rig.last(PBX, 'INVITE')
		const routes = invite.list(Header.RecordRoute)
		expect(routes[0]).toEndWith('@gw.example:5060;lr>')
		expect(routes[1]).toEndWith('@gw.example:5061;transport=tls;lr>')
		rig.from(PBX, answerTo(invite, 200, { contact: 'sip:600@192.0.2.1:5060' }))
		expect(rig.last(HOME, '200 INVITE').list(Header.RecordRoute)).toEqual(routes)
		rig.clear()
		const bye = requestText('BYE', {
			uri: 'sip:1001@gw.example:5060',
			to: `<sip:1001@${DOMAIN}>;tag=phone`,
			rows: routes.map((route) => `Route: ${route}`),
		})
		rig.from(PBX, bye)
		const passed = rig.last(HOME, 'BYE')
		expect(passed.list(Header.Route)).toEqual([])
		expect(passed.uri).toStartWith('sip:1001@10.0.0.5')
	})

	test('a Route that names any listener is ours, with its port left out as well', () => {
		const { rig, phone } = bound()
		for (const route of [
			'<sip:gw.example;transport=tls;lr>',
			'<sip:gw.example:443;transport=ws;lr>',
			'<sip:gw.example;lr>',
		]) {
			rig.from(
				HOME,
				phone.request('MESSAGE', { uri: `sip:600@${DOMAIN}`, to: `<sip:600@${DOMAIN}>`, rows: [`Route: ${route}`] }),
			)
			expect(rig.last(PBX, 'MESSAGE').list(Header.Route)).toEqual([])
			rig.clear()
		}
	})

	test('what came over UDP without Content-Length has one on the way to it', () => {
		const { rig, phone } = bound()
		const without = (text: string) => text.replace(/Content-Length: \d+\r\n/, '')
		rig.from(PBX, without(requestText('INVITE', { body: 'v=0\r\n' })))
		expect(rig.last(HOME, 'INVITE').first(Header.ContentLength)).toBe('5')
		rig.from(HOME, phone.request('MESSAGE', { uri: 'sip:600@pbx.example', to: '<sip:600@pbx.example>' }))
		rig.from(PBX, without(answerTo(rig.last(PBX, 'MESSAGE'), 200)))
		expect(rig.last(HOME, '200 MESSAGE').first(Header.ContentLength)).toBe('0')
		rig.from(HOME, phone.register())
		rig.from(PBX, without(answerTo(rig.last(PBX, 'REGISTER'), 401)))
		expect(rig.last(HOME, '401 REGISTER').first(Header.ContentLength)).toBe('0')
	})

	test('nothing is sent to it twice (RFC 3261 §17)', () => {
		const { rig } = bound({ pingIntervalMs: 0, providers: [] })
		callIn(rig)
		rig.advance(1_700)
		expect(rig.words(HOME)).toEqual(['INVITE'])
	})

	test('without any answer within 1.8 s it is woken all the same: a frozen app has a living kernel', () => {
		const { rig } = bound()
		callIn(rig)
		rig.advance(2_000)
		expect(rig.pushes).toHaveLength(1)
	})

	test('the ping that asks whether it is awake has no copy', () => {
		const { rig } = bound({ freshMs: 0, pingIntervalMs: 300_000 })
		rig.advance(10)
		callIn(rig)
		rig.advance(PROBE_AGAIN_MS + 10)
		expect(rig.words(HOME)).toEqual(['OPTIONS'])
	})

	test('nobody is taken for the PBX on it', () => {
		const rig = rigOf({ trust: ['192.0.2.0/24'] })
		bind(rig, new Phone('1001', HOME, { token: TOKEN }))
		rig.clear()
		rig.from(streamOf('192.0.2.1', 5060, 1), requestText('INVITE'))
		rig.from(flowOf('192.0.2.1', 5060, 1), requestText('INVITE'))
		expect(rig.sent).toEqual([])
	})
})

describe('an answer by a new connection, before the REGISTER that comes with it is accepted', () => {
	/** The phone has the INVITE, and its connection is gone: half of the time the gateway knows that. */
	function ringing(isKnown: boolean) {
		const { rig, phone } = bound()
		callIn(rig)
		const invite = rig.last(HOME, 'INVITE')
		rig.from(HOME, answerTo(invite, 180))
		if (isKnown) close(rig)
		rig.clear()
		return { rig, phone, invite }
	}

	test('is the answer to the call: over a connection nothing is said twice', () => {
		for (const isKnown of [true, false]) {
			const { rig, invite } = ringing(isKnown)
			rig.from(AWAY, answerTo(invite, 486))
			expect([rig.words(PBX), rig.words(AWAY), rig.closed]).toEqual([['486 INVITE'], ['ACK'], []])
		}
	})

	test('and a 2xx, whose ACK follows the phone when it has registered', () => {
		const { rig, phone, invite } = ringing(true)
		rig.from(AWAY, answerTo(invite, 200, { contact: phone.uri }))
		expect(rig.words(PBX)).toEqual(['200 INVITE'])
		phone.flow = AWAY
		bind(rig, phone)
		rig.clear()
		const rows = invite.list(Header.RecordRoute).map((route) => `Route: ${route}`)
		rig.from(PBX, requestText('ACK', { uri: phone.uri, to: '<sip:1001@x>;tag=remote', rows }))
		expect(rig.words(AWAY)).toEqual(['ACK'])
	})

	test('to nothing we know is dropped, and the connection stays: the REGISTER behind it gets through', () => {
		const { rig, phone } = bound()
		phone.flow = AWAY
		rig.from(AWAY, phone.register())
		const longAgo = requestText('INVITE', { via: 'SIP/2.0/TLS gw.example:5061;branch=z9hG4bKlongago' })
		rig.from(AWAY, answerTo(parse(octets(longAgo)), 200))
		expect(rig.closed).toEqual([])
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
		expect(rig.words(AWAY)).toEqual(['200 REGISTER'])
	})

	test('to what the PBX was asked is nobody’s but the PBX’s', () => {
		const { rig, phone } = bound()
		rig.from(HOME, phone.register())
		const register = rig.last(PBX, 'REGISTER')
		rig.clear()
		rig.from(AWAY, grant(register))
		expect(rig.sent).toEqual([])
	})

	test('with the Via of somebody else it ends the connection', () => {
		const { rig, invite } = ringing(false)
		rig.from(AWAY, answerTo(invite, 200).replace('gw.example:5061', 'elsewhere.example:5061'))
		expect([rig.words(PBX), rig.closed]).toEqual([[], [AWAY.key]])
	})
})

describe('a request in a call by a new connection, before the REGISTER that comes with it is accepted', () => {
	/** In a call by HOME, whose connection is closed; its REGISTER by AWAY is at the PBX. */
	function away() {
		const { rig, phone } = bound()
		callIn(rig)
		const invite = rig.last(HOME, 'INVITE')
		rig.from(HOME, answerTo(invite, 200, { contact: phone.uri }))
		close(rig)
		phone.flow = AWAY
		rig.from(AWAY, phone.register())
		const register = rig.last(PBX, 'REGISTER')
		rig.clear()
		const routes = invite.list(Header.RecordRoute).map((route) => `Route: ${route}`)
		const names = { from: `<sip:1001@${DOMAIN}>;tag=remote`, to: '<sip:5551234@pbx.example>;tag=pbx' }
		const say = (method: string, rows = routes) =>
			requestText(method, { uri: 'sip:5551234@192.0.2.1:5060', ...names, contact: '', rows })
		return { rig, phone, say, register, routes }
	}

	const words = (rig: Rig) => rig.words(PBX).filter((word) => word !== 'REGISTER')

	test('goes to the PBX when that is stored: a phone that hangs up says so once', () => {
		const { rig, say, phone } = away()
		rig.from(AWAY, say('BYE'))
		expect([words(rig), rig.closed]).toEqual([[], []])
		bind(rig, phone)
		expect(words(rig)).toEqual(['BYE'])
		rig.from(PBX, answerTo(rig.last(PBX, 'BYE'), 200))
		expect(rig.words(AWAY)).toContain('200 BYE')
	})

	test('never does where the REGISTER is refused, the connection closed, or the phone has given up', () => {
		for (const what of ['refused', 'closed', 'late'] as const) {
			const { rig, say, register } = away()
			rig.from(AWAY, say('BYE'))
			if (what === 'closed') close(rig, AWAY)
			if (what === 'late') rig.advance(GIVEN_UP_MS)
			rig.from(PBX, what === 'refused' ? answerTo(register, 403) : grant(register))
			expect(rig.words(PBX)).not.toContain('BYE')
		}
	})

	test('with a token that is forged or without one it is a stranger’s', () => {
		const { rig, say, phone, routes } = away()
		rig.from(AWAY, say('BYE', []))
		rig.from(
			AWAY,
			say('BYE', [
				routes[0]!.replace(/sip:1\.[0-9a-f]/, (start) => `${start.slice(0, -1)}${start.endsWith('0') ? 1 : 0}`),
			]),
		)
		bind(rig, phone)
		expect(words(rig)).toEqual([])
	})

	test(`${MAX_EARLY_REQUESTS} of them are kept, none longer than ${MAX_EARLY_BYTES} octets, of ${MAX_EARLY_CONNECTIONS} connections`, () => {
		const { rig, say, phone } = away()
		rig.from(AWAY, say('INFO').replace('\r\n\r\n', `\r\nSubject: ${'x'.repeat(MAX_EARLY_BYTES)}\r\n\r\n`))
		for (let i = 0; i <= MAX_EARLY_REQUESTS; i++) rig.from(AWAY, say('INFO'))
		bind(rig, phone)
		expect(words(rig)).toEqual(Array.from({ length: MAX_EARLY_REQUESTS }, () => 'INFO'))
		const other = away()
		other.rig.from(AWAY, other.say('BYE'))
		for (let i = 0; i < MAX_EARLY_CONNECTIONS; i++)
			other.rig.from(streamOf('192.0.2.77', 1_024 + i, 10 + i), other.say('BYE'))
		bind(other.rig, other.phone)
		expect(words(other.rig)).toEqual([])
	})
})

describe('connections the transport may keep', () => {
	test('are those a device is bound over: from the 2xx of the PBX on, and once', () => {
		const rig = rigOf()
		const phone = new Phone('1001', HOME, { token: TOKEN })
		rig.from(HOME, phone.register())
		expect(rig.settled).toEqual([])
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
		expect(rig.settled).toEqual([HOME.key])
		bind(rig, phone)
		bind(rig, new Phone('1002', HOME))
		expect(rig.settled).toEqual([HOME.key])
		phone.flow = AWAY
		bind(rig, phone)
		expect(rig.settled).toEqual([HOME.key, AWAY.key])
	})

	test('are not those of a REGISTER that is refused, asks, or signs off', () => {
		const rig = rigOf()
		const phone = new Phone('1001', HOME)
		rig.from(HOME, phone.register())
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 403))
		for (const shape of [{ contact: '' }, { expires: 0 }]) {
			rig.from(HOME, phone.register(shape))
			rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
		}
		expect(rig.settled).toEqual([])
	})

	test('are those the PBX dialled, from its first word on, and once for each', () => {
		const rig = rigOf({ pbxSides: [{ transport: 'tls', listener: 1, sender: 1 }], trust: ['192.0.2.0/24'] })
		const [first, second] = [streamOf(PBX.address, 50_000, 3), streamOf(PBX.address, 50_000, 4)]
		for (const flow of [first, first, second]) rig.from(flow, requestText('OPTIONS'))
		expect(rig.settled).toEqual([first.key, second.key])
		close(rig, first)
		rig.from(first, requestText('OPTIONS'))
		expect(rig.settled).toEqual([first.key, second.key, first.key])
	})

	test('are no datagrams', () => {
		const rig = rigOf()
		bind(rig, new Phone('1001', flowOf('203.0.113.7', 5060)))
		expect(rig.settled).toEqual([])
	})
})

describe('a connection that is closed', () => {
	test('its device is background at once, and a call wakes it without asking', () => {
		const { rig } = bound()
		close(rig)
		expect(rig.eventNames()).toEqual(['device-background'])
		callIn(rig)
		expect(rig.pushes).toHaveLength(1)
		expect(rig.to(HOME)).toEqual([])
	})

	test('an INVITE that was on it without an answer becomes a push at once', () => {
		const { rig } = bound()
		callIn(rig)
		expect(rig.words(HOME)).toContain('INVITE')
		close(rig)
		expect(rig.pushes).toHaveLength(1)
	})

	test('while it rings: it has the INVITE once more by the next one, for it may have forgotten the call, and rings again', () => {
		const { rig, phone } = bound()
		callIn(rig)
		const first = rig.last(HOME, 'INVITE')
		rig.from(HOME, answerTo(first, 180))
		close(rig)
		rig.clear()
		phone.flow = AWAY
		bind(rig, phone)
		const again = rig.last(AWAY, 'INVITE')
		expect([again.via.branch, again.first(Header.RecordRoute)]).toEqual([
			first.via.branch,
			first.first(Header.RecordRoute),
		])
		/* it stands: no second copy, no timer B, and a REGISTER more says nothing new */
		rig.advance(60_000)
		bind(rig, phone)
		expect([rig.words(AWAY).filter((word) => word === 'INVITE').length, rig.pushes.length]).toEqual([1, 0])
		rig.from(AWAY, answerTo(again, 180))
		rig.from(AWAY, answerTo(again, 200, { contact: phone.uri }))
		expect(rig.words(PBX).filter((word) => word.endsWith(' INVITE'))).toEqual(['180 INVITE', '200 INVITE'])
	})

	test('and its hold lasts as any other: the silence of a connection that is gone means nothing', () => {
		const { rig, phone } = bound()
		callIn(rig)
		rig.advance(500)
		close(rig)
		rig.pushed(ACCEPTED)
		rig.advance(SILENCE_MS)
		expect(rig.words(PBX)).toEqual(['100 INVITE'])
		phone.flow = AWAY
		bind(rig, phone)
		expect(rig.last(AWAY, 'INVITE').via.branch).toBe(rig.last(HOME, 'INVITE').via.branch)
	})

	test('a probe by it is over at once', () => {
		const { rig } = bound({ freshMs: 0, pingIntervalMs: 300_000 })
		rig.advance(10)
		callIn(rig)
		expect(rig.pushes).toEqual([])
		close(rig)
		expect(rig.pushes).toHaveLength(1)
	})

	test('nobody pings by it, and the pings go on where the device registers', () => {
		const { rig, phone } = bound()
		close(rig)
		rig.clear()
		rig.advance(60_000)
		expect(rig.sent).toEqual([])
		phone.flow = AWAY
		bind(rig, phone)
		rig.clear()
		rig.advance(5_000)
		expect(rig.words(AWAY)).toContain('OPTIONS')
	})

	test('one that cannot be woken is not called; if it registers in time it has the call', () => {
		const { rig, phone } = bound({}, '')
		const other = new Phone('1001', flowOf('203.0.113.8', 5060), { instance: 'urn:uuid:two' })
		bind(rig, other)
		close(rig)
		rig.clear()
		callIn(rig)
		expect(rig.words(other.flow)).toEqual(['INVITE'])
		expect(rig.to(HOME)).toEqual([])
		phone.flow = AWAY
		bind(rig, phone)
		expect(rig.words(AWAY)).toContain('INVITE')
	})

	test('where the agent has no other device the caller has 480 at once, without pings too', () => {
		for (const pingIntervalMs of [0, 5_000]) {
			const { rig } = bound({ pingIntervalMs }, '')
			close(rig)
			rig.clear()
			callIn(rig)
			expect(rig.words(PBX)).toEqual(['100 INVITE', '480 INVITE'])
		}
	})

	test('a request in a dialog waits for the device, and follows it', () => {
		const { rig, phone } = bound()
		callIn(rig)
		const invite = rig.last(HOME, 'INVITE')
		rig.from(HOME, answerTo(invite, 200, { contact: phone.uri }))
		const info = requestText('INFO', {
			to: '<sip:1001@gw.example:5060>;tag=remote',
			rows: invite
				.list(Header.RecordRoute)
				.toReversed()
				.map((route) => `Route: ${route}`),
		})
		rig.from(PBX, info)
		expect(rig.words(HOME)).toContain('INFO')
		close(rig)
		rig.advance(3_000)
		phone.flow = AWAY
		bind(rig, phone)
		const followed = rig.last(AWAY, 'INFO')
		expect(followed.via.branch).toBe(rig.last(HOME, 'INFO').via.branch)
		rig.from(AWAY, answerTo(followed, 200))
		expect(rig.words(PBX)).toContain('200 INFO')
	})

	test('the answer to what came by it goes to where its phone is now, and nowhere else', () => {
		const { rig, phone } = bound()
		rig.from(HOME, phone.request('INVITE', { uri: 'sip:600@pbx.example', to: '<sip:600@pbx.example>' }))
		const invite = rig.last(PBX, 'INVITE')
		close(rig)
		rig.clear()
		rig.from(PBX, answerTo(invite, 180))
		expect(rig.sent).toEqual([])
		phone.flow = AWAY
		bind(rig, phone)
		rig.from(PBX, answerTo(invite, 200, { contact: 'sip:600@192.0.2.1:5060' }))
		expect(rig.words(AWAY)).toContain('200 INVITE')
	})

	test('a REGISTER that the PBX accepts when its connection is gone binds a device that sleeps', () => {
		const rig = rigOf()
		const phone = new Phone('1001', HOME, { token: TOKEN })
		rig.from(HOME, phone.register())
		close(rig)
		rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
		expect(rig.to(HOME)).toEqual([])
		callIn(rig)
		expect(rig.pushes).toHaveLength(1)
	})

	test('both devices of an agent on one connection are cut', () => {
		const rig = rigOf()
		const phones = ['urn:uuid:one', 'urn:uuid:two'].map((instance) => new Phone('1001', HOME, { instance }))
		for (const phone of phones) bind(rig, phone)
		rig.clear()
		close(rig)
		expect(rig.eventNames().filter((name) => name === 'device-background')).toHaveLength(2)
	})
})

describe('a device that moves', () => {
	test('the connection it leaves is closed before the call goes out', () => {
		const { rig, phone } = bound()
		rig.advance(20_000)
		callIn(rig)
		rig.clear()
		phone.flow = AWAY
		bind(rig, phone)
		expect(rig.closed).toEqual([HOME.key])
		expect(rig.order.indexOf('close')).toBeLessThan(rig.order.indexOf('send INVITE'))
		expect(rig.words(AWAY)).toContain('INVITE')
	})

	test('one that another device still uses stays', () => {
		const { rig, phone } = bound()
		bind(rig, new Phone('1002', HOME, { token: TOKEN.replace('f', 'e') }))
		rig.clear()
		phone.flow = AWAY
		bind(rig, phone)
		expect(rig.closed).toEqual([])
	})

	test('from a connection to UDP, and what was sent is sent again there', () => {
		const { rig, phone } = bound()
		callIn(rig)
		phone.flow = flowOf('198.51.100.9', 5060)
		bind(rig, phone)
		rig.clear()
		rig.advance(600)
		expect(rig.words(phone.flow)).toContain('INVITE')
	})
})

describe('after a restart', () => {
	test('there are no connections: a device of one is woken, neither called nor pinged, even where a key comes again', () => {
		const { rig } = bound()
		rig.restart()
		rig.advance(20_000)
		expect(rig.to(HOME)).toEqual([])
		callIn(rig)
		expect(rig.pushes).toHaveLength(1)
		/* a stranger with the key that the phone had */
		rig.clear()
		rig.from(HOME, requestText('MESSAGE', { from: `<sip:1001@${DOMAIN}>;tag=x`, uri: `sip:600@${DOMAIN}` }))
		expect(rig.sent).toEqual([])
	})

	test('a device of a UDP listener that is a TLS one now is cut as well', () => {
		const rig = new Rig()
		bind(rig, new Phone('1001', flowOf('203.0.113.7', 5060), { token: TOKEN }))
		const other = new Rig({
			advertised: [LISTENERS[1], LISTENERS[0]],
			pbxSides: [{ transport: 'udp', listener: 1, sender: 1 }],
		})
		for (const [id, row] of rig.tables.devices) other.tables.devices.set(id, row)
		other.restart()
		expect([...other.core.devices.all].map(({ isCut, reach }) => [isCut, reach])).toEqual([[true, 'background']])
	})
})

describe('strangers on connections', () => {
	test('what is no SIP request costs them the connection', () => {
		const rig = rigOf()
		rig.from(HOME, 'GET / HTTP/1.1\r\n\r\n')
		rig.from(AWAY, requestText('OPTIONS', { rows: ['User-Agent: friendly-scanner'] }))
		expect(rig.closed).toEqual([HOME.key, AWAY.key])
		expect(rig.sent).toEqual([])
	})

	test('a known device comes back by a connection from a banned source', () => {
		const { rig, phone } = bound()
		rig.from(streamOf(AWAY.address, 9, 9), requestText('OPTIONS', { rows: ['User-Agent: friendly-scanner'] }))
		expect(rig.eventNames()).toContain('source-banned')
		rig.clear()
		phone.flow = AWAY
		bind(rig, phone)
		expect(rig.closed).toEqual([HOME.key])
		rig.clear()
		callIn(rig)
		expect(rig.words(AWAY)).toEqual(['INVITE'])
	})

	test('nobody else from there is heard, and it costs the connection', () => {
		const { rig } = bound()
		rig.from(streamOf(AWAY.address, 9, 9), requestText('OPTIONS', { rows: ['User-Agent: friendly-scanner'] }))
		rig.clear()
		rig.from(AWAY, new Phone('1002', AWAY).register())
		expect([rig.closed, rig.sent]).toEqual([[AWAY.key], []])
	})
})

describe('lost framing (RFC 3261 §18.3)', () => {
	const head = (phone: Phone) => octets(phone.request('MESSAGE', { uri: `sip:600@${DOMAIN}` }))

	test('a bound flow is told what was wrong, a stranger nothing', () => {
		const { rig, phone } = bound()
		rig.input({ type: 'stream-fault', flow: HOME, code: 'length-conflict', head: head(phone) })
		expect(rig.words(HOME)).toEqual(['400 MESSAGE'])
		rig.input({ type: 'stream-fault', flow: HOME, code: 'message-too-large', head: head(phone) })
		expect(rig.words(HOME)).toEqual(['400 MESSAGE', '513 MESSAGE'])
		rig.input({ type: 'stream-fault', flow: AWAY, code: 'length-conflict', head: head(phone) })
		expect(rig.to(AWAY)).toEqual([])
	})

	test('--max-headers: one row more than that is answered with 513, and a stranger with nothing', () => {
		const { rig, phone } = bound({ maxHeaders: 64 })
		const request = (rows: number) => {
			const own = phone.request('MESSAGE', { uri: `sip:600@${DOMAIN}` })
			const count = own.slice(0, own.indexOf('\r\n\r\n')).split('\r\n').length - 1
			return own.replace('\r\n\r\n', `\r\n${'X-Row: 1\r\n'.repeat(rows - count)}\r\n`)
		}
		expect(rig.from(HOME, request(64)).map(({ word }) => word)).toEqual(['MESSAGE'])
		expect(rig.from(HOME, request(65)).map(({ word }) => word)).toEqual(['513 MESSAGE'])
		expect(rig.from(AWAY, request(65))).toEqual([])
		expect(rig.from(PBX, request(65)).map(({ word }) => word)).toEqual(['513 MESSAGE'])
	})

	test('nothing is answered where nothing can be', () => {
		const { rig } = bound()
		for (const text of ['', 'SIP/2.0 200 OK\r\n', 'ACK sip:a SIP/2.0\r\n\r\n', 'MESSAGE sip:a SIP/2.0\r\n\r\n'])
			rig.input({ type: 'stream-fault', flow: HOME, code: 'header-line', head: octets(text) })
		expect(rig.sent).toEqual([])
	})
})

describe('closed connections that are remembered', () => {
	test(`are ${MAX_DEPARTED}, and a newer one is worth more than an older one`, () => {
		const departed = new Departed()
		const keys = Array.from({ length: MAX_DEPARTED + 1 }, (_, i) => `1|192.0.2.1|9|${i}`)
		for (const key of keys) departed.note(key, [])
		expect([departed.has(keys[0]!), departed.has(keys.at(-1)!)]).toEqual([false, true])
	})

	test('a closed flow has a key that no connection has', () => {
		expect(closedFlow(HOME).key).toBe('1|203.0.113.7|40000|0')
		expect(closedFlow(closedFlow(HOME))).toEqual(closedFlow(HOME))
	})
})
