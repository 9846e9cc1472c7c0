/** Why the gateway itself ends branches, as values of Reason (RFC 3326 §2). */
export const CANCELLED_BY_CALLER = ['SIP;cause=487;text="Request Terminated"']
export const ANSWERED_ELSEWHERE = ['SIP;cause=200;text="Call completed elsewhere"']
export const DECLINED = ['SIP;cause=603;text="Decline"']
export const HOLD_OVER = ['SIP;cause=480;text="Temporarily Unavailable"']

const WORDS: ReadonlyMap<string, string> = new Map([
	['200', 'answered'],
	['480', 'unanswered'],
	['486', 'declined'],
	['487', 'cancelled'],
	['600', 'declined'],
	['603', 'declined'],
])

/** A Reason as one word for apps. One without a cause of SIP is the caller's own, of its CANCEL: often Q.850 alone. */
export function reasonWord(reason: string): string {
	const cause = /^SIP *;(?:.*;)? *cause *= *(\d{3})/i.exec(reason)?.[1]
	if (cause === undefined) return reason === '' ? 'over' : 'cancelled'
	return WORDS.get(cause) ?? 'over'
}
