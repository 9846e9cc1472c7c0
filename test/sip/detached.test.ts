import { heapStats } from 'bun:jsc'
import { expect, test } from 'bun:test'
import { detached } from '../../src/sip/latin1.ts'

const DATAGRAM_OCTETS = 60_000
const REMEMBERED = 200

/** What it costs to remember ten chars of each of many datagrams, octets. */
function costOf(remember: (slice: string) => string): number {
	Bun.gc(true)
	const before = heapStats().heapSize
	const names = Array.from({ length: REMEMBERED }, (_, i) =>
		remember(`${i}${Buffer.alloc(DATAGRAM_OCTETS).toString('latin1')}`.slice(DATAGRAM_OCTETS - 10, DATAGRAM_OCTETS)),
	)
	Bun.gc(true)
	const cost = heapStats().heapSize - before
	expect(names.length).toBe(REMEMBERED)
	return cost
}

test('the text is the same', () => {
	for (const text of ['', 'a', 'Ada Lovelace', 'Zoë 🙂']) expect(detached(text)).toBe(text)
})

test('what is remembered of a datagram does not keep the datagram', () => {
	const whole = REMEMBERED * DATAGRAM_OCTETS
	expect(costOf((slice) => slice)).toBeGreaterThan(whole / 2)
	expect(costOf(detached)).toBeLessThan(whole / 10)
})
