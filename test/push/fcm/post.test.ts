import { afterAll, expect, test } from 'bun:test'
import { post } from '../../../src/push/fcm/post.ts'

const server = Bun.serve({
	hostname: '127.0.0.1',
	port: 0,
	fetch(request) {
		const { pathname } = new URL(request.url)
		if (pathname === '/long') return new Response('x'.repeat(5_000_000))
		if (pathname === '/moved') return new Response('', { status: 302, headers: { location: '/elsewhere' } })
		return new Response(new ReadableStream({ start: (controller) => controller.enqueue('half ') }), { status: 200 })
	},
})
afterAll(() => server.stop(true))

const to = (path: string) =>
	post({ url: new URL(path, server.url).href, headers: {}, body: '', timeoutMs: 300, ca: undefined })

test('BODY_MAX_BYTES: of a long answer no more is read than the longest of Google', async () => {
	expect(await to('/long')).toMatchObject({ kind: 'response', status: 200, body: 'x'.repeat(16_384) })
})

test('a redirect is not followed', async () => {
	expect(await to('/moved')).toMatchObject({ kind: 'response', status: 302 })
})

test('an answer that does not end is none', async () => {
	expect(await to('/half')).toEqual({ kind: 'none', reason: 'timeout' })
})
