import { expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { ROOT } from '../architecture/source.ts'

interface Row {
	readonly section: string
	readonly demand: string
	readonly places: readonly string[]
	readonly tests: readonly string[]
}

const document = readFileSync(`${ROOT}docs/conformance.md`, 'utf8')
const rows: Row[] = [...document.matchAll(/^\| (.+?) \| (.+?) \| (`.+?`) \| (.+) \|$/gm)].map((match) => ({
	section: match[1]!,
	demand: match[2]!,
	places: match[3]!.split(', ').map((place) => place.slice(1, -1)),
	tests: match[4]!.split('<br>'),
}))
const isDeviation = (named: string) => named.startsWith('[')
const text = (path: string) => (existsSync(ROOT + path) ? readFileSync(ROOT + path, 'utf8') : '')

test('every table row of a demand is read', () => {
	expect(rows.length).toBeGreaterThan(100)
	const demands = [...document.matchAll(/^\| .*\b(?:MUST|SHOULD)\b.*$/gm)].length
	expect(demands - rows.filter(({ demand }) => /\b(?:MUST|SHOULD)\b/.test(demand)).length).toBe(0)
})

test('every place is in the source', () => {
	const missing = rows
		.flatMap(({ places }) => places)
		.filter((place) => {
			const [path, name] = place.split('#')
			const source = text(`src/${path}`)
			return source === '' || (name !== undefined && !new RegExp(`\\b${name}\\b`).test(source))
		})
	expect(missing).toEqual([])
})

test('every test is there, under the very name', () => {
	const missing = rows
		.flatMap(({ tests }) => tests)
		.filter((named) => {
			if (isDeviation(named)) return false
			const colon = named.indexOf(': ')
			const lines = text(`test/${named.slice(0, colon)}.test.ts`).split('\n')
			return !lines.some((line) => /^\s*test\b/.test(line) && line.includes(named.slice(colon + 2)))
		})
	expect(missing).toEqual([])
})

test('no demand is without a test or a deviation that has one', () => {
	expect(rows.filter(({ tests }) => tests.length === 0 || tests.includes('')).map(({ section }) => section)).toEqual([])
	const links = rows.flatMap(({ tests }) => tests).filter(isDeviation)
	expect(links.length).toBeGreaterThan(20)
	expect(links.filter((link) => !/^\[[^\]]+\]\(deviations\.md#[\w-]+\)$/.test(link))).toEqual([])
})

test('every deviation is led to', () => {
	const headings = [...text('docs/deviations.md').matchAll(/^### (.+)$/gm)].map((match) => match[1]!)
	const anchor = (heading: string) =>
		heading
			.toLowerCase()
			.replace(/[^\p{L}\p{N} _-]/gu, '')
			.replaceAll(' ', '-')
	expect(headings.filter((heading) => !document.includes(`(deviations.md#${anchor(heading)})`))).toEqual([])
})
