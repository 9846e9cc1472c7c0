/** Real POSTs to a real server on loopback. */
import { afterAll, describe, expect, test } from 'bun:test'
import { createHmac } from 'node:crypto'
import { httpPost, judged, POST_TIMEOUT_MS, signature } from '../../src/events/post.ts'
import { Secret } from '../../src/lib/secret.ts'

const NOW = Date.UTC(2026, 6, 27, 10, 0, 0) + 678
const SECRET = new Secret('a key of both sides')

const seen: { readonly method: string; readonly path: string; readonly headers: Headers; readonly body: string }[] = []
const server = Bun.serve({
	hostname: '127.0.0.1',
	port: 0,
	async fetch(request) {
		const { pathname } = new URL(request.url)
		seen.push({ method: request.method, path: pathname, headers: request.headers, body: await request.text() })
		if (pathname === '/slow') await Bun.sleep(2_000)
		if (pathname === '/moved') return new Response('', { status: 302, headers: { location: '/elsewhere' } })
		return new Response('x'.repeat(100_000), { status: Number(pathname.slice(1)) || 200 })
	},
})
afterAll(() => server.stop(true))

const post = (path: string, secret: Secret | undefined = SECRET, timeoutMs = POST_TIMEOUT_MS) =>
	httpPost({ url: new URL(path, server.url).href, secret, userAgent: 'gateway', now: () => NOW, timeoutMs })

describe('a POST', () => {
	test('is JSON, and signed with the time of the try: t=<unix>,v1=<HMAC-SHA256 of "t.body">', async () => {
		expect(await post('/hook')('{"é":1}')).toEqual({ kind: 'delivered' })
		const { method, headers, body } = seen.at(-1)!
		const t = Math.floor(NOW / 1000)
		const v1 = createHmac('sha256', 'a key of both sides').update(`${t}.{"é":1}`).digest('hex')
		expect([method, body]).toEqual(['POST', '{"é":1}'])
		expect(headers.get('content-type')).toBe('application/json')
		expect(headers.get('x-push-gateway-signature')).toBe(`t=${t},v1=${v1}`)
	})

	test('without a secret carries no signature', async () => {
		await httpPost({ url: server.url.href, secret: undefined, userAgent: 'gateway', now: () => NOW })('{}')
		expect(seen.at(-1)!.headers.has('x-push-gateway-signature')).toBe(false)
	})

	test('does not follow a redirect', async () => {
		expect(await post('/moved')('{}')).toEqual({ kind: 'refused', reason: 'HTTP 302: redirects are not followed' })
		expect(seen.at(-1)!.path).toBe('/moved')
	})

	test('is refused for good by 4xx, and may be tried again after 408, 429 and 5xx', async () => {
		expect(await post('/404')('{}')).toEqual({ kind: 'refused', reason: 'HTTP 404' })
		expect(await post('/503')('{}')).toEqual({ kind: 'failed', reason: 'HTTP 503' })
		const kinds = [200, 202, 204, 299, 300, 400, 401, 408, 410, 429, 500, 599].map((status) => judged(status).kind)
		expect(kinds).toEqual([
			...['delivered', 'delivered', 'delivered', 'delivered', 'refused', 'refused', 'refused', 'failed'],
			...['refused', 'failed', 'failed', 'failed'],
		] as typeof kinds)
	})

	test('is given up after its time, which is POST_TIMEOUT_MS', async () => {
		expect(POST_TIMEOUT_MS).toBe(5_000)
		expect(await post('/slow', SECRET, 50)('{}')).toEqual({ kind: 'failed', reason: 'no answer within 0.05 s' })
	})

	test('to a port where nobody listens fails, and the reason does not repeat the URL', async () => {
		const gone = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response() })
		const url = `http://127.0.0.1:${gone.port}/secret-path`
		await gone.stop(true)
		const result = await httpPost({ url, secret: SECRET, userAgent: 'gateway', now: () => NOW })('{}')
		expect(result).toEqual({ kind: 'failed', reason: 'nobody listens there' })
	})
})

test('the signature is what `openssl dgst -sha256 -hmac` says of "t.body"', () => {
	expect(signature('{"id":"1"}', new Secret('0123456789abcdef'), 1_700_000_000_999)).toBe(
		't=1700000000,v1=d5f5834972cbc6cf5590800c46ccaa0cd6c16f19c0c73dbdf9b4c56390cbc2a3',
	)
})
