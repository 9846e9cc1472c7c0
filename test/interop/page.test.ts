import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { because, binaryAbsent, until } from './binary.ts'
import { Browser, browserAbsent } from './browser.ts'
import { now, Party } from './party.ts'

const absent = binaryAbsent ?? browserAbsent

/** A phone held upright, and a desk. */
const WIDTHS = [390, 1280]

/** Chromium takes some seconds to start on a busy machine. */
setDefaultTimeout(40_000)

let party: Party
let browser: Browser

const isWide = () =>
	browser.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth')
const rows = (section: string) => browser.texts(`#${section} tbody tr`)

/** The first row of a section reads like that. */
const reads = (section: string, pattern: RegExp, limitMs = 4000) =>
	until(
		`"${section}" reads ${pattern}`,
		async () => (await browser.texts(`#${section}`)).some((text) => pattern.test(text)),
		limitMs,
	)

describe.skipIf(absent !== undefined)(`the status page in a browser${because(absent)}`, () => {
	beforeAll(async () => {
		browser = await Browser.open()
		party = await Party.open(30)
		await party.annaSleeps()
		await party.heldForAnna()
		await browser.resize(1280)
		await browser.show(party.world.url)
	})

	afterAll(async () => {
		await browser?.close()
		await party?.close()
	})

	test.each(WIDTHS)(
		'during a held call it shows who waits for whom, at %d pixels without scrolling sideways',
		async (width) => {
			await browser.resize(width)
			const [anna, bruno] = await rows('agents')
			expect(anna).toMatch(/^1001@pbx\.example .*○ background/)
			expect(bruno).toMatch(/^1002@pbx\.example .*● foreground/)
			expect(await rows('calls')).toEqual([
				expect.stringMatching(/^1001@pbx\.example .*◔ held .*\+390612345678 .*\b1?\d s left$/),
			])
			expect(await rows('pushes')).toEqual([expect.stringMatching(/^1001@pbx\.example .*✓ accepted/)])
			expect(await isWide()).toBe(0)
		},
	)

	test('no token is shown whole, on the page or below it', async () => {
		const source = await browser.evaluate<string>('document.documentElement.outerHTML')
		expect(source).not.toContain(party.anna.token)
		expect(source).toContain(`${party.anna.token.slice(0, 4)}…`)
	})

	test('the countdown of the hold runs', async () => {
		const before = await browser.texts('#calls time.left')
		await until('it counts down', async () => (await browser.texts('#calls time.left'))[0] !== before[0], 2500)
	})

	test('it follows the call as it goes on: woken, live, over, without loading again', async () => {
		const { anna, exchange } = party
		const loads = browser.loads
		await anna.wake('127.0.0.22')
		await anna.next('incoming')
		anna.phone.answer(now())
		await exchange.next('answered')
		await reads('calls', /● live/)
		await reads('agents', /1001@pbx\.example .*● foreground .*127\.0\.0\.22/)
		await reads('pushes', /✓ accepted \d+ ms [\d.]+ m?s$/)
		exchange.pbx.hangup(exchange.pbx.calls.current!, now())
		await reads('calls', /^No calls\.$/)
		expect(browser.loads).toBe(loads)
	})

	test('neither the console nor the network complains', () => {
		expect(browser.complaints).toEqual([])
	})
})
