/**
 * What is remembered of sources without a binding: how fast they register, how often they failed, who is banned.
 * All of it bounded, whatever they send.
 */
import ipaddr from 'ipaddr.js'
import { Bucket, type BucketLimits } from '../../lib/bucket.ts'
import { Deadline } from '../../lib/deadlines.ts'
import { Lru } from '../../lib/lru.ts'
import type { Due, Timed } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { BanView } from '../snapshot.ts'

/** Sources remembered: about 200 bytes each, so 13 MB at the most, and more than one NAT pool has. */
export const MAX_SOURCES = 65_536

/** Bans in force at once; beyond it the oldest ends early. */
export const MAX_BANS = 16_384

/** A source may have this many seconds' worth of REGISTERs in flight: one NAT with a contact centre behind it comes back at once. */
export const BURST_SEC = 10

/** Failures older than this do not count any more. */
export const FAILURE_WINDOW_MS = 600_000

interface Source {
	readonly bucket: Bucket
	failures: number
	lastFailureAt: number
	/** Whose name failed last: only its success clears the failures, not that of an account one has already. */
	failedAor: string
}

interface Ban {
	readonly until: number
	readonly reason: string
	readonly end: Deadline<Due>
}

export class Sources implements Timed {
	readonly #context: Context
	readonly #limits: BucketLimits
	readonly #sources = new Lru<string, Source>(MAX_SOURCES)
	readonly #bans = new Map<string, Ban>()

	constructor(context: Context) {
		this.#context = context
		const perSecond = context.settings.registerRate
		this.#limits = { perSecond, burst: perSecond * BURST_SEC }
	}

	get size(): number {
		return this.#sources.size
	}

	get banCount(): number {
		return this.#bans.size
	}

	bans(): BanView[] {
		return [...this.#bans].map(([source, ban]) => ({ source, until: ban.until, reason: ban.reason }))
	}

	isBanned(source: string): boolean {
		return this.#bans.size > 0 && this.#bans.has(source)
	}

	/** May this source send one more REGISTER now? A rate of 0 sets no bound. */
	take(source: string, now: number): boolean {
		return this.#limits.perSecond === 0 || this.#source(source, now).bucket.take(now)
	}

	/** What it registered was accepted: those two REGISTERs (with and without credentials) cost it nothing. */
	succeeded(source: string, aor: string, now: number): void {
		const known = this.#source(source, now)
		if (known.failedAor === aor) known.failures = 0
		known.bucket.refund()
		known.bucket.refund()
	}

	/** Wrong credentials, or a name the PBX does not know. */
	failed(source: string, aor: string, now: number): void {
		const known = this.#source(source, now)
		known.failedAor = aor
		known.failures = now - known.lastFailureAt > FAILURE_WINDOW_MS ? 1 : known.failures + 1
		known.lastFailureAt = now
		const { banAfter } = this.#context.settings
		if (banAfter > 0 && known.failures >= banAfter) this.ban(source, 'failed authentication', now)
	}

	ban(source: string, reason: string, now: number): void {
		const { banMs } = this.#context.settings
		if (banMs === 0 || this.#bans.has(source)) return
		if (this.#bans.size >= MAX_BANS) this.#endOldest()
		const end = new Deadline<Due>({ owner: this, event: source })
		this.#bans.set(source, { until: now + banMs, reason, end })
		this.#context.deadlines.after(end, now, banMs)
		this.#context.counters.bans++
		this.#context.event('source-banned', { source, reason, seconds: banMs / 1000 })
	}

	due(source: string): void {
		if (this.#bans.delete(source)) this.#context.event('source-unbanned', { source })
	}

	#endOldest(): void {
		for (const [source, ban] of this.#bans) {
			this.#context.deadlines.disarm(ban.end)
			this.#bans.delete(source)
			return
		}
	}

	#source(source: string, now: number): Source {
		let known = this.#sources.get(source)
		if (known === undefined) {
			known = { bucket: new Bucket(this.#limits, now), failures: 0, lastFailureAt: 0, failedAor: '' }
			this.#sources.set(source, known)
		}
		return known
	}
}

/** One IPv4 address, or the /64 an IPv6 one is in: a subscriber has the whole of it. */
export function sourceOf(address: string): string {
	if (!address.includes(':')) return address
	const parsed = ipaddr.parse(address)
	if (!(parsed instanceof ipaddr.IPv6)) return address
	if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString()
	return `${parsed.parts
		.slice(0, 4)
		.map((part) => part.toString(16))
		.join(':')}::/64`
}

/** Is an address inside one of these CIDRs? Parsed once, answers kept for the addresses seen lately. */
export class TrustedNetworks {
	readonly #networks: ReturnType<typeof ipaddr.parseCIDR>[]
	readonly #seen = new Lru<string, boolean>(4_096)

	constructor(cidrs: readonly string[]) {
		this.#networks = cidrs.map((cidr) => ipaddr.parseCIDR(cidr))
	}

	/** False for what is no address, such as the domain in a Request-URI. */
	includes(address: string): boolean {
		if (this.#networks.length === 0 || !isAddress(address)) return false
		const seen = this.#seen.get(address)
		if (seen !== undefined) return seen
		const parsed = ipaddr.process(address)
		const inside = this.#networks.some(
			([network, bits]) => network.kind() === parsed.kind() && parsed.match(network, bits),
		)
		this.#seen.set(address, inside)
		return inside
	}
}

/** As they stand in packets and URIs: `127.1` or `0x7f000001` is nobody's spelling of a PBX. */
function isAddress(text: string): boolean {
	return text.includes(':') ? ipaddr.IPv6.isValid(text) : ipaddr.IPv4.isValidFourPartDecimal(text)
}
