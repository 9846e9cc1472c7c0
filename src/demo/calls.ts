/** The calls of a demo user agent, both ways (RFC 3261 §9, §12–§15). */
import { parseNameAddr } from '../sip/address.ts'
import { cancel, type HeaderRow, request } from '../sip/build.ts'
import { Header } from '../sip/headers.ts'
import type { SipMessage } from '../sip/message.ts'
import { parse } from '../sip/parse.ts'
import { parseUri } from '../sip/uri.ts'
import {
	contactUri,
	type Dialog,
	dialogOfClient,
	dialogOfServer,
	type Endpoint,
	nextHop,
	requestWithin,
} from './dialog.ts'
import { ALLOW, type Call, type Party } from './party.ts'
import { type OnResponse, type ResponseParts, recordRoutes } from './transactions.ts'

/** What makes an outgoing INVITE. */
export interface Dial {
	readonly uri: string
	/** From value without tag. */
	readonly from: string
	readonly to: string
	/** Where it is sent. */
	readonly hop: Endpoint
	/** More rows, in front of the usual ones: Route, P-Asserted-Identity. */
	readonly rows?: readonly HeaderRow[]
}

/** An outgoing call while its INVITE is open. */
interface Attempt {
	readonly dial: Dial
	readonly fromTag: string
	number: number
	/** Set once the caller gave up: the Reason value, '' without one. */
	cancelled: string | undefined
	cancelSent: boolean
}

/** Methods a user agent of ours says 200 to within a call. */
const WITHIN_A_CALL: ReadonlySet<string> = new Set(['INFO', 'MESSAGE', 'NOTIFY', 'UPDATE', 'OPTIONS'])

export class Calls {
	readonly #party: Party
	readonly #byId = new Map<string, Call>()
	readonly #attempts = new Map<Call, Attempt>()
	/** Hung up between our 2xx and its ACK. */
	readonly #leaving = new Set<Call>()

	constructor(party: Party) {
		this.#party = party
	}

	/** The newest call that has not ended. */
	get current(): Call | undefined {
		return [...this.#byId.values()].findLast((call) => call.state !== 'ended')
	}

	get(id: string): Call | undefined {
		return this.#byId.get(id)
	}

	/** All of them, oldest first, ended ones too. */
	all(): Call[] {
		return [...this.#byId.values()]
	}

	/** As after the process was killed. */
	forget(): void {
		this.#byId.clear()
		this.#attempts.clear()
		this.#leaving.clear()
	}

	/** Starts a call. */
	dial(dial: Dial, now: number): Call {
		const attempt = { dial, fromTag: this.#party.token(10), number: 1, cancelled: undefined, cancelSent: false }
		const id = this.#party.token(20)
		const bytes = this.#invite(attempt, id, [])
		const peer = parseUri(dial.uri)?.user ?? ''
		const open = { state: 'calling', status: 0, dialog: undefined } as const
		const call: Call = { id, direction: 'outgoing', peer, startedAt: now, invite: parse(bytes), ...open }
		this.#byId.set(id, call)
		this.#attempts.set(call, attempt)
		this.#party.transactions.request(bytes, dial.hop, now, (response, at) => this.#onInviteResponse(call, response, at))
		return call
	}

	/** 200 to a call that rings here. */
	answer(call: Call, now: number): void {
		if (call.direction !== 'incoming' || call.state !== 'ringing') return
		call.state = 'answered'
		call.status = 200
		this.#party.transactions.respond(call.invite, 200, now, this.#accepting(call.invite, call.dialog!.localTag))
	}

	/** A refusal, 300–699, to a call that rings here. */
	decline(call: Call, status: number, now: number): void {
		if (call.direction !== 'incoming' || call.state !== 'ringing') return
		this.#party.transactions.respond(call.invite, status, now, { toTag: call.dialog!.localTag })
		call.status = status
		this.#end(call, 'us', now)
	}

	/** CANCEL, as soon as a provisional answer allows it (§9.1). `reason`: a Reason value (RFC 3326). */
	cancel(call: Call, now: number, reason = ''): void {
		const attempt = this.#attempts.get(call)
		if (attempt === undefined || attempt.cancelled !== undefined) return
		attempt.cancelled = reason
		if (call.state === 'ringing') this.#sendCancel(call, attempt, now)
	}

	/** Ends a call whatever its state: CANCEL, 603, or BYE, which waits for the ACK to our 2xx (§15). */
	hangup(call: Call, now: number, reason?: string): void {
		if (call.state === 'ringing' && call.direction === 'incoming') this.decline(call, 603, now)
		else if (call.dialog === undefined) this.cancel(call, now, reason)
		else if (call.state === 'answered') this.#leaving.add(call)
		else if (call.state !== 'ended') this.#bye(call.dialog, call, now, reason === undefined ? [] : [['Reason', reason]])
	}

	/** A re-INVITE with the session as it is (§14.1). */
	reinvite(call: Call, now: number): void {
		const { dialog } = call
		if (call.state !== 'talking' || dialog === undefined) return
		this.#send(dialog, 'INVITE', now, this.#sessionRows(), this.#party.session(), (response, at) => {
			if (response === undefined || response.status < 200 || response.status >= 300) return
			this.#acknowledge(dialog, response.cseq, [], at)
			this.#party.emit({ at, type: 'reinvited', call })
		})
	}

	/** INFO, MESSAGE, UPDATE, NOTIFY within a call; `onStatus` gets the final status, 408 where none came. */
	say(call: Call, method: string, now: number, onStatus: (status: number) => void = () => {}): void {
		if (call.dialog === undefined) return
		this.#send(call.dialog, method, now, [], undefined, (response) => {
			if (response === undefined || response.status >= 200) onStatus(response?.status ?? 408)
		})
	}

	/** An INVITE that starts a call: it rings. */
	onInvite(invite: SipMessage, now: number): void {
		const peer = parseUri(parseNameAddr(invite.first(Header.From) ?? '')?.uri ?? '')?.user ?? ''
		const dialog = dialogOfServer(invite, this.#party.token(10))
		const ringing = { state: 'ringing', status: 0, dialog } as const
		const call: Call = { id: invite.callId, direction: 'incoming', peer, startedAt: now, invite, ...ringing }
		this.#byId.set(call.id, call)
		const rows: HeaderRow[] = [...recordRoutes(invite), ['Contact', this.#party.contact()], this.#party.identity()]
		if (this.#party.saysTrying) this.#party.transactions.respond(invite, 100, now)
		this.#party.transactions.respond(invite, 180, now, { toTag: dialog.localTag, rows })
		this.#party.emit({ at: now, type: 'incoming', call })
	}

	/** A CANCEL (§9.2): 481 where there is nothing to cancel, and no effect on a call that has its answer. */
	onCancel(request: SipMessage, now: number): void {
		const target = this.#party.transactions.inviteOf(request)
		const call = this.#byId.get(request.callId)
		const toTag = call?.dialog?.localTag ?? this.#party.token(10)
		this.#party.transactions.respond(request, target === undefined ? 481 : 200, now, { toTag })
		if (target === undefined || !target.open || call?.invite !== target.invite) return
		this.#party.transactions.respond(target.invite, 487, now, { toTag })
		call.status = 487
		call.state = 'ended'
		this.#party.emit({ at: now, type: 'cancelled', call, reason: request.first(Header.Reason) ?? '' })
	}

	/** The ACK to a 2xx: now both sides talk. */
	onAck(ack: SipMessage, now: number): void {
		const call = this.#within(ack)
		if (call?.state !== 'answered') return
		call.state = 'talking'
		this.#party.emit({ at: now, type: 'answered', call })
		if (this.#leaving.delete(call)) this.hangup(call, now)
	}

	/** A request with a To-tag (§12.2.2). */
	onRequestWithin(request: SipMessage, now: number): void {
		const call = this.#within(request)
		const respond = (status: number, parts?: ResponseParts) =>
			this.#party.transactions.respond(request, status, now, parts)
		if (call?.dialog === undefined || call.state === 'ended') respond(481)
		else if (request.cseq <= call.dialog.remoteCseq) respond(500)
		else {
			call.dialog.remoteCseq = request.cseq
			if (request.method === 'BYE') {
				respond(200)
				this.#end(call, 'peer', now)
			} else if (request.method === 'INVITE') this.#onReinvite(call, call.dialog, request, now)
			else if (WITHIN_A_CALL.has(request.method)) respond(200)
			else respond(405, { rows: [['Allow', ALLOW]] })
		}
	}

	/** Nobody acknowledged the 2xx: the call is given up (§13.3.1.4). */
	onUnacknowledged(invite: SipMessage, now: number): void {
		const call = this.#byId.get(invite.callId)
		if (call?.dialog !== undefined && call.state === 'answered') this.#bye(call.dialog, call, now, [])
	}

	#onReinvite(call: Call, dialog: Dialog, request: SipMessage, now: number): void {
		dialog.target = contactUri(request) || dialog.target
		this.#party.transactions.respond(request, 200, now, this.#accepting(request, dialog.localTag))
		this.#party.emit({ at: now, type: 'reinvited', call })
	}

	#onInviteResponse(call: Call, response: SipMessage | undefined, now: number): void {
		const attempt = this.#attempts.get(call)
		if (response === undefined) this.#fail(call, 408, 'Request Timeout', now)
		else if (response.status < 200) this.#onProvisional(call, attempt, response, now)
		else if (response.status < 300) this.#onAccepted(call, response, now)
		else if (attempt !== undefined && this.#tryAgain(call, attempt, response, now)) return
		else this.#fail(call, response.status, response.reason, now)
	}

	#onProvisional(call: Call, attempt: Attempt | undefined, response: SipMessage, now: number): void {
		call.state = 'ringing'
		if (attempt?.cancelled !== undefined) this.#sendCancel(call, attempt, now)
		if (response.status > 100) this.#party.emit({ at: now, type: 'ringing', call, status: response.status })
	}

	/** Each 2xx is acknowledged; one of another fork, or one that crossed our CANCEL, is hung up at once (§13.2.2.4). */
	#onAccepted(call: Call, response: SipMessage, now: number): void {
		const dialog = call.dialog ?? dialogOfClient(call.invite, response)
		const attempt = this.#attempts.get(call)
		const foreign = dialog.remoteTag !== response.toTag ? dialogOfClient(call.invite, response) : undefined
		this.#acknowledge(foreign ?? dialog, response.cseq, credentialsOf(call.invite), now)
		if (foreign !== undefined) this.#bye(foreign, undefined, now, [])
		else if (attempt !== undefined) this.#confirm(call, attempt, dialog, response.status, now)
	}

	#confirm(call: Call, attempt: Attempt, dialog: Dialog, status: number, now: number): void {
		this.#attempts.delete(call)
		call.dialog = dialog
		call.status = status
		call.state = 'talking'
		if (attempt.cancelled !== undefined) this.#bye(dialog, call, now, [])
		else this.#party.emit({ at: now, type: 'answered', call })
	}

	/** The same call once more, with credentials. */
	#tryAgain(call: Call, attempt: Attempt, response: SipMessage, now: number): boolean {
		const { authenticator, transactions } = this.#party
		if (attempt.cancelled !== undefined || !authenticator?.learn(response, attempt.number)) return false
		attempt.number += 1
		const bytes = this.#invite(
			attempt,
			call.id,
			authenticator.rows('INVITE', attempt.dial.uri, response.status === 407),
		)
		call.invite = parse(bytes)
		call.state = 'calling'
		transactions.request(bytes, attempt.dial.hop, now, (next, at) => this.#onInviteResponse(call, next, at))
		return true
	}

	#invite(attempt: Attempt, callId: string, credentials: readonly HeaderRow[]): Uint8Array {
		const { uri, from, to, rows = [] } = attempt.dial
		return request({
			method: 'INVITE',
			uri,
			via: this.#party.via(),
			from: `${from};tag=${attempt.fromTag}`,
			to,
			callId,
			cseq: attempt.number,
			rows: [...rows, ...this.#sessionRows(), ...credentials],
			contentType: 'application/sdp',
			body: this.#party.session(),
		})
	}

	#sendCancel(call: Call, attempt: Attempt, now: number): void {
		if (attempt.cancelSent) return
		attempt.cancelSent = true
		const rows: HeaderRow[] = attempt.cancelled ? [['Reason', attempt.cancelled]] : []
		this.#party.transactions.request(cancel(call.invite, rows), attempt.dial.hop, now, () => {})
	}

	#fail(call: Call, status: number, reason: string, now: number): void {
		if (!this.#attempts.delete(call)) return
		call.status = status
		call.state = 'ended'
		this.#party.emit({ at: now, type: 'failed', call, status, reason })
	}

	#bye(dialog: Dialog, call: Call | undefined, now: number, rows: readonly HeaderRow[]): void {
		this.#send(dialog, 'BYE', now, rows, undefined, () => {})
		if (call !== undefined) this.#end(call, 'us', now)
	}

	#end(call: Call, by: 'us' | 'peer', now: number): void {
		if (call.state === 'ended') return
		call.state = 'ended'
		this.#party.emit({ at: now, type: 'ended', call, by })
	}

	#acknowledge(dialog: Dialog, cseq: number, rows: readonly HeaderRow[], now: number): void {
		const hop = nextHop(dialog)
		if (hop === undefined) return
		this.#party.transactions.sendOnce(requestWithin(dialog, 'ACK', cseq, this.#party.via(), rows), hop, now)
	}

	#send(
		dialog: Dialog,
		method: string,
		now: number,
		rows: readonly HeaderRow[],
		body: string | undefined,
		onResponse: OnResponse,
	): void {
		const hop = nextHop(dialog)
		dialog.localCseq += 1
		const all = [...rows, this.#party.identity()]
		const bytes = requestWithin(dialog, method, dialog.localCseq, this.#party.via(), all, body)
		if (hop === undefined) onResponse(undefined, now)
		else this.#party.transactions.request(bytes, hop, now, onResponse)
	}

	#within(request: SipMessage): Call | undefined {
		const call = this.#byId.get(request.callId)
		const { localTag, remoteTag } = call?.dialog ?? {}
		return localTag === request.toTag && remoteTag === request.fromTag ? call : undefined
	}

	#accepting(invite: SipMessage, toTag: string): ResponseParts {
		const rows = [...recordRoutes(invite), ...this.#sessionRows()]
		return { toTag, rows, contentType: 'application/sdp', body: this.#party.session() }
	}

	#sessionRows(): HeaderRow[] {
		return [['Contact', this.#party.contact()], ['Allow', ALLOW], this.#party.identity()]
	}
}

/** The ACK to a 2xx carries the credentials of its INVITE (§13.2.2.4). */
function credentialsOf(invite: SipMessage): HeaderRow[] {
	return [
		...invite.rows(Header.Authorization).map((value): HeaderRow => ['Authorization', value]),
		...invite.rows(Header.ProxyAuthorization).map((value): HeaderRow => ['Proxy-Authorization', value]),
	]
}
