/** The PROXY protocol, version 2 (haproxy.org, proxy-protocol.txt §2.2): whom a load balancer speaks for. Pure. */
import ipaddr from 'ipaddr.js'

/** What the octets at the beginning of a connection say. `length`: octets of the header, to be dropped. */
export type ProxyHeader =
	/** Not complete yet. */
	| { readonly kind: 'partial' }
	/** The load balancer speaks for this far end. */
	| { readonly kind: 'source'; readonly address: string; readonly port: number; readonly length: number }
	/** It speaks for itself (a health check), or says not for whom. */
	| { readonly kind: 'local'; readonly length: number }
	| { readonly kind: 'malformed' }

/** \r\n\r\n\0\r\nQUIT\n */
const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a)
/** §2.2: signature, version and command, family, length. */
const HEAD_OCTETS = 16

/** Addresses and what else the load balancer tells: §2.2 wants 536 octets to be taken, and certificates' names are longer. */
export const MAX_PROXY_OCTETS = 2_048

const VERSION_2 = 0x20
const LOCAL = 0
const PROXY = 1
const UNSPECIFIED = 0x00
/** Family and transport, and the octets of one address. */
const TCP_4 = { code: 0x11, octets: 4 }
const TCP_6 = { code: 0x21, octets: 16 }

const PARTIAL: ProxyHeader = { kind: 'partial' }
const MALFORMED: ProxyHeader = { kind: 'malformed' }

export function readProxyHeader(octets: Uint8Array): ProxyHeader {
	for (let i = 0; i < SIGNATURE.length && i < octets.length; i++) if (octets[i] !== SIGNATURE[i]) return MALFORMED
	if (octets.length < HEAD_OCTETS) return PARTIAL
	const length = HEAD_OCTETS + (octets[14]! << 8) + octets[15]!
	if ((octets[12]! & 0xf0) !== VERSION_2 || length > MAX_PROXY_OCTETS) return MALFORMED
	if (octets.length < length) return PARTIAL
	const command = octets[12]! & 0x0f
	if (command === LOCAL) return { kind: 'local', length }
	return command === PROXY ? source(octets, length) : MALFORMED
}

function source(octets: Uint8Array, length: number): ProxyHeader {
	const family = octets[13]!
	if (family === UNSPECIFIED) return { kind: 'local', length }
	const size = family === TCP_4.code ? TCP_4.octets : family === TCP_6.code ? TCP_6.octets : 0
	const ports = HEAD_OCTETS + 2 * size
	if (size === 0 || length < ports + 4) return MALFORMED
	const port = (octets[ports]! << 8) + octets[ports + 1]!
	const address = plainAddress([...octets.subarray(HEAD_OCTETS, HEAD_OCTETS + size)])
	return { kind: 'source', address, port, length }
}

/** As flows have it: RFC 5952, and an IPv4 address in IPv6's clothes as IPv4. */
function plainAddress(octets: number[]): string {
	const address = ipaddr.fromByteArray(octets)
	if (!(address instanceof ipaddr.IPv6)) return address.toString()
	return address.isIPv4MappedAddress() ? address.toIPv4Address().toString() : address.toRFC5952String()
}

/** Those whose PROXY headers are believed. */
export class TrustedProxies {
	readonly #ranges: [ipaddr.IPv4 | ipaddr.IPv6, number][]

	/** @param cidrs `10.0.0.0/8`, `2001:db8::/32`, valid ones */
	constructor(cidrs: readonly string[]) {
		this.#ranges = cidrs.map((cidr) => ipaddr.parseCIDR(cidr))
	}

	trusts(address: string): boolean {
		if (this.#ranges.length === 0) return false
		const parsed = ipaddr.process(address)
		return this.#ranges.some(([range, bits]) => range.kind() === parsed.kind() && parsed.match(range, bits))
	}
}
