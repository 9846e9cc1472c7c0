/** Dialogs of the demo's user agents (RFC 3261 §12): who speaks to whom, and by which route. */
import { parseNameAddr } from '../sip/address.ts'
import { type HeaderRow, request } from '../sip/build.ts'
import { Header } from '../sip/headers.ts'
import type { SipMessage } from '../sip/message.ts'
import { parseUri, uriParam } from '../sip/uri.ts'

/** One side's view of a dialog; the counters and the target move on. */
export interface Dialog {
	readonly callId: string
	readonly localTag: string
	readonly remoteTag: string
	/** From value of the requests of this side, tag included. */
	readonly local: string
	/** To value of the requests of this side, tag included. */
	readonly remote: string
	/** The other side's Contact URI. */
	target: string
	readonly routes: readonly string[]
	localCseq: number
	/** CSeq of the last request of the other side; -1: none yet. */
	remoteCseq: number
}

/** Where a datagram comes from or goes to; `address` is a literal, IPv6 without brackets. */
export interface Endpoint {
	readonly address: string
	readonly port: number
}

const DEFAULT_PORT = 5060

/** The view of the side that answers `invite` (§12.1.1). */
export function dialogOfServer(invite: SipMessage, localTag: string): Dialog {
	return {
		callId: invite.callId,
		localTag,
		remoteTag: invite.fromTag,
		local: `${invite.first(Header.To)};tag=${localTag}`,
		remote: invite.first(Header.From) ?? '',
		target: contactUri(invite),
		routes: invite.list(Header.RecordRoute),
		localCseq: 0,
		remoteCseq: invite.cseq,
	}
}

/** The view of the side that sent `invite` and got this 2xx (§12.1.2): the route set is reversed. */
export function dialogOfClient(invite: SipMessage, response: SipMessage): Dialog {
	return {
		callId: invite.callId,
		localTag: invite.fromTag,
		remoteTag: response.toTag,
		local: invite.first(Header.From) ?? '',
		remote: response.first(Header.To) ?? '',
		target: contactUri(response),
		routes: response.list(Header.RecordRoute).reverse(),
		localCseq: invite.cseq,
		remoteCseq: -1,
	}
}

/** The URI of the first Contact; '' where there is none. */
export function contactUri(message: SipMessage): string {
	return parseNameAddr(message.list(Header.Contact)[0] ?? '')?.uri ?? ''
}

/** A request within the dialog (§12.2.1.1). `cseq` is the caller's: an ACK repeats that of its INVITE. */
export function requestWithin(
	dialog: Dialog,
	method: string,
	cseq: number,
	via: string,
	rows: readonly HeaderRow[] = [],
	body?: string,
): Uint8Array {
	return request({
		method,
		uri: dialog.target,
		via,
		from: dialog.local,
		to: dialog.remote,
		callId: dialog.callId,
		cseq,
		rows: [...dialog.routes.map((route): HeaderRow => ['Route', route]), ...rows],
		...(body === undefined ? {} : { contentType: 'application/sdp', body }),
	})
}

/** The first hop of the dialog's requests, loose routing only; undefined where it is a name. */
export function nextHop(dialog: Dialog): Endpoint | undefined {
	return endpointOf(parseNameAddr(dialog.routes[0] ?? '')?.uri ?? dialog.target)
}

/** The address a SIP URI names, `maddr` first; undefined where it is a name or no SIP URI. */
export function endpointOf(uriText: string): Endpoint | undefined {
	const uri = parseUri(uriText)
	if (uri === undefined) return undefined
	const address = uriParam(uri.params, 'maddr') ?? uri.host
	return /^[\d.]+$|:/.test(address) ? { address, port: uri.port || DEFAULT_PORT } : undefined
}
