import { afterAll, describe, expect, test } from 'bun:test'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KEY_FILE_MAX_BYTES, realProbes } from '../../src/check/probes.ts'
import { makeCertificate } from '../../src/demo/certificate.ts'

const probes = realProbes(
	() => undefined,
	async () => ({ ok: false, sentence: 'not asked', hint: '' }),
	() => [],
	() => ({ ok: false, wrong: 'not asked', hint: '' }),
	async () => ({ ok: false, reason: 'not asked' }),
)
const machine = (port: number) => ({
	...({ transport: 'udp', domain: '127.0.0.1', name: '127.0.0.1', address: '127.0.0.1', port } as const),
})
const folder = mkdtempSync(join(tmpdir(), 'check-'))
afterAll(() => rmSync(folder, { recursive: true }))

function write(name: string, text: string, mode: number): string {
	const path = join(folder, name)
	writeFileSync(path, text)
	chmodSync(path, mode)
	return path
}

/** A fresh private key in PKCS#8 PEM. */
async function pem(algorithm: string, curve: string): Promise<string> {
	const pair = (await crypto.subtle.generateKey({ name: algorithm, namedCurve: curve }, true, [
		'sign',
		'verify',
	])) as CryptoKeyPair
	const der = new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey))
	return `-----BEGIN PRIVATE KEY-----\n${der.toBase64().replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`
}

/** A SIP server of one sentence, on a port of its own. */
function answering(answer: string | undefined) {
	const asked: string[] = []
	const data = (socket: Bun.udp.Socket<'buffer'>, bytes: Buffer, port: number, address: string) => {
		asked.push(bytes.toString('latin1'))
		if (answer !== undefined) socket.send(answer, port, address)
	}
	return Bun.udpSocket({ hostname: '127.0.0.1', socket: { data } }).then((socket) => ({ socket, asked }))
}

describe('the PBX', () => {
	test('any SIP answer to OPTIONS is an answer', async () => {
		const pbx = await answering('SIP/2.0 401 Unauthorized\r\nContent-Length: 0\r\n\r\n')
		const answer = await probes.askPbx('0.0.0.0', machine(pbx.socket.port))
		pbx.socket.close()
		expect(answer).toMatchObject({ ok: true, statusLine: 'SIP/2.0 401 Unauthorized' })
		expect(pbx.asked[0]).toStartWith(`OPTIONS sip:127.0.0.1:${pbx.socket.port} SIP/2.0\r\nVia: SIP/2.0/UDP `)
		expect(pbx.asked[0]).toEndWith('\r\nContent-Length: 0\r\n\r\n')
	})

	test('what is no SIP is no answer, and the question is put again until the time is over', async () => {
		const pbx = await answering('HTTP/1.1 400 Bad Request\r\n\r\n')
		const answer = await probes.askPbx('127.0.0.1', machine(pbx.socket.port))
		pbx.socket.close()
		expect(answer).toEqual({ ok: false, reason: 'no answer to OPTIONS over UDP within 2 s' })
		expect(pbx.asked.length).toBeGreaterThan(1)
	})

	test('a listener that is not here is told', async () => {
		const elsewhere = await probes.askPbx('198.51.100.77', machine(5060))
		expect(elsewhere).toEqual({ ok: false, reason: 'this machine has no such address' })
	})
})

describe('ports', () => {
	test('a UDP port is free or not', async () => {
		const { socket } = await answering(undefined)
		expect(await probes.bindUdp('127.0.0.1', socket.port)).toBe('the port is in use')
		const port = socket.port
		socket.close()
		expect(await probes.bindUdp('127.0.0.1', port)).toBeUndefined()
		expect(await probes.bindUdp('127.0.0.1', port)).toBeUndefined()
	})

	test('a TCP port is free or not', async () => {
		const server = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
		expect(await probes.bindTcp('127.0.0.1', server.port)).toBe('the port is in use')
		server.stop(true)
		expect(await probes.bindTcp('127.0.0.1', server.port)).toBeUndefined()
	})

	test('an address of another machine is told', async () => {
		expect(await probes.bindUdp('198.51.100.77', 31000)).toBe('this machine has no such address')
		expect(await probes.bindTcp('198.51.100.77', 31000)).toBe('this machine has no such address')
	})

	test('where nobody listens, or nobody speaks TLS, no TLS is reached', async () => {
		const server = Bun.listen({
			hostname: '127.0.0.1',
			port: 0,
			socket: { data: (socket) => void socket.end('no TLS here\r\n') },
		})
		expect(await probes.connectTls('127.0.0.1', server.port, undefined, true)).toBeString()
		server.stop(true)
		expect(await probes.connectTls('127.0.0.1', server.port, undefined, true)).toBe('nobody listens there')
	})
})

test('a certificate of nobody known is told in words, and is good with its authority', async () => {
	const { keyPem, certPem } = makeCertificate(Date.now())
	const tls = { key: keyPem, cert: certPem }
	const server = Bun.serve({ hostname: '127.0.0.1', port: 0, tls, fetch: () => new Response() })
	expect(await probes.connectTls('127.0.0.1', server.port!, undefined, false)).toContain('not trusted')
	expect(await probes.connectTls('127.0.0.1', server.port!, certPem, false)).toBeUndefined()
	await server.stop(true)
})

describe('the receiver of events', () => {
	test('can be reached where somebody listens', async () => {
		const server = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
		expect(await probes.connectTcp('127.0.0.1', server.port)).toBeUndefined()
		server.stop(true)
		expect(await probes.connectTcp('127.0.0.1', server.port)).toBe('nobody listens there')
	})
})

describe('the key file', () => {
	test('a P-256 key in PKCS#8 PEM is one, and nothing else is', async () => {
		const good = await pem('ECDSA', 'P-256')
		expect(await probes.isP256Key(good)).toBe(true)
		expect(await probes.isP256Key(await pem('ECDSA', 'P-384'))).toBe(false)
		expect(await probes.isP256Key(await pem('Ed25519', ''))).toBe(false)
		expect(await probes.isP256Key(good.replaceAll('PRIVATE', 'EC PRIVATE'))).toBe(false)
		expect(await probes.isP256Key(good.slice(0, 120))).toBe(false)
		expect(await probes.isP256Key('')).toBe(false)
	})

	test('a file that others may read is known by its mode', async () => {
		expect(await probes.readFile(write('own', 'x', 0o600))).toEqual({ ok: true, text: 'x', isShared: false })
		expect(await probes.readFile(write('shared', 'x', 0o644))).toEqual({ ok: true, text: 'x', isShared: true })
	})

	test('no file, a folder and a file far too large are told', async () => {
		expect(await probes.readFile(join(folder, 'none'))).toEqual({ ok: false, reason: 'there is no such file' })
		expect(await probes.readFile(folder)).toEqual({ ok: false, reason: 'it is a folder' })
		const large = write('large', 'x'.repeat(KEY_FILE_MAX_BYTES + 1), 0o600)
		expect(await probes.readFile(large)).toMatchObject({ ok: false })
	})
})

describe('this machine', () => {
	test('its addresses are known, and an address is an address of itself', async () => {
		expect(probes.localAddresses()).toContain('127.0.0.1')
		expect(await probes.lookUp('127.0.0.1')).toEqual(['127.0.0.1'])
		expect(Math.abs(probes.now() - Date.now())).toBeLessThan(1000)
	})
})
