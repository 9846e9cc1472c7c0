import { afterEach, describe, expect, test } from 'bun:test'
import { answerUpgrade, MAX_UPGRADE_OCTETS } from '../../src/transport/upgrade.ts'
import { holds } from './loopback.ts'
import { closeAll, dialTcp, latin1, listenStream, request, UPGRADE_ROWS } from './streams.ts'

afterEach(closeAll)

/** The request with one row instead of that of the same name; undefined: without it. */
function changed(name: string, value: string | undefined): string {
	const others = UPGRADE_ROWS.filter((row) => !row.startsWith(`${name}:`))
	return request(value === undefined ? others : [...others, `${name}: ${value}`])
}

const statusOf = (head: string) => answerUpgrade(head).text.split('\r\n')[0]

describe('RFC 6455 §4.2: a request for a WebSocket', () => {
	test('is accepted with the RFC’s own key and answer, and the sub-protocol sip', () => {
		const { isAccepted, text } = answerUpgrade(request(UPGRADE_ROWS))
		expect(isAccepted).toBe(true)
		expect(text.split('\r\n')).toEqual([
			'HTTP/1.1 101 Switching Protocols',
			'Upgrade: websocket',
			'Connection: Upgrade',
			'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
			'Sec-WebSocket-Protocol: sip',
			'',
			'',
		])
	})

	test('names of headers and tokens are in any case, and a list may be two rows', () => {
		const rows = UPGRADE_ROWS.map((row, i) => (i === 0 ? row : row.replace(/^[^:]+/, (name) => name.toLowerCase())))
		expect(answerUpgrade(request(rows)).isAccepted).toBe(true)
		const two = [...UPGRADE_ROWS.slice(0, -1), 'Sec-WebSocket-Protocol: chat', 'Sec-WebSocket-Protocol: sip']
		expect(answerUpgrade(request(two)).isAccepted).toBe(true)
		expect(answerUpgrade(changed('Upgrade', 'WebSocket')).isAccepted).toBe(true)
	})

	test('RFC 7118 §4.1: without the sub-protocol sip it is refused', () => {
		for (const value of [undefined, 'chat', 'sips', '']) {
			expect(statusOf(changed('Sec-WebSocket-Protocol', value))).toBe('HTTP/1.1 400 Bad Request')
		}
	})

	test('an ordinary GET is told what this port is', () => {
		const { isAccepted, text } = answerUpgrade(request(['GET /status HTTP/1.1', 'Host: localhost', 'Accept: */*']))
		expect(isAccepted).toBe(false)
		expect(text).toStartWith('HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n')
		const [head, body] = text.split('\r\n\r\n') as [string, string]
		expect(body).toBe('This port speaks SIP over WebSocket (RFC 7118), and nothing else.\n')
		expect(head).toContain(`Content-Length: ${body.length}`)
	})

	test('of another version is told ours (§4.4)', () => {
		expect(answerUpgrade(changed('Sec-WebSocket-Version', '8')).text).toContain('Sec-WebSocket-Version: 13')
		expect(statusOf(changed('Sec-WebSocket-Version', '8'))).toBe('HTTP/1.1 426 Upgrade Required')
	})

	test('that is malformed is refused', () => {
		const rows = UPGRADE_ROWS.slice(1)
		const wrong = [
			request(['POST / HTTP/1.1', ...rows]),
			request(['GET / HTTP/1.0', ...rows]),
			request(['GET /', ...rows]),
			request([...UPGRADE_ROWS, 'no colon']),
			changed('Host', undefined),
			changed('Sec-WebSocket-Key', undefined),
			changed('Sec-WebSocket-Key', 'dG9vIHNob3J0'),
			'\r\n\r\n',
		]
		for (const head of wrong) expect(statusOf(head)).toBe('HTTP/1.1 400 Bad Request')
	})
})

describe('on a listener', () => {
	test('the request may come octet by octet, and frames may follow it at once', async () => {
		const { listener, ear } = await listenStream('ws')
		const client = await dialTcp(listener.port)
		const text = request(UPGRADE_ROWS)
		for (const octet of text.slice(0, -10)) client.write(octet)
		client.write(text.slice(-10))
		client.write(Uint8Array.of(0x81, 0x82, 0, 0, 0, 0, 79, 75))
		expect(await holds(() => ear.messages.length === 1)).toBe(true)
		expect(ear.texts).toEqual(['OK'])
		expect(latin1(client.heard)).toStartWith('HTTP/1.1 101 ')
	})

	test('a refusal is heard and ends the connection', async () => {
		const { listener, ear } = await listenStream('ws')
		const client = await dialTcp(listener.port)
		client.write(request(['GET / HTTP/1.1', 'Host: localhost']))
		expect(await holds(() => client.isClosed)).toBe(true)
		expect(latin1(client.heard)).toStartWith('HTTP/1.1 426 ')
		expect(ear.opened).toEqual([])
		expect(listener.stats.setupFailed).toBe(1)
		expect(listener.handshakes).toBe(0)
	})

	test('a request that does not end within MAX_UPGRADE_OCTETS is cut off', async () => {
		const { listener } = await listenStream('ws')
		const client = await dialTcp(listener.port)
		client.write(`GET / HTTP/1.1\r\nX: ${'x'.repeat(MAX_UPGRADE_OCTETS - 30)}`)
		await holds(() => client.isClosed, 50)
		expect(client.isClosed).toBe(false)
		client.write('x'.repeat(40))
		expect(await holds(() => client.isClosed)).toBe(true)
	})
})
