import { describe, expect, test } from 'bun:test'
import { LIFETIME_MS, T1_MS, Transactions } from '../../src/demo/transactions.ts'
import { request } from '../../src/sip/build.ts'
import { parse } from '../../src/sip/parse.ts'

const PEER = { address: '192.0.2.1', port: 5060 }
const IDENTITY = { from: '<sip:a@example.com>;tag=1', to: '<sip:b@example.com>', callId: 'x', cseq: 1, rows: [] }

function requestOf(method: string): Uint8Array {
	return request({ method, uri: 'sip:b@example.com', via: 'SIP/2.0/TLS a;rport;branch=z9hG4bKx', ...IDENTITY })
}

/** Statuses and methods it puts on the wire, from the start of the transaction to its end. */
function said(begin: (transactions: Transactions) => void, isReliable: boolean): string[] {
	const words: string[] = []
	const user = {
		onRequest() {},
		onUnacknowledged() {},
		send(bytes: Uint8Array) {
			const { method, status } = parse(bytes)
			words.push(method || `${status}`)
		},
	}
	const transactions = new Transactions(user, isReliable)
	begin(transactions)
	for (let now = 0; now <= LIFETIME_MS; now += T1_MS) transactions.tick(now)
	return words
}

const asks = (method: string) => (transactions: Transactions) =>
	transactions.request(requestOf(method), PEER, 0, () => {})

const answers = (method: string, status: number) => (transactions: Transactions) => {
	transactions.receive(requestOf(method), PEER, 0)
	transactions.respond(parse(requestOf(method)), status, 0)
}

describe('RFC 3261 §17: over a connection', () => {
	test('a request goes out once, and over datagrams again and again', () => {
		for (const method of ['INVITE', 'REGISTER']) {
			expect(said(asks(method), true)).toEqual([method])
			expect(said(asks(method), false).length).toBeGreaterThan(5)
		}
	})

	test('so does a refusal, but a 2xx to INVITE is repeated until its ACK (§13.3.1.4)', () => {
		expect(said(answers('INVITE', 486), true)).toEqual(['486'])
		expect(said(answers('INVITE', 486), false).length).toBeGreaterThan(5)
		expect(said(answers('INVITE', 200), true).length).toBeGreaterThan(5)
	})

	test('timer J is 0: a copy would be a new request', () => {
		const copy = (transactions: Transactions) => {
			answers('OPTIONS', 200)(transactions)
			transactions.tick(0)
			transactions.receive(requestOf('OPTIONS'), PEER, 1)
		}
		expect([said(copy, true), said(copy, false)]).toEqual([['200'], ['200', '200']])
	})
})
