/** An answered call that nobody wants: acknowledged and ended, never left standing. */
import { type HeaderRow, request } from '../../sip/build.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { ClientUser, Destination, Transactions } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import { viaValue } from './forward.ts'

export interface Unwanted {
	/** The 2xx. */
	readonly answer: SipMessage
	/** Where its INVITE went, and what its Contact says. */
	readonly to: Destination
	readonly uri: string
	/** `Route` rows of the dialog, the next hop first. */
	readonly routes: readonly HeaderRow[]
	/** `Reason` rows of the BYE. */
	readonly reasons: readonly HeaderRow[]
	/** A copy of a 2xx is acknowledged anew, and its dialog ended but once. */
	readonly isCopy: boolean
}

/** RFC 3261 §13.2.2.4: ACK every copy of a 2xx, and end the unwanted dialog with one BYE. */
export function hangUp(context: Context, transactions: Transactions, unwanted: Unwanted, now: number): void {
	const { answer, to, uri, routes, reasons } = unwanted
	const dialog = {
		uri,
		from: answer.first(Header.From) ?? '',
		to: answer.first(Header.To) ?? '',
		callId: answer.callId,
	}
	const ack = viaValue(context, to.listener, `z9hG4bK${context.id()}`)
	context.send(to, request({ ...dialog, method: 'ACK', via: ack, cseq: answer.cseq, rows: routes }))
	if (unwanted.isCopy) return
	const branch = `z9hG4bK${context.id()}`
	const via = viaValue(context, to.listener, branch)
	const bye = request({ ...dialog, method: 'BYE', via, cseq: answer.cseq + 1, rows: [...routes, ...reasons] })
	transactions.open(branch, 'BYE', bye, to, NOBODY, now)
}

/** Waits for nothing. */
export const NOBODY: ClientUser = {
	response() {},
	timedOut() {},
}
