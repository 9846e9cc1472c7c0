import { expect, test } from 'bun:test'
import { ROOT } from '../architecture/source.ts'

const entries = (await Bun.file(`${ROOT}docs/deviations.md`).text()).split(/^### /m).slice(1)
const tests = await Bun.file(`${ROOT}test/deviations/deviations.test.ts`).text()

/** The sentences after `Test:` or `Tests:`. */
function named(entry: string): string[] {
	const line = /^Tests?: (.+)$/m.exec(entry)?.[1]
	return line === undefined ? [] : line.split('; ')
}

test('every deviation names its test', () => {
	expect(entries.length).toBeGreaterThan(20)
	expect(entries.filter((entry) => named(entry).length === 0).map((entry) => entry.split('\n')[0])).toEqual([])
})

test('every test that is named exists', () => {
	expect(entries.flatMap(named).filter((name) => !tests.includes(`test('${name}'`))).toEqual([])
})

test('every test of deviations is named', () => {
	const names = [...tests.matchAll(/^test\('(.+)', /gm)].map((match) => match[1]!)
	expect(names.filter((name) => !entries.flatMap(named).includes(name))).toEqual([])
})
