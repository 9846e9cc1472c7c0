import { describe, expect, test } from 'bun:test'
import { Prng } from '../../src/lib/prng.ts'
import { type Frame, MAX_STREAM_MESSAGE, StreamFramer } from '../../src/sip/frame.ts'
import { parse } from '../../src/sip/parse.ts'
import { MAX_HEAD_OCTETS } from '../../src/sip/rows.ts'

const octets = (text: string) => Buffer.from(text, 'latin1')

function message(body: string, rows: readonly string[] = [`Content-Length: ${body.length}`], callId = 'a'): string {
	const head = [
		'MESSAGE sip:1001@pbx.example.com SIP/2.0',
		'Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx',
		'From: <sip:600@pbx.example.com>;tag=1',
		'To: <sip:1001@pbx.example.com>',
		`Call-ID: ${callId}`,
		'CSeq: 1 MESSAGE',
		...rows,
	]
	return `${head.join('\r\n')}\r\n\r\n${body}`
}

/** Everything the framer gives out when the stream comes in these pieces. */
function frames(...pieces: readonly Uint8Array[]): Frame[] {
	const framer = new StreamFramer()
	const all: Frame[] = []
	for (const piece of pieces) {
		framer.push(Uint8Array.from(piece))
		for (let frame = framer.next(); frame !== undefined; frame = framer.next()) all.push(frame)
	}
	return all
}

const said = (frame: Frame) => (frame.kind === 'message' ? Buffer.from(frame.bytes).toString('latin1') : frame.kind)

describe('§18.3: messages of a stream', () => {
	test('Content-Length says where a message ends, and the next one begins there', () => {
		const a = message('hello')
		const b = message('', ['l: 0'], 'b')
		expect(frames(octets(a + b)).map(said)).toEqual([a, b])
	})

	test('cut at any octet, the messages are the same', () => {
		const stream = octets(`\r\n\r\n${message('hello')}\r\n${message('', ['Content-Length : 0'], 'b')}\r\n\r\n\r\n`)
		const whole = frames(stream).map(said)
		expect(whole).toEqual(['ping', message('hello'), message('', ['Content-Length : 0'], 'b'), 'ping'])
		for (let cut = 0; cut <= stream.length; cut++)
			expect(frames(stream.subarray(0, cut), stream.subarray(cut)).map(said)).toEqual(whole)
		expect(frames(...Array.from(stream, (octet) => Uint8Array.of(octet))).map(said)).toEqual(whole)
	})

	test('in random pieces, the messages are the same', () => {
		const prng = new Prng(18_3)
		const texts = Array.from({ length: 40 }, (_, i) => message('x'.repeat(prng.below(3_000)), undefined, `c${i}`))
		const stream = octets(texts.join('\r\n\r\n'))
		for (let run = 0; run < 50; run++) {
			const pieces: Uint8Array[] = []
			for (let at = 0; at < stream.length; ) {
				const size = 1 + prng.below(run < 25 ? 50 : 5_000)
				pieces.push(stream.subarray(at, at + size))
				at += size
			}
			const messages = frames(...pieces).filter(({ kind }) => kind === 'message')
			expect(messages.map(said)).toEqual(texts)
		}
	})

	test('a message is whole only with its body', () => {
		const text = message('hello')
		const framer = new StreamFramer()
		framer.push(octets(text.slice(0, -1)))
		expect(framer.next()).toBeUndefined()
		expect(framer.held).toBe(text.length - 1)
		framer.push(octets('o'))
		expect(framer.next()?.kind).toBe('message')
		expect(framer.held).toBe(0)
	})

	test('the rest of a large chunk does not keep the whole of it', () => {
		const framer = new StreamFramer()
		framer.push(octets(`${message('x'.repeat(50_000))}MES`))
		expect(framer.held).toBeGreaterThan(50_000)
		expect([framer.next()?.kind, framer.next()]).toEqual(['message', undefined])
		expect(framer.held).toBe(3)
		framer.push(octets(message('hello').slice(3)))
		expect(said(framer.next()!)).toBe(message('hello'))
		expect(framer.held).toBe(0)
	})

	test('what is held is at most twice what came, LEAST_ROOM aside', () => {
		const framer = new StreamFramer()
		const text = message('x'.repeat(20_000))
		for (let at = 0; at + 500 < text.length; at += 500) {
			framer.push(octets(text.slice(at, at + 500)))
			expect(framer.next()).toBeUndefined()
			expect(framer.held).toBeGreaterThanOrEqual(at + 500)
			expect(framer.held).toBeLessThanOrEqual(Math.max(1_024, 2 * (at + 500)))
		}
	})

	test('what is given out can be parsed, and keeps nothing of what follows it', () => {
		const [first] = frames(octets(message('hello') + message('other')))
		expect(first!.kind === 'message' && parse(first!.bytes).fault).toBeUndefined()
		expect(first!.kind === 'message' && first!.bytes.buffer.byteLength).toBe(message('hello').length)
	})
})

describe('RFC 5626 §4.4.1: keep-alives', () => {
	test('two CRLF between messages are a ping each time, one is none', () => {
		expect(frames(octets('\r\n')).map(said)).toEqual([])
		expect(frames(octets('\r\n\r\n')).map(said)).toEqual(['ping'])
		expect(frames(octets('\r\n\r\n\r\n\r\n\r\n')).map(said)).toEqual(['ping', 'ping'])
	})

	test('a message between two CRLF makes no ping of them', () => {
		const text = message('')
		expect(frames(octets(`\r\n${text}\r\n`)).map(said)).toEqual([text])
	})
})

describe('a stream that cannot be read on is given up', () => {
	const faultOf = (text: string) => {
		const all = frames(octets(text), octets(message('')))
		const last = all.at(-1)!
		expect(all).toHaveLength(1)
		return last.kind === 'fault' ? last.code : last.kind
	}

	test('no Content-Length', () => expect(faultOf(message('', []))).toBe('length-missing'))
	test('two that differ', () => {
		expect(faultOf(message('hello', ['Content-Length: 5', 'Content-Length: 4']))).toBe('length-conflict')
	})
	test('two that say the same are one', () => {
		const text = message('hello', ['Content-Length: 5', 'l: 5'])
		expect(frames(octets(text)).map(said)).toEqual([text])
	})
	test('a negative one, and one that is no number', () => {
		expect(faultOf(message('', ['Content-Length: -1']))).toBe('length-malformed')
		expect(faultOf(message('', ['Content-Length: five']))).toBe('length-malformed')
		expect(faultOf(message('', ['Content-Length:']))).toBe('length-malformed')
	})
	test('a head with a bare LF in it', () => {
		expect(faultOf(message('', ['Subject: a\nContent-Length: 0']))).toBe('line-end')
	})
	test('a row without a colon', () => expect(faultOf(message('', ['Content-Length 0']))).toBe('header-line'))
	test(`MAX_HEAD_OCTETS: a head of more than ${MAX_HEAD_OCTETS} octets, ended or not`, () => {
		expect(faultOf(message('', [`Subject: ${'x'.repeat(MAX_HEAD_OCTETS)}`, 'Content-Length: 0']))).toBe(
			'head-too-large',
		)
		expect(faultOf('x'.repeat(MAX_HEAD_OCTETS + 1))).toBe('head-too-large')
	})
	test(`MAX_STREAM_MESSAGE: a message of more than ${MAX_STREAM_MESSAGE} octets, before its body comes`, () => {
		const rows = (length: number) => [`Content-Length: ${length}`]
		const most = MAX_STREAM_MESSAGE - message('', rows(MAX_STREAM_MESSAGE)).length
		expect(frames(octets(message('x'.repeat(most), rows(most)))).map(({ kind }) => kind)).toEqual(['message'])
		expect(faultOf(message('', rows(most + 1)))).toBe('message-too-large')
	})
	test('its head comes with the fault, so that the sender can be told', () => {
		const [fault] = frames(octets(message('hello', [])))
		expect(fault!.kind === 'fault' && parse(fault!.head).callId).toBe('a')
	})
	test('and the rest of it costs nothing', () => {
		const framer = new StreamFramer()
		framer.push(octets(message('', [])))
		framer.next()
		framer.push(octets('x'.repeat(100_000)))
		expect([framer.held, framer.next()]).toEqual([0, undefined])
	})
})

test('a message octet by octet costs linear work', () => {
	/* 60,000 pushes: with a copy or a search of the whole for each it would be 1.8 billion steps and time out */
	const text = message('x'.repeat(60_000))
	const framer = new StreamFramer()
	for (const octet of octets(text)) {
		framer.push(Uint8Array.of(octet))
		if (framer.held < text.length) expect(framer.next()).toBeUndefined()
	}
	expect(framer.next()?.kind).toBe('message')
}, 5_000)
