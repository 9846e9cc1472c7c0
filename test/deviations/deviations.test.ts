/** docs/deviations.md says where the gateway does otherwise than an RFC asks; each of its entries names a test here. */
import { expect, test } from 'bun:test'
import { Deadlines } from '../../src/lib/deadlines.ts'
import { Header } from '../../src/sip/headers.ts'
import { parse } from '../../src/sip/parse.ts'
import { MAX_LINGERING, SIXTY_FOUR_T1 } from '../../src/transaction/timers.ts'
import { type ClientUser, type Due, Transactions } from '../../src/transaction/transactions.ts'
import { targetOf } from '../core/target.ts'
import { octets, parsed, sample } from '../sip/sample.ts'
import { flow, GATEWAY, of, only, PBX, Rig } from './rig.ts'

const PHONE = flow('198.51.100.7', 40_000)
const OTHER = flow('198.51.100.8', 40_000)
const SECOND = flow('203.0.113.9', 50_000)
const UNREGISTERED = { kind: 'gone', status: 410, reason: 'Unregistered', timestampMs: 0 } as const
const ACCEPTED = { kind: 'accepted', status: 200, environment: 'production' } as const
const CONTACT_OF_PHONE = 'Contact: <sip:1001@198.51.100.7:40000>'

const UDP_AND_TLS = (['UDP', 'TLS'] as const).map((transport) => ({ host: '192.0.2.1', port: 5060, transport }))
/** The phone's nth connection. */
const connection = (n: number) => {
	const port = PHONE.port + n
	return { ...PHONE, port, listener: 1, key: `1|${PHONE.address}|${port}|${n}` }
}

/** Two pings missed. */
const ASLEEP_MS = 15_000

function transactions() {
	const sent: Uint8Array[] = []
	const counters = { retransmissionsSent: 0, retransmissionsAbsorbed: 0 }
	return {
		sent,
		layer: new Transactions(
			new Deadlines<Due>(),
			{ send: (_to, bytes) => void sent.push(bytes), isReliable: () => false },
			counters,
		),
	}
}

/** A sleeping phone of 1001, and a call that is held for it. */
function held(settings = {}): Rig {
	const rig = new Rig(settings)
	rig.bind(PHONE)
	rig.wait(ASLEEP_MS)
	rig.invite()
	rig.pushed({ kind: 'accepted', status: 200, environment: 'production' })
	return rig
}

/** 1001 with two awake phones, and the INVITEs that a call brought them. */
function forked() {
	const rig = new Rig()
	rig.bind(PHONE)
	rig.bind(OTHER, { instance: 'b' })
	const [first, second] = of(rig.invite(), 'INVITE')
	return { rig, first: first!, second: second! }
}

test('of finished transactions the oldest is forgotten before its 32 s when there are 16,384', () => {
	const { layer } = transactions()
	const encoder = new TextEncoder()
	const text = sample([['CSeq', '1 OPTIONS']], 'OPTIONS sip:lena@dest.example SIP/2.0')
	const finish = (i: number) => {
		const request = parse(encoder.encode(text.replace('z9hG4bKone', `z9hG4bK${i}`)))
		layer.serve(request, PBX).respond(200, octets('SIP/2.0 200 OK\r\n\r\n'), 0)
		return request
	}
	const oldest = finish(0)
	for (let i = 1; i < MAX_LINGERING; i++) finish(i)
	expect(layer.findServer(oldest)).toBeDefined()
	const newest = finish(MAX_LINGERING)
	expect(layer.findServer(oldest)).toBeUndefined()
	expect(layer.findServer(newest)).toBeDefined()
	layer.sweep(SIXTY_FOUR_T1)
	expect(layer.count).toBe(0)
})

test('a repeated final response to a request other than INVITE finds no transaction, and goes nowhere', () => {
	const { layer } = transactions()
	const heard: number[] = []
	const user: ClientUser = { response: (_t, answer) => void heard.push(answer.status), timedOut() {} }
	layer.open('z9hG4bKk', 'OPTIONS', octets('OPTIONS'), PBX, user, 0)
	const answer = parsed(
		sample(
			[
				['Via', 'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKk'],
				['CSeq', '1 OPTIONS'],
			],
			'SIP/2.0 200 OK',
		),
	)
	layer.receive(layer.findClient(answer)!, answer, 0)
	expect(layer.findClient(answer)).toBeUndefined()
	expect(heard).toEqual([200])
})

test('an answer to a phone goes to where its request came from, without rport too', () => {
	const rig = new Rig()
	const relayed = rig.receive(PHONE, 'REGISTER sip:pbx.example SIP/2.0', [
		'Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKx',
		'From: <sip:1001@pbx.example>;tag=r',
		'To: <sip:1001@pbx.example>',
		'Call-ID: r',
		'CSeq: 1 REGISTER',
		'Contact: <sip:1001@10.0.0.5:5060>',
	])
	expect(only(rig.answer(only(relayed), '401 Unauthorized')).to).toBe('198.51.100.7 40000')
})

test('an answer never goes to the maddr of a Via', () => {
	const rig = new Rig()
	const answers = rig.receive(PBX, `OPTIONS sip:${GATEWAY} SIP/2.0`, [
		'Via: SIP/2.0/UDP 192.0.2.10:5060;maddr=203.0.113.77;branch=z9hG4bKm',
		'From: <sip:pbx@pbx.example>;tag=o',
		`To: <sip:${GATEWAY}>`,
		'Call-ID: o',
		'CSeq: 1 OPTIONS',
	])
	expect(only(answers).to).toBe('192.0.2.10 5060')
})

test('the gateway changes Contact: the PBX sees one for the agent, whichever phone speaks', () => {
	const { rig, second } = forked()
	const contactIn = (sent: ReturnType<typeof of>) => only(sent).message.first(Header.Contact)
	const relayed = rig.register(SECOND, { instance: 'c' })
	expect(relayed.message.first(Header.Contact)).toBe(`<sip:1001@${GATEWAY}>;expires=3600`)
	const ok = rig.answer(second, '200 OK', ['Contact: <sip:1001@198.51.100.8:40000>'])
	expect(contactIn(of(ok, 200))).toBe(`<sip:1001@${GATEWAY}>`)
})

test('push parameters are taken out of To and From on their way to a phone', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	const invite = only(
		of(rig.invite({ to: '<sip:1001@192.0.2.1;pn-prid=abcdef;pn-provider=apns;user=phone>' }), 'INVITE'),
	)
	expect(invite.message.first(Header.To)).toBe('<sip:1001@192.0.2.1;user=phone>')
})

test('what a phone sends goes to the PBX, whatever its Route and its Request-URI say', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	const sent = rig.receive(PHONE, 'INVITE sip:victim@203.0.113.99 SIP/2.0', [
		'Via: SIP/2.0/UDP 198.51.100.7:40000;rport;branch=z9hG4bKout',
		'Route: <sip:203.0.113.98;lr>',
		'From: <sip:1001@pbx.example>;tag=a',
		'To: <sip:victim@203.0.113.99>',
		'Call-ID: out',
		'CSeq: 1 INVITE',
		CONTACT_OF_PHONE,
	])
	expect(only(of(sent, 'INVITE')).to).toBe('192.0.2.10 5060')
	expect(only(of(sent, 100)).to).toBe('198.51.100.7 40000')
})

test('the Route of a REGISTER is taken off', () => {
	const rig = new Rig()
	const relayed = rig.register(PHONE, { extra: ['Route: <sip:203.0.113.98;lr>'] })
	expect(relayed.to).toBe('192.0.2.10 5060')
	expect(relayed.message.find(Header.Route)).toBe(-1)
})

test('the first 2xx goes to the caller, another phone’s 2xx is acknowledged and hung up', () => {
	const { rig, first, second } = forked()
	rig.answer(first, '180 Ringing', [CONTACT_OF_PHONE])
	rig.answer(second, '180 Ringing')
	expect(of(rig.answer(first, '200 OK', [CONTACT_OF_PHONE]), 200).map(({ to }) => to)).toEqual(['192.0.2.10 5060'])
	const late = rig.answer(second, '200 OK', ['Contact: <sip:1001@198.51.100.8:40000>'])
	expect(late.map(({ to, message }) => `${message.method} ${to}`)).toEqual([
		'ACK 198.51.100.8 40000',
		'BYE 198.51.100.8 40000',
	])
})

test('a 2xx after our own 487 is acknowledged and hung up, and the caller hears nothing of it', () => {
	const rig = held()
	expect(of(rig.cancel(), 487).length).toBe(1)
	const invite = only(of(rig.bind(PHONE), 'INVITE'))
	const late = rig.answer(invite, '200 OK', [CONTACT_OF_PHONE])
	expect(late.map(({ to, message }) => `${message.method} ${to}`)).toEqual([
		'ACK 198.51.100.7 40000',
		'BYE 198.51.100.7 40000',
	])
})

test('a refused REGISTER of the device does not end its hold', () => {
	const rig = held()
	const relayed = rig.register(PHONE)
	expect(of(rig.answer(relayed, '403 Forbidden'), 480)).toEqual([])
	rig.wait(1000)
	expect(of(rig.bind(PHONE), 'INVITE').length).toBe(1)
})

test('a refused push ends the hold with 480 at once', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	rig.wait(ASLEEP_MS)
	rig.invite()
	expect(only(of(rig.pushed(UNREGISTERED), 480)).to).toBe('192.0.2.10 5060')
})

test('the INVITE that got no answer goes to the new flow with the same branch', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	const first = only(of(rig.invite(), 'INVITE'))
	rig.wait(2000)
	expect(rig.pushes.length).toBe(1)
	const again = only(of(rig.bind(SECOND), 'INVITE'))
	expect(again.to).toBe('203.0.113.9 50000')
	expect(again.message.via.branch).toBe(first.message.via.branch)
})

test('a 503 of the PBX reaches the phone as it is', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	const rows = [
		'Via: SIP/2.0/UDP 198.51.100.7:40000;rport;branch=z9hG4bKout',
		'From: <sip:1001@pbx.example>;tag=a',
		'To: <sip:600@pbx.example>',
		'Call-ID: out',
		'CSeq: 1 INVITE',
		CONTACT_OF_PHONE,
	]
	const invite = only(of(rig.receive(PHONE, 'INVITE sip:600@pbx.example SIP/2.0', rows), 'INVITE'))
	expect(only(of(rig.answer(invite, '503 Service Unavailable', ['Retry-After: 9']), 503)).to).toBe('198.51.100.7 40000')
})

test('a phone that rings past timer C is cancelled, and the caller gets 408 without waiting for it', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	const invite = only(of(rig.invite(), 'INVITE'))
	rig.answer(invite, '180 Ringing', [CONTACT_OF_PHONE])
	expect(of(rig.wait(184_000), 408)).toEqual([])
	const sent = rig.wait(1_100)
	expect(of(sent, 'CANCEL')[0]?.to).toBe('198.51.100.7 40000')
	expect(of(sent, 408)[0]?.to).toBe('192.0.2.10 5060')
})

test('a caller whose CANCEL a ringing phone does not confirm gets our 487 after five seconds', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	rig.answer(only(of(rig.invite(), 'INVITE')), '180 Ringing', [CONTACT_OF_PHONE])
	expect(of(rig.cancel(), 487)).toEqual([])
	expect(of(rig.wait(4_900), 487)).toEqual([])
	expect(of(rig.wait(200), 487).length).toBe(1)
})

test('the PBX’s OPTIONS for an agent is answered here, and no phone hears of it', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	rig.wait(ASLEEP_MS)
	const rows = [
		'Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKq',
		'From: <sip:pbx@pbx.example>;tag=q',
		`To: <sip:1001@${GATEWAY}>`,
		'Call-ID: q',
		'CSeq: 1 OPTIONS',
	]
	expect(only(rig.receive(PBX, `OPTIONS sip:1001@${GATEWAY} SIP/2.0`, rows))).toMatchObject({ to: '192.0.2.10 5060' })
	expect(rig.pushes).toEqual([])
})

test('a REGISTER without Contact is answered with the asking phone’s own binding alone', () => {
	const { rig } = forked()
	const query = rig.receive(PHONE, 'REGISTER sip:pbx.example SIP/2.0', [
		'Via: SIP/2.0/UDP 198.51.100.7:40000;rport;branch=z9hG4bKquery',
		'From: <sip:1001@pbx.example>;tag=r',
		'To: <sip:1001@pbx.example>',
		'Call-ID: query',
		'CSeq: 2 REGISTER',
	])
	const ok = only(rig.answer(only(query), '200 OK', [`Contact: <sip:1001@${GATEWAY}>;expires=3000`]))
	expect(ok.message.list(Header.Contact).map((value) => value.slice(0, 28))).toEqual(['<sip:1001@198.51.100.7:40000'])
})

test('a stranger’s request other than REGISTER gets no answer at all', () => {
	const rig = new Rig()
	expect(rig.receive(SECOND, 'OPTIONS sip:100@192.0.2.1 SIP/2.0', strangerRows('OPTIONS'))).toEqual([])
	const strict = new Rig({ strangers: 'reject' })
	expect(
		only(strict.receive(SECOND, 'OPTIONS sip:100@192.0.2.1 SIP/2.0', strangerRows('OPTIONS'))).message.status,
	).toBe(403)
})

test('a broken datagram of a stranger gets no answer either', () => {
	const rig = new Rig()
	const rows = strangerRows('REGISTER').filter((row) => !row.startsWith('Call-ID'))
	expect(rig.receive(SECOND, 'REGISTER sip:pbx.example SIP/2.0', rows)).toEqual([])
	expect(only(rig.receive(PBX, `INVITE sip:1001@${GATEWAY} SIP/2.0`, rows)).message.status).toBe(400)
})

test('a Record-Route token outlives the flow: the dialog follows the device', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	const invite = only(of(rig.invite(), 'INVITE'))
	const route = invite.message.first(Header.RecordRoute)!
	rig.answer(invite, '200 OK', [CONTACT_OF_PHONE])
	rig.bind(SECOND)
	expect(only(of(bye(rig, route), 'BYE')).to).toBe('203.0.113.9 50000')
})

test('a token of a device that is gone is answered with 481, a forged one with 403', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	const route = only(of(rig.invite(), 'INVITE')).message.first(Header.RecordRoute)!
	expect(only(bye(rig, route.replace(/\.[0-9a-f]{4}/, '.0000'))).message.status).toBe(403)
	expect(only(bye(rig, route.replace('sip:1.', 'sip:zz.'))).message.status).toBe(481)
})

test('Max-Breadth is shared out where a call forks, and else goes on as it came', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	rig.bind(OTHER, { instance: 'b' })
	const invites = of(rig.invite({ extra: ['Max-Breadth: 5'] }), 'INVITE').map(({ message }) => message)
	expect(invites.map((invite) => invite.first(Header.MaxBreadth))).toEqual(['3', '2'])
	const route = invites[0]!.first(Header.RecordRoute)!
	expect(only(bye(rig, route)).message.first(Header.MaxBreadth)).toBeUndefined()
})

test('a phone behind another proxy is registered without outbound, and gets no 439', () => {
	const ask = { params: ';reg-id=1', extra: ['Supported: path, outbound'] }
	const proxy = 'Via: SIP/2.0/TCP proxy.example;branch=z9hG4bKp'
	const promises = [ask, { ...ask, extra: [...ask.extra, proxy] }].map((asked) => {
		const rig = new Rig({ advertised: UDP_AND_TLS })
		const relayed = rig.register(connection(1), asked)
		const answers = rig.answer(relayed, '200 OK', [`Contact: ${relayed.message.first(Header.Contact)}`])
		return only(answers).message.first(Header.Require)
	})
	expect(promises).toEqual(['outbound', undefined])
})

test('a phone that is silent on the newest of its flows is woken, and not called by the other', () => {
	const rig = new Rig({ advertised: UDP_AND_TLS })
	for (const n of [1, 2]) {
		const relayed = rig.register(connection(n), { params: `;reg-id=${n}`, extra: ['Supported: outbound'] })
		rig.answer(relayed, '200 OK', [`Contact: ${relayed.message.first(Header.Contact)}`])
		rig.wait(1)
	}
	const called = of(rig.invite(), 'INVITE')
	expect([called.map(({ to }) => to), rig.pushes.length]).toEqual([[`${PHONE.address} ${connection(2).port}`], 0])
	expect([of(rig.wait(2_000), 'INVITE'), rig.pushes.length]).toEqual([[], 1])
})

test('no device is pushed to before its binding lapses', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	rig.wait(3_601_000)
	expect(rig.pushes).toEqual([])
	expect(rig.core.devices.agentCount).toBe(0)
})

test('a sleeping Android phone gets the INVITE on its connection as the push goes out, and again where it registers', () => {
	const rig = new Rig({ advertised: UDP_AND_TLS, providers: ['apns', 'fcm'] })
	rig.bind(connection(1), { provider: 'fcm' })
	rig.wait(ASLEEP_MS)
	const first = only(of(rig.invite(), 'INVITE'))
	expect(rig.pushes).toHaveLength(1)
	rig.pushed(ACCEPTED)
	const again = only(of(rig.bind(connection(2), { provider: 'fcm' }), 'INVITE'))
	expect(again.message.via.branch).toBe(first.message.via.branch)
})

test('where its push is refused it has 1.8 seconds to answer by that connection', () => {
	const rig = new Rig({ advertised: UDP_AND_TLS, providers: ['apns', 'fcm'] })
	rig.bind(connection(1), { provider: 'fcm' })
	rig.wait(ASLEEP_MS)
	rig.invite()
	expect(of(rig.pushed(UNREGISTERED), 480)).toEqual([])
	expect(of(rig.wait(1_799), 480)).toEqual([])
	expect(of(rig.wait(1), 480)).toHaveLength(1)
})

test('a BYE or a re-INVITE wakes a phone by its ordinary token or FCM, and never by a VoIP push: with that token alone it waits, and gets 500', () => {
	const said = (['voip', 'voip&remote', 'fcm'] as const).flatMap((tokens) =>
		(['BYE', 'INVITE'] as const).map((method) => {
			const rig = new Rig({ providers: ['apns', 'fcm'] })
			rig.bind(PHONE, tokens === 'fcm' ? { provider: tokens } : { tokens })
			const invite = only(of(rig.invite(), 'INVITE'))
			rig.answer(invite, '200 OK', [CONTACT_OF_PHONE])
			rig.wait(ASLEEP_MS)
			inDialog(rig, method, invite.message.first(Header.RecordRoute)!)
			const [before, after] = [of(rig.wait(19_999), 500), of(rig.wait(1), 500)]
			return [tokens, rig.pushes.map(({ kind }) => kind), before.length, after.map(({ message }) => message.reason)]
		}),
	)
	const asleep = [0, ['Device Asleep']] as const
	const expected = [
		['voip', [], ...asleep],
		['voip&remote', ['background'], ...asleep],
		['fcm', ['background'], ...asleep],
	] as const
	expect(said).toEqual(expected.flatMap((one) => [one, one]) as unknown as typeof said)
})

test('a BYE to a device in the background goes out at once, and again where it registers', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	const invite = only(of(rig.invite(), 'INVITE'))
	rig.answer(invite, '200 OK', [CONTACT_OF_PHONE])
	rig.wait(13_000)
	const first = only(of(bye(rig, invite.message.first(Header.RecordRoute)!), 'BYE'))
	const again = only(of(rig.bind(SECOND), 'BYE'))
	expect([first.to, again.to]).toEqual(['198.51.100.7 40000', '203.0.113.9 50000'])
	expect(again.message.via.branch).toBe(first.message.via.branch)
	expect(rig.pushes).toEqual([])
})

test('silence of the PBX is passed on to the phone as silence, but for INVITE', () => {
	const rig = new Rig()
	rig.register(PHONE)
	expect(rig.wait(40_000).filter(({ to }) => to === '198.51.100.7 40000')).toEqual([])
})

test('CANCEL and ACK go to where the phone is now, not to where its INVITE went', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	const invite = only(of(rig.invite(), 'INVITE'))
	rig.answer(invite, '180 Ringing', [CONTACT_OF_PHONE])
	rig.bind(SECOND)
	expect(only(of(rig.cancel(), 'CANCEL')).to).toBe('203.0.113.9 50000')
	const moved = { ...invite, to: '203.0.113.9 50000' }
	expect(only(of(rig.answer(moved, '487 Request Terminated'), 'ACK')).to).toBe('203.0.113.9 50000')
})

test('an answer that is never acknowledged is repeated for 32 s, and then forgotten without a word', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	rig.answer(only(of(rig.invite(), 'INVITE')), '486 Busy Here')
	expect(of(rig.wait(SIXTY_FOUR_T1 - 1), 486).length).toBeGreaterThan(5)
	const before = rig.core.transactions.count
	const sent = rig.wait(1_000)
	expect(sent.filter(({ to }) => to === '192.0.2.10 5060')).toEqual([])
	expect(rig.core.transactions.count).toBeLessThan(before)
})

test('a flow that is dead is known by its silence, after 1.8 seconds', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	rig.invite()
	rig.wait(1_799)
	expect(rig.pushes.length).toBe(0)
	rig.wait(1)
	expect(rig.pushes.length).toBe(1)
})

test('what the PBX sends to an agent goes to the flow of a device, whatever its Route says', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	const invite = only(of(rig.invite({ extra: ['Route: <sip:203.0.113.98>, <sip:203.0.113.99;lr>'] }), 'INVITE'))
	expect([invite.to, invite.message.requestUri?.user]).toEqual(['198.51.100.7 40000', '1001'])
	expect(invite.message.list(Header.Route)).toEqual(['<sip:203.0.113.98>', '<sip:203.0.113.99;lr>'])
})

test('a request of the PBX is for the agent its user part names, whatever host stands behind it', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	const rows = ['Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKm', 'From: <sip:600@pbx.example>;tag=m']
	const more = ['To: <sip:1001@elsewhere.example>', 'Call-ID: m', 'CSeq: 1 MESSAGE']
	const sent = rig.receive(PBX, 'MESSAGE sip:1001@elsewhere.example SIP/2.0', [...rows, ...more])
	expect(only(sent).to).toBe('198.51.100.7 40000')
})

test('an agent none of whose phones answers is 480, not 408', () => {
	const rig = held()
	const sent = rig.wait(60_000)
	expect([of(sent, 480).length > 0, of(sent, 408)]).toEqual([true, []])
})

test('a phone that wakes for a call that another one declined for all gets INVITE and CANCEL', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	rig.wait(ASLEEP_MS)
	rig.bind(OTHER, { instance: 'b' })
	const first = only(of(rig.invite(), 'INVITE'))
	rig.pushed({ kind: 'accepted', status: 200, environment: 'production' })
	expect(of(rig.answer(first, '603 Decline'), 603).length).toBe(1)
	const late = only(of(rig.bind(SECOND), 'INVITE'))
	expect(rig.answer(late, '180 Ringing').map(({ to, message }) => `${message.method} ${to}`)).toEqual([
		'CANCEL 203.0.113.9 50000',
	])
})

test('a CANCEL that matches nothing is answered with 481, and goes no further', () => {
	const rig = new Rig()
	rig.bind(PHONE)
	expect(only(rig.cancel())).toMatchObject({ to: '192.0.2.10 5060', message: { status: 481 } })
})

function bye(rig: Rig, route: string) {
	return inDialog(rig, 'BYE', route)
}

function inDialog(rig: Rig, method: string, route: string) {
	return rig.receive(PBX, `${method} sip:1001@192.0.2.1:5060 SIP/2.0`, [
		`Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKbye${route.length}${route.slice(5, 14)}`,
		`Route: ${route}`,
		'From: <sip:600@pbx.example>;tag=caller',
		'To: <sip:1001@pbx.example>;tag=far',
		'Call-ID: call',
		`CSeq: 8 ${method}`,
		'Contact: <sip:600@192.0.2.10:5060>',
	])
}

function strangerRows(method: string): string[] {
	return [
		'Via: SIP/2.0/UDP 203.0.113.9:50000;rport;branch=z9hG4bKs',
		'From: <sip:100@pbx.example>;tag=s',
		'To: <sip:100@pbx.example>',
		'Call-ID: s',
		`CSeq: 1 ${method}`,
	]
}

test('what is too large for UDP stays on the flow of a phone, and an ACK on UDP', () => {
	const rig = new Rig({
		trust: [`${PBX.address}/32`],
		advertised: (['UDP', 'TCP', 'TCP'] as const).map((transport) => ({ host: '192.0.2.1', port: 5060, transport })),
		pbxSides: [
			{ transport: 'udp', listener: 0, sender: 0 },
			{ transport: 'tcp', listener: 1, sender: 2 },
		],
	})
	rig.core.handle({ type: 'pbx-resolved', targets: [targetOf(PBX, { tcpPort: 5080 })] }, rig.now)
	rig.bind(PHONE)
	const much = `X-Much: ${'x'.repeat(1_300)}`
	expect(only(of(rig.invite({ extra: [much] }), 'INVITE')).to).toBe('198.51.100.7 40000')
	const request = (method: string, ...extra: readonly string[]) =>
		rig.receive(PHONE, `${method} sip:600@192.0.2.10 SIP/2.0`, [
			`Via: SIP/2.0/UDP 198.51.100.7:40000;rport;branch=z9hG4bK${method}${extra.length}`,
			...['From: <sip:1001@pbx.example>;tag=a', 'Call-ID: out', `CSeq: 1 ${method}`, CONTACT_OF_PHONE, ...extra],
		])
	const invite = only(of(request('INVITE', 'To: <sip:600@pbx.example>', much), 'INVITE'))
	expect(invite.to).toBe('192.0.2.10 5080')
	const [ok] = of(rig.answer(invite, '200 OK', ['Contact: <sip:600@192.0.2.10>']), 200)
	const routes = ok!.message.rows(Header.RecordRoute).map((route) => `Route: ${route}`)
	const ack = only(of(request('ACK', 'To: <sip:600@pbx.example>;tag=far', ...routes, much), 'ACK'))
	expect(ack.to).toBe('192.0.2.10 5060')
})

test('what is meant for a closed connection opens none: it waits for the phone, or goes nowhere', () => {
	const rig = new Rig({ advertised: UDP_AND_TLS })
	const relayed = rig.register(connection(1))
	rig.core.handle({ type: 'flow-closed', flow: connection(1) }, rig.now)
	expect(rig.answer(relayed, '200 OK', [`Contact: ${relayed.message.first(Header.Contact)}`])).toEqual([])
	expect(of(rig.invite(), 'INVITE')).toEqual([])
	expect(rig.pushes).toHaveLength(1)
	expect(of(rig.bind(connection(2)), 'INVITE')).toHaveLength(1)
})
