import { describe, expect, test } from 'bun:test'
import { connect } from 'node:net'
import { isLoopback } from '../../src/status/access.ts'
import { startStatus } from '../../src/status/status.ts'
import { HTTP_TOKEN, options, PUSH_TOKEN, READY, snapshot, withStatus } from './fixture.ts'

const HTML = { accept: 'text/html' }
const BEARER = { authorization: `Bearer ${HTTP_TOKEN.reveal()}` }
const GUARDED = ['', 'api/status', 'metrics', 'events']
const noRedirect = { redirect: 'manual' } as const

describe('the server', () => {
	test('sends the headers that keep a browser from running or framing anything else', async () => {
		await withStatus({}, async ({ url }) => {
			for (const path of ['', 'status.css', 'status.js', 'api/status', 'healthz', 'nowhere']) {
				const { headers, body } = await fetch(url + path)
				await body?.cancel()
				const policy = headers.get('content-security-policy') ?? ''
				expect(policy).toContain("default-src 'none'")
				expect(policy).toContain("frame-ancestors 'none'")
				expect(policy).not.toContain('unsafe')
				expect(headers.get('x-content-type-options')).toBe('nosniff')
				expect(headers.get('referrer-policy')).toBe('no-referrer')
				expect(headers.get('cache-control')).toBe('no-store')
			}
		})
	})

	test('answers 405 to whatever would change something, and says what is allowed', async () => {
		await withStatus({}, async ({ url }) => {
			for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
				const answer = await fetch(`${url}api/status`, { method })
				expect(answer.status).toBe(405)
				expect(answer.headers.get('allow')).toBe('GET, HEAD')
			}
		})
	})

	test('answers 404 where there is nothing', async () => {
		await withStatus({}, async ({ url }) => {
			expect((await fetch(`${url}etc/passwd`)).status).toBe(404)
		})
	})

	test('answers HEAD without a body', async () => {
		await withStatus({}, async ({ url }) => {
			for (const path of GUARDED) {
				const answer = await fetch(url + path, { method: 'HEAD' })
				expect(answer.status).toBe(200)
				expect(await answer.text()).toBe('')
			}
		})
	})

	test('gives style and script as files of their own', async () => {
		await withStatus({}, async ({ url }) => {
			const style = await fetch(`${url}status.css`)
			expect(style.headers.get('content-type')).toContain('text/css')
			expect(await style.text()).toContain('prefers-color-scheme: dark')
			const script = await fetch(`${url}status.js`)
			expect(script.headers.get('content-type')).toContain('text/javascript')
			expect(await script.text()).toContain('EventSource')
		})
	})

	test('reports a fault of ours, shows no insides of it, and goes on', async () => {
		const reports: string[] = []
		const faulty = {
			snapshot: () => {
				throw new Error('the insides')
			},
			report: (sentence: string) => void reports.push(sentence),
		}
		await withStatus(faulty, async ({ url }) => {
			for (const path of ['', 'api/status', 'metrics']) {
				const answer = await fetch(url + path)
				expect(answer.status).toBe(500)
				expect(await answer.text()).not.toContain('insides')
			}
			expect(reports[0]).toBe('The status page failed at /: the insides')
			expect((await fetch(`${url}healthz`)).status).toBe(200)
		})
	})

	test('says so when the port is taken, instead of throwing', async () => {
		await withStatus({}, async ({ port }) => {
			const second = startStatus(options({ port }))
			expect(second.ok).toBe(false)
			if (second.ok) return
			expect(second.fault).toMatchObject({ code: 'cannot-listen', hint: expect.stringContaining('--http') })
			expect(second.fault.sentence).toEndWith(': another program has it, perhaps a gateway that is running already.')
		})
	})

	test('listens on IPv6 loopback', async () => {
		await withStatus({ address: '::1' }, async ({ url }) => {
			expect((await fetch(url)).status).toBe(200)
		})
	})

	test('frees its port when it stops, open pages or not', async () => {
		let freed = 0
		await withStatus({}, async ({ url, port }) => {
			freed = port
			await fetch(`${url}events`)
		})
		await withStatus({ port: freed }, async ({ port }) => expect(port).toBe(freed))
	})
})

describe('health', () => {
	test('/healthz says 200, ready or not', async () => {
		await withStatus({ ready: () => ({ ok: false, sentence: 'No.' }) }, async ({ url }) => {
			expect((await fetch(`${url}healthz`)).status).toBe(200)
		})
	})

	test('/readyz says 200 when ready, and else 503 with the reason', async () => {
		let readiness = READY
		await withStatus({ ready: () => readiness }, async ({ url }) => {
			expect((await fetch(`${url}readyz`)).status).toBe(200)
			readiness = { ok: false, sentence: 'The PBX is silent.' }
			const answer = await fetch(`${url}readyz`)
			expect(answer.status).toBe(503)
			expect(await answer.text()).toBe('The PBX is silent.\n')
		})
	})

	test('probes need no token, and without it learn nothing but yes or no', async () => {
		const silent = { ok: false, sentence: 'The PBX 198.51.100.7 is silent.' }
		await withStatus({ token: HTTP_TOKEN, ready: () => silent }, async ({ url }) => {
			expect((await fetch(`${url}healthz`)).status).toBe(200)
			const answer = await fetch(`${url}readyz`)
			expect([answer.status, await answer.text()]).toEqual([503, 'Not ready.\n'])
			expect(await (await fetch(`${url}readyz`, { headers: BEARER })).text()).toContain('198.51.100.7')
		})
	})
})

describe('/api/status', () => {
	test('gives the whole snapshot, readiness, versions and configuration', async () => {
		await withStatus({}, async ({ url }) => {
			const status = (await (await fetch(`${url}api/status`)).json()) as Record<string, unknown>
			const plain = JSON.parse(JSON.stringify(snapshot())) as Record<string, unknown>
			expect(status).toMatchObject({ ...plain, ready: READY, version: { gateway: '0.1.0' } })
			expect(Object.keys(status).sort()).toEqual([
				'agents',
				'bans',
				'calls',
				'config',
				'counters',
				'draining',
				'gauges',
				'listeners',
				'now',
				'pbx',
				'pushes',
				'ready',
				'version',
			])
		})
	})
})

describe('events that are posted', () => {
	test('are in /api/status and /metrics: queued, delivered, dropped', async () => {
		const events = { queued: 3, delivered: 12, dropped: 2, failing: 'HTTP 503' }
		await withStatus({ events: () => events }, async ({ url }) => {
			const status = (await (await fetch(`${url}api/status`)).json()) as Record<string, unknown>
			expect(status['events']).toEqual(events)
			const metrics = await (await fetch(`${url}metrics`)).text()
			expect(metrics).toContain('\npush_gateway_events_queued 3\n')
			expect(metrics).toContain('\npush_gateway_events_delivered_total 12\n')
			expect(metrics).toContain('\npush_gateway_events_dropped_total 2\n')
		})
	})
})

describe('the token', () => {
	test('must be there when the address is not loopback', () => {
		for (const address of ['0.0.0.0', '::', '192.0.2.1']) {
			const start = startStatus(options({ address }))
			expect(start).toMatchObject({ ok: false, fault: { code: 'token-missing' } })
		}
	})

	test('is demanded everywhere, and 401 says what to do', async () => {
		await withStatus({ token: HTTP_TOKEN }, async ({ url }) => {
			for (const path of GUARDED) {
				const bare = await fetch(url + path)
				expect(bare.status).toBe(401)
				expect(bare.headers.get('www-authenticate')).toContain('Bearer')
				expect(await bare.text()).toContain('--http-token')
				const wrong = await fetch(url + path, { headers: { authorization: 'Bearer wrong' } })
				expect(wrong.status).toBe(401)
			}
			const asBrowser = await fetch(url, { headers: HTML })
			expect(await asBrowser.text()).toContain('<form')
		})
	})

	test('lets in as a Bearer', async () => {
		await withStatus({ token: HTTP_TOKEN }, async ({ url }) => {
			for (const path of ['', 'api/status', 'metrics'])
				expect((await fetch(url + path, { headers: BEARER })).status).toBe(200)
		})
	})

	test('comes once in the address, then as a cookie that no script reads and that does not hold it', async () => {
		await withStatus({ token: HTTP_TOKEN }, async ({ url }) => {
			const enter = await fetch(`${url}?q=1001&token=${HTTP_TOKEN.reveal()}`, noRedirect)
			expect(enter.status).toBe(303)
			expect(enter.headers.get('location')).toBe('/?q=1001')
			const cookie = enter.headers.get('set-cookie') ?? ''
			expect(cookie).toContain('; HttpOnly; SameSite=Strict; Path=/')
			expect(cookie).not.toContain(HTTP_TOKEN.reveal())
			const back = { cookie: `other=1; ${cookie.split(';')[0]}` }
			expect((await fetch(url, { headers: back })).status).toBe(200)
		})
	})

	test('wrong in the address or in the cookie lets nobody in', async () => {
		await withStatus({ token: HTTP_TOKEN }, async ({ url }) => {
			expect((await fetch(`${url}?token=wrong`, noRedirect)).status).toBe(401)
			expect((await fetch(`${url}?token=`, noRedirect)).status).toBe(401)
			for (const value of ['', 'x', HTTP_TOKEN.reveal(), '0'.repeat(64)])
				expect((await fetch(url, { headers: { cookie: `push_gateway_status=${value}` } })).status).toBe(401)
		})
	})

	test('in an address that looks like another host leads nowhere else', async () => {
		await withStatus({ token: HTTP_TOKEN }, async ({ port }) => {
			const answer = await rawGet(port, `//evil.example/?token=${HTTP_TOKEN.reveal()}`, '127.0.0.1')
			expect(answer).toContain('303')
			expect(answer.toLowerCase()).toMatch(/location: \/evil\.example\//)
		})
	})

	test('is never shown, nor is a push token', async () => {
		await withStatus({ token: HTTP_TOKEN }, async ({ url }) => {
			for (const path of ['', 'api/status', 'metrics', 'status.js']) {
				const body = await (await fetch(url + path, { headers: BEARER })).text()
				expect(body).not.toContain(HTTP_TOKEN.reveal())
				expect(body).not.toContain(PUSH_TOKEN.reveal())
			}
		})
	})
})

describe('without a token', () => {
	test('a page of another site cannot read the status through a name that leads to loopback', async () => {
		await withStatus({}, async ({ port }) => {
			for (const host of ['evil.example', `127.evil.example:${port}`, '192.0.2.1']) {
				const answer = await rawGet(port, '/api/status', host)
				expect(answer).toStartWith('HTTP/1.1 403')
				expect(answer).toContain('give one for a reverse proxy')
			}
			for (const host of ['localhost', `127.0.0.1:${port}`, `[::1]:${port}`])
				expect(await rawGet(port, '/api/status', host)).toStartWith('HTTP/1.1 200')
		})
	})

	test('loopback is localhost, 127.0.0.0/8 and ::1, and no name that begins so', () => {
		expect(['localhost', '127.0.0.1', '127.9.9.9', '::1', '[::1]'].every(isLoopback)).toBe(true)
		expect(['127.0.0.1.example', '127.1', '::', '0.0.0.0', '::ffff:127.0.0.1', ''].some(isLoopback)).toBe(false)
	})
})

/** A request as no fetch() would send it; resolves with all that came back. */
function rawGet(port: number, target: string, host: string): Promise<string> {
	const { promise, resolve, reject } = Promise.withResolvers<string>()
	const socket = connect(port, '127.0.0.1')
	let text = ''
	socket.setTimeout(2000, () => socket.destroy(new Error('no answer')))
	socket.on('connect', () => socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`))
	socket.on('data', (chunk) => {
		text += chunk.toString('latin1')
	})
	socket.on('close', () => resolve(text))
	socket.on('error', reject)
	return promise
}
