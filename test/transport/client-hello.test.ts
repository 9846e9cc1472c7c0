import { describe, expect, test } from 'bun:test'
import { createServer } from 'node:net'
import { connect } from 'node:tls'
import { Prng } from '../../src/lib/prng.ts'
import { MAX_HELLO_OCTETS, readClientHello } from '../../src/transport/client-hello.ts'

/** What a TLS client says first. */
async function helloOf(servername: string): Promise<Uint8Array> {
	const { promise, resolve } = Promise.withResolvers<Uint8Array>()
	const server = createServer((socket) => {
		const heard: Buffer[] = []
		socket.on('data', (bytes) => {
			heard.push(bytes as Buffer)
			const all = Buffer.concat(heard)
			if (all.length >= 5 + all.readUInt16BE(3)) resolve(all)
		})
		socket.on('error', () => {})
	})
	await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
	const client = connect({ port: (server.address() as { port: number }).port, host: '127.0.0.1', servername })
	client.on('error', () => {})
	const hello = await promise
	client.destroy()
	server.close()
	return hello
}

/** The same handshake message in records of `size` octets. */
function inRecords(hello: Uint8Array, size: number): Uint8Array {
	const message = hello.subarray(5)
	const records: number[] = []
	for (let at = 0; at < message.length; at += size) {
		const piece = message.subarray(at, at + size)
		records.push(22, 3, 1, piece.length >> 8, piece.length & 0xff, ...piece)
	}
	return Uint8Array.from(records)
}

const hello = await helloOf('Phones.Example.COM')
const named = { kind: 'hello', serverName: 'phones.example.com' } as const

describe('RFC 6066 §3: the server’s name in a ClientHello', () => {
	test('is read, in lower case', () => {
		expect(readClientHello(hello)).toEqual(named)
	})

	test('is missing where the client names none', async () => {
		expect(readClientHello(await helloOf(''))).toEqual({ kind: 'hello', serverName: undefined })
	})

	test('is waited for, cut at any octet', () => {
		for (let cut = 0; cut < hello.length; cut++) expect(readClientHello(hello.subarray(0, cut)).kind).toBe('partial')
	})

	test('is found in records of any size (RFC 8446 §5.1)', () => {
		for (const size of [1, 2, 3, 5, 100, 400]) {
			const records = inRecords(hello, size)
			expect(readClientHello(records)).toEqual(named)
			for (let cut = 0; cut < records.length; cut += 7)
				expect(readClientHello(records.subarray(0, cut)).kind).toBe('partial')
		}
	})
})

describe('what is no ClientHello', () => {
	test('is known by its first octets', () => {
		expect(readClientHello(Buffer.from('REGISTER sip:')).kind).toBe('malformed')
		expect(readClientHello(Uint8Array.of(22, 2, 1, 0, 9, 1)).kind).toBe('malformed')
		expect(readClientHello(Uint8Array.of(22, 3, 1, 0, 0)).kind).toBe('malformed')
		expect(readClientHello(Uint8Array.of(22, 3, 1, 0, 9, 2)).kind).toBe('malformed')
	})

	test('or is larger than MAX_HELLO_OCTETS, is malformed before it is whole', () => {
		const of = (length: number) => Uint8Array.of(22, 3, 1, 0, 4, 1, length >> 16, (length >> 8) & 0xff, length & 0xff)
		expect(readClientHello(of(MAX_HELLO_OCTETS - 4)).kind).toBe('partial')
		expect(readClientHello(of(MAX_HELLO_OCTETS)).kind).toBe('malformed')
		const drops = inRecords(
			Uint8Array.from([0, 0, 0, 0, 0, 1, 0, 60, 0, ...Array<number>(MAX_HELLO_OCTETS).fill(0)]),
			1,
		)
		expect(readClientHello(drops.subarray(0, MAX_HELLO_OCTETS + 12)).kind).toBe('malformed')
	})

	test('is never thrown at, whatever octets it has', () => {
		const prng = new Prng(6066)
		for (let run = 0; run < 3_000; run++) {
			const octets = Uint8Array.from(hello)
			for (let i = 1 + prng.below(6); i > 0; i--) octets[prng.below(octets.length)] = prng.below(256)
			expect(['hello', 'partial', 'malformed']).toContain(readClientHello(octets).kind)
		}
	})
})
