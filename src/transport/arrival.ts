/**
 * A connection that cannot carry SIP yet: PROXY header, then TLS, then the WebSocket upgrade, as far as its listener has
 * them. This object is forgotten when the connection opens.
 */
import { Deadline } from '../lib/deadlines.ts'
import type { Certificates } from './certificates.ts'
import { MAX_HELLO_OCTETS, readClientHello } from './client-hello.ts'
import type { Expiring } from './connection.ts'
import { Octets } from './octets.ts'
import { readProxyHeader } from './proxy-protocol.ts'
import { answerUpgrade, MAX_UPGRADE_OCTETS } from './upgrade.ts'
import { NOBODY, type Party, WIRE_HANDLERS, type Wire } from './wire.ts'

export type Step = 'proxy' | 'hello' | 'handshake' | 'upgrade'

export interface ArrivalOwner {
	/** What is before SIP on this listener, in order; the PROXY header aside. */
	readonly steps: readonly Step[]
	readonly tls: Certificates | undefined
	/** The far end's address is known. False: it is not welcome. */
	admit(arrival: Arrival): boolean
	/** Its ClientHello is there: {@link Arrival.beginTls}, when there is time. */
	queue(arrival: Arrival): void
	/** It can carry SIP. `rest`: what came already of that. */
	opened(arrival: Arrival, wire: Wire, rest: Uint8Array): void
	/** It came to nothing. `sentence`: what an operator should know. Once, and not after {@link opened}. */
	lost(arrival: Arrival, sentence?: string): void
	failed(error: Error): void
}

export class Arrival implements Party, Expiring {
	readonly deadline = new Deadline<Expiring>(this)
	address: string
	port: number
	/** As the population knows it, once it does. */
	source: string | undefined = undefined
	/** It is not welcome, or one too many of its source. */
	isRefused = false
	/** Its certificate was asked for and is good. */
	authorized = false
	readonly #owner: ArrivalOwner
	readonly #octets = new Octets()
	#wire: Wire
	#steps: readonly Step[]
	#searched = 0
	/** Before there are so many octets, its hello is not complete. */
	#needed = 0
	#isOver = false
	/** By a refusal, which is on its way out. */
	#isAnswered = false

	constructor(owner: ArrivalOwner, wire: Wire, isProxied: boolean) {
		this.#owner = owner
		this.#wire = wire
		this.address = wire.remoteAddress ?? ''
		this.port = wire.remotePort
		this.#steps = isProxied ? ['proxy', ...owner.steps] : owner.steps
		wire.data = this
	}

	/** After the constructor, once its owner knows it. */
	begin(): void {
		if (this.#steps[0] !== 'proxy' && !this.#owner.admit(this)) this.drop()
		else if (this.#steps.length === 0) this.#open()
	}

	received(bytes: Uint8Array): void {
		if (this.#isOver || this.#isAnswered) return
		this.#octets.push(bytes)
		this.#advance()
	}

	drained(): void {}

	handshaken(succeeded: boolean): void {
		if (this.#isOver) return
		if (!succeeded) return this.drop()
		this.authorized = this.#owner.tls!.asksClients && this.#wire.authorized
		this.#next()
	}

	expire(): void {
		this.drop()
	}

	closed(): void {
		this.#lose()
	}

	failed(error: Error): void {
		this.#owner.failed(error)
	}

	/** At once. */
	drop(sentence?: string): void {
		if (this.#isOver) return
		/* before the runtime says it is closed, which it does at once */
		this.#lose(sentence)
		this.#wire.terminate()
	}

	/** The arithmetic of a handshake: about 0.2 ms with an ECDSA key, 1 ms with RSA. */
	beginTls(): void {
		if (this.#isOver) return
		const certificates = this.#owner.tls!
		const hello = readClientHello(this.#octets.view())
		const raw = this.#wire
		raw.data = NOBODY
		try {
			const [, tls] = raw.upgradeTLS({
				isServer: true,
				initialData: this.#octets.take(),
				tls: {
					secureContext: certificates.contextFor(hello.kind === 'hello' ? hello.serverName : undefined),
					requestCert: certificates.asksClients,
					rejectUnauthorized: false,
				},
				socket: WIRE_HANDLERS,
				data: this,
			})
			this.#wire = tls
		} catch (error) {
			this.#owner.failed(error as Error)
			this.drop()
		}
	}

	#advance(): void {
		if (this.#steps[0] === 'proxy') this.#readProxy()
		else if (this.#steps[0] === 'hello') this.#readHello()
		else if (this.#steps[0] === 'upgrade') this.#readUpgrade()
		/* behind its hello a client has nothing to say before we answer */ else if (
			this.#octets.length >
			2 * MAX_HELLO_OCTETS
		)
			this.drop()
	}

	/** This step is done. */
	#next(): void {
		this.#steps = this.#steps.slice(1)
		if (this.#steps.length === 0) this.#open()
		else if (this.#octets.length > 0) this.#advance()
	}

	#open(): void {
		this.#isOver = true
		this.#owner.opened(this, this.#wire, this.#octets.take())
	}

	#lose(sentence?: string): void {
		if (this.#isOver) return
		this.#isOver = true
		this.#owner.lost(this, sentence)
	}

	#readProxy(): void {
		const header = readProxyHeader(this.#octets.view())
		if (header.kind === 'partial') return
		if (header.kind === 'malformed') {
			return this.drop(`The load balancer ${this.address} sends something else than a PROXY header, version 2`)
		}
		if (header.kind === 'source') {
			this.address = header.address
			this.port = header.port
		}
		this.#octets.drop(header.length)
		if (this.#owner.admit(this)) this.#next()
		else this.drop()
	}

	#readHello(): void {
		if (this.#octets.length < this.#needed) return
		const hello = readClientHello(this.#octets.view())
		if (hello.kind === 'malformed') return this.drop()
		if (hello.kind === 'partial') {
			this.#needed = hello.needed
			return
		}
		this.#steps = this.#steps.slice(1)
		this.#owner.queue(this)
	}

	#readUpgrade(): void {
		const end = this.#headEnd()
		if (end < 0) {
			if (this.#octets.length > MAX_UPGRADE_OCTETS) this.drop()
			return
		}
		const head = Buffer.from(this.#octets.slice(0, end)).toString('latin1')
		this.#octets.drop(end)
		const answer = answerUpgrade(head)
		this.#wire.write(Buffer.from(answer.text, 'latin1'))
		if (answer.isAccepted) return this.#next()
		/* it is one of the arrivals, and has their time, until the far end has closed it */
		this.#isAnswered = true
		this.#wire.shutdown()
	}

	/** Offset behind the empty line; -1 while it has not come. */
	#headEnd(): number {
		const octets = this.#octets
		const last = Math.min(octets.length, MAX_UPGRADE_OCTETS) - 3
		for (let at = this.#searched; at < last; at++)
			if (octets.at(at + 3) === 10 && octets.at(at + 2) === 13 && octets.at(at + 1) === 10 && octets.at(at) === 13)
				return at + 4
		this.#searched = Math.max(0, last)
		return -1
	}
}
