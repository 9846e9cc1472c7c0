/**
 * RFC 3263 §4: from what `--pbx` says to machines with address and port. All choices are here, all questions in dns.ts.
 */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import type { PbxLocation } from '../config/kinds.ts'
import type { Dns, Naptr, Srv } from './dns.ts'

/** RFC 3261 §19.1.2. */
const SIP_PORT = 5060

/** All of them are trusted as the PBX, and each is asked whether it lives: more is a mistake in DNS. */
export const MAX_TARGETS = 16

/** Of NAPTR records: a PBX has one for UDP, and each further one is one question more. */
export const MAX_SERVICES = 4

/** By which step of RFC 3263 §4.1 and §4.2 they were found; the first is the strongest word. */
export type Step = 'literal' | 'naptr' | 'srv' | 'address'

export interface Candidate {
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

/** What listeners on these addresses can send to. */
export function familiesOf(listen: readonly { readonly address: string }[]): Families {
	return {
		four: listen.some(({ address }) => !address.includes(':')),
		six: listen.some(({ address }) => address.includes(':')),
	}
}

/**
 * @param families those the gateway listens on: it cannot send to others
 * @param late nobody waits any more: no further question is asked
 * @throws ResolveFault where there is no machine
 */
export async function locate(pbx: PbxLocation, families: Families, dns: Dns, late?: AbortSignal): Promise<Located> {
	const literal = literalAddress(pbx.host)
	const found = literal === undefined ? await byName(pbx, families, dns, late) : literally(literal, pbx)
	const candidates = found.candidates.filter(({ address }) => speaks(families, address))
	if (candidates.length > 0) return { ...found, candidates: candidates.sort(inOrder).slice(0, MAX_TARGETS) }
	throw noneLeft(pbx, found, families)
}

/** The address in canonical text where `host` is one and not a name. An IPv4-mapped IPv6 address is its IPv4 one. */
export function literalAddress(host: string): string | undefined {
	const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
	return isIP(bare) === 0 ? undefined : canonical(bare)
}

function literally(address: string, { port = SIP_PORT }: PbxLocation): Located {
	const candidates = [{ name: address, address, port, order: [0, 0] as const, weight: 0 }]
	return { step: 'literal', candidates, isPartial: false, ttlSec: undefined, skipped: [] }
}

/** §4.1 and §4.2: a port leaves nothing for SRV to say; a transport, nothing for NAPTR. */
async function byName(pbx: PbxLocation, families: Families, dns: Dns, late?: AbortSignal): Promise<Located> {
	/* SRV records are of domains: `localhost` and the like stand in the machine's own files */
	if (pbx.port !== undefined || !pbx.host.includes('.')) return byAddress(pbx, dns, false, [])
	const [naptr, srv] = await Promise.all([
		pbx.transport === undefined ? asked(dns.naptr(pbx.host)) : NOT_ASKED,
		asked(dns.srv(`_sip._udp.${pbx.host}`)),
	])
	const { names, skipped } = usable(pbx.host, naptr.records)
	const byNaptr = await firstServices(names, dns, late)
	late?.throwIfAborted()
	if (byNaptr.records.length > 0) return byServices('naptr', byNaptr.records, families, dns, false, skipped)
	const isPartial = naptr.isLost || byNaptr.isLost
	if (srv.records.length > 0) return byServices('srv', srv.records, families, dns, isPartial, skipped)
	return byAddress(pbx, dns, isPartial || srv.isLost, skipped)
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

/** §4.1: by order and preference; what this gateway does not speak is discarded. */
function usable(host: string, records: readonly Naptr[]): { names: readonly string[]; skipped: readonly string[] } {
	const sip = records.filter(({ service, regexp }) => /^sips?\+d2/i.test(service) && regexp === '')
	const isUdp = ({ service, flags }: Naptr) => /^sip\+d2u$/i.test(service) && flags.toLowerCase() === 's'
	const sorted = sip.filter(isUdp).sort((a, b) => a.order - b.order || a.preference - b.preference)
	const others = [...new Set(sip.filter((one) => !isUdp(one)).map(({ service }) => service.toUpperCase()))]
	return {
		names: sorted.slice(0, MAX_SERVICES).map(({ replacement }) => replacement),
		skipped: others.map((service) => `${host} offers ${service}, which this version does not speak to the PBX.`),
	}
}

async function firstServices(names: readonly string[], dns: Dns, late: AbortSignal | undefined): Promise<Asked<Srv>> {
	let isLost = false
	for (const name of names) {
		late?.throwIfAborted()
		const services = await asked(dns.srv(name))
		if (services.records.length > 0) return services
		isLost ||= services.isLost
	}
	return { records: [], isLost }
}

/** RFC 2782: target `.` says that there is no such service. */
async function byServices(
	step: Step,
	services: readonly Srv[],
	families: Families,
	dns: Dns,
	isPartial: boolean,
	skipped: readonly string[],
): Promise<Located> {
	const offered = services
		.filter(({ name }) => name !== '' && name !== '.')
		.sort((a, b) => a.priority - b.priority || b.weight - a.weight)
		.slice(0, MAX_TARGETS)
	const found = await Promise.allSettled(offered.map(({ name }) => dns.addresses(name)))
	const candidates: Candidate[] = []
	const lost: string[] = []
	offered.forEach(({ name, port, priority, weight }, i) => {
		const own = found[i]!
		const addresses = own.status === 'fulfilled' ? sorted(own.value.addresses, families) : []
		if (addresses.length === 0) lost.push(`${name} has no address, so that it is left out.`)
		for (const [nth, address] of addresses.entries())
			candidates.push({ name, address, port, order: [priority, nth], weight })
	})
	const isLost = found.some(({ status }) => status === 'rejected')
	/* the runtime keeps the TTL of SRV records to itself */
	const ttls = found.flatMap((one) => (one.status === 'fulfilled' ? (one.value.ttlSec ?? []) : []))
	const ttlSec = ttls.length === 0 ? undefined : Math.min(...ttls)
	return { step, candidates, isPartial: isPartial || isLost, ttlSec, skipped: [...skipped, ...lost] }
}

async function byAddress(pbx: PbxLocation, dns: Dns, isPartial: boolean, skipped: readonly string[]): Promise<Located> {
	const { host, port = SIP_PORT } = pbx
	const { addresses, ttlSec } = await dns.addresses(host).catch((error: unknown) => {
		throw fault(host, String((error as { code?: unknown } | null)?.code ?? 'EFAIL'))
	})
	const candidates = sorted(addresses, { four: true, six: true }).map(
		(address, nth): Candidate => ({ name: host, address, port, order: [0, nth], weight: 0 }),
	)
	return { step: 'address', candidates, isPartial, ttlSec, skipped }
}

/** DNS servers rotate their answers; calls should not wander between machines for that. */
function sorted(addresses: readonly string[], families: Families): string[] {
	const all = new Set(addresses.map(canonical).filter((address) => speaks(families, address)))
	return [...all].sort((a, b) => Number(a.includes(':')) - Number(b.includes(':')) || (a < b ? -1 : 1))
}

function inOrder({ order: a }: Candidate, { order: b }: Candidate): number {
	return a[0] - b[0] || a[1] - b[1]
}

function speaks({ four, six }: Families, address: string): boolean {
	return address.includes(':') ? six : four
}

function canonical(address: string): string {
	const parsed = ipaddr.process(address)
	return parsed instanceof ipaddr.IPv6 ? parsed.toRFC5952String() : parsed.toString()
}

function noneLeft({ host }: PbxLocation, { candidates, skipped }: Located, { six }: Families): ResolveFault {
	if (candidates.length > 0) {
		const [has, lacks] = six ? ['IPv4', 'IPv6'] : ['IPv6', 'IPv4']
		const sentence = `${host} has only ${has} addresses, and the gateway listens on ${lacks} alone.`
		return new ResolveFault(sentence, 'EFAMILY', 'Give --listen an address of the same family as the PBX.')
	}
	return skipped.length > 0
		? new ResolveFault(skipped[0]!, 'ENODATA', 'Let the PBX offer SIP over UDP, or give --pbx its address.')
		: fault(host, 'ENODATA')
}

function fault(host: string, code: string): ResolveFault {
	const hint = 'Check the name in --pbx and the DNS servers of this machine, or give --pbx an address.'
	return new ResolveFault(`The name ${host} has no address (${code}).`, code, hint)
}
