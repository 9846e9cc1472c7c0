import { expect, test } from 'bun:test'
import { Edit } from '../../src/sip/edit.ts'
import { Header } from '../../src/sip/headers.ts'
import { parse } from '../../src/sip/parse.ts'
import { PBX, registeredPair, traffic, types } from './wire.ts'

const CALLER = { name: 'Customer', number: '5551234' }

function ringing(options: Parameters<typeof registeredPair>[0] = {}) {
	const all = registeredPair(options)
	all.phoneEvents.length = 0
	all.pbxEvents.length = 0
	const call = all.pbx.call('1001', CALLER, all.wire.now)!
	all.wire.run(100)
	return { ...all, call }
}

function talking() {
	const all = ringing()
	all.phone.answer(all.wire.now)
	all.wire.run(100)
	return all
}

test('a call rings, is answered, re-invited from both sides, and hung up by the agent', () => {
	const { pbx, phone, pbxEvents, phoneEvents, call, wire } = talking()
	pbx.calls.reinvite(call, wire.now)
	wire.run(100)
	phone.calls.reinvite(phone.calls.current!, wire.now)
	wire.run(100)
	phone.hangup(wire.now)
	wire.run(100)
	expect(types(pbxEvents)).toEqual(['ringing', 'answered', 'reinvited', 'reinvited', 'ended'])
	expect(types(phoneEvents)).toEqual(['incoming', 'answered', 'reinvited', 'reinvited', 'ended'])
	expect(call).toMatchObject({ state: 'ended', status: 200 })
})

test('the caller hangs up', () => {
	const { pbx, phoneEvents, call, wire } = talking()
	pbx.hangup(call, wire.now, 'Q.850;cause=16')
	wire.run(100)
	expect(phoneEvents.at(-1)).toMatchObject({ type: 'ended', by: 'peer' })
})

test('a declined call brings the phone’s own status to the caller, and is acknowledged', () => {
	const { phone, pbxEvents, wire } = ringing()
	phone.decline(486, wire.now)
	wire.run(100)
	expect(pbxEvents.at(-1)).toMatchObject({ type: 'failed', status: 486, reason: 'Busy Here' })
	expect(traffic(phone, 'in').at(-1)).toBe('ACK')
})

test('CANCEL: 200 to it, 487 to the INVITE, and the Reason reaches the app', () => {
	const { pbx, phone, pbxEvents, phoneEvents, call, wire } = ringing()
	pbx.cancel(call, wire.now, 'SIP;cause=200;text="Call completed elsewhere"')
	wire.run(100)
	expect(phoneEvents.at(-1)).toMatchObject({
		type: 'cancelled',
		reason: 'SIP;cause=200;text="Call completed elsewhere"',
	})
	expect(traffic(phone, 'out').slice(-2)).toEqual(['200 CANCEL', '487 INVITE'])
	expect(pbxEvents.at(-1)).toMatchObject({ type: 'failed', status: 487 })
})

test('a CANCEL waits for a provisional answer (RFC 3261 9.1)', () => {
	const { pbx, wire } = registeredPair()
	wire.loses = (message) => message.status === 180
	const call = pbx.call('1001', CALLER, wire.now)!
	pbx.cancel(call, wire.now)
	wire.run(300)
	expect(traffic(pbx, 'out')).not.toContain('CANCEL')
	wire.loses = () => false
	wire.run(1000)
	expect(traffic(pbx, 'out')).toContain('CANCEL')
	expect(call.status).toBe(487)
})

test('a CANCEL for nothing gets 481', () => {
	const { pbx, phone, call, wire } = ringing()
	const cancel = parse(phone.recorded.findLast(({ message }) => message.method === 'INVITE')!.message.bytes)
	const stray = new Edit(cancel).popVia().pushVia('SIP/2.0/UDP 127.0.0.10:5060;rport;branch=z9hG4bKother').finish()
	const text = new TextDecoder('latin1').decode(stray).replaceAll('INVITE', 'CANCEL')
	phone.receive(
		Uint8Array.from(text, (char) => char.charCodeAt(0)),
		PBX,
		wire.now,
	)
	expect(traffic(phone, 'out').at(-1)).toBe('481 CANCEL')
	expect(call.state).toBe('ringing')
	expect(pbx.calls.current).toBe(call)
})

test('the same INVITE by another branch gets 482 (RFC 3261 8.2.2.2)', () => {
	const { phone, phoneEvents, wire } = ringing()
	const { message } = phone.recorded.findLast((entry) => entry.message.method === 'INVITE')!
	const via = 'SIP/2.0/UDP 127.0.0.10:5060;rport;branch=z9hG4bKanother'
	phone.receive(new Edit(message).popVia().pushVia(via).finish(), PBX, wire.now)
	expect(traffic(phone, 'out').at(-1)).toBe('482 INVITE')
	expect(types(phoneEvents)).toEqual(['incoming'])
})

test('a repeated INVITE is no second call, and gets the last answer again', () => {
	const { phone, phoneEvents, wire } = ringing()
	const { message } = phone.recorded.findLast((entry) => entry.message.method === 'INVITE')!
	phone.receive(message.bytes, PBX, wire.now)
	expect(traffic(phone, 'out').slice(-2)).toEqual(['180 INVITE', '180 INVITE'])
	expect(types(phoneEvents)).toEqual(['incoming'])
})

test('a lost INVITE, a lost 2xx and a lost ACK are made good by retransmission', () => {
	for (const lost of ['INVITE', '200', 'ACK']) {
		const { pbx, phone, wire } = registeredPair()
		let losses = 0
		wire.loses = ({ method, status, cseqMethod }) =>
			losses === 0 && (method === lost || (`${status}` === lost && cseqMethod === 'INVITE')) && losses++ === 0
		const call = pbx.call('1001', CALLER, wire.now)!
		wire.run(1000)
		phone.answer(wire.now)
		wire.run(3000)
		expect([lost, losses, call.state, phone.calls.current?.state]).toEqual([lost, 1, 'talking', 'talking'])
	}
})

test('a 2xx that nobody acknowledges is repeated for 32 s, then the phone hangs up', () => {
	const { phone, phoneEvents, wire } = ringing()
	wire.loses = (message) => message.method === 'ACK'
	phone.answer(wire.now)
	wire.run(33_000)
	expect(traffic(phone, 'out').filter((line) => line === '200 INVITE')).toHaveLength(11)
	expect(traffic(phone, 'out').at(-1)).toBe('BYE')
	expect(phoneEvents.at(-1)).toMatchObject({ type: 'ended', by: 'us' })
})

test('a failure that nobody acknowledges is repeated, and an unanswered INVITE comes to 408', () => {
	const { phone, wire } = ringing()
	wire.loses = (message) => message.method === 'ACK'
	phone.decline(486, wire.now)
	wire.run(4000)
	expect(traffic(phone, 'out').filter((line) => line === '486 INVITE').length).toBeGreaterThan(2)
	const dead = registeredPair()
	dead.phone.sleep()
	const call = dead.pbx.call('1001', CALLER, dead.wire.now)!
	dead.wire.run(33_000)
	expect(call).toMatchObject({ state: 'ended', status: 408 })
	expect(traffic(dead.pbx, 'out').filter((line) => line === 'INVITE')).toHaveLength(7)
})

test('a 2xx that crossed the CANCEL is acknowledged and hung up', () => {
	const { pbx, phone, phoneEvents, call, wire } = ringing()
	phone.answer(wire.now)
	pbx.cancel(call, wire.now)
	wire.run(200)
	expect(traffic(phone, 'in').slice(-3)).toEqual(['CANCEL', 'ACK', 'BYE'])
	expect(phoneEvents.at(-1)).toMatchObject({ type: 'ended', by: 'peer' })
})

test('a call of the agent is challenged, carries its credentials, and is answered by the PBX', () => {
	for (const inviteChallenge of [401, 407] as const) {
		const { pbx, phone, phoneEvents, wire } = registeredPair({ pbx: { inviteChallenge } })
		const call = phone.call('600', wire.now)
		wire.run(200)
		pbx.answer(pbx.calls.current!, wire.now)
		wire.run(200)
		expect(traffic(phone, 'in').slice(2)).toEqual([`${inviteChallenge} INVITE`, '180 INVITE', '200 INVITE'])
		expect([call.state, call.peer, types(phoneEvents).at(-1)]).toEqual(['talking', '600', 'answered'])
		const header = inviteChallenge === 401 ? Header.Authorization : Header.ProxyAuthorization
		expect(call.invite.first(header)).toContain('uri="sip:600@pbx.example"')
		pbx.hangup(pbx.calls.current!, wire.now)
		wire.run(200)
		expect(call.state).toBe('ended')
	}
})

test('in-dialog requests: known ones 200, an old CSeq 500, a stranger to the call 481', () => {
	const { pbx, phone, call, wire } = talking()
	const statuses: number[] = []
	for (const method of ['INFO', 'MESSAGE', 'UPDATE', 'REFER']) {
		pbx.calls.say(call, method, wire.now, (status) => statuses.push(status))
		wire.run(100)
	}
	call.dialog!.localCseq -= 2
	pbx.calls.say(call, 'INFO', wire.now, (status) => statuses.push(status))
	wire.run(100)
	phone.calls.forget()
	pbx.calls.say(call, 'INFO', wire.now, (status) => statuses.push(status))
	wire.run(100)
	expect(statuses).toEqual([200, 200, 200, 405, 500, 481])
})

test('OPTIONS is answered while the app is awake, and not while it sleeps', () => {
	const { pbx, phone, pbxEvents, phoneEvents, wire } = registeredPair()
	pbx.qualify('1001', wire.now)
	wire.run(100)
	expect(pbxEvents.at(-1)).toMatchObject({ type: 'ponged', status: 200, tookMs: 20 })
	expect(types(phoneEvents)).toEqual(['registered', 'pinged'])
	phone.sleep()
	pbx.qualify('1001', wire.now)
	wire.run(33_000)
	expect(pbxEvents.at(-1)).toMatchObject({ type: 'ponged', status: 0 })
})

test('what came while the app was frozen waits in a bounded buffer, and is gone after a move', () => {
	for (const moved of [false, true]) {
		const { pbx, phone, phoneEvents, wire } = registeredPair({ phone: { buffered: 1 } })
		phone.sleep()
		pbx.call('1001', CALLER, wire.now)
		wire.run(3000)
		phone.wake(wire.now, moved ? { address: '127.0.0.22', port: 5080 } : undefined)
		expect(types(phoneEvents)).toEqual(moved ? ['registered'] : ['registered', 'incoming'])
	}
})

test('a request that requires what the phone has not gets 420', () => {
	const { phone, wire } = ringing()
	const { message } = phone.recorded.findLast((entry) => entry.message.method === 'INVITE')!
	const via = 'SIP/2.0/UDP 127.0.0.10:5060;rport;branch=z9hG4bKrequire'
	const edit = new Edit(message).popVia().pushVia(via).set(Header.CallId, 'another').append('Require', '100rel')
	phone.receive(edit.finish(), PBX, wire.now)
	const answer = phone.recorded.at(-1)!.message
	expect([answer.status, answer.first(Header.Unsupported)]).toEqual([420, '100rel'])
})
