/** What a challenge of the PBX says besides no. */
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'

/** RFC 7616 §3.3: the nonce was too old, the password may be right. */
export function isStale(answer: SipMessage): boolean {
	if (answer.status !== 401 && answer.status !== 407) return false
	const challenge = answer.first(answer.status === 401 ? Header.WwwAuthenticate : Header.ProxyAuthenticate) ?? ''
	return /stale\s*=\s*"?true/i.test(challenge)
}
