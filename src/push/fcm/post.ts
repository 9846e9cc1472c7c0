/** One POST to Google, bounded in time and in what is read of the answer. */
import { codeOf } from '../session.ts'

/** Of an answer's body. Google's errors have a few hundred octets, an access token about a thousand. */
const BODY_MAX_BYTES = 16_384

export type Answer =
	| {
			readonly kind: 'response'
			readonly status: number
			readonly body: string
			/** What Retry-After asks for, ms; undefined where it is not there. */
			readonly retryAfterMs: number | undefined
	  }
	/** None in time, or no connection. */
	| { readonly kind: 'none'; readonly reason: string }

export interface Request {
	readonly url: string
	readonly headers: Readonly<Record<string, string>>
	readonly body: string
	readonly timeoutMs: number
	/** Trusted roots in PEM instead of the public ones. */
	readonly ca: string | undefined
	/** On a connection of its own: one that was kept may be as dead as that of the last try. */
	readonly isRetry?: boolean
}

/** Never rejects. */
export async function post({ url, headers, body, timeoutMs, ca, isRetry }: Request): Promise<Answer> {
	const tls = ca === undefined ? { rejectUnauthorized: true } : { rejectUnauthorized: true, ca }
	const signal = AbortSignal.timeout(Math.max(1, Math.round(timeoutMs)))
	try {
		/* a redirect could lead a token to somebody else */
		const init = {
			method: 'POST',
			headers,
			body,
			redirect: 'manual',
			signal,
			tls,
			keepalive: isRetry !== true,
		} as const
		const response = await fetch(url, init)
		const retryAfterMs = retryAfter(response.headers.get('retry-after'), Date.now())
		return { kind: 'response', status: response.status, body: await bodyOf(response), retryAfterMs }
	} catch (error) {
		return { kind: 'none', reason: signal.aborted ? 'timeout' : codeOf(error) }
	}
}

async function bodyOf(response: Response): Promise<string> {
	const parts: Uint8Array[] = []
	let length = 0
	for await (const part of response.body ?? []) {
		parts.push(part)
		length += part.length
		if (length >= BODY_MAX_BYTES) break
	}
	return Buffer.concat(parts).toString('utf8', 0, BODY_MAX_BYTES)
}

/** RFC 9110 §10.2.3: seconds, or a date. */
export function retryAfter(value: string | null, nowMs: number): number | undefined {
	if (value === null) return undefined
	const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - nowMs
	return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}
