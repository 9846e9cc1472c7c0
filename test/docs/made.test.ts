/** Documents that are made from the source, and documents that must name all of something. */
import { describe, expect, test } from 'bun:test'
import { EVENTS } from '../../src/core/effects.ts'
import { RULES } from '../../src/push/reasons.ts'
import { createMetrics } from '../../src/status/metrics.ts'
import { diagram, MACHINES, machinesMarkdown } from '../architecture/diagrams.ts'
import { limits, limitsIn, limitsMarkdown } from '../architecture/limits.ts'
import { ROOT, sourceFiles } from '../architecture/source.ts'
import { options } from '../status/fixture.ts'

const read = (path: string): Promise<string> => Bun.file(`${ROOT}${path}`).text()

describe('docs/machines.md', () => {
	test('is what the tables say: `bun run docs` writes it anew', async () => {
		expect(await read('docs/machines.md')).toBe(machinesMarkdown())
	})

	test('draws every state, and ends where nothing changes any more', () => {
		for (const { table } of MACHINES) {
			const drawn = diagram(table)
			for (const state of Object.keys(table)) expect(drawn).toMatch(new RegExp(`--> ${state}\\b`))
			expect(drawn.match(/--> \[\*\]/g)?.length).toBe(1)
		}
	})

	test('draws an arrow with its event and its actions, and none for what changes nothing', () => {
		const table = { a: { go: { to: 'b', do: ['x', 'y'] }, stay: { to: 'a', do: [] } }, b: { go: { to: 'b', do: [] } } }
		expect(diagram(table).split('\n')).toEqual([
			'stateDiagram-v2',
			'    [*] --> a',
			'    a --> b: go / x, y',
			'    b --> [*]',
		])
	})
})

describe('docs/limits.md', () => {
	test('is what the source says: `bun run docs` writes it anew', async () => {
		expect(await read('docs/limits.md')).toBe(await limitsMarkdown())
	})

	test('has a reason for every limit', async () => {
		expect((await limits()).filter(({ reason }) => reason === '').map(({ name, file }) => `${file}: ${name}`)).toEqual(
			[],
		)
	})

	test('takes the comment above a constant, of one line or more, and for those directly below', () => {
		const text =
			'/** Why. */\nexport const MAX_A = 1\nconst B_MS = 2_000\n\nconst MAX_C = 3\n/**\n * Some {@link X}\n * more.\n */\nconst D_BYTES = 4 << 20\nconst WORD = 5\n'
		expect(limitsIn('f', text).map(({ name, value, reason }) => [name, value, reason])).toEqual([
			['MAX_A', '1', 'Why.'],
			['B_MS', '2_000', 'Why.'],
			['MAX_C', '3', ''],
			['D_BYTES', '4 << 20', 'Some `X` more.'],
		])
	})
})

describe('docs/operations.md', () => {
	test('has every event with its level, and no other', async () => {
		const rows = tableRows(section(await read('docs/operations.md'), 'Events'))
		expect(Object.fromEntries(rows.map(([name, level]) => [name, level]))).toEqual(EVENTS)
	})

	test('has every metric, and no other', async () => {
		const metrics = createMetrics({ ...options(), udpDrops: () => 0 })
		const served = [...(await metrics.text()).matchAll(/^# TYPE (\S+) /gm)].map((match) => match[1]!)
		metrics.stop()
		const rows = tableRows(section(await read('docs/operations.md'), 'Metrics'))
		expect(rows.map(([name]) => name).sort()).toEqual(served.sort())
	})

	test('has every answer of APNs, with the remedy where there is one', async () => {
		const rows = tableRows(section(await read('docs/operations.md'), 'APNs'))
		const known = rows.filter(([name]) => name! in RULES).map(([name, remedy]) => [name, remedy !== ''])
		expect(known).toEqual(Object.entries(RULES).map(([name, rule]) => [name, 'remedy' in rule]))
	})
})

test('every event is emitted somewhere', async () => {
	const files = (await sourceFiles()).filter(({ path }) => path !== 'core/effects.ts')
	const unused = Object.keys(EVENTS).filter((name) => !files.some(({ text }) => text.includes(`'${name}'`)))
	expect(unused).toEqual([])
})

/** From its heading to the next one of that kind. */
function section(text: string, title: string): string {
	return text.split(/^## /m).find((part) => part.startsWith(`${title}\n`)) ?? ''
}

/** Cells of the rows of its tables, the code marks left out; the head of the table too is none. */
function tableRows(text: string): string[][] {
	return text
		.split('\n')
		.filter((line) => /^\| (`|none|a )/.test(line))
		.map((line) =>
			line
				.slice(1, -1)
				.split('|')
				.map((cell) => cell.trim().replace(/^`|`$/g, '')),
		)
}
