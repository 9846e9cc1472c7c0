/** A phone answers a call that is over, or that another phone has: it is acknowledged and hung up, never left ringing. */
import { parseNameAddr } from '../../sip/address.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import { hangUp } from '../proxy/hang-up.ts'
import { withoutPushParams } from '../registrar/push-params.ts'
import type { Calls } from './calls.ts'
import type { Branch } from './device-branch.ts'

/** The phone is directly behind us, so that its dialog needs no route set. */
export function endPhantomAnswer(calls: Calls, branch: Branch, answer: SipMessage, now: number): void {
	const to = branch.client?.to
	if (to === undefined) return
	const target = parseNameAddr(answer.first(Header.Contact) ?? '')?.uri ?? branch.device?.target
	if (target === undefined) return
	/* invariant: no push parameter leaves the gateway, and a phone may show its own in any Contact */
	const uri = withoutPushParams(target)
	const isCopy = branch.phantomEnded
	branch.phantomEnded = true
	hangUp(
		calls.context,
		calls.transactions,
		{ answer, to, uri, routes: [], reasons: branch.call.endRows(), isCopy },
		now,
	)
}
