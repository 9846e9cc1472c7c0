/** What RFC 3263 asks of DNS, by the resolver of the system. */
import { Resolver, lookup as systemLookup } from 'node:dns/promises'

/** Two tries: 1 s, then 2 s. A resolver near by answers in milliseconds. */
export const DNS_TRY_MS = 1_000
export const DNS_TRIES = 2

export interface Naptr {
	readonly order: number
	readonly preference: number
	readonly flags: string
	readonly service: string
	readonly regexp: string
	readonly replacement: string
}

export interface Srv {
	readonly priority: number
	readonly weight: number
	readonly port: number
	readonly name: string
}

export interface Addresses {
	readonly addresses: readonly string[]
	/** Of the shortest-lived of them; undefined where the system's own files have them, or nobody says. */
	readonly ttlSec: number | undefined
}

/** Each gives an empty answer where there are no such records, and rejects with an Error that has a `code` where it cannot tell. */
export interface Dns {
	naptr(name: string): Promise<readonly Naptr[]>
	srv(name: string): Promise<readonly Srv[]>
	addresses(name: string): Promise<Addresses>
	/** Gives up what is under way. */
	cancel(): void
}

/** "There is none" as the resolver says it, for the name or for the type. */
const NONE = new Set(['ENOTFOUND', 'ENODATA', 'NXDOMAIN'])

type Record = { readonly address: string; readonly ttl: number }
type Lookup = (name: string) => Promise<readonly { readonly address: string }[]>

const lookUpAll: Lookup = (name) => systemLookup(name, { all: true, order: 'verbatim' })

/** @param lookup addresses as every program of the machine sees them: /etc/hosts before DNS */
export function systemDns(resolver = newResolver(), lookup: Lookup = lookUpAll): Dns {
	return {
		naptr: (name) => none(resolver.resolveNaptr(name)),
		srv: (name) => none(resolver.resolveSrv(name)),
		addresses: (name) => addressesOf(resolver, lookup, name),
		cancel: () => resolver.cancel(),
	}
}

function newResolver(): Resolver {
	return new Resolver({ timeout: DNS_TRY_MS, tries: DNS_TRIES })
}

/** The system says which, DNS how long; where the system knows none, DNS says which as well. */
async function addressesOf(resolver: Resolver, lookup: Lookup, name: string): Promise<Addresses> {
	const [system, four, six] = await Promise.allSettled([
		none(lookup(name)),
		none(resolver.resolve4(name, { ttl: true })),
		none(resolver.resolve6(name, { ttl: true })),
	])
	const records: Record[] = [four, six].flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
	const known = system.status === 'fulfilled' ? system.value : []
	const addresses = (known.length > 0 ? known : records).map(({ address }) => address)
	if (addresses.length === 0) for (const one of [system, four, six]) if (one.status === 'rejected') throw one.reason
	const isOfDns = records.some(({ address }) => addresses.includes(address))
	return { addresses, ttlSec: isOfDns ? Math.min(...records.map(({ ttl }) => ttl)) : undefined }
}

async function none<T>(answer: Promise<readonly T[]>): Promise<readonly T[]> {
	try {
		return await answer
	} catch (error) {
		if (NONE.has(String((error as { code?: unknown } | null)?.code))) return []
		throw error
	}
}
