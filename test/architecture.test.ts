import { describe, expect, test } from 'bun:test'
import { Glob } from 'bun'
import {
	bareCode,
	functionLengths,
	type Import,
	importCycle,
	importsOf,
	ROOT,
	roomOf,
	type SourceFile,
	sourceFiles,
} from './architecture/source.ts'

const PURE = ['lib', 'sip', 'transaction', 'core', 'config'] as const
const EDGES = ['transport', 'resolve', 'push', 'events', 'store', 'status', 'log', 'demo', 'check'] as const

/** The room of what lies beside src: assets/, package.json. */
const OUTSIDE = '..'

/** What each room may import besides itself. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
	lib: [],
	sip: ['lib'],
	transaction: ['lib', 'sip'],
	core: ['lib', 'sip', 'transaction'],
	config: ['lib'],
	...Object.fromEntries(EDGES.map((edge) => [edge, ['lib', 'log']])),
	demo: ['lib', 'log', 'sip'],
	'': [...PURE, ...EDGES, OUTSIDE],
	status: ['lib', 'log', OUTSIDE],
}

/** The records between core and edges: an edge may import these files of core, and none that decides anything. */
const CONTRACTS = ['core/model.ts', 'core/inputs.ts', 'core/effects.ts', 'core/snapshot.ts', 'core/settings.ts']

/** A stream is cut into messages by the rules of SIP: of that room, transport may import these and no meaning. */
const FRAMING = ['sip/frame.ts', 'sip/faults.ts']

/** What a pure room may import that is not ours. */
const PURE_PACKAGES = ['ipaddr.js']

const CLOCKS =
	/\b(?:Date\.now|Math\.random|new Date\(\)|performance\.|setTimeout|setInterval|console\.|process\.|Bun\.|fetch\()/
const MAX_FILE_LINES = 400
const MAX_MAIN_LINES = 150
const MAX_FUNCTION_LINES = 70
const FREE_LICENSES = ['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'MIT OR Apache-2.0']

const files = await sourceFiles()
const isPure = (file: SourceFile) => (PURE as readonly string[]).includes(file.room)
const isEdge = (room: string) => (EDGES as readonly string[]).includes(room)

function mayImport(file: SourceFile, to: Import): boolean {
	const room = roomOf(to.target)
	if (room === file.room || ROOMS[file.room]!.includes(room)) return true
	if (file.room === 'transport' && FRAMING.includes(to.target)) return true
	if (file.room === 'config') return to.isType && to.target === 'core/settings.ts'
	return isEdge(file.room) && (CONTRACTS.includes(to.target) || (to.isType && room === 'config'))
}

describe('the import graph', () => {
	test('every folder of src is a room with a rule', () => {
		expect([...new Set(files.map((file) => file.room))].filter((room) => ROOMS[room] === undefined)).toEqual([])
	})

	test('a room imports only what its rule allows', () => {
		const forbidden = files.flatMap((file) =>
			file.imports.filter((to) => to.isOwn && !mayImport(file, to)).map((to) => `${file.path} → ${to.target}`),
		)
		expect(forbidden).toEqual([])
	})

	test('a pure room imports no package but the named ones, and nothing of the runtime', () => {
		const forbidden = files
			.filter(isPure)
			.flatMap((file) =>
				file.imports
					.filter((to) => !to.isOwn && !PURE_PACKAGES.includes(to.target))
					.map((to) => `${file.path} → ${to.target}`),
			)
		expect(forbidden).toEqual([])
	})

	test('there is no cycle of files', () => {
		expect(importCycle(files)).toBeUndefined()
	})

	test('a pure room knows no clock, no chance and no world', () => {
		expect(files.filter((file) => isPure(file) && CLOCKS.test(bareCode(file.text))).map((file) => file.path)).toEqual(
			[],
		)
	})
})

describe('sizes', () => {
	test(`no file is longer than ${MAX_FILE_LINES} lines`, () => {
		expect(files.filter((file) => file.lines > MAX_FILE_LINES).map((file) => `${file.path}: ${file.lines}`)).toEqual([])
	})

	test(`main.ts is not longer than ${MAX_MAIN_LINES} lines`, () => {
		expect(files.find((file) => file.path === 'main.ts')?.lines).toBeLessThanOrEqual(MAX_MAIN_LINES)
	})

	test(`no function is longer than ${MAX_FUNCTION_LINES} lines`, () => {
		const long = files.flatMap((file) =>
			functionLengths(file.text)
				.filter(({ lines }) => lines > MAX_FUNCTION_LINES)
				.map(({ head, lines }) => `${file.path}: ${head} ${lines}`),
		)
		expect(long).toEqual([])
	})
})

describe('words', () => {
	test('no file is called after nothing: utils, manager, helper, common', () => {
		expect(
			files.filter((file) => /(?:util|manager|helper|common|misc)/i.test(file.path)).map((file) => file.path),
		).toEqual([])
	})

	test('nothing outside the tests names the folder of shared vectors', () => {
		const named = files.filter((file) => file.text.includes('../shared'))
		expect(named.map((file) => file.path)).toEqual([])
	})
})

describe('dependencies', () => {
	test('each has a licence that binds nobody who uses the gateway', async () => {
		const paths = ['node_modules/*/package.json', 'node_modules/@*/*/package.json'].flatMap((glob) => [
			...new Glob(glob).scanSync(ROOT),
		])
		const licenses = await Promise.all(
			paths.map(async (path) => [path, (await Bun.file(`${ROOT}${path}`).json()).license]),
		)
		expect(paths.length).toBeGreaterThan(0)
		expect(licenses.filter(([, license]) => !FREE_LICENSES.includes(license))).toEqual([])
	})

	test('each is named in the README', async () => {
		const readme = await Bun.file(`${ROOT}README.md`).text()
		const { dependencies, devDependencies } = await Bun.file(`${ROOT}package.json`).json()
		const names = Object.keys({ ...dependencies, ...devDependencies })
		expect(names.filter((name) => !readme.includes(name))).toEqual([])
	})
})

describe('this test', () => {
	const own = (target: string, isType: boolean): Import => ({ target, isOwn: true, isType })

	test('sees every form of import', () => {
		const text = [
			...["import a from './a.ts'", "import type { B } from '../b/b.ts'", "export * from './c.ts'", "import './d.ts'"],
			...[
				"import {\n\te,\n\ttype F,\n} from './e.ts'",
				"export type { G } from './g.ts'",
				"const h = await import('./h.ts')",
			],
			...["import sql from './i.sql' with { type: 'text' }", "import j from 'node:net'", "const k = 'import l from'"],
		].join('\n')
		expect(importsOf('room/x.ts', text)).toEqual([
			own('room/a.ts', false),
			own('b/b.ts', true),
			own('room/c.ts', false),
			own('room/d.ts', false),
			own('room/e.ts', false),
			own('room/g.ts', true),
			own('room/i.sql', false),
			{ target: 'node:net', isOwn: false, isType: false },
			own('room/h.ts', false),
		])
	})

	test('measures functions, methods and arrow functions', () => {
		const body = '\t\tx()\n'.repeat(3)
		const text = `export function a(\n\tb: number,\n): void {\n${body}}\n\nclass C {\n\tasync d(e: number): Promise<void> {\n\t${body}\t}\n}\nconst f = (g: number) => {\n${body}}\n`
		expect(functionLengths(text).map(({ lines }) => lines)).toEqual([7, 5, 5])
	})

	test('finds a cycle of values, and lets types refer to each other', () => {
		const file = (path: string, text: string): SourceFile => ({
			path,
			room: '',
			text,
			lines: 1,
			imports: importsOf(path, text),
		})
		expect(importCycle([file('a.ts', "import './b.ts'"), file('b.ts', "import './a.ts'")])).toEqual([
			'a.ts',
			'b.ts',
			'a.ts',
		])
		expect(
			importCycle([file('a.ts', "import './b.ts'"), file('b.ts', "import type { A } from './a.ts'")]),
		).toBeUndefined()
	})

	test('finds clocks in code and not in comments or text', () => {
		expect(CLOCKS.test(bareCode('const now = Date.now()'))).toBe(true)
		expect(CLOCKS.test(bareCode("/* Date.now */ const a = 'Date.now' // Date.now"))).toBe(false)
	})
})
