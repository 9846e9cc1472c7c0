import { afterEach, describe, expect, test } from 'bun:test'
import type { PbxLocation } from '../../src/config/kinds.ts'
import { type Dns, type Naptr, type Srv, systemDns } from '../../src/resolve/dns.ts'
import {
	type Located,
	literalAddress,
	locate,
	MAX_SERVICES,
	MAX_TARGETS,
	type Reach,
	ResolveFault,
	reachOf,
} from '../../src/resolve/locate.ts'
import { a, nameServer, naptr, srv, TTL_SEC } from './name-server.ts'

const ANY = { four: true, six: true }
const BOTH = { udp: ANY }
const ALL = { udp: ANY, tcp: ANY, tls: ANY }
const pbx = (host: string, port?: number, transport?: PbxLocation['transport']): PbxLocation => ({
	host,
	port,
	transport,
})

/** Answers by `A name`, `SRV name`, `NAPTR name`; 'lost' is a question without an answer. */
type Answers = Record<string, readonly unknown[] | 'lost'>

function dnsOf(answers: Answers) {
	const asked: string[] = []
	const answer = async <T>(key: string): Promise<readonly T[]> => {
		asked.push(key)
		const found = answers[key] ?? []
		if (found === 'lost') throw Object.assign(new Error('lost'), { code: 'ETIMEOUT' })
		return found as readonly T[]
	}
	const dns: Dns = {
		naptr: (name) => answer<Naptr>(`NAPTR ${name}`),
		srv: (name) => answer<Srv>(`SRV ${name}`),
		addresses: async (name) => ({ addresses: await answer<string>(`A ${name}`), ttlSec: 30 }),
		cancel() {},
	}
	return { dns, asked }
}

const service = (name: string, priority: number, weight: number, port = 5060): Srv => ({ priority, weight, port, name })
const pointer = (order: number, preference: number, kind: string, replacement: string): Naptr => ({
	order,
	preference,
	flags: 's',
	service: kind,
	regexp: '',
	replacement,
})
const places = ({ candidates }: Located) =>
	candidates.map(({ name, address, port, order, weight }) => `${order.join('.')} ${name} ${address}:${port} w${weight}`)
const faultOf = (answer: Promise<unknown>): Promise<ResolveFault> =>
	answer.then(
		() => Promise.reject(new Error('it was found')),
		(error: unknown) => error as ResolveFault,
	)

describe('RFC 3263 §4', () => {
	test('an address is taken as it is, in its canonical text, and nothing is asked', async () => {
		const { dns, asked } = dnsOf({})
		expect(places(await locate(pbx('192.0.2.1'), BOTH, dns))).toEqual(['0.0 192.0.2.1 192.0.2.1:5060 w0'])
		expect((await locate(pbx('2001:DB8::1', 5070), BOTH, dns)).candidates[0]).toMatchObject({
			address: '2001:db8::1',
			port: 5070,
		})
		expect(asked).toEqual([])
		expect(literalAddress('[2001:DB8:0:0::1]')).toBe('2001:db8::1')
		expect(literalAddress('::ffff:192.0.2.1')).toBe('192.0.2.1')
		expect(literalAddress('pbx.example')).toBeUndefined()
	})

	test('a name with a port: its addresses alone, in an order that does not change with the answer', async () => {
		for (const addresses of [
			['192.0.2.2', '192.0.2.1', '2001:db8::1'],
			['2001:db8:0::1', '192.0.2.1', '192.0.2.2', '192.0.2.2'],
		]) {
			const { dns, asked } = dnsOf({ 'A pbx.example': addresses })
			const located = await locate(pbx('pbx.example', 5070), BOTH, dns)
			expect(places(located)).toEqual([
				'0.0 pbx.example 192.0.2.1:5070 w0',
				'0.1 pbx.example 192.0.2.2:5070 w0',
				'0.2 pbx.example 2001:db8::1:5070 w0',
			])
			expect([located.step, located.ttlSec, asked]).toEqual(['address', 30, ['A pbx.example']])
		}
	})

	test('NAPTR: the first SIP+D2U by order and preference; what is not spoken is said and passed over', async () => {
		const { dns } = dnsOf({
			'NAPTR pbx.example': [
				pointer(10, 5, 'SIPS+D2T', '_sips._tcp.pbx.example'),
				pointer(20, 9, 'SIP+D2U', '_sip._udp.late.example'),
				pointer(20, 5, 'sip+d2u', '_sip._udp.early.example'),
				pointer(5, 5, 'E2U+sip', 'nothing.example'),
			],
			'SRV _sip._udp.early.example': [service('one.example', 10, 0)],
			'SRV _sip._udp.late.example': [service('two.example', 10, 0)],
			'A one.example': ['192.0.2.1'],
			'A two.example': ['192.0.2.2'],
		})
		const located = await locate(pbx('pbx.example'), BOTH, dns)
		expect(places(located)).toEqual(['10.0 one.example 192.0.2.1:5060 w0'])
		expect([located.step, located.skipped]).toEqual([
			'naptr',
			['pbx.example offers SIPS+D2T, which the gateway does not speak to the PBX.'],
		])
	})

	test('no NAPTR: SRV by priority; further addresses of a host come after the first ones of all', async () => {
		const { dns } = dnsOf({
			'SRV _sip._udp.pbx.example': [
				service('three.example', 20, 0, 5080),
				service('one.example', 10, 60),
				service('two.example', 10, 40, 5070),
			],
			'A one.example': ['192.0.2.11', '192.0.2.1'],
			'A two.example': ['192.0.2.2'],
			'A three.example': ['192.0.2.3'],
		})
		const located = await locate(pbx('pbx.example'), BOTH, dns)
		expect(places(located)).toEqual([
			'10.0 one.example 192.0.2.1:5060 w60',
			'10.0 two.example 192.0.2.2:5070 w40',
			'10.1 one.example 192.0.2.11:5060 w60',
			'20.0 three.example 192.0.2.3:5080 w0',
		])
		expect([located.step, located.ttlSec]).toEqual(['srv', 30])
	})

	test('neither: its addresses on port 5060; a transport that is given leaves NAPTR out', async () => {
		const { dns, asked } = dnsOf({ 'A pbx.example': ['192.0.2.1'] })
		expect(places(await locate(pbx('pbx.example', undefined, 'udp'), BOTH, dns))).toEqual([
			'0.0 pbx.example 192.0.2.1:5060 w0',
		])
		expect(asked).toEqual(['SRV _sip._udp.pbx.example', 'A pbx.example'])
	})

	test('a transport that is given: the service of that transport, else the addresses with its port', async () => {
		for (const [transport, service_, port] of [
			['tcp', '_sip._tcp', 5060],
			['tls', '_sips._tcp', 5061],
		] as const) {
			const { dns, asked } = dnsOf({ 'A pbx.example': ['192.0.2.1'] })
			const located = await locate(pbx('pbx.example', undefined, transport), ALL, dns)
			expect(located.candidates).toMatchObject([{ transport, address: '192.0.2.1', port, domain: 'pbx.example' }])
			expect(asked).toEqual([`SRV ${service_}.pbx.example`, 'A pbx.example'])
			const named = await locate(pbx('192.0.2.1', undefined, transport), ALL, dnsOf({}).dns)
			expect(named.candidates).toMatchObject([{ transport, port, domain: '192.0.2.1' }])
			const known = dnsOf({
				[`SRV ${service_}.pbx.example`]: [service('one.example', 10, 0, 5070)],
				'A one.example': ['192.0.2.2'],
			})
			expect((await locate(pbx('pbx.example', undefined, transport), ALL, known.dns)).candidates).toMatchObject([
				/* RFC 5922 §7: the certificate is of the domain that was asked about */
				{ transport, address: '192.0.2.2', port: 5070, name: 'one.example', domain: 'pbx.example' },
			])
		}
	})

	test('NAPTR says the transport, by order and preference', async () => {
		const records = {
			'NAPTR pbx.example': [
				pointer(20, 5, 'SIP+D2U', '_sip._udp.pbx.example'),
				pointer(10, 9, 'SIP+D2T', '_sip._tcp.pbx.example'),
				pointer(10, 5, 'SIPS+D2T', '_sips._tcp.pbx.example'),
			],
			'SRV _sip._udp.pbx.example': [service('one.example', 1, 0)],
			'SRV _sip._tcp.pbx.example': [service('one.example', 1, 0, 5062)],
			'SRV _sips._tcp.pbx.example': [service('one.example', 1, 0, 5061)],
			'A one.example': ['192.0.2.1'],
		}
		const chosen = async (reach: Reach) => {
			const { candidates, skipped } = await locate(pbx('pbx.example'), reach, dnsOf(records).dns)
			return [candidates.map(({ transport, port, tcpPort }) => `${transport} ${port} ${tcpPort}`), skipped.length]
		}
		const { udp, tcp } = ALL
		expect(await chosen(ALL)).toEqual([['tls 5061 undefined'], 0])
		expect(await chosen({ udp, tcp })).toEqual([['tcp 5062 undefined'], 1])
		expect(await chosen({ udp })).toEqual([['udp 5060 undefined'], 2])
	})

	test('without NAPTR: the first transport that SRV has, of UDP the port over TCP as well', async () => {
		const records = {
			'SRV _sip._tcp.pbx.example': [service('one.example', 1, 0, 5062), service('three.example', 2, 0)],
			'A one.example': ['192.0.2.1'],
			'A two.example': ['192.0.2.2'],
			'A three.example': ['192.0.2.3'],
		}
		const chosen = async (more: Answers) =>
			(await locate(pbx('pbx.example'), ALL, dnsOf({ ...records, ...more }).dns)).candidates.map(
				({ transport, address, port, tcpPort }) => `${transport} ${address}:${port} ${tcpPort}`,
			)
		expect(await chosen({})).toEqual(['tcp 192.0.2.1:5062 undefined', 'tcp 192.0.2.3:5060 undefined'])
		const udp = [service('one.example', 1, 0), service('two.example', 2, 0)]
		const both = ['udp 192.0.2.1:5060 5062', 'udp 192.0.2.2:5060 undefined']
		expect(await chosen({ 'SRV _sip._udp.pbx.example': udp })).toEqual(both)
		const pointers = [
			pointer(1, 1, 'SIP+D2U', '_sip._udp.pbx.example'),
			pointer(2, 1, 'SIP+D2T', '_sip._tcp.pbx.example'),
		]
		expect(await chosen({ 'NAPTR pbx.example': pointers, 'SRV _sip._udp.pbx.example': udp })).toEqual(both)
	})

	test('a port and no transport is UDP, or what the gateway speaks alone', async () => {
		const { dns } = dnsOf({ 'A pbx.example': ['192.0.2.1'] })
		const over = async (reach: Reach) =>
			(await locate(pbx('pbx.example', 5070), reach, dns)).candidates.map(({ transport }) => transport)
		expect(await over(ALL)).toEqual(['udp'])
		expect(await over({ tls: ALL.tls })).toEqual(['tls'])
	})

	test('a name without a dot is of this machine, not of DNS', async () => {
		const { dns, asked } = dnsOf({ 'A localhost': ['127.0.0.1'] })
		await locate(pbx('localhost'), BOTH, dns)
		expect(asked).toEqual(['A localhost'])
	})

	test('SRV target "." is no service (RFC 2782), and a host without an address is left out', async () => {
		const { dns } = dnsOf({
			'SRV _sip._udp.pbx.example': [service('', 0, 0), service('gone.example', 5, 0), service('one.example', 10, 0)],
			'A one.example': ['192.0.2.1'],
		})
		const located = await locate(pbx('pbx.example'), BOTH, dns)
		expect(places(located)).toEqual(['10.0 one.example 192.0.2.1:5060 w0'])
		expect(located.skipped).toEqual(['gone.example has no address, so that it is left out.'])
	})

	test('of more services than a PBX can have the last ones in the order of priority and weight are cut off', async () => {
		const names = Array.from({ length: MAX_TARGETS + 2 }, (_, i) => `m${i}.example`)
		const answers = Object.fromEntries(names.map((name, i) => [`A ${name}`, [`192.0.2.${i}`]]))
		const services = names.map((name, i) => service(name, i === 0 ? 9 : i === 1 ? 8 : 5, i === 2 ? 7 : 8))
		const { dns, asked } = dnsOf({
			...answers,
			'SRV _sip._udp.pbx.example': [...services, service('best.example', 1, 0)],
			'A best.example': ['198.51.100.1'],
		})
		const { candidates } = await locate(pbx('pbx.example'), BOTH, dns)
		expect(candidates.map(({ name }) => name)).toEqual(['best.example', ...names.slice(3)].slice(0, MAX_TARGETS))
		expect(asked).not.toContain('A m0.example')
	})

	test(`MAX_SERVICES: of more NAPTR records than ${MAX_SERVICES} the first ones are asked for`, async () => {
		const pointers = Array.from({ length: MAX_SERVICES + 1 }, (_, i) => pointer(9 - i, 1, 'SIP+D2U', `s${i}.example`))
		const { dns, asked } = dnsOf({ 'NAPTR pbx.example': pointers, 'A pbx.example': ['192.0.2.1'] })
		await locate(pbx('pbx.example'), BOTH, dns)
		expect(asked.filter((one) => one.startsWith('SRV s'))).toEqual(
			pointers
				.slice(1)
				.reverse()
				.map(({ replacement }) => `SRV ${replacement}`),
		)
	})

	test('nothing more is asked once nobody waits for it', async () => {
		const { dns, asked } = dnsOf({
			'NAPTR pbx.example': [pointer(1, 1, 'SIP+D2U', 'a.example'), pointer(2, 1, 'SIP+D2U', 'b.example')],
			'A pbx.example': ['192.0.2.1'],
		})
		const late = new AbortController()
		const srv = (name: string) => {
			if (name === 'a.example') late.abort()
			return dns.srv(name)
		}
		const answer = locate(pbx('pbx.example'), BOTH, { ...dns, srv }, late.signal)
		expect((await faultOf(answer)).name).toBe('AbortError')
		expect([asked.includes('SRV a.example'), asked.includes('SRV b.example'), asked.includes('A pbx.example')]).toEqual(
			[true, false, false],
		)
	})

	test('more machines than a PBX can have are cut off', async () => {
		const many = Array.from({ length: 40 }, (_, i) => `192.0.2.${i}`)
		const { dns } = dnsOf({ 'A pbx.example': many })
		expect((await locate(pbx('pbx.example', 5060), BOTH, dns)).candidates).toHaveLength(MAX_TARGETS)
	})
})

describe('what cannot be', () => {
	test('no address at all is a sentence with a hint', async () => {
		const fault = await faultOf(locate(pbx('pbx.example'), BOTH, dnsOf({}).dns))
		expect(fault).toBeInstanceOf(ResolveFault)
		expect([fault.message, fault.code]).toEqual(['The name pbx.example has no address (ENODATA).', 'ENODATA'])
		expect(fault.hint).toContain('--pbx')
		const lost = await faultOf(locate(pbx('pbx.example'), BOTH, dnsOf({ 'A pbx.example': 'lost' }).dns))
		expect(lost.message).toBe('The name pbx.example has no address (ETIMEOUT).')
	})

	test('addresses of a family that no listener has are passed over, and told where there are no others', async () => {
		const { dns } = dnsOf({ 'A both.example': ['2001:db8::1', '192.0.2.1'], 'A six.example': ['2001:db8::1'] })
		const four = reachOf([{ transport: 'udp', address: '0.0.0.0' }])
		expect(four).toEqual({ udp: { four: true, six: false } })
		expect(places(await locate(pbx('both.example', 5060), four, dns))).toEqual(['0.0 both.example 192.0.2.1:5060 w0'])
		const fault = await faultOf(locate(pbx('six.example', 5060), four, dns))
		expect(fault.message).toBe('six.example has only IPv6 addresses, and the gateway listens on IPv4 alone.')
	})

	test('a question without an answer is passed over, and the result marked as partial', async () => {
		const { dns } = dnsOf({
			'NAPTR pbx.example': 'lost',
			'SRV _sip._udp.pbx.example': [service('one.example', 10, 0), service('two.example', 10, 0)],
			'A one.example': ['192.0.2.1'],
			'A two.example': 'lost',
		})
		const located = await locate(pbx('pbx.example'), BOTH, dns)
		expect([located.step, located.isPartial, located.candidates.length]).toEqual(['srv', true, 1])
	})
})

describe('a real resolver', () => {
	const servers: { close(): void }[] = []
	afterEach(() => {
		for (const server of servers.splice(0)) server.close()
	})
	const noHosts = () => Promise.reject(Object.assign(new Error('none'), { code: 'ENOTFOUND' }))

	test('NAPTR, SRV and A over the wire, with the TTL of the addresses', async () => {
		const zone = new Map([
			['NAPTR pbx.example', [naptr(pointer(10, 10, 'SIP+D2U', '_sip._udp.nodes.example'))]],
			['SRV _sip._udp.nodes.example', [srv(service('one.example', 10, 60)), srv(service('two.example', 20, 0, 5070))]],
			['A one.example', [a('192.0.2.1')]],
			['A two.example', [a('192.0.2.2')]],
		])
		const server = await nameServer(zone)
		servers.push(server)
		const located = await locate(pbx('pbx.example'), BOTH, systemDns(server.resolver, noHosts))
		expect(places(located)).toEqual(['10.0 one.example 192.0.2.1:5060 w60', '20.0 two.example 192.0.2.2:5070 w0'])
		expect([located.step, located.isPartial, located.ttlSec]).toEqual(['naptr', false, TTL_SEC])
	})

	test('the files of the machine come before DNS, and have no TTL', async () => {
		const server = await nameServer(new Map([['A pbx.example', [a('192.0.2.1')]]]))
		servers.push(server)
		const hosts = async () => [{ address: '192.0.2.99' }]
		const dns = systemDns(server.resolver, hosts)
		expect(await dns.addresses('pbx.example')).toEqual({ addresses: ['192.0.2.99'], ttlSec: undefined })
		expect(await systemDns(server.resolver, noHosts).addresses('pbx.example')).toEqual({
			addresses: ['192.0.2.1'],
			ttlSec: TTL_SEC,
		})
	})

	test('the machine itself knows localhost', async () => {
		const server = await nameServer(new Map())
		servers.push(server)
		const { addresses } = await systemDns(server.resolver).addresses('localhost')
		expect(['127.0.0.1', '::1']).toContain(addresses[0]!)
	})
})
