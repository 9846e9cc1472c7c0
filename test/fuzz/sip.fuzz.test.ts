/** Mutations of good and bad messages. A failing seed is in the test's name; a crasher becomes a vector. */
import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { Prng } from '../../src/lib/prng.ts'
import { parseNameAddr, splitList } from '../../src/sip/address.ts'
import { response } from '../../src/sip/build.ts'
import { Edit } from '../../src/sip/edit.ts'
import { Header, type HeaderId } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { parse } from '../../src/sip/parse.ts'
import { parseUri } from '../../src/sip/uri.ts'
import { manifest } from '../vectors/manifest.ts'

const corpus = manifest.map(({ name }) => new Uint8Array(readFileSync(`${import.meta.dir}/../vectors/${name}.sip`)))
const seeds = Array.from({ length: 8 }, (_, i) => i + 1)
const ROUNDS = 250

/** Octets that mean something to a reader of SIP. */
const TELLING = Uint8Array.from(' \t\r\n:;,=<>"\\@?/[]%()\0\xff09aSz*', (c) => c.charCodeAt(0))

function mutated(prng: Prng): Uint8Array {
	let bytes: Uint8Array = corpus[prng.below(corpus.length)]!.slice()
	for (let n = 1 + prng.below(6); n > 0; n--) {
		const at = prng.below(bytes.length + 1)
		const to = Math.min(bytes.length, at + 1 + prng.below(20))
		const other = corpus[prng.below(corpus.length)]!
		const cut = prng.below(other.length)
		switch (prng.below(5)) {
			case 0:
				bytes[at] = TELLING[prng.below(TELLING.length)]!
				break
			case 1:
				bytes = joined(bytes.subarray(0, at), bytes.subarray(to))
				break
			case 2:
				bytes = joined(bytes.subarray(0, to), bytes.subarray(at))
				break
			case 3:
				bytes = joined(
					bytes.subarray(0, at),
					TELLING.subarray(prng.below(TELLING.length)).slice(0, 3),
					bytes.subarray(at),
				)
				break
			default:
				bytes = joined(bytes.subarray(0, at), other.subarray(cut, cut + prng.below(80)), bytes.subarray(at))
		}
	}
	return bytes
}

function joined(...parts: Uint8Array[]): Uint8Array {
	return Uint8Array.from(parts.flatMap((part) => [...part]))
}

function essentials(m: SipMessage): unknown[] {
	const rows = Array.from({ length: m.headerCount }, (_, i) => [m.id(i), m.name(i), m.value(i)])
	const { method, status, uri, reason, callId, cseq, cseqMethod, fromTag, toTag, via, maxForwards, fault } = m
	return [method, status, uri, reason, callId, cseq, cseqMethod, fromTag, toTag, via, maxForwards, fault, rows]
}

describe('mutated messages', () => {
	for (const seed of seeds) {
		test(`seed ${seed}: parsing is total, and what is printed reads the same`, () => {
			const prng = new Prng(seed)
			for (let i = 0; i < ROUNDS; i++) {
				const bytes = mutated(prng)
				const message = parse(bytes)
				const again = parse(new Edit(message).finish())
				expect(essentials(again)).toEqual(essentials(message))
				for (let row = 0; row < message.headerCount; row++) {
					splitList(message.value(row)).forEach(parseNameAddr)
					parseUri(message.value(row))
				}
			}
		})

		test(`seed ${seed}: rows an edit does not touch stay byte for byte, in order`, () => {
			const prng = new Prng(seed + 1000)
			for (let i = 0; i < ROUNDS; i++) {
				const message = parse(mutated(prng))
				if (message.fault !== undefined) continue
				const edited = parse(edit(message).finish())
				expect(edited.fault?.code).toBeUndefined()
				expect(untouched(edited)).toEqual(untouched(message))
				expect(edited.body()).toEqual(message.body())
				if (message.status === 0) expect(edited.via.branch).toBe('z9hG4bKours')
			}
		})

		test(`seed ${seed}: a request that is to be answered gets a response that can be read`, () => {
			const prng = new Prng(seed + 2000)
			for (let i = 0; i < ROUNDS; i++) {
				const message = parse(mutated(prng))
				if (message.method === '') continue
				const answer = parse(response(message, { address: '192.0.2.7', port: 9 }, 400, { toTag: 'ours' }))
				expect(answer.status).toBe(400)
				if (message.fault === undefined) expect([answer.fault, answer.callId]).toEqual([undefined, message.callId])
			}
		})
	}
})

const TOUCHED: ReadonlySet<HeaderId> = new Set([Header.Via, Header.MaxForwards, Header.RecordRoute])

function edit(message: SipMessage): Edit {
	if (message.status > 0) return new Edit(message).set(Header.MaxForwards, '9')
	return new Edit(message)
		.uri('sip:there@192.0.2.9')
		.stampVia('192.0.2.7', 4242)
		.pushVia('SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours')
		.push(Header.RecordRoute, '<sip:192.0.2.1;lr>')
		.set(Header.MaxForwards, '9')
}

function untouched(message: SipMessage): string[] {
	const rows: string[] = []
	for (let i = 0; i < message.headerCount; i++) {
		if (!TOUCHED.has(message.id(i))) rows.push(message.text.slice(message.rowStart(i), message.rowStart(i + 1)))
	}
	return rows
}
