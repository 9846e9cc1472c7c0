import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'

/** RFC 3261 §20.33: the seconds of Retry-After, comment and parameters left aside; 0 where there are none. */
export function retryAfter(answer: SipMessage): number {
	return Number(/^\d{1,9}/.exec(answer.first(Header.RetryAfter) ?? '')?.[0] ?? 0)
}
