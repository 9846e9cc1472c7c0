/** `/c/<token>`: the app asks for its call, or declines it, from wherever it is. The token in the path is all it needs. */
import { type Context, Hono } from 'hono'
import type { CallVerdict } from '../core/snapshot.ts'
import { Bucket } from '../lib/bucket.ts'

/**
 * Tokens that are forged or expired: more than late phones bring, and a guesser is told to slow down. What is genuine is never
 * counted, so that nobody can keep a phone from its call.
 */
export const FORGERIES = { burst: 400, perSecond: 200 }

export interface CallSources {
	/** What the token says now. Asking is a sign of life of its device, and changes nothing else. */
	readonly look: (token: string) => CallVerdict
	/** Declines the call for that device. */
	readonly decline: (callId: string, deviceId: number) => void
}

export function createCallRoutes({ look, decline }: CallSources, now: () => number = () => performance.now()): Hono {
	const bucket = new Bucket(FORGERIES, now())
	const app = new Hono()
	const forged = (c: Context) => {
		if (bucket.take(now())) return forbidden(c, 'This address is not valid, or no longer.')
		return c.json({ error: 'Too many requests.' }, 429, { 'retry-after': '1' })
	}
	app.get('/c/:token', (c) => {
		const verdict = look(c.req.param('token'))
		switch (verdict.kind) {
			case 'forged':
				return forged(c)
			case 'ended':
				return c.json({ state: 'ended', reason: verdict.reason })
			case 'ringing':
				return c.json({ state: 'ringing' })
		}
	})
	app.post('/c/:token', (c) => {
		const verdict = look(c.req.param('token'))
		if (verdict.kind === 'forged') return forged(c)
		if (verdict.kind === 'ended') return forbidden(c, 'The call is over, or this was used.')
		decline(verdict.callId, verdict.deviceId)
		return c.json({ state: 'ended', reason: 'declined' })
	})
	return app
}

function forbidden(c: Context, error: string): Response {
	return c.json({ error }, 403)
}
