/** RFC 3261 §16.7 step 6: which of the final responses the caller gets. */
import type { SipMessage } from '../../sip/message.ts'

/** §16.7 step 6: a 6xx, else the lowest class, and within 4xx what the caller can act on. */
export function better(a: SipMessage | undefined, b: SipMessage): SipMessage {
	return a === undefined || rank(b.status) < rank(a.status) ? b : a
}

const ACTIONABLE = [401, 407, 415, 420, 484]

function rank(status: number): number {
	if (status >= 600) return 0
	const actionable = ACTIONABLE.includes(status) ? 0 : 1
	return Math.floor(status / 100) * 10 + actionable
}
