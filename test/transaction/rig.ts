/** The transaction layer with a fake clock and a wire that only remembers. */
import { Deadlines } from '../../src/lib/deadlines.ts'
import { response as build } from '../../src/sip/build.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { parse } from '../../src/sip/parse.ts'
import {
	type ClientTransaction,
	type ClientUser,
	type Destination,
	type Due,
	type ServerTransaction,
	Transactions,
} from '../../src/transaction/transactions.ts'

export const FAR: Destination = { listener: 0, address: '192.0.2.9', port: 5070 }

export const octets = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0))

export interface RequestShape {
	readonly branch?: string
	readonly sentBy?: string
	readonly fromTag?: string
	readonly toTag?: string
	readonly cseq?: string
	readonly uri?: string
	readonly rport?: boolean
}

/** `branch: ''` leaves the parameter out (RFC 2543). */
export function requestOf(method: string, shape: RequestShape = {}): SipMessage {
	const { branch = 'z9hG4bKone', sentBy = '192.0.2.9:5070', fromTag = 'ft', toTag = '', rport = false } = shape
	const { uri = 'sip:1001@gw.example', cseq = `1 ${method}` } = shape
	return parse(
		octets(
			[
				`${method} ${uri} SIP/2.0`,
				`Via: SIP/2.0/UDP ${sentBy}${branch === '' ? '' : `;branch=${branch}`}${rport ? ';rport' : ''}`,
				'Max-Forwards: 70',
				`From: <sip:5551234@pbx.example>;tag=${fromTag}`,
				`To: <sip:1001@gw.example>${toTag === '' ? '' : `;tag=${toTag}`}`,
				'Call-ID: call-one',
				`CSeq: ${cseq}`,
				'Content-Length: 0',
				'\r\n',
			].join('\r\n'),
		),
	)
}

export class Rig implements ClientUser {
	now = 0
	readonly sent: { at: number; to: Destination; text: string }[] = []
	readonly answers: number[] = []
	timeouts = 0
	readonly counters = { retransmissionsSent: 0, retransmissionsAbsorbed: 0 }
	readonly deadlines = new Deadlines<Due>()
	readonly layer = new Transactions(this.deadlines, this, this.counters)

	send(to: Destination, bytes: Uint8Array): void {
		this.sent.push({ at: this.now, to, text: String.fromCharCode(...bytes) })
	}

	/** So is whatever leaves by any listener but the first. */
	isReliable({ listener }: Destination): boolean {
		return listener > 0
	}

	response(_transaction: ClientTransaction, response: SipMessage): void {
		this.answers.push(response.status)
	}

	timedOut(): void {
		this.timeouts++
	}

	/** Lets time pass, and everything due in it happen at its very time. */
	advance(ms: number): void {
		const until = this.now + ms
		for (;;) {
			const next = Math.min(this.deadlines.next(), this.layer.nextLinger())
			if (next > until) break
			this.now = next
			for (let d = this.deadlines.take(next); d !== undefined; d = this.deadlines.take(next))
				d.what.owner.due(d.what.event, next)
			this.layer.sweep(next)
		}
		this.now = until
	}

	/** When something was sent since the last look, ms. */
	times(): number[] {
		return this.sent.splice(0).map(({ at }) => at)
	}

	/** First words of what was sent since the last look. */
	words(): string[] {
		return this.sent.splice(0).map(({ text }) => text.split(' ').slice(0, 2).join(' '))
	}

	serve(request: SipMessage, answerTo = FAR): ServerTransaction {
		return this.layer.serve(request, answerTo)
	}

	respond(server: ServerTransaction, request: SipMessage, status: number): void {
		server.respond(status, build(request, FAR, status, { toTag: 'tt' }), this.now)
	}

	open(request: SipMessage, to = FAR): ClientTransaction {
		return this.layer.open(request.via.branch, request.method, request.bytes, to, this, this.now)
	}

	/** The far side answers; false where no transaction wants it. */
	answer(request: SipMessage, status: number): boolean {
		const message = parse(build(request, undefined, status, { toTag: 'tt' }))
		const client = this.layer.findClient(message)
		if (client === undefined) return false
		this.layer.receive(client, message, this.now)
		return true
	}
}
