/** What holds for every stream besides the contract of all transports, whatever it runs over. */
import { afterEach, describe, expect, test } from 'bun:test'
import { Prng } from '../../src/lib/prng.ts'
import { MAX_STREAM_MESSAGE } from '../../src/sip/frame.ts'
import { openStreamListener } from '../../src/transport/stream.ts'
import { CLOSE_MS, MAX_TURN_ITEMS, SWEEP_MS } from '../../src/transport/stream-limits.ts'
import { FAULT_LIMITS } from '../../src/transport/udp.ts'
import { holds } from './loopback.ts'
import {
	type Client,
	closeAll,
	dial,
	dialTcp,
	KINDS,
	latin1,
	listenStream,
	octets,
	sip,
	unwrap,
	wrap,
} from './streams.ts'

afterEach(closeAll)

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** In pieces of 1 to `most` octets, the kernel being given a chance to carry each by itself. */
async function writeCut(client: Client, stream: Uint8Array, prng: Prng, most: number): Promise<void> {
	for (let at = 0; at < stream.length; ) {
		const size = 1 + prng.below(most)
		client.write(stream.subarray(at, at + size))
		at += size
		await nextTurn()
	}
}

describe.each([...KINDS])('a %s stream', (kind) => {
	test('gives every message whole and in order, cut wherever it may be', async () => {
		const { listener, ear } = await listenStream(kind)
		const client = await dial(listener)
		const prng = new Prng(kind.length)
		const messages = Array.from({ length: 30 }, (_, i) => sip('x'.repeat(prng.below(300)), `c${i}`))
		const stream = Buffer.concat(messages.map((message) => wrap(kind, message)))
		await writeCut(client, stream, prng, 90)
		expect(await holds(() => ear.messages.length === messages.length)).toBe(true)
		expect(ear.texts).toEqual(messages)
		client.write(stream)
		expect(await holds(() => ear.messages.length === 2 * messages.length)).toBe(true)
		expect(ear.texts.slice(messages.length)).toEqual(messages)
	})

	test('octet by octet gives the same', async () => {
		const { listener, ear } = await listenStream(kind)
		const client = await dial(listener)
		await writeCut(client, wrap(kind, sip('slow')), new Prng(1), 1)
		expect(await holds(() => ear.messages.length === 1)).toBe(true)
		expect(ear.texts).toEqual([sip('slow')])
	})

	test('carries the largest message both ways, and many of them at once', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { queuedBytes: 4 << 20 } })
		const client = await dial(listener)
		const head = sip('').length
		const big = sip('b'.repeat(MAX_STREAM_MESSAGE - head - 4))
		expect(big.length).toBe(MAX_STREAM_MESSAGE)
		ear.reaction = ({ key }, bytes) => void listener.send(key, bytes)
		for (let i = 0; i < 20; i++) client.write(wrap(kind, big))
		expect(await holds(() => unwrap(kind, client).length === 20 * big.length)).toBe(true)
		expect(unwrap(kind, client)).toBe(big.repeat(20))
		expect(listener.stats).toMatchObject({ messages: 20, sent: 20, sendFailed: 0 })
	})

	test('keeps the order of what is sent, also of what had to wait', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { queuedBytes: 8 << 20 } })
		const client = await dial(listener)
		client.write(wrap(kind, sip('hello')))
		expect(await holds(() => ear.messages.length === 1)).toBe(true)
		client.socket.pause()
		const sent = Array.from({ length: 3_000 }, (_, i) => sip('y'.repeat(1_000 + (i % 7)), `s${i}`))
		for (const message of sent) expect(listener.send(ear.opened[0]!.flow.key, octets(message))).toBe(true)
		client.socket.resume()
		const all = sent.join('')
		expect(await holds(() => unwrap(kind, client).length >= all.length)).toBe(true)
		expect(unwrap(kind, client)).toBe(all)
	})

	test('names each connection apart, with the far end’s address', async () => {
		const { listener, ear } = await listenStream(kind, { index: 3 })
		const clients = [await dial(listener), await dial(listener)]
		expect(await holds(() => ear.opened.length === 2)).toBe(true)
		const flows = ear.opened.map(({ flow }) => flow)
		for (const [i, { socket }] of clients.entries()) {
			const port = socket.localPort!
			expect(flows[i]).toEqual({ key: `3|127.0.0.1|${port}|${i + 1}`, listener: 3, address: '127.0.0.1', port })
		}
		expect(listener.connections).toBe(2)
		listener.send(flows[1]!.key, octets(sip('for the second')))
		expect(await holds(() => unwrap(kind, clients[1]!) === sip('for the second'))).toBe(true)
		expect(clients[0]!.heard.length).toBe(0)
	})

	test('that says much at once leaves turns to everything else, MAX_TURN_ITEMS in each, and loses nothing', async () => {
		const { listener, ear } = await listenStream(kind)
		let inTurn = 0
		let most = 0
		ear.reaction = () => {
			if (inTurn++ === 0)
				setImmediate(() => {
					inTurn = 0
				})
			most = Math.max(most, inTurn)
		}
		const client = await dial(listener)
		const texts = Array.from({ length: 1_000 }, (_, i) => sip('', `${i}`))
		client.write(Buffer.concat(texts.map((text) => wrap(kind, text))))
		expect(await holds(() => ear.messages.length === 1_000)).toBe(true)
		expect(ear.texts).toEqual(texts)
		/* what came in two reads may have two turns' worth in one */
		expect(most).toBeLessThanOrEqual(2 * MAX_TURN_ITEMS)
		client.write(wrap(kind, sip('and is read on')))
		expect(await holds(() => ear.messages.length === 1_001)).toBe(true)
	})

	test('that is closed in the middle of much is told nothing more of, and its socket goes', async () => {
		const { listener, ear } = await listenStream(kind)
		const client = await dial(listener)
		ear.reaction = ({ key }) => {
			if (ear.messages.length === 1) setImmediate(() => listener.close(key))
		}
		client.write(Buffer.concat(Array.from({ length: 1_000 }, () => wrap(kind, sip('')))))
		expect(await holds(() => client.isClosed)).toBe(true)
		expect(ear.messages.length).toBeLessThan(1_000)
		expect(ear.closed.length).toBe(1)
		expect(listener.stats.timedOut).toBe(0)
	})

	test('that asks a thousand times at once for a sign of life has few', async () => {
		const { listener } = await listenStream(kind)
		const client = await dial(listener)
		client.write(Buffer.concat(Array.from({ length: 1_000 }, () => wrap(kind, '\r\n\r\n'))))
		expect(await holds(() => unwrap(kind, client).startsWith('\r\n'))).toBe(true)
		await Bun.sleep(50)
		expect(unwrap(kind, client).length).toBeLessThanOrEqual(10 * 2)
	})

	test('CRLFCRLF is answered with CRLF, and is no message', async () => {
		const { listener, ear } = await listenStream(kind)
		const client = await dial(listener)
		client.write(wrap(kind, '\r\n\r\n'))
		client.write(wrap(kind, sip('after')))
		expect(await holds(() => ear.messages.length === 1 && client.heard.length > 0)).toBe(true)
		expect(unwrap(kind, client)).toBe('\r\n')
		expect(ear.texts).toEqual([sip('after')])
	})

	test('a close of the far end is told once, and what is sent then comes to nothing', async () => {
		const { listener, ear } = await listenStream(kind)
		const client = await dial(listener)
		expect(await holds(() => ear.opened.length === 1)).toBe(true)
		client.socket.destroy()
		expect(await holds(() => ear.closed.length === 1)).toBe(true)
		const { flow } = ear.opened[0]!
		expect(listener.send(flow.key, octets(sip('too late')))).toBe(false)
		listener.close(flow.key)
		await nextTurn()
		expect(ear.closed).toEqual([flow])
		expect(listener.connections).toBe(0)
		expect(listener.stats).toMatchObject({ sent: 0, sendFailed: 1 })
	})

	test('a close of ours lets out what was sent, is told once and not from within, and takes no more', async () => {
		const { listener, ear } = await listenStream(kind)
		const client = await dial(listener)
		expect(await holds(() => ear.opened.length === 1)).toBe(true)
		const { flow } = ear.opened[0]!
		for (let i = 0; i < 50; i++) listener.send(flow.key, octets(sip('last words', `${i}`)))
		listener.close(flow.key)
		listener.close(flow.key)
		expect(ear.closed).toEqual([])
		expect(listener.send(flow.key, octets(sip('no more')))).toBe(false)
		expect(await holds(() => client.isClosed)).toBe(true)
		expect(unwrap(kind, client)).toBe(Array.from({ length: 50 }, (_, i) => sip('last words', `${i}`)).join(''))
		expect(ear.closed).toEqual([flow])
	})

	test('a close waits for what the kernel had no room for, and goes when that is out', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { queuedBytes: 32 << 20 } })
		const client = await dial(listener)
		expect(await holds(() => ear.opened.length === 1)).toBe(true)
		client.socket.pause()
		const { key } = ear.opened[0]!.flow
		const message = sip('w'.repeat(60_000))
		for (let i = 0; i < 200; i++) listener.send(key, octets(message))
		listener.close(key)
		await nextTurn()
		client.socket.resume()
		expect(await holds(() => client.isClosed, CLOSE_MS - SWEEP_MS)).toBe(true)
		expect(unwrap(kind, client)).toBe(message.repeat(200))
	})

	test('messages behind a close are nobody’s', async () => {
		const { listener, ear } = await listenStream(kind)
		ear.reaction = ({ key }) => listener.close(key)
		const client = await dial(listener)
		client.write(Buffer.concat([wrap(kind, sip('one')), wrap(kind, sip('two'))]))
		expect(await holds(() => client.isClosed)).toBe(true)
		expect(ear.texts).toEqual([sip('one')])
	})

	test('a far end that never reads is cut off at its bound, and others are served meanwhile', async () => {
		const { listener, ear } = await listenStream(kind, { limits: { queuedBytes: 100_000 } })
		const slow = await dial(listener)
		const other = await dial(listener)
		expect(await holds(() => ear.opened.length === 2)).toBe(true)
		slow.socket.pause()
		const [deaf, awake] = ear.opened.map(({ flow }) => flow.key) as [string, string]
		const message = octets(sip('z'.repeat(10_000)))
		let sent = 0
		while (listener.send(deaf, message) && sent < 10_000) sent++
		expect(sent).toBeGreaterThan(5)
		expect(sent).toBeLessThan(1_500)
		expect(listener.stats.slowReaders).toBe(1)
		expect(await holds(() => ear.closed.length === 1)).toBe(true)
		expect(ear.closed[0]!.key).toBe(deaf)
		expect(listener.send(awake, octets(sip('hello')))).toBe(true)
		expect(await holds(() => unwrap(kind, other) === sip('hello'))).toBe(true)
	})

	test('stop lets out what was sent, closes all, and frees the port', async () => {
		const { listener, ear } = await listenStream(kind)
		const client = await dial(listener)
		const half = await dialTcp(listener.port)
		expect(await holds(() => ear.opened.length >= 1)).toBe(true)
		const { flow } = ear.opened.find(({ flow }) => flow.port === client.socket.localPort)!
		listener.send(flow.key, octets(sip('bye')))
		listener.stop()
		expect(await holds(() => client.isClosed && half.isClosed)).toBe(true)
		expect(unwrap(kind, client)).toBe(sip('bye'))
		expect(listener.connections + listener.handshakes).toBe(0)
		await listenStream(kind, { port: listener.port })
	})

	test('junk is no connection to speak of, and is told at a bounded rate', async () => {
		const { listener, ear } = await listenStream(kind)
		const prng = new Prng(7)
		const clients = await Promise.all(Array.from({ length: 30 }, () => dialTcp(listener.port)))
		for (const client of clients) client.write(Uint8Array.from({ length: 70_000 }, () => prng.below(256)))
		expect(await holds(() => clients.every(({ isClosed }) => isClosed))).toBe(true)
		expect(ear.messages).toEqual([])
		expect(ear.errors.length).toBeLessThanOrEqual(FAULT_LIMITS.burst)
		expect(await holds(() => listener.connections + listener.handshakes === 0)).toBe(true)
		expect(ear.closed.length).toBe(ear.opened.length)
	})
})

describe.each(['tls', 'wss'] as const)('a %s stream', (kind) => {
	test('is not there without a certificate, and a sentence says so', async () => {
		const without = { index: 0, kind, address: '127.0.0.1', port: 5061, onMessage() {}, onError() {} }
		const sentence = `Cannot listen on ${kind.toUpperCase()} 127.0.0.1 port 5061: it needs a certificate and a key.`
		expect(await openStreamListener(without)).toBe(sentence)
	})
})

describe.each(['tcp', 'tls'] as const)('a %s stream', (kind) => {
	test('whose framing is lost is told of, may be answered, and is closed', async () => {
		const { listener, ear } = await listenStream(kind)
		ear.faultReaction = ({ key }) => void listener.send(key, octets('SIP/2.0 400 Conflicting\r\n\r\n'))
		const client = await dial(listener)
		const head = 'INVITE sip:a@b SIP/2.0\r\nContent-Length: 1\r\nl: 2\r\n\r\n'
		client.write(`${sip('good')}${head}ab${sip('lost')}`)
		expect(await holds(() => client.isClosed)).toBe(true)
		expect(latin1(client.heard)).toBe('SIP/2.0 400 Conflicting\r\n\r\n')
		expect(ear.texts).toEqual([sip('good')])
		expect(ear.faults.map(({ code, head }) => [code, latin1(head)])).toEqual([['length-conflict', head]])
		expect(ear.closed.length).toBe(1)
		expect(listener.stats.faults).toBe(1)
	})
})

describe.each(['ws', 'wss'] as const)('a %s stream', (kind) => {
	test('is spoken by the browser’s own WebSocket', async () => {
		const { listener, ear } = await listenStream(kind)
		ear.reaction = ({ key }, bytes) => void listener.send(key, bytes)
		const options = { protocols: ['sip'], tls: { rejectUnauthorized: false } }
		const socket = new WebSocket(`${kind}://127.0.0.1:${listener.port}/`, options as never)
		const heard: unknown[] = []
		socket.onmessage = ({ data }) => heard.push(data)
		socket.onopen = () => socket.send(sip('from a page'))
		expect(await holds(() => heard.length === 1)).toBe(true)
		expect(heard).toEqual([sip('from a page')])
		let code = 0
		socket.onclose = (event) => {
			code = event.code
		}
		listener.close(ear.opened[0]!.flow.key)
		expect(await holds(() => code !== 0)).toBe(true)
		expect(code).toBe(1000)
	})
})
