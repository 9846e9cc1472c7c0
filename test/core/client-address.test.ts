/** `--client-address-header`: the PBX learns where a phone is from the gateway, and from nobody else. */
import { describe, expect, test } from 'bun:test'
import { Header } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { answerTo, bind, boundPhone, Phone, requestText, TOKEN } from './peers.ts'
import { flowOf, PBX, Rig, streamOf } from './rig.ts'

const NAME = 'X-Client-Address'
const FORGED = [`x-client-address: 192.0.2.99:1`, `X-CLIENT-ADDRESS: 192.0.2.98:1`]
const PHONE = flowOf('198.51.100.7', 40_007)

/** All values of it in a message, whatever the case of its name. */
function shown(message: SipMessage): string[] {
	return [...message.text.matchAll(/^x-client-address: (.*)$/gim)].map((match) => match[1]!.trim())
}

const rigOf = (name = NAME): Rig =>
	new Rig({
		clientAddressHeader: name,
		advertised: [
			{ host: 'gw.example', port: 5060, transport: 'UDP' },
			{ host: 'gw.example', port: 5061, transport: 'TLS' },
		],
	})

const call = { uri: 'sip:600@pbx.example', to: '<sip:600@pbx.example>', rows: FORGED }

describe('a request of a phone', () => {
	test('tells the PBX its address, port and transport once, whatever the phone says of itself', () => {
		const rig = rigOf()
		const phone = new Phone('1001', PHONE)
		bind(rig, phone, { rows: FORGED })
		expect(shown(rig.last(PBX, 'REGISTER'))).toEqual(['198.51.100.7:40007;transport=udp'])
		rig.from(PHONE, phone.request('INVITE', call))
		const invite = rig.last(PBX, 'INVITE')
		expect(shown(invite)).toEqual(['198.51.100.7:40007;transport=udp'])
		expect(invite.text).toContain(`${NAME}: `)
		rig.from(PBX, answerTo(invite, 200, { contact: 'sip:600@192.0.2.1:5060' }))
		const ok = rig.last(PHONE, '200 INVITE')
		const rows = [...ok.rows(Header.RecordRoute).map((route) => `Route: ${route}`), ...FORGED]
		const within = { uri: 'sip:600@192.0.2.1:5060', to: ok.first(Header.To)!, cseq: 103, rows }
		for (const method of ['ACK', 'BYE']) {
			rig.from(PHONE, phone.request(method, within))
			expect(shown(rig.last(PBX, method))).toEqual(['198.51.100.7:40007;transport=udp'])
		}
	})

	test('by a connection over IPv6', () => {
		const rig = rigOf()
		const flow = streamOf('2001:db8::7', 40_007, 1)
		bind(rig, new Phone('1001', flow))
		expect(shown(rig.last(PBX, 'REGISTER'))).toEqual(['[2001:db8::7]:40007;transport=tls'])
	})

	test('where no name is given nothing is added, and nothing taken out', () => {
		const rig = rigOf('')
		bind(rig, new Phone('1001', PHONE), { rows: [FORGED[0]!] })
		expect(shown(rig.last(PBX, 'REGISTER'))).toEqual(['192.0.2.99:1'])
	})
})

describe('the same header of others goes no further', () => {
	test('in an answer of a phone, and in a copy of its 2xx', () => {
		const rig = rigOf()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('INVITE'))
		const invite = rig.last(phone.flow, 'INVITE')
		for (let copy = 0; copy < 2; copy++) {
			rig.from(phone.flow, answerTo(invite, 200, { contact: phone.uri, rows: FORGED }))
			expect(shown(rig.last(PBX, '200 INVITE'))).toEqual([])
		}
		expect(rig.words(PBX).filter((word) => word === '200 INVITE')).toHaveLength(2)
	})

	test('in a request of the PBX to a phone, as a PBX may hand on what another phone came with', () => {
		const rig = rigOf()
		const phone = boundPhone(rig)
		rig.from(PBX, requestText('INVITE', { rows: FORGED }))
		const invite = rig.last(phone.flow, 'INVITE')
		expect(shown(invite)).toEqual([])
		rig.from(phone.flow, answerTo(invite, 200, { contact: phone.uri }))
		const rows = [...invite.rows(Header.RecordRoute).map((route) => `Route: ${route}`), ...FORGED]
		for (const method of ['ACK', 'INFO']) {
			rig.from(PBX, requestText(method, { uri: phone.uri, to: '<sip:1001@gw.example:5060>;tag=remote', rows }))
			expect(shown(rig.last(phone.flow, method))).toEqual([])
		}
	})

	test('in an answer of the PBX', () => {
		const rig = rigOf()
		const phone = new Phone('1001', PHONE, { token: TOKEN })
		rig.from(PHONE, phone.register())
		rig.from(PBX, answerTo(rig.last(PBX, 'REGISTER'), 403, { rows: FORGED }))
		expect(shown(rig.last(PHONE, '403 REGISTER'))).toEqual([])
	})
})
