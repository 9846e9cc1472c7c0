/** The addresses behind `--pbx`: a literal address as it is, a name by the system's resolver (/etc/hosts, DNS). */
import { lookup as systemLookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import type { PbxAddress } from '../core/inputs.ts'

/** All addresses of a name, A and AAAA, the preferred one first. Rejects with an Error that has a `code`. */
export type Lookup = (host: string) => Promise<readonly string[]>

/** A resolver that does not answer gives up after up to 30 s by itself; start-up should say so sooner. */
export const LOOKUP_LIMIT_MS = 5000
/** After a failure the name is tried again this soon, or after the usual interval where that is shorter. */
export const RETRY_MS = 5000
/** All of them are trusted as the PBX and looked through for each packet: more is a mistake in DNS. */
export const MAX_ADDRESSES = 16

/** Why a name has no address: `message` is a sentence, `hint` what to do. */
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

/**
 * @param host a literal address (IPv6 with or without brackets) or a name
 * @returns never empty, each address once and in its canonical text (RFC 5952), at most {@link MAX_ADDRESSES}
 * @throws ResolveFault
 */
export async function resolveHost(host: string, port: number, lookup: Lookup = allAddresses): Promise<PbxAddress[]> {
	const literal = literalAddress(host)
	const found = literal === undefined ? await lookUp(host, lookup) : [literal]
	const unique = [...new Set(found)].slice(0, MAX_ADDRESSES)
	if (unique.length === 0) throw fault(host, 'ENODATA')
	return unique.map((address) => ({ address, port }))
}

/** The address in canonical text where `host` is one and not a name. An IPv4-mapped IPv6 address is its IPv4 one. */
export function literalAddress(host: string): string | undefined {
	const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
	return isIP(bare) === 0 ? undefined : canonical(bare)
}

function canonical(address: string): string {
	const parsed = ipaddr.process(address)
	return parsed instanceof ipaddr.IPv6 ? parsed.toRFC5952String() : parsed.toString()
}

async function allAddresses(host: string): Promise<readonly string[]> {
	const all = await systemLookup(host, { all: true, order: 'verbatim' })
	return all.map(({ address }) => address)
}

async function lookUp(host: string, lookup: Lookup): Promise<readonly string[]> {
	try {
		return (await inTime(lookup(host))).map(canonical)
	} catch (error) {
		throw fault(host, String((error as { code?: unknown } | null)?.code ?? 'EFAIL'))
	}
}

function inTime<T>(answer: Promise<T>): Promise<T> {
	const late = Promise.withResolvers<never>()
	const timer = setTimeout(() => late.reject({ code: 'ETIMEOUT' }), LOOKUP_LIMIT_MS)
	return Promise.race([answer, late.promise]).finally(() => clearTimeout(timer))
}

function fault(host: string, code: string): ResolveFault {
	const hint = 'Check the name in --pbx and the DNS servers of this machine, or give --pbx an address.'
	return new ResolveFault(`The name ${host} has no address (${code}).`, code, hint)
}
