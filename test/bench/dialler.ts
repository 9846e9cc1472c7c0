/**
 * Phones of the streams bench, a process of their own: `bun dialler.ts KIND FEW MANY HANDSHAKES`. Binds FEW agents, then MANY
 * in all, each over a connection of its own that stays; then sets up so many more connections and closes them. Says `done`
 * after each, and goes on at a line on its input.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { StreamKind } from '../../src/transport/stream.ts'
import { DOMAIN, PORTS, STREAM_PORTS } from './job.ts'
import { Line } from './line.ts'
import { agentIn, register } from './messages.ts'

export type Kind = 'udp' | StreamKind

/** Dialled at a time. */
const AT_ONCE = 50
/** What the gateway takes of one source. */
const PHONES_OF_A_SOURCE = 2_000
const UPGRADE = [
	'GET / HTTP/1.1',
	`Host: ${DOMAIN}`,
	'Upgrade: websocket',
	'Connection: Upgrade',
	'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
	'Sec-WebSocket-Version: 13',
	'Sec-WebSocket-Protocol: sip',
	'\r\n',
].join('\r\n')

/** What comes next; rejects where the connection ends. */
function heard(socket: Socket): Promise<string> {
	return new Promise((resolve, reject) => {
		socket.once('data', (bytes) => resolve(bytes.toString('latin1')))
		socket.once('close', () => reject(new Error('a connection was closed')))
	})
}

/** TLS is agreed on, and the upgrade answered. */
async function dial(kind: StreamKind, number: number): Promise<Socket> {
	const localAddress = `127.0.0.${2 + Math.floor(number / PHONES_OF_A_SOURCE)}`
	const tcp = connectTcp({ host: '127.0.0.1', port: STREAM_PORTS[kind], localAddress })
	const isSecure = kind === 'tls' || kind === 'wss'
	const socket: Socket = isSecure ? connectTls({ socket: tcp, rejectUnauthorized: false }) : tcp
	await new Promise((resolve, reject) => {
		socket.once(isSecure ? 'secureConnect' : 'connect', resolve)
		socket.once('error', reject)
	})
	if (kind === 'ws' || kind === 'wss') {
		socket.write(UPGRADE)
		await heard(socket)
	}
	return socket
}

/** A client's text frame, with a mask of zeros. */
function framed(text: string): Buffer {
	return Buffer.concat([Uint8Array.of(0x81, 0xfe, text.length >> 8, text.length & 0xff, 0, 0, 0, 0), Buffer.from(text)])
}

async function bind(kind: StreamKind, agent: number): Promise<void> {
	const socket = await dial(kind, agent)
	const text = register(agent, 1, socket.localPort!, true)
	socket.write(kind === 'ws' || kind === 'wss' ? framed(text) : text)
	const answer = await heard(socket)
	if (!answer.includes('SIP/2.0 200 ')) throw new Error(`agent ${agent} is not bound: ${answer.slice(0, 60)}`)
}

/** All UDP phones have one socket: it is not theirs that costs anything. */
async function udpBinder(): Promise<(agent: number) => Promise<void>> {
	const waiting = new Map<number, () => void>()
	const line = await Line.open('127.0.0.1', PORTS.phones, (text) => {
		if (text.startsWith('SIP/2.0 200')) waiting.get(agentIn(text))?.()
	})
	return (agent) => {
		line.send(register(agent, 1, line.port, true), PORTS.gateway)
		return new Promise((resolve) => waiting.set(agent, resolve))
	}
}

/** From `first` to before `end`, some at a time. */
async function each(first: number, end: number, what: (number: number) => Promise<void>): Promise<void> {
	for (let i = first; i < end; i += AT_ONCE)
		await Promise.all(Array.from({ length: Math.min(AT_ONCE, end - i) }, (_, j) => what(i + j)))
	console.log('done')
}

async function main(): Promise<void> {
	const [word, ...numbers] = process.argv.slice(2)
	const kind = word as Kind
	const [few, many, handshakes] = numbers.map(Number) as [number, number, number]
	const binds = kind === 'udp' ? await udpBinder() : (agent: number) => bind(kind, agent)
	const steps = [
		() => each(0, few, binds),
		() => each(few, many, binds),
		() => each(many, many + handshakes, async (i) => void (kind !== 'udp' && (await dial(kind, i)).destroy())),
	]
	await steps.shift()!()
	for await (const _ of console) await steps.shift()?.()
}

await main()
