import { describe, expect, test } from 'bun:test'
import { createServer } from 'node:net'
import { connect } from 'node:tls'
import { Prng } from '../../src/lib/prng.ts'
import { MAX_HELLO_OCTETS, MAX_HELLO_RECORDS, readClientHello } from '../../src/transport/client-hello.ts'

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
		const least = Math.ceil((hello.length - 5) / MAX_HELLO_RECORDS)
		for (const size of [least, least + 1, 2 * least, hello.length]) {
			const records = inRecords(hello, size)
			expect(readClientHello(records)).toEqual(named)
			for (let cut = 0; cut < records.length; cut += 7)
				expect(readClientHello(records.subarray(0, cut)).kind).toBe('partial')
		}
	})
})

describe('a ClientHello that comes octet by octet', () => {
	/** How often it is read when it is read again only with the octets it needed; the last answer. */
	function dripped(octets: Uint8Array): { readings: number; kind: string } {
		let needed = 0
		let readings = 0
		for (let have = 1; have <= octets.length; have++) {
			if (have < needed) continue
			readings++
			const read = readClientHello(octets.subarray(0, have))
			if (read.kind !== 'partial') return { readings, kind: read.kind }
			expect(read.needed).toBeGreaterThan(have)
			needed = read.needed
		}
		return { readings, kind: 'partial' }
	}

	test('is read a few times for each record, and no octet later than it could be', () => {
		for (const size of [hello.length, Math.ceil((hello.length - 5) / MAX_HELLO_RECORDS)]) {
			const { readings, kind } = dripped(inRecords(hello, size))
			expect(kind).toBe('hello')
			expect(readings).toBeLessThanOrEqual(3 + 2 * MAX_HELLO_RECORDS)
		}
	})

	test('in more than MAX_HELLO_RECORDS records is malformed', () => {
		const size = Math.ceil((hello.length - 5) / (MAX_HELLO_RECORDS + 1))
		expect(readClientHello(inRecords(hello, size)).kind).toBe('malformed')
		const { readings, kind } = dripped(inRecords(hello, 1))
		expect(kind).toBe('malformed')
		expect(readings).toBeLessThanOrEqual(3 + 2 * MAX_HELLO_RECORDS)
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
