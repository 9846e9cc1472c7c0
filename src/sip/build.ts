/** Messages of our own: responses, requests, and the CANCEL and ACK that belong to an INVITE as it was sent. */
import { scanNameAddr } from './address.ts'
import { Header, type HeaderId, headerName } from './headers.ts'
import { encodeLatin1 } from './latin1.ts'
import type { SipMessage } from './message.ts'
import { stampedVia } from './via.ts'

export type HeaderRow = readonly [name: string, value: string]

/** RFC 3261 §21, and the RFCs in brackets. */
const REASONS = new Map<number, string>([
	[100, 'Trying'],
	[180, 'Ringing'],
	[181, 'Call Is Being Forwarded'],
	[182, 'Queued'],
	[183, 'Session Progress'],
	[200, 'OK'],
	[202, 'Accepted'],
	[300, 'Multiple Choices'],
	[301, 'Moved Permanently'],
	[302, 'Moved Temporarily'],
	[305, 'Use Proxy'],
	[380, 'Alternative Service'],
	[400, 'Bad Request'],
	[401, 'Unauthorized'],
	[402, 'Payment Required'],
	[403, 'Forbidden'],
	[404, 'Not Found'],
	[405, 'Method Not Allowed'],
	[406, 'Not Acceptable'],
	[407, 'Proxy Authentication Required'],
	[408, 'Request Timeout'],
	[410, 'Gone'],
	[412, 'Conditional Request Failed'],
	[413, 'Request Entity Too Large'],
	[414, 'Request-URI Too Long'],
	[415, 'Unsupported Media Type'],
	[416, 'Unsupported URI Scheme'],
	[420, 'Bad Extension'],
	[421, 'Extension Required'],
	[422, 'Session Interval Too Small'],
	[423, 'Interval Too Brief'],
	[430, 'Flow Failed'],
	[439, 'First Hop Lacks Outbound Support'],
	[440, 'Max-Breadth Exceeded'],
	[480, 'Temporarily Unavailable'],
	[481, 'Call/Transaction Does Not Exist'],
	[482, 'Loop Detected'],
	[483, 'Too Many Hops'],
	[484, 'Address Incomplete'],
	[485, 'Ambiguous'],
	[486, 'Busy Here'],
	[487, 'Request Terminated'],
	[488, 'Not Acceptable Here'],
	[491, 'Request Pending'],
	[493, 'Undecipherable'],
	[500, 'Server Internal Error'],
	[501, 'Not Implemented'],
	[502, 'Bad Gateway'],
	[503, 'Service Unavailable'],
	[504, 'Server Time-out'],
	[505, 'Version Not Supported'],
	[513, 'Message Too Large'],
	[555, 'Push Notification Service Not Supported'],
	[600, 'Busy Everywhere'],
	[603, 'Decline'],
	[604, 'Does Not Exist Anywhere'],
	[606, 'Not Acceptable'],
	[607, 'Unwanted'],
])

/** By class, for a status without a phrase of its own (§8.1.3.2 treats it as x00). */
const CLASS_REASONS = ['', 'Progress', 'Success', 'Redirection', 'Request Failure', 'Server Failure', 'Global Failure']

/** The phrase for a status 100–699. */
export function reasonPhrase(status: number): string {
	return REASONS.get(status) ?? CLASS_REASONS[Math.trunc(status / 100)] ?? ''
}

export interface ResponseOptions {
	/** Reason phrase, latin1 without CR and LF. */
	readonly reason?: string
	/** To-tag of ours, used where the request's To has none. */
	readonly toTag?: string
	readonly rows?: readonly HeaderRow[]
	readonly contentType?: string
	/** latin1 text. */
	readonly body?: string
}

/**
 * A response to `request` by RFC 3261 §8.2.6: its Vias (the topmost stamped with `source` where one is given), From, To,
 * Call-ID and CSeq. Copes with a faulty request: a header it lacks is left out.
 */
export function response(
	request: SipMessage,
	source: { readonly address: string; readonly port: number } | undefined,
	status: number,
	options: ResponseOptions = {},
): Uint8Array {
	let head = `SIP/2.0 ${status} ${options.reason ?? reasonPhrase(status)}\r\n`
	head += viaRows(request, source)
	head += copied(request, Header.From)
	head += toRow(request, status, options.toTag)
	head += copied(request, Header.CallId) + copied(request, Header.CSeq)
	if (status === 100) head += timestampRows(request)
	return encodeLatin1(head + rowsText(options.rows) + bodyText(options.contentType, options.body))
}

function viaRows(request: SipMessage, source: { readonly address: string; readonly port: number } | undefined): string {
	let text = ''
	for (let i = request.find(Header.Via); i >= 0; i = request.find(Header.Via, i + 1)) {
		const stamp = source !== undefined && text === ''
		text += `Via: ${stamp ? stampedVia(request.value(i), source.address, source.port) : request.value(i)}\r\n`
	}
	return text
}

/** §8.2.6.2: every response but a 100 has a tag; one the request brought stays. A malformed To goes back as it came. */
function toRow(request: SipMessage, status: number, toTag: string | undefined): string {
	const value = request.first(Header.To)
	if (value === undefined) return ''
	const tagless = request.toTag === '' && scanNameAddr(value, 0) === value.length
	return tagless && toTag !== undefined && status !== 100 ? `To: ${value};tag=${toTag}\r\n` : `To: ${value}\r\n`
}

/** §8.2.6.1: a Timestamp is copied into the 100. */
function timestampRows(request: SipMessage): string {
	let text = ''
	for (let i = request.find(Header.Other); i >= 0; i = request.find(Header.Other, i + 1)) {
		if (request.isNamed(i, 'timestamp')) text += `Timestamp: ${request.value(i)}\r\n`
	}
	return text
}

/** The first row of that id under its canonical name, '' where there is none. */
function copied(message: SipMessage, id: HeaderId): string {
	const value = message.first(id)
	return value === undefined ? '' : `${headerName(id)}: ${value}\r\n`
}

function rowsText(rows: readonly HeaderRow[] | undefined): string {
	let text = ''
	if (rows !== undefined) for (const [name, value] of rows) text += `${name}: ${value}\r\n`
	return text
}

/** Content-Type and Content-Length, the empty line, the body. */
function bodyText(contentType: string | undefined, body = ''): string {
	const type = contentType === undefined ? '' : `Content-Type: ${contentType}\r\n`
	return `${type}Content-Length: ${body.length}\r\n\r\n${body}`
}

export interface RequestParts {
	readonly method: string
	readonly uri: string
	/** Whole values: `SIP/2.0/UDP host:port;branch=…`, `<sip:…>;tag=…`. */
	readonly via: string
	readonly from: string
	readonly to: string
	readonly callId: string
	readonly cseq: number
	/** 70 where absent (§8.1.1.6). */
	readonly maxForwards?: number
	readonly rows?: readonly HeaderRow[]
	readonly contentType?: string
	/** latin1 text. */
	readonly body?: string
}

/** A request of our own (§8.1.1). */
export function request(parts: RequestParts): Uint8Array {
	const head =
		`${parts.method} ${parts.uri} SIP/2.0\r\nVia: ${parts.via}\r\nMax-Forwards: ${parts.maxForwards ?? 70}\r\n` +
		`From: ${parts.from}\r\nTo: ${parts.to}\r\nCall-ID: ${parts.callId}\r\nCSeq: ${parts.cseq} ${parts.method}\r\n`
	return encodeLatin1(head + rowsText(parts.rows) + bodyText(parts.contentType, parts.body))
}

/** The CANCEL of an INVITE as it was sent (§9.1): its Request-URI, topmost Via, From, To, Call-ID, CSeq number and Routes. */
export function cancel(sentInvite: SipMessage, rows: readonly HeaderRow[] = []): Uint8Array {
	return hopByHop(sentInvite, 'CANCEL', sentInvite.first(Header.To), rows)
}

/** The ACK of a non-2xx response (§17.1.1.3): as the CANCEL, but the To of the response. */
export function ackFor(sentInvite: SipMessage, response: SipMessage): Uint8Array {
	return hopByHop(sentInvite, 'ACK', response.first(Header.To), [])
}

function hopByHop(
	invite: SipMessage,
	method: 'ACK' | 'CANCEL',
	to: string | undefined,
	rows: readonly HeaderRow[],
): Uint8Array {
	const routes = invite.rows(Header.Route).map((value): HeaderRow => ['Route', value])
	return request({
		method,
		uri: invite.uri,
		via: invite.list(Header.Via)[0] ?? '',
		from: invite.first(Header.From) ?? '',
		to: to ?? '',
		callId: invite.callId,
		cseq: invite.cseq,
		rows: [...routes, ...rows],
	})
}
