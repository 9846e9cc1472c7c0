/** What the parts of a demo user agent share: its events, its calls as records, and the powers they use. */
import type { HeaderRow } from '../sip/build.ts'
import type { SipMessage } from '../sip/message.ts'
import type { Dialog } from './dialog.ts'
import type { Authenticator } from './digest.ts'
import type { Transactions } from './transactions.ts'

export interface Call {
	/** Call-ID. */
	readonly id: string
	readonly direction: 'incoming' | 'outgoing'
	/** The user part of the other side: of its From, or of the URI that was dialled. */
	readonly peer: string
	/** ms, the driver's clock. */
	readonly startedAt: number
	state: 'calling' | 'ringing' | 'answered' | 'talking' | 'ended'
	/** The INVITE that set the call up, as received or as last sent. */
	invite: SipMessage
	/** The final status of that INVITE, 0 before it. */
	status: number
	/** Incoming: from the start. Outgoing: from the 2xx on. */
	dialog: Dialog | undefined
}

/** `at` is ms on the driver's clock. */
export type UaEvent = { readonly at: number } & (
	| { readonly type: 'registered'; readonly contact: string; readonly expiresSec: number }
	| { readonly type: 'unregistered' }
	/** A REGISTER came to nothing. status 408: no answer. */
	| { readonly type: 'refused'; readonly status: number; readonly reason: string }
	| { readonly type: 'incoming'; readonly call: Call }
	/** The far end of an outgoing call rings (18x). */
	| { readonly type: 'ringing'; readonly call: Call; readonly status: number }
	/** The 2xx is acknowledged: both sides talk. */
	| { readonly type: 'answered'; readonly call: Call }
	| { readonly type: 'reinvited'; readonly call: Call }
	/** The caller gave up. `reason` is the Reason header of its CANCEL, '' where it has none. */
	| { readonly type: 'cancelled'; readonly call: Call; readonly reason: string }
	/** An outgoing call got a final answer that is no 2xx. status 408: none at all. */
	| { readonly type: 'failed'; readonly call: Call; readonly status: number; readonly reason: string }
	| { readonly type: 'ended'; readonly call: Call; readonly by: 'us' | 'peer' }
	/** An OPTIONS came and was answered. */
	| { readonly type: 'pinged' }
	/** The answer to an OPTIONS of ours; status 0: none came. */
	| { readonly type: 'ponged'; readonly peer: string; readonly status: number; readonly tookMs: number }
	/** The registrar bound (expiresSec > 0) or unbound an agent. */
	| { readonly type: 'bound'; readonly agent: string; readonly contact: string; readonly expiresSec: number }
)

export interface Party {
	readonly transactions: Transactions
	/** Answers challenges; undefined: nobody signs in here. */
	readonly authenticator: Authenticator | undefined
	/** A Via value with a new branch. */
	via(): string
	/** The Contact value of its dialogs. */
	contact(): string
	/** 100 comes before its 180. */
	readonly saysTrying: boolean
	/** Its User-Agent row. */
	identity(): HeaderRow
	/** The SDP it offers and answers. */
	session(): string
	/** So many random hex digits. */
	token(digits: number): string
	emit(event: UaEvent): void
}

/** What it understands (§20.5). */
export const ALLOW = 'INVITE, ACK, CANCEL, OPTIONS, BYE, INFO, NOTIFY, MESSAGE, UPDATE'
