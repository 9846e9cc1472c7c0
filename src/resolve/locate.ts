/**
 * RFC 3263 §4: from what `--pbx` says to machines with address and port. All choices are here, all questions in dns.ts.
 */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import type { PbxLocation, PbxTransport } from '../config/kinds.ts'
import type { Dns, Naptr, Srv } from './dns.ts'

/** RFC 3261 §19.1.2. */
const DEFAULT_PORTS: Readonly<Record<PbxTransport, number>> = { udp: 5060, tcp: 5060, tls: 5061 }

/** The first before the others, where nobody says. */
const PBX_TRANSPORTS = ['udp', 'tcp', 'tls'] as const satisfies readonly PbxTransport[]

/** RFC 3263 §4.1: what NAPTR calls a transport, and where SRV has it. */
const SERVICES: Readonly<Record<PbxTransport, string>> = { udp: 'SIP+D2U', tcp: 'SIP+D2T', tls: 'SIPS+D2T' }
const SRV_PREFIXES: Readonly<Record<PbxTransport, string>> = { udp: '_sip._udp', tcp: '_sip._tcp', tls: '_sips._tcp' }

/** All of them are trusted as the PBX, and each is asked whether it lives: more is a mistake in DNS. */
export const MAX_TARGETS = 16

/** Of NAPTR records: a PBX has one for each transport, and each further one is one question more. */
export const MAX_SERVICES = 4

/** By which step of RFC 3263 §4.1 and §4.2 they were found; the first is the strongest word. */
export type Step = 'literal' | 'naptr' | 'srv' | 'address'

export interface Candidate {
	readonly transport: PbxTransport
	/** Of one over UDP: the port where the same host offers SIP over TCP, if DNS names it. */
	readonly tcpPort: number | undefined
	/** The host as `--pbx` has it: what a certificate has to be for (RFC 5922 §7). */
	readonly domain: string
	/** The host name in DNS, or the address where that is all there is. */
	readonly name: string
	/** In its canonical text (RFC 5952). */
	readonly address: string
	readonly port: number
	/** The lower, the earlier; further addresses of one host come after the first ones of all hosts. */
	readonly order: readonly [priority: number, nthAddress: number]
	readonly weight: number
}

export interface Located {
	readonly step: Step
	readonly candidates: readonly Candidate[]
	/** A stronger step could not be asked: its answer may only be missing. */
	readonly isPartial: boolean
	/** How long this is true, s; undefined where DNS did not say. */
	readonly ttlSec: number | undefined
	/** What is there but not used, in sentences. */
	readonly skipped: readonly string[]
}

/** Why there is no machine: `message` is a sentence, `hint` what to do. */
export class ResolveFault extends Error {
	readonly code: string
	readonly hint: string

	constructor(message: string, code: string, hint: string) {
		super(message)
		this.name = 'ResolveFault'
		this.code = code
		this.hint = hint
	}
}

export interface Families {
	readonly four: boolean
	readonly six: boolean
}

/** What the PBX can be spoken to over, and the families of each. */
export type Reach = Readonly<Partial<Record<PbxTransport, Families>>>

/** What listeners of these transports on these addresses can send to. */
export function reachOf(listen: readonly { readonly transport: string; readonly address: string }[]): Reach {
	const reach: Partial<Record<PbxTransport, Families>> = {}
	for (const transport of PBX_TRANSPORTS) {
		const own = listen.filter((one) => one.transport === transport)
		if (own.length > 0) reach[transport] = familiesOf(own)
	}
	return reach
}

function familiesOf(listen: readonly { readonly address: string }[]): Families {
	return {
		four: listen.some(({ address }) => !address.includes(':')),
		six: listen.some(({ address }) => address.includes(':')),
	}
}

/** The transports that may serve, the usual one first. */
function transportsOf({ transport }: PbxLocation, reach: Reach): readonly PbxTransport[] {
	const spoken = PBX_TRANSPORTS.filter((one) => reach[one] !== undefined)
	return transport === undefined ? (spoken.length > 0 ? spoken : ['udp']) : [transport]
}

/**
 * @param reach what the gateway can send by, and to
 * @param late nobody waits any more: no further question is asked
 * @throws ResolveFault where there is no machine
 */
export async function locate(pbx: PbxLocation, reach: Reach, dns: Dns, late?: AbortSignal): Promise<Located> {
	const literal = literalAddress(pbx.host)
	const found = literal === undefined ? await byName(pbx, reach, dns, late) : literally(literal, pbx)
	const candidates = found.candidates.filter(({ transport, address }) => speaks(reach[transport], address))
	if (candidates.length > 0) return { ...found, candidates: candidates.sort(inOrder).slice(0, MAX_TARGETS) }
	throw noneLeft(pbx, found, reach)
}

/** The address in canonical text where `host` is one and not a name. An IPv4-mapped IPv6 address is its IPv4 one. */
export function literalAddress(host: string): string | undefined {
	const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
	return isIP(bare) === 0 ? undefined : canonical(bare)
}

/** §4.1: UDP, where nothing says otherwise. */
function literally(address: string, { transport = 'udp', port = DEFAULT_PORTS[transport] }: PbxLocation): Located {
	const place = { name: address, address, port, transport, tcpPort: undefined, domain: address }
	const candidates = [{ ...place, order: [0, 0] as const, weight: 0 }]
	return { step: 'literal', candidates, isPartial: false, ttlSec: undefined, skipped: [] }
}

/** §4.1 and §4.2: a port leaves nothing for SRV to say; a transport, nothing for NAPTR. */
async function byName(pbx: PbxLocation, reach: Reach, dns: Dns, late?: AbortSignal): Promise<Located> {
	const transports = transportsOf(pbx, reach)
	const usual = transports[0]!
	/* SRV records are of domains: `localhost` and the like stand in the machine's own files */
	if (pbx.port !== undefined || !pbx.host.includes('.')) return byAddress(pbx, usual, dns, false, [])
	const [naptr, ...srvs] = await Promise.all([
		pbx.transport === undefined ? asked(dns.naptr(pbx.host)) : NOT_ASKED,
		...transports.map((transport) => asked(dns.srv(`${SRV_PREFIXES[transport]}.${pbx.host}`))),
	])
	const { pointers, skipped } = usable(pbx.host, naptr.records, transports)
	const byNaptr = await firstServices(pointers, dns, late)
	late?.throwIfAborted()
	if (byNaptr.records.length > 0) {
		const tcp = byNaptr.transport === 'udp' ? pointers.filter(({ transport }) => transport === 'tcp') : []
		const large = await firstServices(tcp, dns, late)
		return byServices({ step: 'naptr', ...byNaptr, large: large.records, isPartial: false, skipped }, pbx, reach, dns)
	}
	const isPartial = naptr.isLost || byNaptr.isLost
	const at = srvs.findIndex(({ records }) => records.length > 0)
	if (at < 0) return byAddress(pbx, usual, dns, isPartial || srvs.some(({ isLost }) => isLost), skipped)
	const transport = transports[at]!
	const large = transport === 'udp' ? (srvs[transports.indexOf('tcp')]?.records ?? []) : []
	return byServices({ step: 'srv', transport, records: srvs[at]!.records, large, isPartial, skipped }, pbx, reach, dns)
}

interface Asked<T> {
	readonly records: readonly T[]
	readonly isLost: boolean
}

const NOT_ASKED: Asked<Naptr> = { records: [], isLost: false }

/** Where DNS cannot tell, the next step may serve as well. */
async function asked<T>(answer: Promise<readonly T[]>): Promise<Asked<T>> {
	try {
		return { records: await answer, isLost: false }
	} catch {
		return { records: [], isLost: true }
	}
}

/** What NAPTR says of one transport: the name to ask SRV about. */
interface Pointer {
	readonly transport: PbxTransport
	readonly name: string
}

/** §4.1: by order and preference; what this gateway does not speak is discarded. */
function usable(
	host: string,
	records: readonly Naptr[],
	transports: readonly PbxTransport[],
): { pointers: readonly Pointer[]; skipped: readonly string[] } {
	const sip = records.filter(({ service, regexp }) => /^sips?\+d2/i.test(service) && regexp === '')
	const sorted = [...sip].sort((a, b) => a.order - b.order || a.preference - b.preference)
	const pointers: Pointer[] = []
	const others = new Set<string>()
	for (const { service, flags, replacement } of sorted) {
		const transport = transports.find((one) => SERVICES[one] === service.toUpperCase())
		if (transport === undefined || flags.toLowerCase() !== 's') others.add(service.toUpperCase())
		else pointers.push({ transport, name: replacement })
	}
	const skipped = [...others].map(
		(service) => `${host} offers ${service}, which the gateway does not speak to the PBX.`,
	)
	return { pointers: pointers.slice(0, MAX_SERVICES), skipped }
}

interface Services extends Asked<Srv> {
	readonly transport: PbxTransport
}

async function firstServices(pointers: readonly Pointer[], dns: Dns, late?: AbortSignal): Promise<Services> {
	let isLost = false
	for (const { transport, name } of pointers) {
		late?.throwIfAborted()
		const services = await asked(dns.srv(name))
		if (services.records.length > 0) return { ...services, transport }
		isLost ||= services.isLost
	}
	return { records: [], isLost, transport: 'udp' }
}

interface Offer {
	readonly step: Step
	readonly transport: PbxTransport
	readonly records: readonly Srv[]
	/** Of a PBX over UDP: where it is over TCP. */
	readonly large: readonly Srv[]
	readonly isPartial: boolean
	readonly skipped: readonly string[]
}

/** RFC 2782: target `.` says that there is no such service. */
async function byServices(offer: Offer, { host: domain }: PbxLocation, reach: Reach, dns: Dns): Promise<Located> {
	const { step, transport, records, large, isPartial, skipped } = offer
	const offered = records
		.filter(({ name }) => name !== '' && name !== '.')
		.sort((a, b) => a.priority - b.priority || b.weight - a.weight)
		.slice(0, MAX_TARGETS)
	const found = await Promise.allSettled(offered.map(({ name }) => dns.addresses(name)))
	const candidates: Candidate[] = []
	const lost: string[] = []
	offered.forEach(({ name, port, priority, weight }, i) => {
		const own = found[i]!
		const addresses = own.status === 'fulfilled' ? sorted(own.value.addresses, reach[transport]) : []
		if (addresses.length === 0) lost.push(`${name} has no address, so that it is left out.`)
		const tcpPort = large.find((one) => one.name === name)?.port
		for (const [nth, address] of addresses.entries())
			candidates.push({ transport, tcpPort, domain, name, address, port, order: [priority, nth], weight })
	})
	const isLost = found.some(({ status }) => status === 'rejected')
	/* the runtime keeps the TTL of SRV records to itself */
	const ttls = found.flatMap((one) => (one.status === 'fulfilled' ? (one.value.ttlSec ?? []) : []))
	const ttlSec = ttls.length === 0 ? undefined : Math.min(...ttls)
	return { step, candidates, isPartial: isPartial || isLost, ttlSec, skipped: [...skipped, ...lost] }
}

async function byAddress(
	{ host, port }: PbxLocation,
	transport: PbxTransport,
	dns: Dns,
	isPartial: boolean,
	skipped: readonly string[],
): Promise<Located> {
	const { addresses, ttlSec } = await dns.addresses(host).catch((error: unknown) => {
		throw fault(host, String((error as { code?: unknown } | null)?.code ?? 'EFAIL'))
	})
	const place = { transport, tcpPort: undefined, domain: host, name: host, port: port ?? DEFAULT_PORTS[transport] }
	const candidates = sorted(addresses, { four: true, six: true }).map(
		(address, nth): Candidate => ({ ...place, address, order: [0, nth], weight: 0 }),
	)
	return { step: 'address', candidates, isPartial, ttlSec, skipped }
}

/** DNS servers rotate their answers; calls should not wander between machines for that. */
function sorted(addresses: readonly string[], families: Families | undefined): string[] {
	const all = new Set(addresses.map(canonical).filter((address) => speaks(families, address)))
	return [...all].sort((a, b) => Number(a.includes(':')) - Number(b.includes(':')) || (a < b ? -1 : 1))
}

function inOrder({ order: a }: Candidate, { order: b }: Candidate): number {
	return a[0] - b[0] || a[1] - b[1]
}

function speaks(families: Families | undefined, address: string): boolean {
	return (address.includes(':') ? families?.six : families?.four) ?? false
}

function canonical(address: string): string {
	const parsed = ipaddr.process(address)
	return parsed instanceof ipaddr.IPv6 ? parsed.toRFC5952String() : parsed.toString()
}

function noneLeft({ host }: PbxLocation, { candidates, skipped }: Located, reach: Reach): ResolveFault {
	const first = candidates[0]
	if (first !== undefined) {
		const [has, lacks] = reach[first.transport]?.six ? ['IPv4', 'IPv6'] : ['IPv6', 'IPv4']
		const sentence = `${host} has only ${has} addresses, and the gateway listens on ${lacks} alone.`
		return new ResolveFault(sentence, 'EFAMILY', 'Give --listen an address of the same family as the PBX.')
	}
	return skipped.length > 0
		? new ResolveFault(
				skipped[0]!,
				'ENODATA',
				'Let the PBX offer what --listen has, add that to --listen, or give --pbx its address.',
			)
		: fault(host, 'ENODATA')
}

function fault(host: string, code: string): ResolveFault {
	const hint = 'Check the name in --pbx and the DNS servers of this machine, or give --pbx an address.'
	return new ResolveFault(`The name ${host} has no address (${code}).`, code, hint)
}
