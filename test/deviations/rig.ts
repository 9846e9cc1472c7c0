/** The core alone, between a PBX and phones made of text: what goes in is sent by hand, what comes out is looked at. */
import { Core } from '../../src/core/core.ts'
import type { PushEffect } from '../../src/core/effects.ts'
import type { PushOutcome } from '../../src/core/inputs.ts'
import type { Flow } from '../../src/core/model.ts'
import type { Settings } from '../../src/core/settings.ts'
import { Prng } from '../../src/lib/prng.ts'
import { Header } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { parse } from '../../src/sip/parse.ts'
import { targetOf } from '../core/target.ts'
import { octets } from '../sip/sample.ts'

export const PBX = flow('192.0.2.10', 5060)
export const GATEWAY = '192.0.2.1:5060'
const TOKEN = 'ab'.repeat(32)
const CRLF = '\r\n'

const SETTINGS: Settings = {
	domain: 'pbx.example',
	advertised: [{ host: '192.0.2.1', port: 5060, transport: 'UDP' }],
	pbxSides: [{ transport: 'udp', listener: 0, sender: 0 }],
	clientAddressHeader: '',
	pbxPingMs: 0,
	trust: [],
	pingIntervalMs: 5000,
	pingTimeoutMs: 1500,
	pingMisses: 2,
	publicUrl: '',
	idleMs: 960_000,
	maxHeaders: 256,
	freshMs: 3_000,
	holdMs: 20_000,
	pbxExpiresSec: 0,
	minExpiresSec: 0,
	ringingOnPush: false,
	suspectAfter: 3,
	wakeSlowMs: 8_000,
	strangers: 'drop',
	registerRate: 20,
	banAfter: 8,
	banMs: 600_000,
	apnsTopic: 'com.example.app.voip',
	apnsEnvironment: 'production',
	providers: ['apns'],
	userAgent: 'push-gateway/test',
}

export interface Sent {
	readonly to: string
	readonly message: SipMessage
}

export function flow(address: string, port: number): Flow {
	return { key: `0|${address}|${port}`, listener: 0, address, port }
}

/** Of an iPhone: for calls alone, or one for all else besides. */
type Tokens = 'voip' | 'voip&remote'

export class Rig {
	now = 1_800_000_000_000
	readonly core: Core
	/** What went out since it was last looked at. */
	readonly #sent: Sent[] = []
	readonly pushes: PushEffect[] = []

	constructor(settings: Partial<Settings> = {}) {
		const random = new Prng(7)
		const capabilities = { random32: () => random.next32(), hmac: (text: string) => Bun.MD5.hash(text, 'hex') }
		const nothing = { devices: [], heldCalls: [], pushOutcomes: [], nextDeviceId: 1 }
		this.core = new Core({ ...SETTINGS, ...settings }, capabilities, nothing, this.now)
		this.core.handle({ type: 'pbx-resolved', targets: [targetOf(PBX)] }, this.now)
	}

	/** `rows` as they stand in the message; Content-Length is added. */
	receive(from: Flow, line: string, rows: readonly string[]): Sent[] {
		const bytes = octets([line, ...rows, 'Content-Length: 0', '', ''].join(CRLF))
		this.core.handle({ type: 'datagram', flow: from, bytes }, this.now)
		return this.#perform()
	}

	/** Answers `request` as its receiver, from where it was sent to. */
	answer(request: Sent, status: string, extra: readonly string[] = []): Sent[] {
		const { message } = request
		const tag = message.toTag === '' && !status.startsWith('100') ? ';tag=far' : ''
		const [address, port] = request.to.split(' ')
		return this.receive(flow(address!, Number(port)), `SIP/2.0 ${status}`, [
			...message.rows(Header.Via).map((via) => `Via: ${via}`),
			...message.rows(Header.RecordRoute).map((route) => `Record-Route: ${route}`),
			`From: ${message.first(Header.From)}`,
			`To: ${message.first(Header.To)}${tag}`,
			`Call-ID: ${message.callId}`,
			`CSeq: ${message.cseq} ${message.cseqMethod}`,
			...extra,
		])
	}

	/** Time goes by, every deadline at its time. */
	wait(ms: number): Sent[] {
		const until = this.now + ms
		const sent: Sent[] = []
		for (let next = this.core.nextDeadline(); next <= until; next = this.core.nextDeadline()) {
			this.now = Math.max(this.now, next)
			this.core.handle({ type: 'fires' }, this.now)
			sent.push(...this.#perform())
		}
		this.now = until
		return sent
	}

	pushed(outcome: PushOutcome): Sent[] {
		this.core.handle({ type: 'push-result', pushId: this.pushes.at(-1)!.pushId, outcome, pushMs: 20 }, this.now)
		return this.#perform()
	}

	/** A phone's REGISTER, as far as the gateway; the PBX's copy comes back. */
	register(
		phone: Flow,
		{
			user = '1001',
			instance = 'a',
			params = '',
			provider = 'apns',
			tokens = 'voip' as Tokens,
			extra = [] as readonly string[],
		} = {},
	): Sent {
		const { address, port } = phone
		const token = `${TOKEN.slice(0, 60)}${instance.repeat(4)}`
		const prid = tokens === 'voip' ? token : `${token}:voip&${'cd'.repeat(32)}:remote`
		const contact = `sip:${user}@${address}:${port};pn-provider=${provider};pn-prid=${prid};pn-param=TEAM.com.example.app.${tokens}`
		const sent = this.receive(phone, 'REGISTER sip:pbx.example SIP/2.0', [
			`Via: SIP/2.0/UDP ${address}:${port};branch=z9hG4bKr${this.now}${instance}${user}`,
			`From: <sip:${user}@pbx.example>;tag=r`,
			`To: <sip:${user}@pbx.example>`,
			`Call-ID: reg-${user}-${instance}`,
			'CSeq: 1 REGISTER',
			`Contact: <${contact}>;+sip.instance="<urn:uuid:${instance}>";expires=3600${params}`,
			...extra,
		])
		return only(sent)
	}

	/** Registered, and awake at that. */
	bind(phone: Flow, options: { user?: string; instance?: string; provider?: string; tokens?: Tokens } = {}): Sent[] {
		const relayed = this.register(phone, options)
		return this.answer(relayed, '200 OK', [`Contact: ${relayed.message.first(Header.Contact)}`])
	}

	/** The PBX's INVITE to the agent. */
	invite({ to = `<sip:1001@${GATEWAY}>`, extra = [] as readonly string[] } = {}): Sent[] {
		return this.receive(PBX, `INVITE sip:1001@${GATEWAY} SIP/2.0`, [...requestRows('INVITE', to), ...extra])
	}

	cancel(): Sent[] {
		return this.receive(PBX, `CANCEL sip:1001@${GATEWAY} SIP/2.0`, requestRows('CANCEL', `<sip:1001@${GATEWAY}>`))
	}

	#perform(): Sent[] {
		const tickets: number[] = []
		for (const effect of this.core.effects.splice(0)) {
			if (effect.type === 'send')
				this.#sent.push({ to: `${effect.address} ${effect.port}`, message: parse(effect.bytes) })
			else if (effect.type === 'push') this.pushes.push(effect)
			else if (effect.type === 'save' && effect.ticket !== 0) tickets.push(effect.ticket)
		}
		if (tickets.length > 0) {
			this.core.handle({ type: 'committed', tickets }, this.now)
			return this.#perform()
		}
		return this.#sent.splice(0)
	}
}

function requestRows(method: string, to: string): string[] {
	return [
		'Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKcall',
		'Max-Forwards: 70',
		'From: "Maria" <sip:600@pbx.example>;tag=caller',
		`To: ${to}`,
		'Call-ID: call',
		`CSeq: 7 ${method}`,
		'Contact: <sip:600@192.0.2.10:5060>',
	]
}

/** Those of this method (requests) or status (responses), pings left out. */
export function of(sent: readonly Sent[], what: string | number): Sent[] {
	return sent.filter(({ message }) =>
		typeof what === 'number' ? message.status === what : message.status === 0 && message.method === what,
	)
}

/** The only one. */
export function only(sent: readonly Sent[]): Sent {
	if (sent.length !== 1)
		throw new Error(
			`${sent.length} messages instead of one: ${sent.map(({ message }) => message.status || message.method).join(', ')}`,
		)
	return sent[0]!
}
