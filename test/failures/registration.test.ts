/** The cases about registrations: who is bound where, and what of that the PBX and callers see. Numbers as in docs/failure-cases.md. */
import { expect, test } from 'bun:test'
import type { Flow } from '../../src/core/model.ts'
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
} from '../core/peers.ts'
import { flowOf, GATEWAY, PBX, Rig, streamOf } from '../core/rig.ts'
import { answers, asleep, calls, count, verdicts, wakes } from './calling.ts'

const STABLE = `<sip:1001@${GATEWAY}>`

test('2: through the gateway a phone registers, is called, acknowledged and hung up by a PBX that knows of no push', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	fallAsleep(rig)
	calls(rig)
	rig.pushed(ACCEPTED)
	wakes(rig, phone)
	answers(rig, phone)
	const ok = rig.last(PBX, '200 INVITE')
	const dialog = {
		uri: ok.first(Header.Contact)!.slice(1, -1),
		to: ok.first(Header.To)!,
		rows: ok.rows(Header.RecordRoute).map((route) => `Route: ${route}`),
		contact: '',
	}
	rig.clear()
	rig.from(PBX, requestText('ACK', dialog))
	rig.from(PBX, requestText('BYE', { ...dialog, cseq: 103 }))
	rig.from(phone.flow, answerTo(rig.last(phone.flow, 'BYE'), 200))
	expect([rig.words(phone.flow), rig.words(PBX)]).toEqual([['ACK', 'BYE'], ['200 BYE']])
	expect(rig.last(phone.flow, 'ACK').uri).toBe(phone.uri)
})

test('2: the BYE of a phone behind two NATs reaches the PBX by the route alone', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	calls(rig)
	const invite = rig.last(phone.flow, 'INVITE')
	answers(rig, phone)
	rig.from(
		phone.flow,
		phone.request('BYE', {
			uri: 'sip:5551234@192.0.2.1:5060',
			from: `${STABLE};tag=phone`,
			to: '<sip:5551234@pbx.example>;tag=pbx',
			rows: invite.rows(Header.RecordRoute).map((route) => `Route: ${route}`),
		}),
	)
	rig.from(PBX, answerTo(rig.last(PBX, 'BYE'), 200))
	expect(rig.words(phone.flow).at(-1)).toBe('200 BYE')
})

test('9: after a change of network the first call already finds the phone, and the old address nothing', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	const before = phone.flow
	wakes(rig, phone)
	rig.clear()
	calls(rig)
	expect([count(rig, phone, 'INVITE'), rig.words(before)]).toEqual([1, []])
	expect([...rig.core.devices.all].length).toBe(1)
})

test('9: what is within a dialog follows the phone to its new network', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	calls(rig)
	const route = rig.last(phone.flow, 'INVITE').first(Header.RecordRoute)!
	answers(rig, phone)
	wakes(rig, phone)
	rig.clear()
	rig.from(PBX, requestText('BYE', { to: `${STABLE};tag=phone`, rows: [`Route: ${route}`], cseq: 103 }))
	expect(rig.words(phone.flow)).toEqual(['BYE'])
})

test('9: the push parameters outlive the flow', () => {
	const { rig } = asleep()
	rig.restart()
	calls(rig)
	expect(rig.pushes.map(({ token }) => token.reveal())).toEqual([TOKEN])
})

test('11: the PBX that asks whether a sleeping agent can be called hears yes, and no phone is woken for it', () => {
	const { rig, phone } = asleep()
	rig.from(PBX, requestText('OPTIONS'))
	expect([rig.words(PBX), rig.words(phone.flow), rig.pushes]).toEqual([['200 OPTIONS'], [], []])
})

test('11: and no as soon as the token is dead', () => {
	const { rig } = asleep()
	calls(rig)
	rig.pushed({ kind: 'gone', status: 410, reason: 'Unregistered', timestampMs: 0 })
	rig.clear()
	rig.from(PBX, requestText('OPTIONS'))
	expect(rig.words(PBX)).toEqual(['480 OPTIONS'])
})

test('12: the PBX has one Contact for an agent, whatever the port, the phone and the life of the gateway', () => {
	const rig = new Rig()
	const phone = new Phone('1001', flowOf('198.51.100.7', 40_000), { token: TOKEN })
	const contacts = new Set<string>()
	const register = () => {
		bind(rig, phone)
		contacts.add(
			rig
				.last(PBX, 'REGISTER')
				.first(Header.Contact)!
				.replace(/;expires=\d+$/, ''),
		)
	}
	for (let port = 40_000; port < 40_010; port++) {
		phone.flow = flowOf('198.51.100.7', port)
		register()
	}
	rig.restart()
	phone.flow = flowOf('203.0.113.9', 1)
	register()
	bind(rig, new Phone('1001', flowOf('203.0.113.10', 1), { token: 'cc'.repeat(32) }))
	contacts.add(
		rig
			.last(PBX, 'REGISTER')
			.first(Header.Contact)!
			.replace(/;expires=\d+$/, ''),
	)
	expect([...contacts]).toEqual([STABLE])
})

/** A phone of Android that sleeps, on this flow. */
function android(flow: Flow, settings: ConstructorParameters<typeof Rig>[0] = { providers: ['apns', 'fcm'] }) {
	const rig = new Rig({
		advertised: ['UDP', 'TLS'].map((transport) => ({ ...GATEWAY_AT, transport })) as never,
		...settings,
	})
	const phone = new Phone('1001', flow)
	const contact = `<${phone.uri}${pushParamsOf('dGVzdA-_:APA91b', 'fcm')}>;+sip.instance="<urn:uuid:android>"`
	const ok = bind(rig, phone, { contact })
	return { rig, phone, contact, ok }
}

const GATEWAY_AT = { host: 'gw.example', port: 5060 }

test('17: a call wakes a phone of Android by one push of data, which lapses with the hold, and rings where it comes back', () => {
	const { rig, phone, contact } = android(flowOf('198.51.100.7', 40_007))
	fallAsleep(rig)
	calls(rig)
	const [push] = rig.pushes
	expect(push).toMatchObject({ provider: 'fcm', kind: 'voip', expiresAt: rig.now + 20_000 })
	expect(Object.values(JSON.parse(push!.payload)).every((value) => typeof value === 'string')).toBeTrue()
	rig.pushed(ACCEPTED)
	rig.advance(9_000)
	phone.flow = flowOf('203.0.113.9', 50_000)
	bind(rig, phone, { contact })
	expect([count(rig, phone, 'INVITE'), rig.pushes.length]).toEqual([1, 1])
	const [agent] = rig.core.snapshot(rig.now).agents
	expect(agent!.devices[0]).toMatchObject({ lastWakeMs: 9_000, hold: { samples: 1 } })
})

test('17: a phone of Android whose connection lives is tried by it as well, and answers though the push comes late', () => {
	const { rig, phone } = android(streamOf('198.51.100.7', 40_007, 1))
	fallAsleep(rig)
	calls(rig)
	expect([count(rig, phone, 'INVITE'), rig.pushes.length]).toEqual([1, 1])
	rig.advance(4_000)
	answers(rig, phone)
	expect([rig.words(PBX).at(-1), rig.pushes.length]).toEqual(['200 INVITE', 1])
})

test('17: without a key for FCM no push is promised to it; it is reached while it is awake, and 480 when it is not', () => {
	const { rig, phone, ok } = android(flowOf('198.51.100.7', 40_007), {})
	/* RFC 8599 §5: an app that sees no caps for its service knows that it must keep awake by itself */
	expect(ok.text).not.toContain('sip.pns="fcm"')
	expect(ok.first(Header.Contact)).toContain('pn-provider=fcm')
	calls(rig)
	expect([count(rig, phone, 'INVITE'), rig.pushes]).toEqual([1, []])
	rig.advance(5_000)
	expect([[...new Set(verdicts(rig))], rig.pushes]).toEqual([['100 INVITE', '480 INVITE'], []])
})

test('21: who guesses passwords through the gateway is banned here, and others behind it are not', () => {
	const rig = new Rig({ banAfter: 3 })
	const guesser = new Phone('1002', flowOf('203.0.113.66', 5060))
	const phone = boundPhone(rig)
	const credentials = ['Authorization: Digest username="1002", realm="asterisk", response="00"']
	for (let i = 0; i < 3; i++) {
		rig.from(guesser.flow, guesser.register({ rows: credentials }))
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 401))
	}
	rig.clear()
	rig.from(guesser.flow, guesser.register({ rows: credentials }))
	expect([rig.words(PBX), rig.core.snapshot(rig.now).bans.map(({ source }) => source)]).toEqual([[], ['203.0.113.66']])
	rig.from(phone.flow, phone.register())
	expect(rig.words(PBX)).toEqual(['REGISTER'])
})

test('21: the PBX is told the true source of a REGISTER, in the Via of the phone', () => {
	const rig = new Rig()
	rig.from(flowOf('203.0.113.66', 5060), new Phone('1002', flowOf('203.0.113.66', 5060)).register())
	expect(rig.last(PBX, 'REGISTER').list(Header.Via)[1]).toContain(';received=203.0.113.66')
})

test('22: no push token reaches a caller, a callee or the PBX, in no message of a call', () => {
	const rig = new Rig()
	const phone = boundPhone(rig)
	const contact = `${phone.uri}${pushParamsOf(TOKEN)}`
	rig.clear()
	calls(rig)
	const invite = rig.last(phone.flow, 'INVITE')
	rig.from(phone.flow, answerTo(invite, 180, { contact }))
	rig.from(phone.flow, answerTo(invite, 200, { contact, toTag: 'phone' }))
	const inDialog = { from: `${STABLE};tag=phone`, to: '<sip:5551234@pbx.example>;tag=pbx', contact: `<${contact}>` }
	const rows = [`Route: ${invite.first(Header.RecordRoute)}`, `Refer-To: <sip:1002@${GATEWAY}${pushParamsOf(TOKEN)}>`]
	for (const method of ['INVITE', 'REFER', 'UPDATE', 'BYE'])
		rig.from(phone.flow, phone.request(method, { ...inDialog, rows }))
	expect(rig.words(PBX)).toEqual(['100 INVITE', '180 INVITE', '200 INVITE', 'INVITE', 'REFER', 'UPDATE', 'BYE'])
	for (const { text } of rig.sent) expect(text).not.toMatch(/pn-|fa0dadb8/)
	const shown = rig.to(PBX).filter(({ message }) => message.find(Header.Contact) >= 0)
	expect(new Set(shown.map(({ message }) => message.first(Header.Contact)))).toEqual(new Set([STABLE]))
})

test('22: nor does a phone see the token of another phone of its agent', () => {
	const rig = new Rig()
	boundPhone(rig, '1001', 'aa'.repeat(32), 10)
	const other = new Phone('1001', flowOf('198.51.100.11', 1), { token: 'bb'.repeat(32) })
	rig.from(other.flow, other.register())
	rig.from(PBX, grant(rig.last(PBX, 'REGISTER')))
	expect(rig.last(other.flow, '200 REGISTER').text).not.toContain('aaaa')
})
