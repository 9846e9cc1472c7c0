import { describe, expect, test } from 'bun:test'
import { Prng } from '../../src/lib/prng.ts'
import { MAX_STREAM_MESSAGE } from '../../src/sip/frame.ts'
import type { Item } from '../../src/transport/codec.ts'
import { MAX_FRAGMENTS, WebSocketCodec } from '../../src/transport/websocket.ts'
import { latin1, sip, webFrame, webFrames } from './streams.ts'

function items(...pieces: readonly Uint8Array[]): Item[] {
	const codec = new WebSocketCodec()
	return pieces.flatMap((piece) => itemsOf(codec, piece))
}

function itemsOf(codec: WebSocketCodec, piece: Uint8Array): Item[] {
	codec.push(Uint8Array.from(piece))
	const all: Item[] = []
	for (let item = codec.next(); item !== undefined; item = codec.next()) all.push(item)
	return all
}

const said = (all: readonly Item[]) => all.map((item) => (item.kind === 'message' ? latin1(item.bytes) : item.kind))
const join = (...pieces: readonly Uint8Array[]) => Uint8Array.from(Buffer.concat(pieces))
const ended = (code: number): Item[] => [{ kind: 'end', bytes: Uint8Array.of(0x88, 2, code >> 8, code & 0xff) }]

describe('RFC 6455 §5: frames of a client', () => {
	test('of every length form are read, cut at random', () => {
		const prng = new Prng(6455)
		const texts = [0, 1, 60, 125, 126, 127, 4_000, 65_000].map((size) => sip('x'.repeat(Math.max(0, size - 70))))
		const stream = join(...texts.map((text) => webFrame(text)))
		for (let run = 0; run < 30; run++) {
			const pieces: Uint8Array[] = []
			for (let at = 0; at < stream.length; at += pieces.at(-1)!.length)
				pieces.push(stream.subarray(at, at + 1 + prng.below(run < 5 ? 60 : 9_000)))
			expect(said(items(...pieces))).toEqual(texts)
		}
	})

	test('§5.4: a message in pieces is joined, with control frames between them', () => {
		const pieces = [webFrame('MES', 1, false), webFrame('p', 9), webFrame('SAG', 0, false), webFrame('E x', 0, true)]
		expect(said(items(...pieces))).toEqual(['answer', 'MESSAGE x'])
	})

	test('a ping is answered with what it carried, and a pong asks for nothing', () => {
		expect(items(webFrame('abc', 9))).toEqual([{ kind: 'answer', bytes: Uint8Array.of(0x8a, 3, 97, 98, 99) }])
		expect(items(webFrame('', 10))).toEqual([{ kind: 'nothing' }])
	})

	test('§5.5.1: a close is answered with its code, and nothing after it is heard', () => {
		const close = webFrame(Uint8Array.of(3, 232, 98, 121, 101), 8)
		expect(items(close, webFrame('late'))).toEqual(ended(1000))
		expect(items(webFrame('', 8))).toEqual([{ kind: 'end', bytes: Uint8Array.of(0x88, 0) }])
		expect(items(webFrame('x', 8))).toEqual(ended(1002))
	})

	test('that break the rules end it with 1002', () => {
		const wrong = [
			webFrame('unmasked', 1, true, false),
			webFrame('reserved bit', 0x41),
			webFrame('no such opcode', 3),
			webFrame('no such control', 11),
			webFrame('a ping in pieces', 9, false),
			webFrame('x'.repeat(126), 9),
			webFrame('nothing to continue', 0),
			join(webFrame('begun', 1, false), webFrame('begun again', 1)),
		]
		for (const frame of wrong) expect(items(frame).at(-1)).toEqual(ended(1002)[0]!)
	})

	test('text that is no UTF-8 ends it with 1007; binary may be anything', () => {
		const bad = Uint8Array.of(77, 0xff, 77)
		expect(items(webFrame(bad))).toEqual(ended(1007))
		expect(said(items(webFrame(bad, 2)))).toEqual([latin1(bad)])
	})

	test('a message larger than MAX_STREAM_MESSAGE ends it with 1009, before it is taken in', () => {
		const big = webFrame(new Uint8Array(MAX_STREAM_MESSAGE + 1), 2)
		expect(items(big.subarray(0, 14))).toEqual(ended(1009))
		const half = new Uint8Array(40_000)
		expect(items(webFrame(half, 2, false), webFrame(half, 0).subarray(0, 14))).toEqual(ended(1009))
		const huge = Uint8Array.of(0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255)
		expect(items(huge)).toEqual(ended(1009))
		expect(items(webFrame(new Uint8Array(MAX_STREAM_MESSAGE).fill(65), 2)).length).toBe(1)
	})

	test('a message in more than MAX_FRAGMENTS pieces ends it with 1008', () => {
		const pieces = (count: number) => Array.from({ length: count - 1 }, (_, i) => webFrame('', i === 0 ? 1 : 0, false))
		expect(said(items(...pieces(MAX_FRAGMENTS), webFrame('end', 0)))).toEqual(['end'])
		expect(items(...pieces(MAX_FRAGMENTS + 1), webFrame('end', 0))).toEqual(ended(1008))
	})

	test('frames that say nothing are items too, so that whoever counts those is not kept by them', () => {
		const codec = new WebSocketCodec()
		codec.push(Buffer.concat([webFrame(''), webFrame('\r\n'), webFrame('')]))
		expect([codec.next(), codec.next(), codec.next(), codec.next()]).toEqual([
			{ kind: 'nothing' },
			{ kind: 'nothing' },
			{ kind: 'nothing' },
			undefined,
		])
	})

	test('the rest of a large chunk does not keep the whole of it', () => {
		const codec = new WebSocketCodec()
		codec.push(Buffer.concat([webFrame(sip('x'.repeat(50_000))), webFrame(sip('next')).subarray(0, 5)]))
		expect(codec.held).toBeGreaterThan(50_000)
		expect([codec.next()?.kind, codec.next()]).toEqual(['message', undefined])
		expect(codec.held).toBe(5)
	})

	test('what is not complete is held, also between the pieces of a message', () => {
		const codec = new WebSocketCodec()
		expect(codec.held).toBe(0)
		itemsOf(codec, webFrame('abc').subarray(0, 5))
		expect(codec.held).toBe(5)
		const other = new WebSocketCodec()
		itemsOf(other, webFrame('', 1, false))
		expect(other.held).toBeGreaterThan(0)
		itemsOf(other, webFrame('abc', 0))
		expect(other.held).toBe(0)
	})
})

test('no octets make the codec throw, nor say anything once it has ended', () => {
	const prng = new Prng(7118)
	const whole = join(webFrame(sip('x')), webFrame('p', 9), webFrame('a', 1, false), webFrame('b', 0), webFrame('', 8))
	for (let run = 0; run < 3_000; run++) {
		const octets = Uint8Array.from(whole)
		for (let i = prng.below(4); i >= 0; i--) octets[prng.below(octets.length)] = prng.below(256)
		const all = items(octets.subarray(0, prng.below(octets.length)), octets)
		const end = all.findIndex(({ kind }) => kind === 'end')
		expect(end === -1 || end === all.length - 1).toBe(true)
	}
})

describe('RFC 7118 §5: SIP messages in frames', () => {
	test('go out in the kind of frame the far end uses, text at first', () => {
		const codec = new WebSocketCodec()
		const message = Buffer.from(sip('x'))
		expect(webFrames(codec.encode(message))).toEqual([{ opcode: 1, payload: Uint8Array.from(message) }])
		itemsOf(codec, webFrame('in binary', 2))
		expect(webFrames(codec.encode(message))[0]!.opcode).toBe(2)
		itemsOf(codec, webFrame('in text', 1))
		expect(webFrames(codec.encode(message))[0]!.opcode).toBe(1)
	})

	test('that are no UTF-8 go out as binary, for a text frame would end the connection', () => {
		expect(webFrames(new WebSocketCodec().encode(Uint8Array.of(77, 0xe9)))[0]!.opcode).toBe(2)
	})

	test('of every length form go out whole', () => {
		for (const length of [0, 125, 126, 65_507, 65_536, 70_000]) {
			const message = new Uint8Array(length).fill(65)
			expect(webFrames(new WebSocketCodec().encode(message))).toEqual([{ opcode: 1, payload: message }])
		}
	})

	test('a frame of CRLFCRLF is answered with CRLF in its kind, one of CRLF is nothing', () => {
		expect(items(webFrame('\r\n\r\n'))).toEqual([{ kind: 'answer', bytes: Uint8Array.of(0x81, 2, 13, 10) }])
		expect(items(webFrame('\r\n\r\n', 2))).toEqual([{ kind: 'answer', bytes: Uint8Array.of(0x82, 2, 13, 10) }])
		expect(items(webFrame('\r\n'))).toEqual([{ kind: 'nothing' }])
	})
})
