import { afterEach, describe, expect, test } from 'bun:test'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { Certificates } from '../../src/transport/certificates.ts'
import { openStreamListener, type StreamListener } from '../../src/transport/stream.ts'
import { bytesOf, holds } from './loopback.ts'
import {
	Client,
	certificateFiles,
	closeAll,
	dial,
	dialTcp,
	Ear,
	FOLDER,
	latin1,
	listenStream,
	octets,
	sip,
	wrap,
} from './streams.ts'

afterEach(closeAll)

const first = certificateFiles('first', ['first.example', 'alias.example'])
const second = certificateFiles('second', ['second.example'])
const wild = certificateFiles('wild', ['*.phones.example'])
const phone = certificateFiles('phone', ['phone-17'])
const EVERY_CA = [first, second, wild].map(({ certPem }) => certPem).join('')

/** The name in the certificate a client is shown who asks for `serverName`. */
async function shown(listener: StreamListener, serverName: string): Promise<string> {
	const { socket } = await dial(listener, { serverName, ca: EVERY_CA })
	const name = (socket as TLSSocket).getPeerCertificate().subject?.CN
	socket.destroy()
	return String(name)
}

describe('certificates', () => {
	test('are chosen by the name the client asks for, a wildcard being one label; the first is for all others', async () => {
		const { listener } = await listenStream('tls', { tls: { certificates: [first, second, wild] } })
		expect(await shown(listener, 'second.example')).toBe('second.example')
		expect(await shown(listener, 'SECOND.example')).toBe('second.example')
		expect(await shown(listener, 'alias.example')).toBe('first.example')
		expect(await shown(listener, 'a.phones.example')).toBe('*.phones.example')
		const read = Certificates.read({ certificates: [first, second, wild] }) as Certificates
		for (const other of ['phones.example', 'b.a.phones.example', 'other.example', '', undefined])
			expect(read.contextFor(other)).toBe(read.contextFor('first.example'))
	})

	test('and until when they are good can be shown', async () => {
		const { listener } = await listenStream('wss', { tls: { certificates: [first, wild] } })
		expect(listener.certificates.map(({ names }) => names)).toEqual([
			['first.example', 'alias.example'],
			['*.phones.example'],
		])
		expect(listener.certificates[0]!.validUntil).toBeGreaterThan(Date.now())
		expect((await listenStream('tcp')).listener.certificates).toEqual([])
	})

	test('are read anew for those who come, and those who are there stay', async () => {
		const files = certificateFiles('changing', ['old.example'])
		const { listener, ear } = await listenStream('tls', { tls: { certificates: [files] } })
		const before = await dial(listener, { serverName: 'old.example', ca: files.certPem })
		const next = certificateFiles('next', ['new.example'])
		copyFileSync(next.certFile, files.certFile)
		copyFileSync(next.keyFile, files.keyFile)
		expect(listener.reload()).toBeUndefined()
		const after = await dial(listener, { serverName: 'new.example', ca: next.certPem })
		before.write(sip('still here'))
		after.write(sip('new here'))
		expect(await holds(() => ear.messages.length === 2)).toBe(true)
		expect(listener.certificates[0]!.names).toEqual(['new.example'])
	})

	test('that are bad at a reload leave the old ones, and a sentence says what is wrong', async () => {
		const files = certificateFiles('broken', ['good.example'])
		const { listener } = await listenStream('tls', { tls: { certificates: [files] } })
		copyFileSync(second.keyFile, files.keyFile)
		expect(listener.reload()).toBe(
			`The key in ${files.keyFile} does not belong to the certificate in ${files.certFile}.`,
		)
		writeFileSync(files.certFile, 'half written')
		expect(listener.reload()).toContain(`${files.certFile} holds no certificate in PEM`)
		const client = await dial(listener, { serverName: 'good.example', ca: files.certPem })
		expect(client.isClosed).toBe(false)
	})

	test('that are bad at the start are a sentence', async () => {
		const open = (certFile: string, keyFile: string, clientCaFile?: string) =>
			openStreamListener({
				...{ index: 0, kind: 'tls', address: '127.0.0.1', port: 0 },
				...new Ear(),
				tls: { certificates: [{ certFile, keyFile }], ...(clientCaFile && { clientCaFile }) },
			} as never)
		const nowhere = join(FOLDER, 'nowhere.pem')
		expect(await open(nowhere, first.keyFile)).toContain(`Cannot read ${nowhere}: ENOENT`)
		expect(await open(first.certFile, first.certFile)).toContain(`${first.certFile} holds no private key in PEM`)
		expect(await open(first.certFile, first.keyFile, nowhere)).toContain(`Cannot read ${nowhere}`)
	})
})

describe('a TLS connection', () => {
	test.each([
		['TLSv1.2', false],
		['TLSv1.3', false],
		['TLSv1.2', true],
		['TLSv1.3', true],
	] as const)(
		'of %s is resumed with a ticket, and keeps who the client is (certificate: %p)',
		async (version, hasCertificate) => {
			const tls = { certificates: [first], ...(hasCertificate && { clientCaFile: phone.certFile }) }
			const { listener, ear } = await listenStream('tls', { tls })
			ear.reaction = ({ key }, bytes) => void listener.send(key, bytes)
			const who = hasCertificate ? { cert: phone.certPem, key: phone.keyPem } : {}
			const where = { port: listener.port, host: '127.0.0.1', servername: 'first.example', ca: first.certPem }
			let ticket: Buffer | undefined
			const talk = async (): Promise<boolean> => {
				const socket = connect({ ...where, ...who, maxVersion: version, ...(ticket && { session: ticket }) })
				socket.on('session', (session) => {
					ticket = session
				})
				const client = new Client(socket)
				socket.once('secureConnect', () => client.write(sip('x')))
				expect(await holds(() => client.heard.length > 0)).toBe(true)
				expect(socket.getProtocol()).toBe(version)
				return socket.isSessionReused()
			}
			expect(await talk()).toBe(false)
			expect(ticket).toBeDefined()
			expect(await talk()).toBe(true)
			expect(ear.opened.map(({ authorized }) => authorized)).toEqual([hasCertificate, hasCertificate])
		},
	)

	test('is TLS 1.2 at least', async () => {
		const { listener } = await listenStream('tls')
		const options = { port: listener.port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false }
		const two = connect({ ...options, maxVersion: 'TLSv1.2' })
		const client = new Client(two)
		expect(await holds(() => two.getProtocol() === 'TLSv1.2')).toBe(true)
		expect(client.isClosed).toBe(false)
		/* a hello of TLS 1.1, as the record layer and the message say, is answered with the alert protocol_version (70) */
		const old = await dialTcp(listener.port)
		const body = [3, 2, ...Array<number>(32).fill(7), 0, 0, 2, 0, 0x2f, 1, 0]
		old.write(Uint8Array.of(22, 3, 1, 0, body.length + 4, 1, 0, 0, body.length, ...body))
		expect(await holds(() => old.isClosed)).toBe(true)
		expect([...old.heard.slice(-2)]).toEqual([2, 70])
		expect(listener.stats.setupFailed).toBe(1)
	})

	test('in which the client shows a certificate of the authority is told apart, and others are let in', async () => {
		const tls = { certificates: [first], clientCaFile: phone.certFile }
		const { listener, ear } = await listenStream('tls', { tls })
		const name = { serverName: 'first.example', ca: first.certPem }
		await dial(listener, name)
		expect(await holds(() => ear.opened.length === 1)).toBe(true)
		await dial(listener, { ...name, cert: phone.certPem, key: phone.keyPem })
		expect(await holds(() => ear.opened.length === 2)).toBe(true)
		await dial(listener, { ...name, cert: second.certPem, key: second.keyPem })
		expect(await holds(() => ear.opened.length === 3)).toBe(true)
		expect(ear.opened.map(({ authorized }) => authorized)).toEqual([false, true, false])
	})

	test('without an authority for clients authorizes nobody', async () => {
		const { listener, ear } = await listenStream('wss')
		const client = await dial(listener, { cert: phone.certPem, key: phone.keyPem })
		client.write(wrap('wss', sip('x')))
		expect(await holds(() => ear.messages.length === 1)).toBe(true)
		expect(ear.opened[0]!.authorized).toBe(false)
	})

	test('whose hello comes octet by octet is one like any other', async () => {
		const { listener, ear } = await listenStream('tls')
		const relay = Bun.listen<{ far: Promise<Client> }>({
			hostname: '127.0.0.1',
			port: 0,
			socket: {
				open(near) {
					near.data = { far: dialTcp(listener.port) }
					near.data.far.then((far) => far.socket.on('data', (bytes) => near.write(bytes as Buffer)))
				},
				async data({ data }, bytes) {
					const far = await data.far
					for (const octet of bytes) far.write(Uint8Array.of(octet))
				},
			},
		})
		const socket = connect({ port: relay.port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false })
		new Client(socket).write(sip('in small pieces'))
		expect(await holds(() => ear.messages.length === 1)).toBe(true)
		expect(ear.texts).toEqual([sip('in small pieces')])
		relay.stop(true)
	})

	test('that never gets beyond TCP is none', async () => {
		const { listener, ear } = await listenStream('tls')
		const client = await dialTcp(listener.port)
		client.write(octets(sip('in clear')))
		expect(await holds(() => client.isClosed)).toBe(true)
		expect(latin1(client.heard)).toBe('')
		expect(ear.opened).toEqual([])
		expect(listener.stats.setupFailed).toBe(1)
		expect(listener.send('0|127.0.0.1|1|1', bytesOf('x'))).toBe(false)
	})
})
