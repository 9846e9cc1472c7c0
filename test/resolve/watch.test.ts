import { afterEach, beforeEach, expect, jest, test } from 'bun:test'
import type { PbxLocation } from '../../src/config/kinds.ts'
import type { PbxTarget } from '../../src/core/inputs.ts'
import type { Dns, Srv } from '../../src/resolve/dns.ts'
import { type Candidate, MAX_TARGETS } from '../../src/resolve/locate.ts'
import { LOOKUP_LIMIT_MS, REFRESH_MAX_MS, REFRESH_MIN_MS, RETRY_MS, ranked, watchPbx } from '../../src/resolve/watch.ts'

beforeEach(() => void jest.useFakeTimers())
afterEach(() => void jest.useRealTimers())

const BOTH = { udp: { four: true, six: true } }
const ONE: PbxLocation = { host: 'one.example', port: 5060, transport: undefined }
const TWO: PbxLocation = { host: 'two.example', port: 5060, transport: undefined }
const CLUSTER: PbxLocation = { host: 'pbx.example', port: undefined, transport: 'udp' }
const lost = () => Promise.reject(Object.assign(new Error('lost'), { code: 'ESERVFAIL' }))

async function settle(): Promise<void> {
	for (let i = 0; i < 40; i++) await Promise.resolve()
}

async function pass(ms: number): Promise<void> {
	jest.advanceTimersByTime(ms)
	await settle()
}

/** A watch whose DNS the test writes; what it said. */
function watched(...pbxs: PbxLocation[]) {
	const dns = {
		asked: 0,
		ttlSec: undefined as number | undefined,
		addresses: new Map<string, readonly string[] | 'lost' | 'hangs'>(),
		srv: async (): Promise<readonly Srv[]> => [],
	}
	const seen: (readonly PbxTarget[])[] = []
	const faults: string[] = []
	const skipped: string[] = []
	const edge: Dns = {
		naptr: async () => [],
		srv: () => dns.srv(),
		addresses: (name) => {
			dns.asked++
			const found = dns.addresses.get(name) ?? []
			if (found === 'hangs') return new Promise(() => {})
			return found === 'lost' ? lost() : Promise.resolve({ addresses: found, ttlSec: dns.ttlSec })
		},
		cancel() {},
	}
	const start = () =>
		watchPbx(
			pbxs,
			BOTH,
			{
				found: (targets) => void seen.push(targets),
				failed: ({ host }, { code }) => void faults.push(`${host} ${code}`),
				skipped: (sentence) => void skipped.push(sentence),
			},
			edge,
		)
	const last = () => seen.at(-1)?.map(({ address, rank }) => `${rank} ${address}`)
	return { dns, seen, faults, skipped, start, last }
}

test('each --pbx has ranks of its own, in the order they were given; a machine counts where it stands first', async () => {
	const { dns, last, start } = watched(ONE, TWO)
	dns.addresses.set('one.example', ['192.0.2.1', '192.0.2.2']).set('two.example', ['192.0.2.2', '192.0.2.3'])
	const watch = start()
	await settle()
	expect(last()).toEqual(['0 192.0.2.1', '1 192.0.2.2', '2 192.0.2.3'])
	watch.stop()
})

test('machines of one priority have one rank', () => {
	const candidate = (address: string, priority: number): Candidate => ({
		...{ transport: 'udp', tcpPort: undefined, domain: address, name: address, address, port: 5060 },
		...{ order: [priority, 0], weight: 5 },
	})
	const group = (...candidates: ReturnType<typeof candidate>[]) =>
		({ step: 'srv', candidates, isPartial: false, ttlSec: undefined, skipped: [] }) as const
	const targets = ranked([
		group(candidate('a', 1), candidate('b', 1), candidate('c', 7)),
		undefined,
		group(candidate('d', 0)),
	])
	expect(targets.map(({ rank, address }) => `${rank} ${address}`)).toEqual(['0 a', '0 b', '1 c', '2 d'])
	const many = Array.from({ length: 40 }, (_, i) => candidate(`${i}`, i))
	expect(ranked([group(...many)])).toHaveLength(MAX_TARGETS)
})

test('says what changed and nothing else, and looks again as the TTL says, within bounds', async () => {
	for (const [ttlSec, everyMs] of [
		[1, REFRESH_MIN_MS],
		[20, 20_000],
		[3_600, REFRESH_MAX_MS],
		[undefined, REFRESH_MAX_MS],
	] as const) {
		const { dns, seen, last, start } = watched(ONE)
		dns.ttlSec = ttlSec
		dns.addresses.set('one.example', ['192.0.2.1', '192.0.2.2'])
		const watch = start()
		await settle()
		dns.addresses.set('one.example', ['192.0.2.2', '192.0.2.1'])
		await pass(everyMs - 1)
		expect(dns.asked).toBe(1)
		await pass(1)
		expect([dns.asked, seen.length]).toEqual([2, 1])
		dns.addresses.set('one.example', ['192.0.2.3'])
		await pass(everyMs)
		expect(last()).toEqual(['0 192.0.2.3'])
		watch.stop()
	}
})

test('after a failure what was known stays, and the name is tried again sooner', async () => {
	const { dns, seen, faults, start } = watched(ONE, TWO)
	dns.addresses.set('one.example', ['192.0.2.1']).set('two.example', ['192.0.2.2'])
	const watch = start()
	await settle()
	const before = seen.length
	dns.addresses.set('one.example', 'lost')
	await pass(REFRESH_MAX_MS)
	await pass(RETRY_MS)
	expect(faults).toEqual(['one.example ESERVFAIL', 'one.example ESERVFAIL'])
	expect(seen).toHaveLength(before)
	watch.stop()
})

test('one name that fails keeps nobody from the others', async () => {
	const { dns, faults, last, start } = watched(ONE, TWO)
	dns.addresses.set('one.example', 'lost').set('two.example', ['192.0.2.2'])
	const watch = start()
	await settle()
	expect([faults, last()]).toEqual([['one.example ESERVFAIL'], ['0 192.0.2.2']])
	watch.stop()
})

test('an SRV question that is lost does not make the addresses of the name the PBX', async () => {
	const { dns, faults, seen, last, start } = watched(CLUSTER)
	dns.srv = async () => [{ priority: 1, weight: 1, port: 5070, name: 'one.example' }]
	dns.addresses.set('one.example', ['192.0.2.1']).set('pbx.example', ['192.0.2.80'])
	const watch = start()
	await settle()
	dns.srv = lost
	await pass(REFRESH_MAX_MS)
	expect([faults, last(), seen.length]).toEqual([['pbx.example EPARTIAL'], ['0 192.0.2.1'], 1])
	dns.srv = async () => []
	await pass(REFRESH_MAX_MS)
	expect(last()).toEqual(['0 192.0.2.80'])
	watch.stop()
})

test('what DNS offers and the gateway does not use is said once', async () => {
	const { dns, skipped, start } = watched(CLUSTER)
	dns.srv = async () => ['one.example', 'gone.example'].map((name) => ({ priority: 1, weight: 1, port: 5060, name }))
	dns.addresses.set('one.example', ['192.0.2.1'])
	const watch = start()
	await settle()
	await pass(REFRESH_MAX_MS)
	expect(skipped).toEqual(['gone.example has no address, so that it is left out.'])
	watch.stop()
})

test('a resolver that hangs is given up, and asked again', async () => {
	const { dns, faults, start } = watched(ONE)
	dns.addresses.set('one.example', 'hangs')
	const watch = start()
	await settle()
	await pass(LOOKUP_LIMIT_MS)
	expect(faults).toEqual(['one.example ETIMEOUT'])
	await pass(RETRY_MS)
	expect(dns.asked).toBe(2)
	watch.stop()
})

test('what comes after that limit leads to no further question', async () => {
	const { dns, faults, start } = watched(CLUSTER)
	const late = Promise.withResolvers<readonly Srv[]>()
	dns.srv = () => late.promise
	const watch = start()
	await settle()
	await pass(LOOKUP_LIMIT_MS)
	watch.stop()
	late.resolve([])
	await settle()
	expect([faults, dns.asked]).toEqual([['pbx.example ETIMEOUT'], 0])
})

test('a stopped watch calls nobody, not even for the look-up under way', async () => {
	const { dns, seen, start } = watched(ONE)
	dns.addresses.set('one.example', ['192.0.2.1'])
	start().stop()
	await settle()
	await pass(LOOKUP_LIMIT_MS + REFRESH_MAX_MS)
	expect([seen, dns.asked]).toEqual([[], 1])
	expect(jest.getTimerCount()).toBe(0)
})

test('an address is said once and never looked up', async () => {
	const { dns, last, seen, start } = watched({ host: '127.0.0.1', port: undefined, transport: undefined })
	start()
	await settle()
	await pass(5 * REFRESH_MAX_MS)
	expect([last(), seen.length, dns.asked]).toEqual([['0 127.0.0.1'], 1, 0])
	expect(jest.getTimerCount()).toBe(0)
})
