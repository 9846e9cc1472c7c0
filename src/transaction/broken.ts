/** What becomes of requests when the connection they were sent by is lost (RFC 3261 §17.1.4). */
import type { Destination, Transactions } from './transactions.ts'

/** Another connection is tried: what has no answer goes out again, as the same request. */
export function repeat(transactions: Transactions, to: Destination, now: number): void {
	for (const t of transactions.towards(to)) {
		if (!t.invite) transactions.nonInviteClient(t, 'redirect', undefined, now)
		else if (t.state === 'calling') transactions.inviteClient(t, 'redirect', undefined, now)
	}
}

/** None can be had: what was sent there fails at once, or goes where it falls back to. */
export function fail(transactions: Transactions, to: Destination, now: number): void {
	for (const t of transactions.towards(to)) {
		const { fallback } = t
		/* who rings is alive, and is known by another way */
		if (fallback !== undefined && t.state === 'proceeding') continue
		t.fallback = undefined
		if (fallback !== undefined) t.redirect(fallback.bytes, fallback.to, now)
		else if (t.invite) transactions.inviteClient(t, 'unreachable', undefined, now)
		else transactions.nonInviteClient(t, 'unreachable', undefined, now)
	}
}
