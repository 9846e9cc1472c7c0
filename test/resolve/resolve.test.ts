import { afterEach, beforeEach, expect, jest, test } from 'bun:test'
import { LOOKUP_LIMIT_MS, MAX_ADDRESSES, RETRY_MS, ResolveFault, resolveHost } from '../../src/resolve/resolve.ts'
import { watchHost } from '../../src/resolve/watch.ts'

beforeEach(() => void jest.useFakeTimers())
afterEach(() => void jest.useRealTimers())

const never = () => {
	throw new Error('looked up a literal address')
}
const refuse = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code }))
const addresses = async (host: string, found: readonly string[]) =>
	(await resolveHost(host, 5060, async () => found)).map((a) => a.address)

async function settle(): Promise<void> {
	for (let i = 0; i < 10; i++) await Promise.resolve()
}

async function pass(ms: number): Promise<void> {
	jest.advanceTimersByTime(ms)
	await settle()
}

test('a literal address is taken as it is, in its canonical text, and nothing is looked up', async () => {
	const literals = { '127.0.0.1': '127.0.0.1', '::1': '::1', '[2001:DB8:0:0:0:0:0:1]': '2001:db8::1' }
	for (const [host, address] of Object.entries({ ...literals, '::ffff:192.0.2.1': '192.0.2.1' }))
		expect(await resolveHost(host, 5062, never)).toEqual([{ address, port: 5062 }])
})

test('a name gives all its addresses of both families, each once, in the order of the resolver', async () => {
	const found = ['2001:db8:0:0::2', '192.0.2.2', '192.0.2.1', '2001:db8::2']
	expect(await addresses('pbx.example', found)).toEqual(['2001:db8::2', '192.0.2.2', '192.0.2.1'])
})

test('the system knows localhost', async () => {
	jest.useRealTimers()
	const [first] = await resolveHost('localhost', 5060)
	expect(['127.0.0.1', '::1']).toContain(first!.address)
})

test('more addresses than a PBX can have are cut off', async () => {
	const many = Array.from({ length: 40 }, (_, i) => `192.0.2.${i}`)
	expect(await addresses('pbx.example', many)).toEqual(many.slice(0, MAX_ADDRESSES))
})

test('a name without address is a fault in a sentence, with a hint', async () => {
	for (const [lookup, code] of [
		[refuse('ENOTFOUND'), 'ENOTFOUND'],
		[async () => [], 'ENODATA'],
	] as const) {
		const fault = await resolveHost('pbx.example', 5060, lookup).catch((e: unknown) => e as ResolveFault)
		expect(fault).toBeInstanceOf(ResolveFault)
		expect(fault).toMatchObject({ code, message: `The name pbx.example has no address (${code}).` })
		expect(fault).toHaveProperty('hint', expect.stringContaining('--pbx'))
	}
})

test('a resolver that says nothing is given up after five seconds', async () => {
	const answer = resolveHost('pbx.example', 5060, () => new Promise(() => {})).catch((e: ResolveFault) => e.code)
	await pass(LOOKUP_LIMIT_MS)
	expect(await answer).toBe('ETIMEOUT')
})

/** A watch on a name whose answers the test writes; what it called. */
function watched(everyMs: number) {
	const dns = { answer: async (): Promise<readonly string[]> => ['192.0.2.1', '192.0.2.2'], asked: 0 }
	const seen: string[][] = []
	const faults: string[] = []
	const lookup = () => {
		dns.asked++
		return dns.answer()
	}
	const onChange = (list: readonly { address: string }[]) => void seen.push(list.map((a) => a.address))
	const watch = watchHost('pbx.example', 5060, everyMs, onChange, (f) => void faults.push(f.code), lookup)
	return { dns, seen, faults, watch }
}

test('a watch says the addresses at once, and again only when one came or went', async () => {
	const { dns, seen, watch } = watched(60_000)
	await settle()
	expect(seen).toEqual([['192.0.2.1', '192.0.2.2']])
	dns.answer = async () => ['192.0.2.2', '192.0.2.1']
	await pass(60_000)
	expect(dns.asked).toBe(2)
	expect(seen).toHaveLength(1)
	dns.answer = async () => ['192.0.2.3', '192.0.2.2']
	await pass(60_000)
	expect(seen.at(-1)).toEqual(['192.0.2.2', '192.0.2.3'])
	watch.stop()
})

test('after a failure the watch tries again sooner, and the addresses known before stay', async () => {
	const { dns, seen, faults, watch } = watched(60_000)
	await settle()
	dns.answer = refuse('ESERVFAIL')
	await pass(60_000)
	await pass(RETRY_MS)
	expect(faults).toEqual(['ESERVFAIL', 'ESERVFAIL'])
	dns.answer = async () => ['192.0.2.1', '192.0.2.2']
	await pass(RETRY_MS)
	expect(seen).toHaveLength(1)
	watch.stop()
})

test('a stopped watch calls nobody, not even for the look-up under way', async () => {
	const { dns, seen, watch } = watched(1000)
	watch.stop()
	await settle()
	await pass(5000)
	expect(seen).toEqual([])
	expect(dns.asked).toBe(1)
	expect(jest.getTimerCount()).toBe(0)
})

test('a literal address is said once and never looked up again', async () => {
	const seen: unknown[] = []
	watchHost('127.0.0.1', 5060, 1000, (list) => void seen.push(list), never, never)
	await settle()
	await pass(10_000)
	expect(seen).toEqual([[{ address: '127.0.0.1', port: 5060 }]])
	expect(jest.getTimerCount()).toBe(0)
})
