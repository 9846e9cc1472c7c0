/**
 * What a stream costs: memory of an idle connection that has said a message, and CPU of a handshake.
 *
 *     bun test/bench/streams.ts [connections]      default 5,000
 *
 * The listener is a process of its own (this file with `serve`), the clients another; each kind has a fresh pair.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeCertificate } from '../../src/demo/certificate.ts'
import { openStreamListener, type StreamKind, type StreamListener } from '../../src/transport/stream.ts'

const KINDS: readonly StreamKind[] = ['tcp', 'tls', 'ws', 'wss']
const CONNECTIONS = 5_000
/** Dialled at a time. */
const AT_ONCE = 50
/** Ports of one address would not do for more. */
const CLIENTS_OF_AN_ADDRESS = 10_000
const MESSAGE = `REGISTER sip:pbx.example.com SIP/2.0\r\nContent-Length: 400\r\n\r\n${'x'.repeat(400)}`
const UPGRADE = [
	'GET / HTTP/1.1',
	'Host: localhost',
	'Upgrade: websocket',
	'Connection: Upgrade',
	'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
	'Sec-WebSocket-Version: 13',
	'Sec-WebSocket-Protocol: sip',
	'\r\n',
].join('\r\n')

interface Figures {
	readonly connections: number
	readonly messages: number
	readonly rssBytes: number
	readonly cpuSeconds: number
}

const said = (figures: Figures) => console.log(JSON.stringify(figures))

/** Listens; says the port, and after each line on its input its figures. */
async function serve(kind: StreamKind, folder: string): Promise<void> {
	const listener: StreamListener | string = await openStreamListener({
		...{
			index: 0,
			kind,
			address: '0.0.0.0',
			port: 0,
			limits: { perSource: 50_000, firstMessageMs: 600_000, newcomerMs: 600_000 },
		},
		tls: { certificates: [{ certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') }] },
		onMessage: (flow, bytes) => void (listener as StreamListener).send(flow.key, bytes),
		onError: (sentence) => console.error(sentence),
	})
	if (typeof listener === 'string') throw new Error(listener)
	console.log(listener.port)
	for await (const _ of console) {
		Bun.gc(true)
		const { user, system } = process.cpuUsage()
		const { connections, stats } = listener
		said({
			connections,
			messages: stats.messages,
			rssBytes: process.memoryUsage.rss(),
			cpuSeconds: (user + system) / 1e6,
		})
	}
	process.exit()
}

/** Opens them, has each say one message and hear it again; says so, and stays. */
async function dial(kind: StreamKind, port: number, count: number): Promise<void> {
	for (let i = 0; i < count; i += AT_ONCE)
		await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - i) }, (_, j) => dialOne(kind, port, i + j)))
	console.log('done')
	await new Promise(() => {})
}

function dialOne(kind: StreamKind, port: number, number: number): Promise<void> {
	const { promise, resolve, reject } = Promise.withResolvers<void>()
	const isWeb = kind === 'ws' || kind === 'wss'
	const isSecure = kind === 'tls' || kind === 'wss'
	let isUpgraded = !isWeb
	const begin = (socket: { write(text: string | Uint8Array): number }) => socket.write(isWeb ? UPGRADE : MESSAGE)
	Bun.connect({
		hostname: `127.0.0.${1 + Math.floor(number / CLIENTS_OF_AN_ADDRESS)}`,
		port,
		...(isSecure && { tls: { rejectUnauthorized: false } }),
		socket: {
			open: (socket) => void (isSecure || begin(socket)),
			handshake: (socket) => void begin(socket),
			data(socket) {
				if (isUpgraded) return resolve()
				isUpgraded = true
				socket.write(masked(MESSAGE))
			},
			close: () => reject(new Error(`connection ${number} was closed`)),
			error: (_, error) => reject(error),
		},
	}).catch(reject)
	return promise
}

/** A client's text frame, with a mask of zeros. */
function masked(text: string): Uint8Array {
	return Buffer.concat([Uint8Array.of(0x81, 0xfe, text.length >> 8, text.length & 0xff, 0, 0, 0, 0), Buffer.from(text)])
}

/** Lines of a process, one at a time. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
	const decoder = new TextDecoder()
	let text = ''
	for await (const chunk of stream) {
		text += decoder.decode(chunk, { stream: true })
		for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
			yield text.slice(0, end)
			text = text.slice(end + 1)
		}
	}
}

async function measure(kind: StreamKind, count: number, folder: string): Promise<string> {
	const run = (...args: string[]) => [process.execPath, import.meta.path, ...args]
	const server = Bun.spawn(run('serve', kind, folder), { stdin: 'pipe', stdout: 'pipe' })
	const lines = linesOf(server.stdout)
	const port = (await lines.next()).value as string
	const figures = async (): Promise<Figures> => {
		server.stdin.write('\n')
		server.stdin.flush()
		return JSON.parse((await lines.next()).value as string)
	}
	const before = await figures()
	const client = Bun.spawn(run('dial', kind, port, `${count}`), { stdout: 'pipe' })
	if ((await linesOf(client.stdout).next()).value !== 'done') throw new Error('the clients did not all connect')
	const after = await figures()
	client.kill()
	server.kill()
	await Promise.all([client.exited, server.exited])
	if (after.connections !== count) throw new Error(`${after.connections} of ${count} connections are open`)
	const each = (after.rssBytes - before.rssBytes) / count / 1000
	const cpu = after.cpuSeconds - before.cpuSeconds
	return `${kind.padEnd(4)} ${each.toFixed(1)} kB for each of ${count}, ${Math.round(count / cpu)} connections (and a message both ways) a CPU-second`
}

async function main(): Promise<void> {
	const [work, kind, last, count] = process.argv.slice(2) as [string, StreamKind, string, string]
	if (work === 'serve') return serve(kind, last)
	if (work === 'dial') return dial(kind, Number(last), Number(count))
	const folder = mkdtempSync(join(tmpdir(), 'streams-'))
	const { certPem, keyPem } = makeCertificate(Date.now())
	writeFileSync(join(folder, 'cert.pem'), certPem)
	writeFileSync(join(folder, 'key.pem'), keyPem)
	for (const one of KINDS) console.log(await measure(one, Number(work ?? CONNECTIONS), folder))
	rmSync(folder, { recursive: true })
}

await main()
