/** Two machines of a PBX on sockets of their own, which die and come back, and a phone that calls at a rate. */
import { parseNameAddr } from '../../src/sip/address.ts'
import { Header } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { parse } from '../../src/sip/parse.ts'
import { DOMAIN } from './gateway.ts'
import { ServerLine } from './server-line.ts'

/** A machine takes a call at once and answers it after this: calls that are in it when it dies are lost. */
const ANSWER_MS = 150

const USER = '1001'

function answer(request: SipMessage, status: number, rows: readonly string[] = []): string {
	const tag = request.toTag === '' && status > 100 ? ';tag=pbx' : ''
	return [
		`SIP/2.0 ${status} Because`,
		...request.rows(Header.Via).map((via) => `Via: ${via}`),
		...request.rows(Header.RecordRoute).map((route) => `Record-Route: ${route}`),
		`From: ${request.first(Header.From)}`,
		`To: ${request.first(Header.To)}${tag}`,
		`Call-ID: ${request.callId}`,
		`CSeq: ${request.cseq} ${request.cseqMethod}`,
		...rows,
		'Content-Length: 0\r\n\r\n',
	].join('\r\n')
}

/** From one start to the next death. */
interface Life {
	send(text: string, to: Place): void
	end(): void
}

export class Machine {
	readonly address: string
	readonly port: number
	/** Calls it has taken, and those of them it has answered. */
	readonly taken = new Set<string>()
	readonly answered = new Set<string>()
	registers = 0
	readonly #kind: 'udp' | 'tcp'
	#life: Life | undefined = undefined

	constructor(address: string, port: number, kind: 'udp' | 'tcp' = 'udp') {
		this.address = address
		this.port = port
		this.#kind = kind
	}

	/** Up, or up again. */
	async start(): Promise<void> {
		this.#life = await (this.#kind === 'udp' ? this.#overUdp() : this.#overTcp())
	}

	async #overUdp(): Promise<Life> {
		const socket = await Bun.udpSocket({
			hostname: this.address,
			port: this.port,
			socket: { data: (_, bytes, port, address) => this.#receive(parse(bytes), { address, port }) },
		})
		return { send: (text, { address, port }) => void socket.send(text, port, address), end: () => socket.close() }
	}

	async #overTcp(): Promise<Life> {
		const { address, port } = this
		const line = await ServerLine.open({ kind: 'tcp', address, port })
		line.connect({ receive: (bytes, from) => this.#receive(parse(bytes), from), tick() {} }, () => 0)
		return { send: (text, to) => line.send(Buffer.from(text, 'latin1'), to), end: () => line.close() }
	}

	/** Gone between two packets. */
	die(): void {
		this.#life?.end()
		this.#life = undefined
	}

	#receive(request: SipMessage, from: Place): void {
		const life = this.#life
		const say = (status: number, rows?: readonly string[]) => {
			if (this.#life === life) life?.send(answer(request, status, rows), from)
		}
		if (request.method === 'REGISTER') {
			this.registers++
			const contact = parseNameAddr(request.first(Header.Contact) ?? '')
			say(200, [`Contact: <${contact?.uri}>;expires=600`])
		} else if (request.method === 'INVITE') this.#take(request, say)
		else if (request.method !== 'ACK') say(200)
	}

	#take({ callId }: SipMessage, say: (status: number, rows?: readonly string[]) => void): void {
		if (this.taken.has(callId)) return
		this.taken.add(callId)
		say(100)
		const mine = this.#life
		setTimeout(() => {
			if (this.#life !== mine) return
			this.answered.add(callId)
			const params = this.#kind === 'udp' ? '' : ';transport=tcp'
			say(200, [`Contact: <sip:600@${this.address}:${this.port}${params}>`])
		}, ANSWER_MS)
	}
}

interface Place {
	readonly address: string
	readonly port: number
}

export class Caller {
	/** Call-ID → final status; 0 while there is none. */
	readonly calls = new Map<string, number>()
	registered = false
	readonly #gateway: Place
	#socket!: Bun.udp.Socket<'buffer'>

	private constructor(gateway: Place) {
		this.#gateway = gateway
	}

	static async open(address: string, gateway: Place): Promise<Caller> {
		const caller = new Caller(gateway)
		caller.#socket = await Bun.udpSocket({
			hostname: address,
			socket: { data: (_socket, bytes) => caller.#receive(parse(bytes)) },
		})
		return caller
	}

	register(): void {
		this.#send('REGISTER', `sip:${DOMAIN}`, `<sip:${USER}@${DOMAIN}>`, 'registration', ['Expires: 600'])
	}

	/** @returns its Call-ID */
	call(rows: readonly string[] = []): string {
		const callId = `call-${this.calls.size}`
		this.calls.set(callId, 0)
		this.#send('INVITE', `sip:600@${DOMAIN}`, `<sip:600@${DOMAIN}>`, callId, rows)
		return callId
	}

	close(): void {
		this.#socket.close()
	}

	#receive(message: SipMessage): void {
		if (message.status < 200) return
		if (message.cseqMethod === 'REGISTER') this.registered = message.status === 200
		if (message.cseqMethod !== 'INVITE') return
		this.calls.set(message.callId, message.status)
		const to = message.first(Header.To)!
		const routes = message.rows(Header.RecordRoute).map((route) => `Route: ${route}`)
		const target = parseNameAddr(message.first(Header.Contact) ?? '')?.uri ?? `sip:600@${DOMAIN}`
		this.#send('ACK', target, to, message.callId, routes)
	}

	#send(method: string, uri: string, to: string, callId: string, rows: readonly string[]): void {
		const { address, port } = this.#socket.address
		const text = [
			`${method} ${uri} SIP/2.0`,
			`Via: SIP/2.0/UDP ${address}:${port};branch=z9hG4bK${crypto.randomUUID()};rport`,
			'Max-Forwards: 70',
			`From: <sip:${USER}@${DOMAIN}>;tag=phone`,
			`To: ${to}`,
			`Call-ID: ${callId}`,
			`CSeq: ${method === 'REGISTER' ? Math.round(performance.now()) : 1} ${method}`,
			`Contact: <sip:${USER}@${address}:${port}>`,
			...rows,
			'Content-Length: 0\r\n\r\n',
		].join('\r\n')
		this.#socket.send(text, this.#gateway.port, this.#gateway.address)
	}
}
