/** A PBX and phones as far as these tests need them: each says one message, and answers one. */
import { expect } from 'bun:test'
import type { Flow } from '../../src/core/model.ts'
import { headerParam, parseNameAddr } from '../../src/sip/address.ts'
import { Header } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { DOMAIN, flowOf, lines, PBX, type Rig, type Sent } from './rig.ts'

export const TOKEN = 'fa0dadb852867994eebb0639cfb7b4a0255a669c7764a758ab41c0e4eb0cf58d'

/** `pn-*` parameters of RFC 8599 for a token of 64 hex digits. */
export const pushParamsOf = (token: string, provider = 'apns'): string =>
	`;pn-provider=${provider};pn-prid=${token};pn-param=TEAM000001.com.example.app.voip`

export interface RegisterShape {
	readonly contact?: string
	readonly expires?: number | undefined
	readonly rows?: readonly string[]
	readonly domain?: string
	readonly from?: string
}

let serial = 0
const fresh = (): string => `${++serial}`

export interface ResponseShape {
	readonly rows?: readonly string[]
	readonly toTag?: string
	readonly contact?: string
	readonly body?: string
}

/** The answer a UA gives to what it got: Vias, From, To, Call-ID, CSeq copied. */
export function answerTo(request: SipMessage, status: number, shape: ResponseShape = {}): string {
	const to = request.first(Header.To)!
	const tag = request.toTag !== '' || status === 100 ? '' : `;tag=${shape.toTag ?? 'remote'}`
	return lines(
		`SIP/2.0 ${status} Because`,
		request.rows(Header.Via).map((via) => `Via: ${via}`),
		request.rows(Header.RecordRoute).map((route) => `Record-Route: ${route}`),
		`From: ${request.first(Header.From)}`,
		`To: ${to}${tag}`,
		`Call-ID: ${request.callId}`,
		`CSeq: ${request.cseq} ${request.cseqMethod}`,
		shape.contact === undefined ? [] : `Contact: <${shape.contact}>`,
		shape.rows ?? [],
		'Content-Length: 0',
	)
}

/** The PBX answers a REGISTER as Asterisk does: the one Contact, with what it grants. */
export function grant(register: SipMessage, sec?: number, rows: readonly string[] = []): string {
	const contact = parseNameAddr(register.first(Header.Contact) ?? '')
	const asked = headerParam(contact?.params ?? '', 'expires') ?? '0'
	const granted = sec ?? Number(asked)
	const shown = contact === undefined || granted === 0 ? [] : [`Contact: <${contact.uri}>;expires=${granted}`]
	return answerTo(register, 200, { rows: [...shown, ...rows] })
}

export class Phone {
	readonly user: string
	readonly token: string | undefined
	readonly instance: string | undefined
	flow: Flow
	readonly #callId = `reg-${fresh()}`
	#cseq = 0

	constructor(user: string, flow: Flow, options: { token?: string | undefined; instance?: string } = {}) {
		this.user = user
		this.flow = flow
		this.token = options.token
		this.instance = options.instance
	}

	get uri(): string {
		return `sip:${this.user}@10.0.0.5:5060`
	}

	get contact(): string {
		const push = this.token === undefined ? '' : pushParamsOf(this.token)
		const instance = this.instance === undefined ? '' : `;+sip.instance="<${this.instance}>"`
		return `<${this.uri}${push}>${instance}`
	}

	/** A REGISTER as text. */
	register(shape: RegisterShape = {}): string {
		const domain = shape.domain ?? DOMAIN
		const contact = shape.contact ?? this.contact
		return lines(
			`REGISTER sip:${domain} SIP/2.0`,
			`Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKr${fresh()};rport`,
			'Max-Forwards: 70',
			`From: <${shape.from ?? `sip:${this.user}@${domain}`}>;tag=reg`,
			`To: <sip:${this.user}@${domain}>`,
			`Call-ID: ${this.#callId}`,
			`CSeq: ${++this.#cseq} REGISTER`,
			contact === '' ? [] : `Contact: ${contact}`,
			'expires' in shape && shape.expires === undefined ? [] : `Expires: ${shape.expires ?? 3600}`,
			shape.rows ?? [],
			'Content-Length: 0',
		)
	}

	/** A request of the phone outside or (with `to` tag and route) inside a dialog. */
	request(method: string, shape: RequestShape = {}): string {
		return requestText(method, { from: `<sip:${this.user}@${DOMAIN}>;tag=phone`, contact: `<${this.uri}>`, ...shape })
	}
}

export interface RequestShape {
	readonly uri?: string
	readonly branch?: string
	readonly via?: string
	readonly from?: string
	readonly to?: string
	readonly callId?: string
	readonly cseq?: number
	readonly contact?: string
	readonly maxForwards?: number
	readonly rows?: readonly string[]
	readonly body?: string
}

export function requestText(method: string, shape: RequestShape = {}): string {
	const {
		body = '',
		contact = '<sip:5551234@192.0.2.1:5060>',
		from = '"Caller" <sip:5551234@pbx.example>;tag=pbx',
	} = shape
	const head = lines(
		`${method} ${shape.uri ?? 'sip:1001@gw.example:5060'} SIP/2.0`,
		`Via: ${shape.via ?? `SIP/2.0/UDP 192.0.2.1:5060;branch=${shape.branch ?? `z9hG4bKq${fresh()}`};rport`}`,
		shape.maxForwards === undefined ? 'Max-Forwards: 70' : `Max-Forwards: ${shape.maxForwards}`,
		`From: ${from}`,
		`To: ${shape.to ?? '<sip:1001@gw.example:5060>'}`,
		`Call-ID: ${shape.callId ?? 'call-1@192.0.2.1'}`,
		`CSeq: ${shape.cseq ?? 102} ${method}`,
		contact === '' ? [] : `Contact: ${contact}`,
		shape.rows ?? [],
		body === '' ? [] : 'Content-Type: application/sdp',
		`Content-Length: ${body.length}`,
	)
	return head + body
}

export const SDP = 'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n'

/** REGISTER → PBX → 2xx; gives what the phone got. */
export function bind(rig: Rig, phone: Phone, shape: RegisterShape = {}, grantedSec?: number): SipMessage {
	rig.from(phone.flow, phone.register(shape))
	rig.from(PBX, grant(rig.last(PBX, 'REGISTER'), grantedSec))
	return rig.last(phone.flow, '200 REGISTER')
}

/** A phone with a push token that is bound on 198.51.100.7, and what was said about it forgotten. */
export function boundPhone(rig: Rig, user = '1001', token: string | undefined = TOKEN, host = 7): Phone {
	const phone = new Phone(user, flowOf(`198.51.100.${host}`, 40_000 + host), { token })
	bind(rig, phone)
	rig.clear()
	return phone
}

/** The phone does not answer its pings for as long as it takes to be taken for asleep. */
export function fallAsleep(rig: Rig): void {
	rig.advance(13_000)
	for (const device of rig.core.devices.all) expect(device.reach).toBe('background')
	rig.clear()
}

/** The one message of these words; fails with what there was. */
export function only(sent: readonly Sent[], word: string): SipMessage {
	const found = sent.filter((one) => one.word === word)
	expect(sent.map((one) => one.word).filter((one) => one === word)).toEqual([word])
	return found[0]!.message
}

export const ACCEPTED = { kind: 'accepted', status: 200, environment: 'production' } as const
export const BAD_TOKEN = { kind: 'bad-token', status: 400, reason: 'BadDeviceToken' } as const
