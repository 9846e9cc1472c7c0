/** Stream listeners and raw clients on this machine. A file that uses them says `afterEach(closeAll)`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import type { Flow } from '../../src/core/model.ts'
import { type Certificate, makeCertificate } from '../../src/demo/certificate.ts'
import type { StreamCallbacks } from '../../src/transport/connections.ts'
import {
	openStreamListener,
	type StreamKind,
	type StreamListener,
	type StreamOptions,
} from '../../src/transport/stream.ts'
import { holds } from './loopback.ts'

export const KINDS: readonly StreamKind[] = ['tcp', 'tls', 'ws', 'wss']
export const isSecure = (kind: StreamKind) => kind === 'tls' || kind === 'wss'
export const isWeb = (kind: StreamKind) => kind === 'ws' || kind === 'wss'

const folder = mkdtempSync(join(tmpdir(), 'stream-'))
const open: { stop(): void }[] = []
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

export function closeAll(): void {
	for (const one of open.splice(0)) one.stop()
}

/** A certificate for `localhost` and 127.0.0.1 (or these names), and where it lies. */
export function certificateFiles(name: string, names?: readonly string[]) {
	const certificate: Certificate = makeCertificate(Date.now(), names)
	const certFile = join(folder, `${name}.cert.pem`)
	const keyFile = join(folder, `${name}.key.pem`)
	writeFileSync(certFile, certificate.certPem)
	writeFileSync(keyFile, certificate.keyPem)
	return { ...certificate, certFile, keyFile }
}

const ordinary = certificateFiles('ordinary')
/** What the listeners of this rig have where a test says nothing else. */
export const ORDINARY_CA = ordinary.certPem
export const FOLDER = folder

/** What a listener or connector told, in order. */
export class Ear implements StreamCallbacks {
	readonly opened: { readonly flow: Flow; readonly authorized: boolean }[] = []
	readonly messages: { readonly flow: Flow; readonly bytes: Uint8Array }[] = []
	readonly faults: { readonly flow: Flow; readonly code: string; readonly head: Uint8Array }[] = []
	readonly closed: Flow[] = []
	readonly errors: string[] = []
	/** Done with each message, after it is noted. */
	reaction: (flow: Flow, bytes: Uint8Array) => void = () => {}
	faultReaction: (flow: Flow) => void = () => {}

	readonly onOpen = (flow: Flow, authorized: boolean) => void this.opened.push({ flow, authorized })
	readonly onClose = (flow: Flow) => void this.closed.push(flow)
	readonly onError = (sentence: string) => void this.errors.push(sentence)
	readonly onMessage = (flow: Flow, bytes: Uint8Array) => {
		this.messages.push({ flow, bytes })
		this.reaction(flow, bytes)
	}
	readonly onFault = (flow: Flow, code: string, head: Uint8Array) => {
		this.faults.push({ flow, code, head })
		this.faultReaction(flow)
	}

	get texts(): string[] {
		return this.messages.map(({ bytes }) => latin1(bytes))
	}
}

export async function listenStream(kind: StreamKind, options: Partial<StreamOptions> = {}) {
	const ear = new Ear()
	const tls = { certificates: [ordinary] }
	const listener = await openStreamListener({ index: 0, kind, address: '127.0.0.1', port: 0, tls, ...ear, ...options })
	if (typeof listener === 'string') throw new Error(listener)
	open.push(listener)
	return { listener, ear }
}

export function closeAfterTest(one: { stop(): void }): void {
	open.push(one)
}

export const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')
export const octets = (text: string) => Buffer.from(text, 'latin1')

/** A whole SIP message. */
export function sip(body: string, callId = 'a'): string {
	const head = ['MESSAGE sip:1001@pbx.example.com SIP/2.0', `Call-ID: ${callId}`, `Content-Length: ${body.length}`]
	return `${head.join('\r\n')}\r\n\r\n${body}`
}

/** A client's frame (RFC 6455 §5.2), masked; `opcode` 1 is text. */
export function webFrame(payload: string | Uint8Array, opcode = 1, isLast = true, isMasked = true): Uint8Array {
	const body = typeof payload === 'string' ? octets(payload) : payload
	const { length } = body
	const long = [(length >> 8) & 0xff, length & 0xff]
	const lengths =
		length < 126 ? [length] : length < 65_536 ? [126, ...long] : [127, 0, 0, 0, 0, 0, length >> 16, ...long]
	if (isMasked) lengths[0]! |= 0x80
	const mask = [0x37, 0xfa, 0x21, 0x3d]
	const head = [(isLast ? 0x80 : 0) | opcode, ...lengths]
	if (!isMasked) return Uint8Array.from([...head, ...body])
	return Uint8Array.from([...head, ...mask, ...body.map((octet, i) => octet ^ mask[i % 4]!)])
}

export const UPGRADE_ROWS = [
	'GET / HTTP/1.1',
	'Host: localhost',
	'Upgrade: websocket',
	'Connection: keep-alive, Upgrade',
	'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
	'Sec-WebSocket-Version: 13',
	'Sec-WebSocket-Protocol: chat, SIP',
]
export const request = (rows: readonly string[]) => `${rows.join('\r\n')}\r\n\r\n`

/** A server's frames in what came: opcode and payload of each. */
export function webFrames(bytes: Uint8Array): { readonly opcode: number; readonly payload: Uint8Array }[] {
	const frames: { opcode: number; payload: Uint8Array }[] = []
	for (let at = 0; at + 2 <= bytes.length; ) {
		const short = bytes[at + 1]!
		const size = short < 126 ? 0 : short === 126 ? 2 : 8
		let length = size === 0 ? short : 0
		for (let i = 0; i < size; i++) length = length * 256 + bytes[at + 2 + i]!
		const start = at + 2 + size
		if (start + length > bytes.length) break
		frames.push({ opcode: bytes[at]! & 0x0f, payload: bytes.slice(start, start + length) })
		at = start + length
	}
	return frames
}

/** A client that sends what it is told, octet for octet. */
export class Client {
	readonly socket: Socket
	isClosed = false
	#heard: Uint8Array[] = []

	constructor(socket: Socket) {
		this.socket = socket
		socket.setNoDelay(true)
		socket.on('data', (bytes) => this.#heard.push(bytes as Buffer))
		socket.on('close', () => {
			this.isClosed = true
		})
		socket.on('error', () => {})
		open.push({ stop: () => socket.destroy() })
	}

	/** All that came. */
	get heard(): Uint8Array {
		return Buffer.concat(this.#heard)
	}

	forget(): void {
		this.#heard = []
	}

	write(bytes: string | Uint8Array): void {
		this.socket.write(typeof bytes === 'string' ? octets(bytes) : bytes)
	}
}

interface Dial {
	readonly address?: string
	/** Sent before anything else. */
	readonly preface?: Uint8Array
	readonly serverName?: string
	readonly cert?: string
	readonly key?: string
	readonly ca?: string
}

export async function dialTcp(port: number, { address = '127.0.0.1', preface }: Dial = {}): Promise<Client> {
	const socket = connectTcp(port, address)
	const client = new Client(socket)
	await holds(() => socket.readyState === 'open' || client.isClosed)
	if (preface !== undefined) socket.write(preface)
	return client
}

/** A connection over which a phone could speak: TLS and WebSocket are agreed on. */
export async function dial(listener: StreamListener, options: Dial = {}): Promise<Client> {
	const client = isSecure(listener.kind) ? await dialTls(listener.port, options) : await dialTcp(listener.port, options)
	if (isWeb(listener.kind)) {
		client.write(request(UPGRADE_ROWS))
		await holds(() => latin1(client.heard).includes('\r\n\r\n') || client.isClosed)
		client.forget()
	}
	return client
}

export async function dialTls(port: number, options: Dial = {}): Promise<Client> {
	const { address = '127.0.0.1', serverName = 'localhost', ca = ORDINARY_CA, cert, key, preface } = options
	const below = preface === undefined ? undefined : (await dialTcp(port, { address, preface })).socket
	const identity = cert === undefined ? {} : { cert, key: key! }
	const socket = connectTls({
		...(below === undefined ? { port, host: address } : { socket: below }),
		...{ ca, servername: serverName, rejectUnauthorized: true, ...identity },
	})
	let isReady = false
	socket.once('secureConnect', () => {
		isReady = true
	})
	const client = new Client(socket)
	await holds(() => isReady || client.isClosed)
	return client
}

/** A message as it goes over a connection of this kind. */
export const wrap = (kind: StreamKind, message: string): Uint8Array =>
	isWeb(kind) ? webFrame(message) : octets(message)

/** The messages a client of this kind heard, one after the other. */
export const unwrap = (kind: StreamKind, client: Client): string =>
	isWeb(kind)
		? webFrames(client.heard)
				.filter(({ opcode }) => opcode < 3)
				.map(({ payload }) => latin1(payload))
				.join('')
		: latin1(client.heard)
