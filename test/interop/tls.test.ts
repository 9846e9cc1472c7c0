/** TLS and the PROXY header as the binary has them. */
import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { makeCertificate } from '../../src/demo/certificate.ts'
import { because, binaryAbsent, until } from './binary.ts'
import { Crowd, stranger } from './crowd.ts'
import { portsOf } from './gateway.ts'
import { certificateFlags, Scene } from './scene.ts'
import { StreamLine, type StreamLineOptions } from './stream-line.ts'

/** Changed files are found within ten seconds; this is for a busy machine. */
setDefaultTimeout(40_000)

let scene: Scene
const folder = mkdtempSync(join(tmpdir(), 'push-gateway-tls-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

afterEach(() => scene?.close())

/** Anna's phone says this of itself. */
async function openWith(
	kind: 'tcp' | 'tls' | 'wss',
	test: number,
	from: string,
	own: StreamLineOptions,
	...flags: string[]
) {
	const { own: port } = portsOf(test)
	const line = new StreamLine(kind, from, { address: '127.0.0.1', port }, own)
	scene = await Scene.by(line, `${kind}:127.0.0.1:${port}`, test, ...flags)
}

interface Shown {
	readonly socket: TLSSocket
	readonly name: string
	readonly serial: string
	readonly protocol: string | null
	isClosed: boolean
	ticket: Buffer | undefined
}

/** A TLS client of the phone's listener; rejects where TLS is not agreed on. */
function dial(options: ConnectionOptions = {}): Promise<Shown> {
	return new Promise((resolve, reject) => {
		const where = { host: '127.0.0.1', port: scene.phonePort, servername: 'gw.example', rejectUnauthorized: false }
		let shown: Shown | undefined
		let ticket: Buffer | undefined
		const socket = connect({ ...where, ...options }, () => {
			const { subject, serialNumber } = socket.getPeerCertificate()
			shown = {
				socket,
				name: `${subject?.CN}`,
				serial: serialNumber,
				protocol: socket.getProtocol(),
				isClosed: false,
				ticket,
			}
			resolve(shown)
		})
		socket.on('session', (session) => {
			ticket = session
			if (shown !== undefined) shown.ticket = session
		})
		socket.on('error', reject)
		socket.on('close', () => {
			if (shown !== undefined) shown.isClosed = true
			reject(new Error('it was closed'))
		})
		socket.resume()
	})
}

async function shown(servername: string): Promise<Shown> {
	const one = await dial({ servername })
	one.socket.destroy()
	return one
}

describe.skipIf(binaryAbsent !== undefined)(`TLS of the binary${because(binaryAbsent)}`, () => {
	test('with --tls-client-ca a phone with a certificate of it is served, others are closed unheard', async () => {
		const [phone, other] = [makeCertificate(Date.now(), ['anna']), makeCertificate(Date.now(), ['other'])]
		const ca = join(folder, 'clients.pem')
		writeFileSync(ca, phone.certPem)
		const identity = { cert: phone.certPem, key: phone.keyPem }
		await openWith('tls', 150, '127.0.0.21', identity, '--tls-client-ca', ca)
		for (const options of [{}, { cert: other.certPem, key: other.keyPem }]) {
			const one = await dial(options)
			await until('it is closed', () => one.isClosed)
		}
		const welcome = await dial(identity)
		await scene.works()
		expect(welcome.isClosed).toBe(false)
		welcome.socket.destroy()
	})

	test('each phone sees the certificate of the name it asks for; new ones are taken up by SIGHUP and by themselves, in a call', async () => {
		const flags = ['one.example', 'two.example'].flatMap((name) => certificateFlags(folder, 0, name))
		scene = await Scene.open('tls', 151, ...flags)
		const { exchange, world, line } = scene
		const [one, two] = [await shown('one.example'), await shown('two.example')]
		expect([one.name, two.name, (await shown('three.example')).name]).toEqual([
			'one.example',
			'two.example',
			'one.example',
		])
		exchange.call('1001')
		await scene.answered()
		certificateFlags(folder, 1, 'two.example')
		world.signal('SIGHUP')
		await until('the second is another', async () => (await shown('two.example')).serial !== two.serial)
		expect((await shown('one.example')).serial).toBe(one.serial)
		certificateFlags(folder, 1, 'one.example')
		await until('the first is another', async () => (await shown('one.example')).serial !== one.serial, 15_000)
		await scene.hungUp('phone')
		expect(line.closedByGateway).toBe(0)
	})

	test('TLS 1.2 and 1.3 are spoken and resumed by a ticket, TLS 1.1 is not spoken', async () => {
		scene = await Scene.open('tls', 152)
		for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
			const first = await dial({ maxVersion: version })
			/* tickets come with the first answer */
			first.socket.write('\r\n\r\n')
			await until('there is a ticket', () => first.ticket)
			first.socket.destroy()
			const second = await dial({ maxVersion: version, session: first.ticket! })
			expect([second.protocol, second.socket.isSessionReused()]).toEqual([version, true])
			second.socket.destroy()
		}
		/* a hello of TLS 1.1 is answered with the alert protocol_version (70) */
		const body = [3, 2, ...Array<number>(32).fill(7), 0, 0, 2, 0, 0x2f, 1, 0]
		const hello = String.fromCharCode(22, 3, 1, 0, body.length + 4, 1, 0, 0, body.length, ...body)
		const old = await Crowd.open(scene.phonePort, ['127.0.0.66'], 1, hello)
		await until('it is closed', () => old.closed === 1)
		expect(old.heard.slice(-2)).toBe('\u0002\u0046')
		await scene.works()
	})
})

/** haproxy.org, proxy-protocol.txt §2.2: TCP over IPv4, from 198.51.100.`last`, port 40000. */
const proxyHeader = (last: number) =>
	Uint8Array.of(
		...[0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x21, 0x11, 0, 12],
		...[198, 51, 100, last, 127, 0, 0, 1, 0x9c, 0x40, 0x13, 0xc4],
	)
const BALANCER = '127.0.0.66'
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')

describe.skipIf(binaryAbsent !== undefined)(`--proxy-protocol${because(binaryAbsent)}`, () => {
	for (const [i, kind] of (['tcp', 'tls'] as const).entries()) {
		test(`${kind}: a load balancer speaks for the phone, whose address is the one it names`, async () => {
			await openWith(kind, 153 + i, BALANCER, { preface: proxyHeader(7) }, '--proxy-protocol', `${BALANCER}/32`)
			await scene.works()
			expect((await scene.world.status()).agents[0]!.devices[0]!.address).toBe('198.51.100.7')
			/* it has to name one, and nobody else may */
			const word = stranger('REGISTER', '1001')
			const silent = await Crowd.open(scene.phonePort, [BALANCER], 1, word)
			const liar = await Crowd.open(scene.phonePort, ['127.0.0.67'], 1, latin1(proxyHeader(8)) + word)
			await until('both are closed', () => silent.closed + liar.closed === 2)
			/* a PROXY header begins like a keep-alive */
			expect([silent.heard, liar.heard.trim()]).toEqual(['', ''])
			await scene.works()
			expect(scene.line.closedByGateway).toBe(0)
		})
	}

	test('who is banned is the far end, not the load balancer', async () => {
		await openWith('tcp', 155, BALANCER, { preface: proxyHeader(7) }, '--proxy-protocol', `${BALANCER}/32`)
		const word = latin1(proxyHeader(9)) + stranger('REGISTER', '100', 'User-Agent: friendly-scanner')
		const scanner = await Crowd.open(scene.phonePort, [BALANCER], 1, word)
		await until('it is turned out', () => scanner.closed === 1)
		expect((await scene.world.status()).bans.map(({ source }) => source)).toEqual(['198.51.100.9'])
		await scene.works()
	})
})
