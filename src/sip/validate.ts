/** Step 1 of RFC 3261 §16.3: what a proxy itself uses must be well formed. All else is nobody's business here. */
import { scanNameAddr, scannedBrackets, scannedTag } from './address.ts'
import type { FaultCode } from './faults.ts'
import { DIGIT, decimal, skipBlank, skipClass, TOKEN, URI } from './grammar.ts'
import { Header } from './headers.ts'
import { rowValue } from './message.ts'
import { isKnownMethod, methodIn } from './methods.ts'
import { FOLDED, type Head, ROW } from './rows.ts'
import { parseUri, type SipUri, uriScheme } from './uri.ts'
import { EMPTY_VIA, scanVia, type Via, viaRecord } from './via.ts'

/** RFC 3261 §8.1.1.5 keeps a client below 2^31; what fits 32 bits is read. */
export const MAX_CSEQ = 4_294_967_295
/** RFC 3261 §20.22. A greater value counts as absent (RFC 4475 §3.1.2.4). */
export const MAX_MAX_FORWARDS = 255
/** More than any datagram holds; a greater Content-Length is malformed all the same. */
export const MAX_CONTENT_LENGTH = 0x7fff_ffff

/** What the rows say, gathered row by row; `code` is the first thing wrong with them. */
export class Reading {
	code: FaultCode | undefined = undefined
	via: Via = EMPTY_VIA
	callId = ''
	cseq = 0
	cseqMethod = ''
	fromTag = ''
	toTag = ''
	maxForwards = -1
	/** -1 where there is no Content-Length. */
	contentLength = -1
	requestUri: SipUri | undefined = undefined
	/** One bit for each header id met. */
	#met = 0

	/** Reads all rows. `method` is '' for a response: Max-Forwards, Route and Contact are not looked at then. */
	constructor(text: string, head: Head, method: string) {
		const { rows, count } = head
		for (let i = 0, at = 0; i < count; i++, at += ROW) {
			const id = rows[at]! & ~FOLDED
			if (id === Header.Other || id > Header.ContentLength) continue
			const end = rows[at + 4]!
			/* read where it stands; a value that was folded, or has blanks behind it, as a text of its own */
			const plain = rows[at] === id && text.charCodeAt(end) === CR
			const value = plain ? text : rowValue(text, rows, i)
			const wrong = this.#readRow(id, value, plain ? rows[at + 3]! : 0, plain ? end : value.length, method)
			if (wrong !== undefined) this.fail(wrong)
			this.#met |= 1 << id
		}
		this.#demand(Header.Via, 'via-missing')
		this.#demand(Header.From, 'from-missing')
		this.#demand(Header.To, 'to-missing')
		this.#demand(Header.CallId, 'call-id-missing')
		this.#demand(Header.CSeq, 'cseq-missing')
	}

	/** Nothing to answer to: there is no Via row at all. */
	get unanswerable(): boolean {
		return (this.#met & (1 << Header.Via)) === 0
	}

	#demand(id: number, missing: FaultCode): void {
		if ((this.#met & (1 << id)) === 0) this.fail(missing)
	}

	/** Keeps the first fault. */
	fail(code: FaultCode): void {
		this.code ??= code
	}

	/** Reads the value `text[from, to)` of one row; what is wrong with it, if anything. */
	#readRow(id: number, text: string, from: number, to: number, method: string): FaultCode | undefined {
		const again = (this.#met & (1 << id)) !== 0
		switch (id) {
			case Header.Via:
				return this.#readVia(text, from, to, again)
			case Header.From:
				return again ? 'from-repeated' : this.#readFrom(text, from, to)
			case Header.To:
				return again ? 'to-repeated' : this.#readTo(text, from, to)
			case Header.CallId:
				return again ? 'call-id-repeated' : this.#readCallId(text, from, to)
			case Header.CSeq:
				return again ? 'cseq-repeated' : this.#readCSeq(text, from, to)
			case Header.ContentLength:
				return this.#readContentLength(text, from, to)
			case Header.MaxForwards:
				if (method === '') return undefined
				return again ? 'max-forwards-repeated' : this.#readMaxForwards(text, from, to)
			case Header.Route:
				return method === '' || areRoutes(text, from, to) ? undefined : 'route-malformed'
			case Header.Contact:
				return method !== 'REGISTER' || areContacts(text, from, to) ? undefined : 'contact-malformed'
			default:
				return undefined
		}
	}

	#readVia(text: string, from: number, to: number, again: boolean): FaultCode | undefined {
		let at = scanVia(text, from, to)
		if (at >= 0 && !again) this.via = viaRecord(text)
		while (at >= 0 && at < to) at = scanVia(text, at + 1, to)
		if (at < 0) return 'via-malformed'
		// §8.1.1.7: the cookie and nothing behind it identifies no transaction (RFC 4475 §3.3.4).
		return this.via.branch === 'z9hG4bK' ? 'via-branch' : undefined
	}

	#readFrom(text: string, from: number, to: number): FaultCode | undefined {
		if (scanNameAddr(text, from, to) !== to) return 'from-malformed'
		this.fromTag = scannedTag(text)
		return undefined
	}

	#readTo(text: string, from: number, to: number): FaultCode | undefined {
		if (scanNameAddr(text, from, to) !== to) return 'to-malformed'
		this.toTag = scannedTag(text)
		return undefined
	}

	/** §25.1 `word`, taken widely: any visible octets. `"<>[]{}` are plain here. */
	#readCallId(text: string, from: number, to: number): FaultCode | undefined {
		this.callId = text.slice(from, to)
		for (let i = from; i < to; i++) {
			const code = text.charCodeAt(i)
			if (code <= 0x20 || code === 0x7f) return 'call-id-malformed'
		}
		return from === to ? 'call-id-malformed' : undefined
	}

	/** `1*DIGIT LWS Method` */
	#readCSeq(text: string, from: number, to: number): FaultCode | undefined {
		const digitsEnd = skipClass(text, from, DIGIT)
		const methodAt = skipBlank(text, digitsEnd)
		const cseq = decimal(text, from, digitsEnd, MAX_CSEQ)
		const methodEnd = skipClass(text, methodAt, TOKEN)
		const good = cseq >= 0 && methodAt > digitsEnd && methodEnd > methodAt && methodEnd === to
		if (!good) return 'cseq-malformed'
		this.cseq = cseq
		this.cseqMethod = methodIn(text, methodAt, methodEnd)
		return undefined
	}

	#readContentLength(text: string, from: number, to: number): FaultCode | undefined {
		const length = decimal(text, from, to, MAX_CONTENT_LENGTH)
		if (length < 0) return 'length-malformed'
		// Two equal rows say one thing; two different ones are how requests are smuggled (RFC 4475 §3.3.9).
		if (this.contentLength >= 0 && this.contentLength !== length) return 'length-conflict'
		this.contentLength = length
		return undefined
	}

	#readMaxForwards(text: string, from: number, to: number): FaultCode | undefined {
		if (from === to || skipClass(text, from, DIGIT) < to) return 'max-forwards-malformed'
		this.maxForwards = decimal(text, from, to, MAX_MAX_FORWARDS)
		return undefined
	}

	/** §16.3(2) and what the start line and CSeq must agree on (§8.1.1.5). */
	judgeRequest(method: string, uri: string): void {
		this.requestUri = parseUri(uri)
		if (this.requestUri === undefined) this.fail(unreadUri(uri))
		else if (this.requestUri.headers !== '') this.fail('request-uri-headers')
		if (this.cseqMethod !== method) this.fail(isKnownMethod(method) ? 'cseq-method' : 'unknown-method')
	}
}

function unreadUri(uri: string): FaultCode {
	const scheme = uriScheme(uri)
	const good = scheme !== '' && scheme !== 'sip' && scheme !== 'sips' && skipClass(uri, 0, URI) === uri.length
	return good && uri.length > scheme.length + 1 ? 'scheme' : 'request-uri'
}

/** A list of name-addr: the URI in `<>` (§20.34). */
function areRoutes(text: string, at: number, end: number): boolean {
	for (; at <= end; at++) {
		at = scanNameAddr(text, at, end)
		if (at < 0 || !scannedBrackets()) return false
	}
	return true
}

/** `*`, or a list of addresses (§20.10). Looked at in a REGISTER alone: elsewhere the proxy does not use it. */
function areContacts(text: string, at: number, end: number): boolean {
	if (end - at === 1 && text.charCodeAt(at) === ASTERISK) return true
	for (; at <= end; at++) {
		at = scanNameAddr(text, at, end)
		if (at < 0) return false
	}
	return true
}

const ASTERISK = 0x2a
const CR = 0x0d
