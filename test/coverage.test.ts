import { expect, test } from 'bun:test'
import { type Coverage, gaps, MIN_LINES, readLcov } from './coverage.ts'

const ROOMS = ['lib', 'sip', 'transaction', 'core', 'config']

function all(linesHit: number): Map<string, Coverage> {
	const coverage = { linesFound: 100, linesHit, functionsFound: 10, functionsHit: 10 }
	return new Map(ROOMS.map((room) => [`src/${room}/a.ts`, coverage]))
}

test('records of lcov are read by file', () => {
	const text =
		'TN:\nSF:src/lib/a.ts\nFNF:3\nFNH:2\nDA:1,4\nLF:9\nLH:8\nend_of_record\nSF:src/lib/b.ts\nLF:1\nLH:1\nend_of_record\n'
	expect([...readLcov(text)]).toEqual([
		['src/lib/a.ts', { linesFound: 9, linesHit: 8, functionsFound: 3, functionsHit: 2 }],
		['src/lib/b.ts', { linesFound: 1, linesHit: 1, functionsFound: 0, functionsHit: 0 }],
	])
})

test('a room at the threshold passes, and one below it is named', () => {
	expect(gaps(all(MIN_LINES * 100), [])).toEqual([])
	const below = all(MIN_LINES * 100)
	below.set('src/sip/b.ts', { linesFound: 1, linesHit: 0, functionsFound: 1, functionsHit: 1 })
	expect(gaps(below, [])).toEqual(['src/sip: lines covered 95 of 101, and 95 % are asked for.'])
})

test('a file that no test imports is named, and so is a room of which nothing is covered', () => {
	expect(gaps(all(100), ['src/lib/a.ts', 'src/lib/b.ts'])).toEqual(['src/lib/b.ts is imported by no test.'])
	expect(gaps(new Map(), [])).toHaveLength(2 * ROOMS.length)
})
