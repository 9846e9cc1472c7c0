/** Max-Breadth (RFC 5393 §5.3): how many branches a request may become at once, all proxies on its way together. */
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'

/** RFC 5393 §5.3.3: "that value is RECOMMENDED to be 60", where the request has none. */
const DEFAULT_BREADTH = 60

/** What an INVITE leaves to its branches. */
export function breadthOf(invite: SipMessage): number {
	const value = invite.first(Header.MaxBreadth) ?? ''
	return /^\d{1,9}$/.test(value) ? Number(value) : DEFAULT_BREADTH
}

/** The share of each of `count` branches: they add up to the whole, and differ by one at most. */
export function sharesOf(breadth: number, count: number): readonly number[] {
	return Array.from({ length: count }, (_, place) => Math.floor(breadth / count) + (place < breadth % count ? 1 : 0))
}
