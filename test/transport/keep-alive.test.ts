import { afterEach, describe, expect, test } from 'bun:test'
import type { Flow } from '../../src/core/model.ts'
import { Deadlines } from '../../src/lib/deadlines.ts'
import { type Codec, SipCodec } from '../../src/transport/codec.ts'
import { Connection, type ConnectionOwner, type Expiring, type StreamStats } from '../../src/transport/connection.ts'
import { IDLE_MS, NEWCOMER_MS, PONG_MS, QUIET_MS, STREAM_LIMITS, SWEEP_MS } from '../../src/transport/stream-limits.ts'
import { WebSocketCodec } from '../../src/transport/websocket.ts'
import type { Wire } from '../../src/transport/wire.ts'
import { holds } from './loopback.ts'
import { closeAll, dial, listenStream, octets, sip, webFrame, wrap } from './streams.ts'

afterEach(closeAll)

const PING = Uint8Array.of(0x89, 0)
const PONG = webFrame('', 0xa)

/** A connection whose time goes by only in {@link passes}. */
function connected(codec: Codec, limits = STREAM_LIMITS) {
	const sent: Uint8Array[] = []
	let isGone = false
	const wire = {
		write: (bytes: Uint8Array) => sent.push(bytes) && bytes.length,
		terminate() {},
		end() {},
	} as unknown as Wire
	const deadlines = new Deadlines<Expiring>()
	const stats = { messages: 0, timedOut: 0 } as StreamStats
	const owner: ConnectionOwner = {
		...{ limits, stats, deadlines },
		...{ message() {}, fault() {}, waiting() {}, left() {}, failed() {} },
		gone: () => {
			isGone = true
		},
	}
	const flow: Flow = { key: '0|127.0.0.1|5060|1', listener: 0, address: '127.0.0.1', port: 5060 }
	const connection = new Connection(owner, wire, flow, undefined, codec)
	return {
		connection,
		sent,
		stats,
		isGone: () => isGone,
		/** All that is due by then, and nothing that comes to be due by it. Octets that come later set the clock back to now. */
		passes(ms: number) {
			const until = performance.now() + ms
			const due: Expiring[] = []
			for (let one = deadlines.take(until); one !== undefined; one = deadlines.take(until)) due.push(one.what)
			for (const what of due) what.expire()
		},
	}
}

function web(limits = STREAM_LIMITS) {
	const one = connected(new WebSocketCodec(), limits)
	one.connection.received(webFrame(sip('REGISTER')))
	one.connection.settle()
	return one
}

describe('RFC 7118 §6: a WebSocket that somebody vouches for', () => {
	test('is pinged when it has been silent for QUIET_MS, and not before', () => {
		const phone = web()
		phone.passes(QUIET_MS - 100)
		expect(phone.sent).toEqual([])
		phone.passes(QUIET_MS + 1)
		expect(phone.sent).toEqual([PING])
		expect(phone.isGone()).toBe(false)
	})

	test('is closed where nothing at all comes within PONG_MS of the ping', () => {
		const phone = web()
		phone.passes(QUIET_MS + 1)
		phone.passes(PONG_MS - 100)
		expect(phone.isGone()).toBe(false)
		phone.passes(PONG_MS + 1)
		expect([phone.isGone(), phone.stats.timedOut, phone.sent.length]).toEqual([true, 1, 1])
	})

	test.each([
		['a pong', PONG],
		['a pong that answers nothing', webFrame('x', 0xa)],
		['a ping of its own', webFrame('', 0x9)],
		['CRLF', webFrame('\r\n')],
		['a message', webFrame(sip('x'))],
	])('lives on by %s, and is pinged again when it is silent again', (_, answer) => {
		const phone = web()
		for (let round = 0; round < 30; round++) {
			phone.passes(QUIET_MS + 1)
			phone.connection.received(Uint8Array.from(answer))
			phone.passes(PONG_MS + 1)
		}
		expect(phone.isGone()).toBe(false)
		expect(phone.sent.filter((bytes) => bytes[0] === 0x89).length).toBe(30)
	})

	test('that answers a ping with half a message has partialMs for the rest', () => {
		const phone = web()
		phone.passes(QUIET_MS + 1)
		phone.connection.received(webFrame(sip('x')).subarray(0, 9))
		phone.passes(STREAM_LIMITS.partialMs - 100)
		expect(phone.isGone()).toBe(false)
		phone.passes(STREAM_LIMITS.partialMs + 1)
		expect(phone.isGone()).toBe(true)
	})

	test('has never longer than idleMs in all', () => {
		const phone = web({ ...STREAM_LIMITS, idleMs: QUIET_MS + 3_000 })
		phone.passes(QUIET_MS + 1)
		phone.passes(3_001)
		expect(phone.isGone()).toBe(true)
		const hurried = web({ ...STREAM_LIMITS, idleMs: 2_000 })
		hurried.passes(2_001)
		expect([hurried.isGone(), hurried.sent.length]).toEqual([true, 0])
	})
})

test('a WebSocket that nobody vouches for is not pinged, and goes after NEWCOMER_MS', () => {
	const stranger = connected(new WebSocketCodec())
	stranger.connection.received(webFrame(sip('junk')))
	stranger.passes(NEWCOMER_MS + 1)
	expect([stranger.isGone(), stranger.sent.length]).toEqual([true, 0])
})

test('a stream without frames is not pinged: it has IDLE_MS', () => {
	const phone = connected(new SipCodec(STREAM_LIMITS.messageBytes))
	phone.connection.received(octets(sip('REGISTER')))
	phone.connection.settle()
	phone.passes(IDLE_MS - 100)
	expect([phone.isGone(), phone.sent.length]).toEqual([false, 0])
	phone.passes(IDLE_MS + 1)
	expect(phone.isGone()).toBe(true)
})

test('ping and pong are over before a proxy on the way gives up, after 60 s, and a newcomer before a ping', () => {
	expect(QUIET_MS + PONG_MS + 2 * SWEEP_MS).toBeLessThan(60_000)
	expect(PONG_MS).toBeGreaterThanOrEqual(8 * SWEEP_MS)
	expect(NEWCOMER_MS).toBeLessThan(QUIET_MS)
})

describe.each(['ws', 'wss'] as const)('a %s listener', (kind) => {
	test('pings who is silent, keeps who answers, and tells of one that is half open', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { quietMs: 100, pongMs: 600 } })
		ear.reaction = ({ key }) => listener.settle(key)
		const alive = await dial(listener)
		const dead = await dial(listener)
		let pings = 0
		alive.socket.on('data', () => {
			pings++
			alive.write(PONG)
		})
		for (const client of [alive, dead]) client.write(wrap(kind, sip('here')))
		expect(await holds(() => dead.isClosed, 700 + 4 * SWEEP_MS + 1_000)).toBe(true)
		expect([...dead.heard]).toEqual([...PING])
		expect(await holds(() => pings >= 2)).toBe(true)
		expect([alive.isClosed, ear.closed.length, listener.connections]).toEqual([false, 1, 1])
		expect(listener.stats.timedOut).toBe(1)
	})
})
