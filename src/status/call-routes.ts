/** `/c/<token>`: the app asks for its call, or declines it, from wherever it is. The token in the path is all it needs. */
import { type Context, Hono } from 'hono'
import type { CallVerdict } from '../core/snapshot.ts'
import { Bucket } from '../lib/bucket.ts'

/** One or two for each push: a centre of ten thousand agents asks less, and a flood costs an HMAC each up to here. */
export const CALL_REQUESTS = { burst: 400, perSecond: 200 }

export interface CallSources {
	/** What the token says now. Changes nothing. */
	readonly look: (token: string) => CallVerdict
	/** Declines the call for that device. */
	readonly decline: (callId: string, deviceId: number) => void
}

export function createCallRoutes({ look, decline }: CallSources, now: () => number = () => performance.now()): Hono {
	const bucket = new Bucket(CALL_REQUESTS, now())
	const app = new Hono()
	app.use('/c/:token', async (c, next) => {
		if (bucket.take(now())) return next()
		return c.json({ error: 'Too many requests.' }, 429, { 'retry-after': '1' })
	})
	app.get('/c/:token', (c) => {
		const verdict = look(c.req.param('token'))
		switch (verdict.kind) {
			case 'forged':
				return forbidden(c, 'This address is not valid, or no longer.')
			case 'ended':
				return c.json({ state: 'ended', reason: verdict.reason })
			case 'ringing':
				return c.json({ state: 'ringing' })
		}
	})
	app.post('/c/:token', (c) => {
		const verdict = look(c.req.param('token'))
		if (verdict.kind === 'forged') return forbidden(c, 'This address is not valid, or no longer.')
		if (verdict.kind === 'ended') return forbidden(c, 'The call is over, or this was used.')
		decline(verdict.callId, verdict.deviceId)
		return c.json({ state: 'ended', reason: 'declined' })
	})
	return app
}

function forbidden(c: Context, error: string): Response {
	return c.json({ error }, 403)
}
