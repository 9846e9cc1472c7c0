import { expect, test } from 'bun:test'
import { Glob } from 'bun'
import { ROOT } from '../architecture/source.ts'

const listed = [...(await Bun.file(`${ROOT}docs/failure-cases.md`).text()).matchAll(/^\| (\d+) \| /gm)].map((row) =>
	Number(row[1]),
)
const files = [...new Glob('test/failures/*.test.ts').scanSync(ROOT)]
const tests = (await Promise.all(files.map((file) => Bun.file(`${ROOT}${file}`).text()))).join('\n')
const tested = [...tests.matchAll(/^test\('(\d+): /gm)].map((match) => Number(match[1]))

test('all 24 failure cases are listed, each once and in order', () => {
	expect(listed).toEqual(Array.from({ length: 24 }, (_, i) => i + 1))
})

test('every failure case has a test that begins with its number, and no test another one', () => {
	expect([...new Set(tested)].sort((a, b) => a - b)).toEqual(listed)
	expect([...tests.matchAll(/^test\(/gm)].length).toBe(tested.length)
})
