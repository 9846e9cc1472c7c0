/** A phone answers a call that is over, or that another phone has: it is acknowledged and hung up, never left ringing. */
import { parseNameAddr } from '../../sip/address.ts'
import { request } from '../../sip/build.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import { viaValue } from '../proxy/forward.ts'
import { NOBODY } from '../proxy/pass.ts'
import { withoutPushParams } from '../registrar/push-params.ts'
import type { Calls } from './calls.ts'
import type { Branch } from './device-branch.ts'

/**
 * RFC 3261 §13.2.2.4: ACK every copy of a 2xx, and end the unwanted dialog with one BYE. The phone is directly behind
 * us, so neither needs its route set.
 */
export function endPhantomAnswer(calls: Calls, branch: Branch, answer: SipMessage, now: number): void {
	const to = branch.client?.to
	if (to === undefined) return
	const target = parseNameAddr(answer.first(Header.Contact) ?? '')?.uri ?? branch.device?.target
	if (target === undefined) return
	/* invariant: no push parameter leaves the gateway, and a phone may show its own in any Contact */
	const uri = withoutPushParams(target)
	const { context, transactions } = calls
	const dialog = {
		uri,
		from: answer.first(Header.From) ?? '',
		to: answer.first(Header.To) ?? '',
		callId: answer.callId,
	}
	const fresh = () => `z9hG4bK${context.id()}`
	context.send(
		to,
		request({ ...dialog, method: 'ACK', via: viaValue(context, to.listener, fresh()), cseq: answer.cseq }),
	)
	if (branch.phantomEnded) return
	branch.phantomEnded = true
	const bye = fresh()
	const rows = branch.call.endRows()
	const bytes = request({
		...dialog,
		method: 'BYE',
		via: viaValue(context, to.listener, bye),
		cseq: answer.cseq + 1,
		rows,
	})
	transactions.open(bye, 'BYE', bytes, to, NOBODY, now)
}
