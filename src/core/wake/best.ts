/** RFC 3261 §16.7 step 6 and 7: which of the final responses the caller gets, and what of the others goes with it. */
import { Edit } from '../../sip/edit.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import { parse } from '../../sip/parse.ts'

/** Step 6: a 6xx, else the lowest class, and within 4xx what the caller can act on. */
export function bestOf(finals: readonly SipMessage[]): SipMessage | undefined {
	let best: SipMessage | undefined
	for (const final of finals) if (best === undefined || rank(final.status) < rank(best.status)) best = final
	return best !== undefined && isChallenge(best) ? withAllChallenges(best, finals) : best
}

/** Step 7: the caller answers the challenges of all branches in one new request, so it must see them all. */
function withAllChallenges(best: SipMessage, finals: readonly SipMessage[]): SipMessage {
	const edit = new Edit(best)
	for (const other of finals) {
		if (other === best || !isChallenge(other)) continue
		for (const value of other.rows(Header.WwwAuthenticate)) edit.append('WWW-Authenticate', value)
		for (const value of other.rows(Header.ProxyAuthenticate)) edit.append('Proxy-Authenticate', value)
	}
	return parse(edit.finish())
}

const isChallenge = ({ status }: SipMessage): boolean => status === 401 || status === 407

const ACTIONABLE = [401, 407, 415, 420, 484]

function rank(status: number): number {
	if (status >= 600) return 0
	const actionable = ACTIONABLE.includes(status) ? 0 : 1
	return Math.floor(status / 100) * 10 + actionable
}
