import { describe, expect, test } from 'bun:test'
import { BATCH_DATAGRAMS, Batch, DIRECT_SENDS, type Gathered, WINDOW_MS } from '../../src/transport/batch.ts'
import { openUdpListener } from '../../src/transport/udp.ts'

const datagram = (i: number) => new Uint8Array([i & 0xff, i >> 8])
const turn = () => new Promise((resolve) => setImmediate(resolve))

function batch() {
	const flushed: Gathered[] = []
	return { flushed, batch: new Batch((gathered) => flushed.push(gathered)) }
}

/** How many of `count` sends in a row were gathered. */
function gatheredOf(gatherer: Batch, count: number): number {
	let gathered = 0
	for (let i = 0; i < count; i++) if (gatherer.takes('127.0.0.1', 9, datagram(i))) gathered++
	return gathered
}

describe('sends', () => {
	test('at rest go out at once', async () => {
		const { batch: gatherer, flushed } = batch()
		for (let round = 0; round < 3; round++) {
			expect(gatheredOf(gatherer, DIRECT_SENDS)).toBe(0)
			await Bun.sleep(2 * WINDOW_MS)
		}
		expect(flushed).toEqual([])
	})

	test('under load are gathered, and go out at the end of the turn', async () => {
		const { batch: gatherer, flushed } = batch()
		expect(gatheredOf(gatherer, DIRECT_SENDS + 5)).toBe(5)
		expect([flushed.length, gatherer.size]).toEqual([0, 5])
		await turn()
		expect(flushed.map((gathered) => gathered.length / 3)).toEqual([5])
		expect(flushed[0]!.slice(0, 3)).toEqual([datagram(DIRECT_SENDS), 9, '127.0.0.1'])
	})

	test('go out before that when BATCH_DATAGRAMS are gathered', () => {
		const { batch: gatherer, flushed } = batch()
		gatheredOf(gatherer, DIRECT_SENDS + BATCH_DATAGRAMS + 1)
		expect(flushed.map((gathered) => gathered.length / 3)).toEqual([BATCH_DATAGRAMS])
		expect(gatherer.size).toBe(1)
	})
})

test('a listener under load sends everything, in order, and what is gathered when it closes', async () => {
	const received: number[] = []
	const onError = (sentence: string) => expect(sentence).toBe('')
	const far = await openUdpListener({
		index: 0,
		address: '127.0.0.1',
		port: 0,
		onDatagram: (_, bytes) => received.push(bytes[0]! | (bytes[1]! << 8)),
		onError,
	})
	const near = await openUdpListener({ index: 0, address: '127.0.0.1', port: 0, onDatagram() {}, onError })
	if (typeof far === 'string' || typeof near === 'string') throw new Error(`${far} ${near}`)
	const count = 3 * BATCH_DATAGRAMS + 10
	for (let i = 0; i < count; i++) near.send('127.0.0.1', far.port, datagram(i))
	near.close()
	for (let tries = 0; received.length < count && tries < 200; tries++) await Bun.sleep(5)
	far.close()
	expect(received).toEqual(Array.from({ length: count }, (_, i) => i))
	expect(near.stats.sent).toBe(count)
})

test('a datagram the kernel refuses does not take those gathered behind it along', async () => {
	const received: number[] = []
	const far = await openUdpListener({
		index: 0,
		address: '127.0.0.1',
		port: 0,
		onDatagram: (_, bytes) => received.push(bytes[0]!),
		onError() {},
	})
	const near = await openUdpListener({ index: 0, address: '127.0.0.1', port: 0, onDatagram() {}, onError() {} })
	if (typeof far === 'string' || typeof near === 'string') throw new Error(`${far} ${near}`)
	const count = DIRECT_SENDS + 20
	for (let i = 0; i < count; i++)
		near.send('127.0.0.1', far.port, i === DIRECT_SENDS + 10 ? new Uint8Array(70_000) : datagram(i))
	for (let tries = 0; received.length < count - 1 && tries < 200; tries++) await Bun.sleep(5)
	near.close()
	far.close()
	expect(received).toEqual(Array.from({ length: count }, (_, i) => i).filter((i) => i !== DIRECT_SENDS + 10))
	expect([near.stats.sent, near.stats.sendFailed]).toEqual([count - 1, 1])
})
