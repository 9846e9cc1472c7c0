/** What documents name must be there: flags, variables, payload fields, commands, files. */
import { expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { Glob } from 'bun'
import { ENV_FILE_SUFFIX, envName, OPTION_LIST } from '../../src/config/options.ts'
import { minimalPayloadOf, payloadOf } from '../../src/core/wake/payload.ts'
import { ROOT } from '../architecture/source.ts'

const FILES = [...new Glob('*.md').scanSync(ROOT), ...new Glob('docs/**/*.md').scanSync(ROOT)].sort()
const texts = await Promise.all(FILES.map((file) => Bun.file(`${ROOT}${file}`).text()))
const all = texts.join('\n')
const readme = texts[FILES.indexOf('README.md')]!

/** Flags of other programs, of commands, and the one that the README gets wrong on purpose. */
const OTHER_FLAGS = ['help', 'version', 'stay', 'flag', 'no-flag', 'system', 'lissten']
/** Speaks of the flags of the bench. */
const OF_THE_BENCH = 'docs/performance.md'

test('every flag a document names is an option', () => {
	const known = OPTION_LIST.flatMap(({ flag }) => [flag, `no-${flag}`])
	const about = texts.filter((_, i) => FILES[i] !== OF_THE_BENCH).join('\n')
	const named = [...about.matchAll(/(?<![\w-])--([a-z][a-z-]*[a-z])/g)].map((match) => match[1]!)
	const others = (flag: string) => OTHER_FLAGS.includes(flag) || flag.startsWith('no-compile-autoload-')
	expect([...new Set(named)].filter((flag) => !known.includes(flag) && !others(flag))).toEqual([])
})

test('every variable a document names is one of an option', () => {
	const known = OPTION_LIST.flatMap(({ flag }) => [envName(flag), envName(flag) + ENV_FILE_SUFFIX])
	const named = [...all.matchAll(/PUSH_GATEWAY_[A-Z_]*[A-Z]/g)].map((match) => match[0])
	expect([...new Set(named)].filter((name) => !known.includes(name))).toEqual([])
})

test('the README has every field of the payload, and no other', () => {
	const table = readme.slice(readme.indexOf('| field |'), readme.indexOf('It has at most 5120 bytes'))
	const named = [...table.matchAll(/^\| (.+?) \|/gm)].flatMap((row) => [...row[1]!.matchAll(/`(\w+)`/g)])
	const call = {
		callId: 'c',
		uuid: 'u',
		caller: { name: 'n', number: '1' },
		agent: 'sip:1001@pbx.example',
		time: 0,
		status: 'https://gw.example/c/x',
	}
	expect(named.map((match) => match[1]!)).toEqual(Object.keys(JSON.parse(payloadOf('apns', call))))
	for (const field of Object.keys(JSON.parse(minimalPayloadOf('apns', call)))) expect(readme).toContain(`\`${field}\``)
})

test('every command of build.sh a document names is one', async () => {
	const script = await Bun.file(`${ROOT}build.sh`).text()
	const named = [...all.matchAll(/\.\/build\.sh ([a-z]+)/g)].map((match) => match[1]!)
	expect([...new Set(named)].filter((command) => !script.includes(`./build.sh ${command}`))).toEqual([])
})

test('every file of src and test a document names is there', () => {
	const named = [...all.matchAll(/\b(?:src|test)\/[\w./-]+\.(?:ts|sql|json)\b/g)].map((match) => match[0])
	expect([...new Set(named)].filter((file) => !existsSync(`${ROOT}${file}`))).toEqual([])
})
