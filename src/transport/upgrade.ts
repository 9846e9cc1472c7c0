/** The HTTP request that opens a SIP WebSocket (RFC 6455 §4.2.1, RFC 7118 §4.1), and the answers to it. */
import { createHash } from 'node:crypto'

/** Browsers send 600 octets, and a cookie or two. */
export const MAX_UPGRADE_OCTETS = 8_192

/** What RFC 6455 §4.2.2 joins to the key. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const KEY = /^[A-Za-z0-9+/]{22}==$/
const VERSION = '13'

export interface UpgradeAnswer {
	readonly isAccepted: boolean
	/** The whole HTTP response. */
	readonly text: string
}

/** @param head request line and header rows, with the empty line */
export function answerUpgrade(head: string): UpgradeAnswer {
	const rows = head.split('\r\n')
	const headers = readHeaders(rows)
	if (!/^GET \S+ HTTP\/1\.1$/.test(rows[0]!) || headers === undefined || !headers.has('host'))
		return refuse('400 Bad Request', 'This is no request for a WebSocket.')
	if (!names(headers.get('upgrade')).includes('websocket') || !names(headers.get('connection')).includes('upgrade'))
		return refuse('426 Upgrade Required', 'This port speaks SIP over WebSocket (RFC 7118), and nothing else.')
	if (headers.get('sec-websocket-version') !== VERSION)
		return refuse('426 Upgrade Required', 'Only version 13 of WebSocket is spoken here.')
	const key = headers.get('sec-websocket-key') ?? ''
	if (!KEY.test(key)) return refuse('400 Bad Request', 'Sec-WebSocket-Key is missing or malformed.')
	if (!names(headers.get('sec-websocket-protocol')).includes('sip'))
		return refuse('400 Bad Request', 'Sec-WebSocket-Protocol has to name sip (RFC 7118 section 4.1).')
	return { isAccepted: true, text: accept(key) }
}

/** Names in lower case; a repeated one is a list (RFC 9110 §5.3). Undefined where a row is none. */
function readHeaders(rows: readonly string[]): ReadonlyMap<string, string> | undefined {
	const headers = new Map<string, string>()
	for (let i = 1; i < rows.length && rows[i] !== ''; i++) {
		const row = rows[i]!
		const colon = row.indexOf(':')
		if (colon <= 0) return undefined
		const name = row.slice(0, colon).toLowerCase()
		const value = row.slice(colon + 1).trim()
		const before = headers.get(name)
		headers.set(name, before === undefined ? value : `${before}, ${value}`)
	}
	return headers
}

const names = (list: string | undefined): string[] => (list ?? '').split(',').map((name) => name.trim().toLowerCase())

function accept(key: string): string {
	const digest = createHash('sha1').update(`${key}${GUID}`).digest('base64')
	return [
		'HTTP/1.1 101 Switching Protocols',
		'Upgrade: websocket',
		'Connection: Upgrade',
		`Sec-WebSocket-Accept: ${digest}`,
		'Sec-WebSocket-Protocol: sip',
		'\r\n',
	].join('\r\n')
}

function refuse(status: string, sentence: string): UpgradeAnswer {
	const rows = [
		`HTTP/1.1 ${status}`,
		'Upgrade: websocket',
		'Connection: Upgrade, close',
		`Sec-WebSocket-Version: ${VERSION}`,
		'Content-Type: text/plain',
		`Content-Length: ${sentence.length + 1}`,
	]
	return { isAccepted: false, text: `${rows.join('\r\n')}\r\n\r\n${sentence}\n` }
}
