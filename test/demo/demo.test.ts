import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { runDemo } from '../../src/demo/demo.ts'
import { inWords, Journal } from '../../src/demo/journal.ts'
import { SCENES } from '../../src/demo/scenes.ts'
import { registeredPair } from './wire.ts'

const MAIN = join(import.meta.dir, '..', '..', 'src', 'main.ts')

async function demo(gatewayCommand: string[]) {
	const lines: string[] = []
	const status = await runDemo({ gatewayCommand, stay: false, print: (line) => lines.push(line) })
	return { status, lines, text: lines.join('\n') }
}

test('the demo passes over real sockets with the gateway as a child process', async () => {
	const { status, text } = await demo([process.execPath, MAIN])
	expect(text.split('\nChecks\n')[1]).not.toContain('✗')
	expect(text).toContain('DEMO PASSED')
	expect(status).toBe(0)
}, 60_000)

test('a gateway that does not start fails the demo, with what it said and all that was not reached', async () => {
	const script = 'console.error("no such key"); process.exit(3)'
	const { status, lines, text } = await demo([process.execPath, '-e', script, '--'])
	expect(status).toBe(1)
	expect(text).toContain('The gateway ended with status 3. It said:\nno such key')
	expect(lines.filter((line) => line.endsWith('not reached'))).toHaveLength(SCENES.length)
	expect(lines.at(-1)).toStartWith('DEMO FAILED: 0 of 7 checks hold')
})

test('a step is printed with its time since the start and who → whom, in columns', () => {
	const lines: string[] = []
	let now = 1000
	const journal = new Journal(
		(line) => lines.push(line),
		() => now,
	)
	now = 1042.4
	journal.step('gateway', 'APNs', 'VoIP push')
	now = 12_345
	journal.note('both', 'talk')
	expect(lines).toEqual(['    42 ms  gateway → APNs          VoIP push', ' 11345 ms  both                    talk'])
})

test('the verdict lists every check, and one that does not hold is enough to fail', () => {
	const lines: string[] = []
	const journal = new Journal(
		(line) => lines.push(line),
		() => 0,
	)
	journal.check('water is wet', true, 'by touch')
	expect(journal.verdict()).toBeTrue()
	journal.check('the moon is cheese', false)
	expect(journal.verdict()).toBeFalse()
	expect(lines.slice(-4)).toEqual([
		'  ✓ water is wet (by touch)',
		'  ✗ the moon is cheese',
		'',
		'DEMO FAILED: 1 of 2 checks hold, 0.0 s',
	])
	expect(
		new Journal(
			() => {},
			() => 0,
		).verdict(),
	).toBeFalse()
})

test('pings and 100 are not printed, and a REGISTER names its Contact', () => {
	const { phone, pbx, wire } = registeredPair()
	pbx.qualify('1001', wire.now)
	wire.run(100)
	expect(phone.recorded.flatMap(({ message }) => inWords(message) ?? [])).toEqual([
		'REGISTER, Contact 1001@127.0.0.21:5080 + push parameters',
		'401 Unauthorized (REGISTER)',
		'REGISTER, Contact 1001@127.0.0.21:5080 + push parameters, with credentials',
		'200 OK (REGISTER), Contact 1001@127.0.0.21:5080 + push parameters',
	])
})
