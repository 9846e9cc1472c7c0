/** One POST of one event: signed, bounded in time, and judged by its status alone. */
import { createHmac } from 'node:crypto'
import type { Secret } from '../lib/secret.ts'

/** A receiver that only notes what it gets answers in milliseconds; the next event waits for this one. */
export const POST_TIMEOUT_MS = 5_000

export type PostResult =
	| { readonly kind: 'delivered' }
	/** It will not be taken another time either. */
	| { readonly kind: 'refused'; readonly reason: string }
	/** Nobody there, or not now. */
	| { readonly kind: 'failed'; readonly reason: string }

/** Never rejects. */
export type Post = (body: string) => Promise<PostResult>

export interface PostOptions {
	/** http or https. */
	readonly url: string
	/** Without one nothing is signed. */
	readonly secret: Secret | undefined
	readonly userAgent: string
	/** ms since the epoch. */
	readonly now: () => number
	readonly timeoutMs?: number
}

const OK = 200
const REDIRECT = 300
const BAD_REQUEST = 400
const SERVER_ERROR = 500
/** Request Timeout and Too Many Requests speak of now, not of the event. */
const NOT_NOW: ReadonlySet<number> = new Set([408, 429])

export function httpPost({ url, secret, userAgent, now, timeoutMs = POST_TIMEOUT_MS }: PostOptions): Post {
	return async (body) => {
		const headers: Record<string, string> = { 'Content-Type': 'application/json', 'User-Agent': userAgent }
		if (secret !== undefined) headers['X-Push-Gateway-Signature'] = signature(body, secret, now())
		try {
			const signal = AbortSignal.timeout(timeoutMs)
			/* a redirect could lead a signed event to somebody else */
			const response = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal })
			/* nobody reads what it says, however long it is */
			await response.body?.cancel()
			return judged(response.status)
		} catch (error) {
			return { kind: 'failed', reason: reasonOf(error, timeoutMs) }
		}
	}
}

/** `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`: of this try, so that a receiver can refuse an old one. */
export function signature(body: string, secret: Secret, nowMs: number): string {
	const t = Math.floor(nowMs / 1000)
	return `t=${t},v1=${createHmac('sha256', secret.reveal()).update(`${t}.${body}`).digest('hex')}`
}

export function judged(status: number): PostResult {
	if (status >= OK && status < REDIRECT) return { kind: 'delivered' }
	if (status >= SERVER_ERROR || NOT_NOW.has(status)) return { kind: 'failed', reason: `HTTP ${status}` }
	const why = status < BAD_REQUEST ? ': redirects are not followed' : ''
	return { kind: 'refused', reason: `HTTP ${status}${why}` }
}

/** What Bun calls it, and what the system does. */
const REFUSED_CONNECTION = /ECONNREFUSED|ConnectionRefused/

/** The URL may hold a secret of the receiver: it is not repeated. */
function reasonOf(error: unknown, timeoutMs: number): string {
	if (!(error instanceof Error)) return 'the connection failed'
	if (error.name === 'TimeoutError') return `no answer within ${timeoutMs / 1000} s`
	if (REFUSED_CONNECTION.test(error.message)) return 'nobody listens there'
	return error.message.replace(/https?:\/\/\S+/g, '…')
}
