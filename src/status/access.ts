/**
 * Who may read the status. A configured token is asked of everybody; without one only loopback is listened on
 * (see {@link isLoopback}), and then a page of another site must not read it through the browser either.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import type { Secret } from '../lib/secret.ts'

export const COOKIE_NAME = 'push_gateway_status'

export type Verdict =
	| { readonly kind: 'granted' }
	/** The token came in the address: keep it as a cookie, and take it out of the address bar. */
	| { readonly kind: 'enter'; readonly location: string; readonly cookie: string }
	| { readonly kind: 'denied' }
	/** A browser was led here under a foreign name (DNS rebinding). */
	| { readonly kind: 'foreign-host' }

export type Access = (request: Request) => Verdict

const GRANTED: Verdict = { kind: 'granted' }
const DENIED: Verdict = { kind: 'denied' }
const FOREIGN_HOST: Verdict = { kind: 'foreign-host' }

export function createAccess(token: Secret | undefined): Access {
	if (!token) return (request) => (isLoopback(new URL(request.url).hostname) ? GRANTED : FOREIGN_HOST)
	const isToken = matcher(token.reveal())
	const ticket = cookieValue(token)
	const isTicket = matcher(ticket)
	return (request) => {
		const url = new URL(request.url)
		const asked = url.searchParams.get('token')
		if (asked !== null && isToken(asked)) return enter(url, ticket)
		const bearer = /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
		if (bearer !== undefined && isToken(bearer)) return GRANTED
		const cookie = readCookie(request.headers.get('cookie') ?? '')
		return cookie !== undefined && isTicket(cookie) ? GRANTED : DENIED
	}
}

/** `localhost`, 127.0.0.0/8 or ::1, IPv6 with or without brackets. */
export function isLoopback(host: string): boolean {
	if (host === 'localhost' || host === '::1' || host === '[::1]') return true
	return isIP(host) === 4 && host.startsWith('127.')
}

/** Compares digests, so that neither the time nor the length tells how much of a guess was right. */
function matcher(expected: string): (given: string) => boolean {
	const digest = (text: string) => createHash('sha256').update(text).digest()
	const wanted = digest(expected)
	return (given) => timingSafeEqual(digest(given), wanted)
}

/** The cookie holds a keyed digest: whoever reads it from a browser's files does not know the token. */
function cookieValue(token: Secret): string {
	return createHmac('sha256', token.reveal()).update(COOKIE_NAME).digest('hex')
}

function enter(url: URL, ticket: string): Verdict {
	url.searchParams.delete('token')
	// `//host/` at the start of a Location would lead to another site.
	const location = url.pathname.replace(/^\/+/, '/') + url.search
	return { kind: 'enter', location, cookie: `${COOKIE_NAME}=${ticket}; HttpOnly; SameSite=Strict; Path=/` }
}

function readCookie(header: string): string | undefined {
	for (const pair of header.split(';')) {
		const [name, value] = pair.trim().split('=', 2)
		if (name === COOKIE_NAME) return value
	}
	return undefined
}
