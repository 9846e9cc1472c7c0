/** A PBX over TCP and TLS: one connection to each machine, and what becomes of requests when it is lost. */
import { describe, expect, test } from 'bun:test'
import { Departed, MAX_DEPARTED_MACHINES } from '../../src/core/departed.ts'
import type { PbxTarget } from '../../src/core/inputs.ts'
import type { Flow } from '../../src/core/model.ts'
import { FAILOVER_MS, MAX_UDP_REQUEST } from '../../src/core/pbx/hops.ts'
import { PROBE_AGAIN_MS } from '../../src/core/pbx/prober.ts'
import { TCP_AGAIN_MS } from '../../src/core/pbx/targets.ts'
import type { Settings } from '../../src/core/settings.ts'
import { Header } from '../../src/sip/headers.ts'
import { ACCEPTED, answerTo, grant, Phone, requestText, TOKEN } from './peers.ts'
import { DOMAIN, flowOf, octets, Rig, type Sent, streamOf } from './rig.ts'
import { targetOf } from './target.ts'

/** Listeners 0 to 2, and behind them the connectors of TCP and TLS. */
const UDP = 0
const TCP = 1
const TLS = 2
const TCP_OUT = 3
const TLS_OUT = 4

const SETTINGS: Partial<Settings> = {
	advertised: [
		{ host: 'gw.example', port: 5060, transport: 'UDP' },
		{ host: 'gw.example', port: 5070, transport: 'TCP' },
		{ host: 'gw.example', port: 5061, transport: 'TLS' },
		{ host: 'gw.example', port: 5070, transport: 'TCP' },
		{ host: 'gw.example', port: 5061, transport: 'TLS' },
	],
	pbxSides: [
		{ transport: 'udp', listener: UDP, sender: UDP },
		{ transport: 'tcp', listener: TCP, sender: TCP_OUT },
		{ transport: 'tls', listener: TLS, sender: TLS_OUT },
	],
}

const PHONE = flowOf('198.51.100.7', 40_007)
/** Where the machines are, as a destination of the connector. */
const ONE = flowOf('192.0.2.1', 5060, TCP_OUT)
const TWO = flowOf('192.0.2.2', 5060, TCP_OUT)
const SECURE = flowOf('192.0.2.3', 5061, TLS_OUT)
/** The `n`th connection to it. */
const to = ({ address, port, listener }: Flow, n = 1): Flow => streamOf(address, port, n, listener)

const tcp = (at: Flow, rank = 0) => targetOf(at, { transport: 'tcp', rank })

function rigOf(targets: readonly PbxTarget[], settings: Partial<Settings> = {}): Rig {
	const rig = new Rig({ ...SETTINGS, ...settings })
	rig.input({ type: 'pbx-resolved', targets })
	return rig
}

const connected = (rig: Rig, flow: Flow) => rig.input({ type: 'pbx-connected', flow })
const closed = (rig: Rig, flow: Flow) => rig.input({ type: 'flow-closed', flow })
const unreachable = (rig: Rig, { listener, address, port }: Flow) =>
	rig.input({ type: 'pbx-unreachable', listener, address, port, reason: 'nothing listens there' })

/** A phone that is registered at this machine by that connection. */
function bound(rig: Rig, by: Flow, options: ConstructorParameters<typeof Phone>[2] = {}): Phone {
	const phone = new Phone('1001', PHONE, options)
	rig.from(PHONE, phone.register())
	rig.from(by, grant(rig.last(by, 'REGISTER')))
	rig.clear()
	return phone
}

const states = (rig: Rig) => rig.core.targets.all.map(({ state }) => state)
const transportOf = ({ message }: Sent) => message.via.transport
const call = (phone: Phone, rows: readonly string[] = []) =>
	phone.request('INVITE', { uri: `sip:600@${DOMAIN}`, to: `<sip:600@${DOMAIN}>`, callId: 'out-1', rows })

describe('a PBX over TCP', () => {
	test('is asked by its connection, with a Via and a Contact of that transport', () => {
		const rig = rigOf([tcp(ONE)])
		connected(rig, to(ONE))
		const phone = new Phone('1001', PHONE)
		rig.from(PHONE, phone.register())
		const [sent] = rig.to(ONE)
		expect([sent!.word, sent!.to.listener]).toEqual(['REGISTER', TCP_OUT])
		const { message } = sent!
		expect(message.first(Header.Via)).toStartWith('SIP/2.0/TCP gw.example:5070;branch=')
		expect(message.first(Header.Contact)).toStartWith('<sip:1001@gw.example:5070;transport=tcp>')
		rig.from(to(ONE), grant(message, 300))
		expect(rig.last(PHONE, '200 REGISTER').first(Header.Contact)).toContain('expires=300')
	})

	test('over TLS it is sip: with transport=tls, as on the side of the phones', () => {
		const rig = rigOf([targetOf(SECURE, { transport: 'tls' })])
		bound(rig, to(SECURE))
		const phone = new Phone('1002', PHONE)
		rig.from(PHONE, phone.register())
		const register = rig.last(SECURE, 'REGISTER')
		expect(register.first(Header.Via)).toStartWith('SIP/2.0/TLS gw.example:5061;branch=')
		expect(register.first(Header.Contact)).toStartWith('<sip:1002@gw.example:5061;transport=tls>')
	})

	test('nothing is sent to it twice', () => {
		const rig = rigOf([tcp(ONE)])
		const phone = bound(rig, to(ONE))
		rig.from(PHONE, call(phone))
		rig.from(PHONE, phone.register())
		rig.advance(31_000)
		expect(rig.words(ONE)).toEqual(['INVITE', 'REGISTER'])
	})

	test('a call of it comes by its connection or one that it opens, and the answers go back by the same', () => {
		for (const source of [to(ONE), streamOf(ONE.address, 50_123, 9, TCP)]) {
			const rig = rigOf([tcp(ONE)])
			const phone = bound(rig, to(ONE))
			rig.from(source, requestText('INVITE', { via: 'SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKa' }))
			const invite = rig.last(PHONE, 'INVITE')
			const [own, far] = invite.list(Header.RecordRoute)
			expect(own).toEndWith('@gw.example:5060;lr>')
			expect(far).toEndWith('@gw.example:5070;transport=tcp;lr>')
			rig.from(PHONE, answerTo(invite, 200, { contact: phone.uri }))
			const answers = rig.sent.filter(({ word }) => word === '100 INVITE' || word === '200 INVITE')
			expect(answers.map((sent) => sent.to.key)).toEqual([source.key, source.key])
			expect(answers[1]!.message.first(Header.Contact)).toBe('<sip:1001@gw.example:5070;transport=tcp>')
		}
	})

	test('a phone on TCP and a PBX on TCP reach us at one address: one Record-Route says so', () => {
		const rig = rigOf([tcp(ONE)])
		const flow = streamOf('198.51.100.7', 40_007, 5, TCP)
		const phone = new Phone('1001', flow)
		rig.from(flow, phone.register())
		rig.from(to(ONE), grant(rig.last(ONE, 'REGISTER')))
		rig.from(to(ONE), requestText('INVITE'))
		expect(rig.last(flow, 'INVITE').list(Header.RecordRoute)).toHaveLength(1)
	})

	test('in a dialog its Contact leads to its connection, also one without a transport or with a port of the moment', () => {
		for (const contact of ['192.0.2.1:5060;transport=tcp', '192.0.2.1', '192.0.2.1:50123;transport=tcp']) {
			const rig = rigOf([tcp(ONE)])
			const phone = bound(rig, to(ONE))
			rig.from(PHONE, call(phone))
			rig.from(to(ONE), answerTo(rig.last(ONE, 'INVITE'), 200, { contact: `sip:600@${contact}` }))
			const ok = rig.last(PHONE, '200 INVITE')
			const rows = ok.rows(Header.RecordRoute).map((route) => `Route: ${route}`)
			const within = { uri: `sip:600@${contact}`, to: ok.first(Header.To)!, callId: 'out-1', cseq: 103, rows }
			for (const method of ['ACK', 'BYE']) rig.from(PHONE, phone.request(method, within))
			expect(rig.sent.filter(({ word }) => word === 'ACK' || word === 'BYE').map((sent) => sent.to)).toEqual([
				{ ...ONE, key: '3|192.0.2.1|5060' },
				{ ...ONE, key: '3|192.0.2.1|5060' },
			])
		}
	})

	test('who is not of the PBX is not taken for it on the same listener, nor the PBX by another transport', () => {
		const rig = rigOf([tcp(ONE)])
		bound(rig, to(ONE))
		for (const flow of [
			streamOf('192.0.2.9', 50_000, 1, TCP),
			streamOf(ONE.address, 50_000, 1, TLS),
			flowOf(ONE.address, 5099),
		])
			rig.from(flow, requestText('INVITE'))
		expect(rig.sent).toEqual([])
	})

	test('what it sends without a frame is answered, and counted as its own', () => {
		const rig = rigOf([tcp(ONE)])
		const head = octets(requestText('OPTIONS'))
		rig.input({ type: 'stream-fault', flow: to(ONE), code: 'length-conflict', head })
		expect(rig.words(ONE)).toEqual(['400 OPTIONS'])
		expect(rig.core.context.counters.strangersDropped).toBe(0)
	})
})

describe('a connection that is lost', () => {
	test('what has no answer goes out again by the next one, as the same request; what rings does not', () => {
		const rig = rigOf([tcp(ONE)])
		connected(rig, to(ONE))
		const phone = bound(rig, to(ONE))
		rig.from(PHONE, call(phone))
		rig.from(to(ONE), answerTo(rig.last(ONE, 'INVITE'), 180))
		rig.from(PHONE, phone.register())
		const register = rig.last(ONE, 'REGISTER')
		rig.clear()
		closed(rig, to(ONE))
		expect(rig.words(ONE)).toEqual(['REGISTER'])
		expect(rig.last(ONE, 'REGISTER').via.branch).toBe(register.via.branch)
	})

	test('and none can be had: what was asked fails at once, with 503, and the machine is down', () => {
		const rig = rigOf([tcp(ONE)])
		connected(rig, to(ONE))
		const phone = bound(rig, to(ONE))
		rig.from(PHONE, call(phone))
		rig.from(PHONE, phone.register())
		unreachable(rig, ONE)
		expect(rig.words(PHONE)).toEqual(['100 INVITE', '503 INVITE', '503 REGISTER'])
		expect(rig.last(PHONE, '503 REGISTER').first(Header.RetryAfter)).toBe('5')
		expect(states(rig)).toEqual(['down'])
		const down = rig.events.find(({ name }) => name === 'pbx-down')
		expect(down?.fields['reason']).toBe('no connection: nothing listens there')
		rig.advance(200_000)
		expect(rig.core.transactions.count).toBe(0)
	})

	test('a call that rang there fails as well, for the machine that had it has died', () => {
		const rig = rigOf([tcp(ONE)])
		const phone = bound(rig, to(ONE))
		rig.from(PHONE, call(phone))
		rig.from(to(ONE), answerTo(rig.last(ONE, 'INVITE'), 180))
		unreachable(rig, ONE)
		expect(rig.words(PHONE).at(-1)).toBe('503 INVITE')
	})

	test('where there is a second machine it is asked at once, over its own transport', () => {
		const rig = rigOf([tcp(ONE), targetOf(SECURE, { transport: 'tls', rank: 1 })])
		const phone = bound(rig, to(ONE))
		rig.from(PHONE, call(phone))
		unreachable(rig, ONE)
		const invite = rig.last(SECURE, 'INVITE')
		expect(invite.first(Header.Via)).toStartWith('SIP/2.0/TLS gw.example:5061;')
		expect(invite.first(Header.Contact)).toBe('<sip:1001@gw.example:5061;transport=tls>')
		expect(invite.first(Header.RecordRoute)).toEndWith('@gw.example:5061;transport=tls;lr>')
		rig.from(to(SECURE), answerTo(invite, 200, { contact: 'sip:600@192.0.2.3:5061;transport=tls' }))
		expect(rig.words(PHONE)).toEqual(['100 INVITE', '200 INVITE'])
		rig.clear()
		rig.from(PHONE, new Phone('1002', PHONE).register())
		expect(rig.words(ONE)).toEqual([])
		expect(rig.words(SECURE)).toEqual(['REGISTER'])
	})

	test('a machine that rang, and whose ringing the caller heard, is not asked again elsewhere', () => {
		const rig = rigOf([tcp(ONE), tcp(TWO, 1)])
		const phone = bound(rig, to(ONE))
		rig.from(PHONE, call(phone))
		rig.from(to(ONE), answerTo(rig.last(ONE, 'INVITE'), 180))
		unreachable(rig, ONE)
		expect(rig.words(TWO)).toEqual([])
		expect(rig.words(PHONE).at(-1)).toBe('503 INVITE')
	})

	test('RFC 3261 §18.2.2: an answer that was due there goes to the machine by another one', () => {
		for (const source of [to(ONE), streamOf(ONE.address, 50_123, 9, TCP)]) {
			const rig = rigOf([tcp(ONE)])
			connected(rig, to(ONE))
			const phone = bound(rig, to(ONE))
			rig.from(source, requestText('INVITE'))
			const invite = rig.last(PHONE, 'INVITE')
			closed(rig, source)
			rig.clear()
			rig.from(PHONE, answerTo(invite, 200, { contact: phone.uri }))
			expect(rig.sent.map(({ word, to: { key } }) => `${word} ${key}`)).toEqual(['200 INVITE 3|192.0.2.1|5060'])
		}
	})

	test('a silent machine loses it, so that it is heard as soon as it is back', () => {
		const rig = rigOf([tcp(ONE), tcp(TWO, 1)], { pbxPingMs: 5_000 })
		connected(rig, to(ONE))
		connected(rig, to(TWO))
		for (let i = 0; i < 5; i++) {
			rig.from(to(TWO), '\r\n\r\n')
			rig.advance(2_000)
		}
		expect(states(rig)).toEqual(['down', 'up'])
		expect(rig.closed).toEqual([to(ONE).key])
		closed(rig, to(ONE))
		rig.advance(PROBE_AGAIN_MS)
		rig.clear()
		connected(rig, to(ONE, 2))
		unreachable(rig, TWO)
		rig.advance(PROBE_AGAIN_MS)
		rig.from(to(ONE, 2), answerTo(rig.last(ONE, 'OPTIONS'), 200))
		expect(states(rig)).toEqual(['up', 'down'])
	})

	test('a question whether it lives names the transport, and fails without a second word', () => {
		const rig = rigOf([tcp(ONE)], { pbxPingMs: 5_000 })
		expect(rig.last(ONE, 'OPTIONS').uri).toBe('sip:192.0.2.1:5060;transport=tcp')
		unreachable(rig, ONE)
		expect(rig.eventNames()).toEqual(['pbx-down'])
		rig.clear()
		rig.advance(PROBE_AGAIN_MS)
		expect(rig.words(ONE)).toEqual(['OPTIONS'])
	})

	test('where nobody may ask whether it lives a connection is a sign, and the next request finds out', () => {
		const rig = rigOf([tcp(ONE), tcp(TWO, 1)])
		unreachable(rig, ONE)
		expect(states(rig)).toEqual(['down', 'up'])
		connected(rig, to(ONE))
		expect(states(rig)).toEqual(['suspect', 'up'])
		rig.from(PHONE, new Phone('1001', PHONE).register())
		expect(rig.words(ONE)).toEqual(['REGISTER'])
	})

	test('a REGISTER of a machine over both is at home where it was answered, and known by the Contact it had there', () => {
		const rig = rigOf([targetOf(flowOf(ONE.address, 5060)), targetOf(ONE, { transport: 'tcp', rank: 1 })])
		const phone = new Phone('1001', PHONE)
		rig.from(PHONE, phone.register())
		rig.advance(FAILOVER_MS)
		const register = rig.sent.find(({ message }) => message.via.transport === 'TCP')!.message
		rig.from(to(ONE), grant(register, 300))
		expect(rig.last(PHONE, '200 REGISTER').first(Header.Contact)).toContain('expires=300')
		expect(rig.core.devices.agentByUser('1001')!.home).toBe(rig.core.targets.all[1])
	})

	test('a machine that says nothing at all is passed over in time, as over UDP', () => {
		const rig = rigOf([tcp(ONE), tcp(TWO, 1)])
		const phone = new Phone('1001', PHONE)
		rig.from(PHONE, phone.register())
		rig.advance(FAILOVER_MS)
		expect([rig.words(ONE), rig.words(TWO)]).toEqual([['REGISTER'], ['REGISTER']])
	})
})

describe('a request that is too large for UDP', () => {
	const BIG = [`X-Much: ${'x'.repeat(MAX_UDP_REQUEST)}`]
	const HOME = flowOf('192.0.2.1', 5060, UDP)
	const LARGE = flowOf('192.0.2.1', 5080, TCP_OUT)
	const both = targetOf(HOME, { tcpPort: 5080 })
	/* the two share an address */
	const by = (rig: Rig, port: number) =>
		rig.sent.filter((sent) => sent.to.address === HOME.address && sent.to.port === port)

	test('goes by TCP where the machine has it, and is otherwise the same', () => {
		const rig = rigOf([both])
		const phone = bound(rig, HOME)
		rig.from(PHONE, call(phone, BIG))
		const [sent] = by(rig, 5080)
		expect([sent!.word, sent!.to.listener, transportOf(sent!)]).toEqual(['INVITE', TCP_OUT, 'TCP'])
		expect(sent!.message.first(Header.Contact)).toBe('<sip:1001@gw.example:5060>')
		expect(sent!.message.first(Header.RecordRoute)).toEndWith('@gw.example:5060;lr>')
		expect(by(rig, 5060)).toEqual([])
		rig.from(to(LARGE), answerTo(sent!.message, 200, { contact: 'sip:600@192.0.2.1' }))
		expect(rig.words(PHONE)).toEqual(['100 INVITE', '200 INVITE'])
	})

	test('a CANCEL goes the way of its INVITE', () => {
		const rig = rigOf([both])
		const phone = bound(rig, HOME)
		const invite = call(phone, BIG)
		rig.from(PHONE, invite)
		rig.from(to(LARGE), answerTo(by(rig, 5080)[0]!.message, 180))
		rig.from(PHONE, invite.replace(/^INVITE/, 'CANCEL').replace(/INVITE\r\n/, 'CANCEL\r\n'))
		expect(by(rig, 5080).map(({ word }) => word)).toEqual(['INVITE', 'CANCEL'])
	})

	test('of 1300 octets it is none', () => {
		const rig = rigOf([both])
		const phone = bound(rig, HOME)
		rig.from(PHONE, phone.request('MESSAGE', { uri: `sip:600@${DOMAIN}`, body: 'x' }))
		const { length } = by(rig, 5060)[0]!.text
		rig.clear()
		for (const more of [0, 1]) {
			const body = 'x'.repeat(MAX_UDP_REQUEST - length - 2 + more)
			rig.from(PHONE, phone.request('MESSAGE', { uri: `sip:600@${DOMAIN}`, cseq: 200 + more, body }))
		}
		expect(rig.sent.filter(({ word }) => word === 'MESSAGE').map((sent) => sent.to.port)).toEqual([5060, 5080])
		expect(by(rig, 5060)[0]!.text.length).toBe(MAX_UDP_REQUEST)
	})

	test('in a dialog as well', () => {
		const rig = rigOf([both])
		const phone = bound(rig, HOME)
		rig.from(PHONE, call(phone))
		rig.from(HOME, answerTo(rig.last(HOME, 'INVITE'), 200, { contact: 'sip:600@192.0.2.1' }))
		const ok = rig.last(PHONE, '200 INVITE')
		const rows = [...ok.rows(Header.RecordRoute).map((route) => `Route: ${route}`), ...BIG]
		rig.from(
			PHONE,
			phone.request('INVITE', {
				...{ uri: 'sip:600@192.0.2.1', callId: 'out-1', cseq: 103, rows },
				to: ok.first(Header.To)!,
			}),
		)
		expect(by(rig, 5080).map(({ word }) => word)).toEqual(['INVITE'])
	})

	test('a dialog whose Contact says TCP is spoken to over TCP, at the port it says', () => {
		const rig = rigOf([both])
		const phone = bound(rig, HOME)
		rig.from(PHONE, call(phone, BIG))
		const contact = 'sip:600@192.0.2.1:5080;transport=tcp'
		rig.from(to(LARGE), answerTo(by(rig, 5080)[0]!.message, 200, { contact }))
		const ok = rig.last(PHONE, '200 INVITE')
		const rows = ok.rows(Header.RecordRoute).map((route) => `Route: ${route}`)
		const within = { uri: contact, to: ok.first(Header.To)!, callId: 'out-1', cseq: 103, rows }
		for (const method of ['ACK', 'BYE']) rig.from(PHONE, phone.request(method, within))
		expect(by(rig, 5080).map((sent) => `${sent.word} ${transportOf(sent)}`)).toEqual([
			'INVITE TCP',
			'ACK TCP',
			'BYE TCP',
		])
	})

	test('one that rings is not failed where its connection cannot be had again: the machine is known by UDP', () => {
		const rig = rigOf([both])
		const phone = bound(rig, HOME)
		rig.from(PHONE, call(phone, BIG))
		const invite = by(rig, 5080)[0]!.message
		rig.from(to(LARGE), answerTo(invite, 180))
		unreachable(rig, LARGE)
		rig.from(streamOf(HOME.address, 50_123, 9, TCP), answerTo(invite, 200, { contact: 'sip:600@192.0.2.1' }))
		expect(rig.words(PHONE)).toEqual(['100 INVITE', '180 INVITE', '200 INVITE'])
	})

	test('RFC 3261 §18.1.1: goes by UDP where no connection can be had, and so do the next ones for a while', () => {
		const rig = rigOf([both])
		const phone = bound(rig, HOME)
		rig.from(PHONE, call(phone, BIG))
		const { branch } = by(rig, 5080)[0]!.message.via
		unreachable(rig, LARGE)
		const [sent] = by(rig, 5060)
		expect([sent!.word, transportOf(sent!), sent!.message.via.branch]).toEqual(['INVITE', 'UDP', branch])
		expect(states(rig)).toEqual(['up'])
		rig.from(HOME, answerTo(sent!.message, 486))
		expect(rig.words(PHONE)).toEqual(['100 INVITE', '486 INVITE'])
		rig.clear()
		rig.from(PHONE, phone.register({ rows: BIG }))
		expect(by(rig, 5080)).toEqual([])
		rig.from(HOME, grant(rig.last(HOME, 'REGISTER')))
		rig.advance(TCP_AGAIN_MS)
		rig.clear()
		rig.from(PHONE, phone.register({ rows: BIG }))
		expect(by(rig, 5080).map(({ word }) => word)).toEqual(['REGISTER'])
	})

	test('a REGISTER so sent binds as any other, at its machine', () => {
		const rig = rigOf([both, targetOf(flowOf('192.0.2.2', 5060), { rank: 1 })])
		const phone = new Phone('1001', PHONE, { token: TOKEN })
		rig.from(PHONE, phone.register({ rows: BIG }))
		const register = by(rig, 5080)[0]!.message
		expect(register.first(Header.Contact)).toStartWith('<sip:1001@gw.example:5060>')
		rig.from(to(LARGE), grant(register))
		expect(rig.words(PHONE)).toEqual(['200 REGISTER'])
		expect(rig.core.devices.agentByUser('1001')!.home).toBe(rig.core.targets.all[0])
	})

	test('a machine that --pbx names over UDP and over TCP is known by both', () => {
		const rig = rigOf([targetOf(HOME), targetOf(LARGE, { transport: 'tcp', rank: 1 })])
		const phone = bound(rig, HOME)
		rig.from(PHONE, call(phone, BIG))
		expect(by(rig, 5080).map(({ word }) => word)).toEqual(['INVITE'])
	})

	test('where it has no TCP it goes by UDP, and towards a phone by the flow it has', () => {
		const rig = rigOf([targetOf(HOME)])
		const phone = bound(rig, HOME)
		rig.from(PHONE, call(phone, BIG))
		expect(by(rig, 5060).map(({ word }) => word)).toEqual(['INVITE'])
		rig.from(HOME, requestText('INVITE', { rows: BIG }))
		expect(rig.words(PHONE)).toEqual(['100 INVITE', 'INVITE'])
	})
})

describe('after a restart', () => {
	test('a held call of a connection is answered by the connection there is then, at the port in its Via', () => {
		const rig = rigOf([tcp(ONE)])
		bound(rig, to(ONE), { token: TOKEN, instance: 'urn:uuid:one' })
		rig.advance(13_000)
		rig.from(
			streamOf(ONE.address, 50_123, 9, TCP),
			requestText('INVITE', { via: 'SIP/2.0/TCP 192.0.2.1:5062;branch=z9hG4bKa' }),
		)
		rig.pushed(ACCEPTED)
		rig.restart()
		rig.input({ type: 'pbx-resolved', targets: [tcp(ONE)] })
		rig.advance(60_000)
		const answers = rig.sent.filter(({ message }) => message.status > 0 && message.cseqMethod === 'INVITE')
		expect(answers.map(({ word, to: { key } }) => `${word} ${key}`)).toEqual([
			'100 INVITE 3|192.0.2.1|5062',
			'480 INVITE 3|192.0.2.1|5062',
		])
	})
})

test(`closed connections of the PBX that are remembered are ${MAX_DEPARTED_MACHINES}`, () => {
	const departed = new Departed()
	const flows = Array.from({ length: MAX_DEPARTED_MACHINES + 1 }, (_, n) => to(ONE, n + 1))
	for (const { key } of flows) departed.noteMachine(key, TWO)
	expect([departed.follow(flows[0]!), departed.follow(flows.at(-1)!)]).toEqual([flows[0], TWO])
})
