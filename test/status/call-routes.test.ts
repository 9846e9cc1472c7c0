/** What apps ask from outside, over HTTP. */
import { afterAll, describe, expect, test } from 'bun:test'
import type { CallVerdict } from '../../src/core/snapshot.ts'
import { Secret } from '../../src/lib/secret.ts'
import { createCallRoutes, FORGERIES } from '../../src/status/call-routes.ts'
import { startPublic } from '../../src/status/public.ts'
import { startStatus } from '../../src/status/status.ts'
import { options } from './fixture.ts'

/** The core's side: one call that rings until it is declined. */
function oneCall() {
	const declined: [string, number][] = []
	const look = (token: string): CallVerdict => {
		if (token !== 'good') return { kind: 'forged' }
		if (declined.length > 0) return { kind: 'ended', reason: 'declined' }
		return { kind: 'ringing', callId: 'c', deviceId: 7 }
	}
	const calls = { look, decline: (callId: string, deviceId: number) => void declined.push([callId, deviceId]) }
	return { calls, declined }
}

async function answer(response: Response | Promise<Response>): Promise<[number, unknown]> {
	const { status, body } = await Promise.resolve(response).then(async (got) => ({
		status: got.status,
		body: await got.json(),
	}))
	return [status, body]
}

describe('/c/<token>', () => {
	test('GET tells, POST declines once, GET tells again', async () => {
		const { calls, declined } = oneCall()
		const app = createCallRoutes(calls)
		expect(await answer(app.request('/c/good'))).toEqual([200, { state: 'ringing' }])
		const post = () => answer(app.request('/c/good', { method: 'POST' }))
		expect(await post()).toEqual([200, { state: 'ended', reason: 'declined' }])
		expect(await post()).toEqual([403, { error: 'The call is over, or this was used.' }])
		expect(declined).toEqual([['c', 7]])
		expect(await answer(app.request('/c/good'))).toEqual([200, { state: 'ended', reason: 'declined' }])
	})

	test('a forged or expired token is 403, whatever the method', async () => {
		const { calls, declined } = oneCall()
		const app = createCallRoutes(calls)
		for (const method of ['GET', 'POST'])
			expect(await answer(app.request('/c/bad', { method }))).toEqual([
				403,
				{ error: 'This address is not valid, or no longer.' },
			])
		expect(declined).toEqual([])
	})

	test(`FORGERIES: ${FORGERIES.burst} at once and ${FORGERIES.perSecond} a second, and 429 beyond`, async () => {
		let now = 0
		const app = createCallRoutes(oneCall().calls, () => now)
		for (let i = 0; i < FORGERIES.burst; i++) expect((await app.request('/c/bad')).status).toBe(403)
		const refused = await app.request('/c/bad', { method: 'POST' })
		expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
		now += 1_000
		expect((await app.request('/c/bad')).status).toBe(403)
	})

	test('who forges keeps nobody from declining', async () => {
		const { calls, declined } = oneCall()
		const app = createCallRoutes(calls, () => 0)
		for (let i = 0; i <= FORGERIES.burst; i++) await app.request('/c/bad')
		expect((await app.request('/c/good')).status).toBe(200)
		expect((await app.request('/c/good', { method: 'POST' })).status).toBe(200)
		expect(declined).toHaveLength(1)
	})
})

describe('the listeners', () => {
	const stops: (() => Promise<void>)[] = []
	afterAll(async () => {
		for (const stop of stops) await stop()
	})

	test('--http serves /c/ without its token and under any name, and nothing else so', async () => {
		const { calls, declined } = oneCall()
		const token = new Secret('a-token-of-sixteen')
		const started = startStatus({ ...options(), address: '127.0.0.1', port: 0, token, calls })
		if (!started.ok) throw new Error(started.fault.sentence)
		stops.push(() => started.status.stop())
		const { url } = started.status
		const headers = { host: 'gw.example' }
		expect((await fetch(`${url}c/good`, { method: 'POST', headers })).status).toBe(200)
		expect(declined.length).toBe(1)
		expect((await fetch(`${url}api/status`, { headers })).status).toBe(401)
		expect((await fetch(`${url}api/status`, { method: 'POST' })).status).toBe(405)
	})

	test('without --public-url there is no /c/', async () => {
		const started = startStatus({ ...options(), address: '127.0.0.1', port: 0, token: undefined })
		if (!started.ok) throw new Error(started.fault.sentence)
		stops.push(() => started.status.stop())
		expect((await fetch(`${started.status.url}c/good`)).status).toBe(404)
	})

	test('--public-http serves /c/ and nothing else, and says in a sentence when it cannot listen', async () => {
		const place = { address: '127.0.0.1', port: 0, calls: oneCall().calls, report: () => {} }
		const started = startPublic(place)
		if (!started.ok) throw new Error(started.sentence)
		stops.push(started.stop)
		const at = (path: string) => fetch(`http://127.0.0.1:${started.port}${path}`)
		expect((await at('/c/good')).headers.get('cache-control')).toBe('no-store')
		for (const path of ['/', '/api/status', '/metrics', '/healthz', '/c/']) expect((await at(path)).status).toBe(404)
		const again = startPublic({ ...place, port: started.port })
		expect(again.ok ? '' : again.sentence).toBe(
			`--public-http cannot listen on 127.0.0.1 port ${started.port}: another program has it, perhaps a gateway that is running already.`,
		)
	})

	test('a fault of ours is told without the token that was asked with', async () => {
		const told: string[] = []
		const look = (): CallVerdict => {
			throw new Error('broken')
		}
		const started = startPublic({
			...{ address: '127.0.0.1', port: 0 },
			calls: { look, decline: () => {} },
			report: (sentence) => void told.push(sentence),
		})
		if (!started.ok) throw new Error(started.sentence)
		stops.push(started.stop)
		expect((await fetch(`http://127.0.0.1:${started.port}/c/secret`)).status).toBe(500)
		expect(told).toEqual(['A request of an app failed: broken'])
	})
})
