/** Those who must not get through: scanners, brute force, forgers, and agents who use another one's name. */
import type { Dialog, Endpoint } from '../../src/demo/dialog.ts'
import { type HeaderRow, request } from '../../src/sip/build.ts'
import type { Chance } from './chance.ts'
import type { Network } from './network.ts'
import type { Streams } from './streams.ts'

export interface Targets {
	readonly gateway: Endpoint
	readonly pbx: Endpoint
	readonly domain: string
	readonly agents: readonly string[]
	/** `urn:uuid:…` of real devices. */
	readonly instances: readonly string[]
}

const METHODS = ['OPTIONS', 'INVITE', 'MESSAGE', 'BYE', 'CANCEL', 'SUBSCRIBE', 'ACK', 'NOTIFY', 'PUBLISH'] as const
const SCANNERS = ['friendly-scanner', 'sipvicious', 'VaxSIPUserAgent/3.1', 'Ordinary phone 1.0'] as const

export class Strangers {
	readonly #chance: Chance
	readonly #network: Network
	readonly #targets: Targets

	constructor(chance: Chance, network: Network, targets: Targets) {
		this.#chance = chance
		this.#network = network
		this.#targets = targets
	}

	/** Some datagrams from an address nobody knows, or from behind the NAT of a phone. */
	knock(from: Endpoint): void {
		for (let left = this.#chance.between(1, 12); left > 0; left--) this.#send(this.#datagram(from), from)
	}

	/** The same by a connection, which may carry what is no SIP, or nothing at all, and stay. */
	connect(streams: Streams, address: string): void {
		const chance = this.#chance
		const from = { address, port: 5_060 }
		const nobody = { isReading: () => true, hear() {}, lost() {} }
		const stream = streams.open(chance.one(['TLS', 'WS'] as const), address, 'stranger', nobody)
		for (let left = chance.between(0, 6); left > 0; left--)
			if (chance.is(0.1)) streams.garble(stream, this.#garbage())
			else streams.fromPhone(stream, this.#datagram(from))
		if (chance.is(0.5)) streams.closeByPhone(stream)
	}

	/** One datagram of a scanner: it guesses agents. */
	scan(from: Endpoint): void {
		this.#send(
			this.#chance.is(0.5) ? this.#register(from, `${this.#chance.between(100, 9_999)}`) : this.#datagram(from),
			from,
		)
	}

	/** An agent in a dialog of its own, in the name of another one. */
	usurpDialog(from: Endpoint, { callId, routes, target, localCseq }: Dialog, other: string): Uint8Array {
		const { domain } = this.#targets
		return request({
			method: this.#chance.one(['BYE', 'INFO', 'INVITE', 'MESSAGE'] as const),
			uri: target,
			via: this.#via(from),
			from: `<sip:${other}@${domain}>;tag=${this.#chance.hex(8)}`,
			to: `<${target}>;tag=${this.#chance.hex(8)}`,
			callId,
			cseq: localCseq + 1,
			rows: routes.map((route) => ['Route', route] as const),
		})
	}

	/** An agent, on the flow of its own phone, in the name of another one. */
	usurp(from: Endpoint, self: string, other: string): Uint8Array {
		const method = this.#chance.one(['INVITE', 'MESSAGE', 'REGISTER', 'SUBSCRIBE', 'OPTIONS'] as const)
		const toTag = this.#chance.is(0.3) ? `;tag=${this.#chance.hex(8)}` : ''
		const rows = this.#chance.is(0.5)
			? []
			: [['P-Asserted-Identity', `<sip:${other}@${this.#targets.domain}>`] as const]
		return this.#request(method, from, other, toTag, [...rows, this.#contact(from, self)])
	}

	#datagram(from: Endpoint): Uint8Array {
		const { agents } = this.#targets
		const kind = this.#chance.between(0, 9)
		if (kind === 0) return this.#garbage()
		if (kind === 1) return this.#answer()
		const name = this.#chance.is(0.7) ? this.#chance.one(agents) : `${this.#chance.between(100, 9_999)}`
		if (kind <= 5) return this.#register(from, name)
		return this.#request(this.#chance.one(METHODS), from, name, this.#chance.is(0.4) ? ';tag=1' : '', this.#route())
	}

	/** With guessed credentials, or as a device that exists. */
	#register(from: Endpoint, name: string): Uint8Array {
		const { domain } = this.#targets
		const digest = `Digest username="${name}", realm="asterisk", nonce="${this.#chance.hex(16)}", uri="sip:${domain}", algorithm=MD5, response="${this.#chance.hex(32)}"`
		const rows: HeaderRow[] = [this.#contact(from, name), ['Expires', '600']]
		if (this.#chance.is(0.7)) rows.push(['Authorization', digest])
		return this.#request('REGISTER', from, name, '', rows)
	}

	#contact({ address, port }: Endpoint, name: string): HeaderRow {
		const { instances } = this.#targets
		const instance =
			instances.length > 0 && this.#chance.is(0.5) ? `;+sip.instance="<${this.#chance.one(instances)}>"` : ''
		return ['Contact', `<sip:${name}@${address}:${port}>${instance}`]
	}

	#route(): HeaderRow[] {
		const { gateway } = this.#targets
		if (this.#chance.is(0.5)) return []
		const token = `${this.#chance.between(1, 4)}.${this.#chance.hex(20)}`
		return [['Route', `<sip:${token}@${gateway.address}:${gateway.port};lr>`]]
	}

	#request(method: string, from: Endpoint, name: string, toTag: string, rows: readonly HeaderRow[]): Uint8Array {
		const { domain, agents } = this.#targets
		const uri = method === 'REGISTER' ? `sip:${domain}` : `sip:${this.#chance.one(agents)}@${domain}`
		return request({
			method,
			uri,
			via: this.#via(from),
			from: `<sip:${name}@${domain}>;tag=${this.#chance.hex(8)}`,
			to: `<${method === 'REGISTER' ? `sip:${name}@${domain}` : uri}>${toTag}`,
			callId: this.#chance.hex(16),
			cseq: this.#chance.between(1, 100),
			rows: [['User-Agent', this.#chance.one(SCANNERS)], ...rows],
		})
	}

	#via({ address, port }: Endpoint): string {
		return `SIP/2.0/UDP ${address}:${port};rport;branch=z9hG4bK${this.#chance.hex(16)}`
	}

	/** A response nobody asked for. */
	#answer(): Uint8Array {
		const { gateway } = this.#targets
		const via = `SIP/2.0/UDP ${gateway.address}:${gateway.port};branch=z9hG4bK${this.#chance.hex(16)}.abc`
		const text = `SIP/2.0 200 OK\r\nVia: ${via}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n`
		return new TextEncoder().encode(text)
	}

	#garbage(): Uint8Array {
		return Uint8Array.from({ length: this.#chance.between(0, 200) }, () => this.#chance.between(0, 255))
	}

	#send(bytes: Uint8Array, from: Endpoint): void {
		this.#network.send(bytes, from, this.#targets.gateway)
	}
}
