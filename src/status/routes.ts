/** What answers under which path. Read-only: nothing here changes the gateway. */
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import css from '../../assets/status.css' with { type: 'text' }
import js from '../../assets/status.js' with { type: 'text' }
import type { Access } from './access.ts'
import { apiStatus } from './api.ts'
import { createCallRoutes } from './call-routes.ts'
import type { Live } from './live.ts'
import type { Metrics } from './metrics.ts'
import { deniedPage, statusPage } from './page.ts'
import { normalizeQuery } from './select.ts'
import type { StatusSources } from './view.ts'

const HEADERS = {
	'content-security-policy':
		"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	'x-content-type-options': 'nosniff',
	'x-frame-options': 'DENY',
	'referrer-policy': 'no-referrer',
	'cross-origin-resource-policy': 'same-origin',
	'cache-control': 'no-store',
} as const

export interface Parts {
	readonly sources: StatusSources
	readonly access: Access
	readonly live: Live
	readonly metrics: Metrics
}

export function createRoutes(parts: Parts): Hono {
	const app = new Hono()
	app.use(securityHeaders)
	if (parts.sources.calls !== undefined) app.route('/', createCallRoutes(parts.sources.calls))
	app.use(readOnly)
	openRoutes(app, parts)
	app.use(demandAccess(parts.access))
	guardedRoutes(app, parts)
	app.notFound((c) => c.text('There is nothing here. The page is at /\n', 404))
	app.onError((error, c) => {
		/* the path of a call is a secret */
		const path = c.req.path.startsWith('/c/') ? '/c/' : c.req.path
		parts.sources.report(`The status page failed at ${path}: ${error.message}`)
		return c.text('The gateway could not make this page; its log says why.\n', 500)
	})
	return app
}

/** For anybody: the health of the process, and what the 401 page needs to look right. */
function openRoutes(app: Hono, { sources, access }: Parts): void {
	app.get('/healthz', (c) => c.text('ok\n'))
	app.get('/readyz', (c) => {
		const { ok, sentence } = sources.ready()
		const words = access(c.req.raw).kind === 'granted' ? sentence : ok ? 'Ready.' : 'Not ready.'
		return c.text(`${words}\n`, ok ? 200 : 503)
	})
	app.get('/status.css', (c) => c.body(css, 200, { 'content-type': 'text/css; charset=utf-8' }))
	app.get('/status.js', (c) => c.body(js, 200, { 'content-type': 'text/javascript; charset=utf-8' }))
}

function guardedRoutes(app: Hono, { sources, live, metrics }: Parts): void {
	app.get('/', (c) => {
		const { snapshot, ready, config, version } = sources
		const listeners = sources.listeners?.() ?? []
		const query = normalizeQuery(c.req.query('q'))
		return c.html(statusPage({ snapshot: snapshot(), readiness: ready(), query, config, version, listeners }))
	})
	app.get('/api/status', (c) => c.json(apiStatus(sources)))
	app.get('/metrics', async (c) => c.body(await metrics.text(), 200, { 'content-type': metrics.contentType }))
	app.get('/events', (c) => events(c, live))
}

function events(c: Context, live: Live): Response {
	const headers = { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' }
	// A HEAD has no body that could be closed again: it must not take a place.
	if (c.req.method === 'HEAD') return c.body(null, 200, headers)
	const stream = live.open(normalizeQuery(c.req.query('q')))
	return stream ? c.body(stream, 200, headers) : c.text('Too many pages are open.\n', 503, { 'retry-after': '10' })
}

export const securityHeaders: MiddlewareHandler = async (c, next) => {
	await next()
	for (const [name, value] of Object.entries(HEADERS)) c.res.headers.set(name, value)
}

const readOnly: MiddlewareHandler = async (c, next) => {
	if (c.req.method === 'GET' || c.req.method === 'HEAD') return next()
	return c.text('Only GET and HEAD.\n', 405, { allow: 'GET, HEAD' })
}

function demandAccess(access: Access): MiddlewareHandler {
	return async (c, next) => {
		const verdict = access(c.req.raw)
		switch (verdict.kind) {
			case 'granted':
				return next()
			case 'enter':
				return c.body(null, 303, { location: verdict.location, 'set-cookie': verdict.cookie })
			case 'denied':
				return denied(c)
			case 'foreign-host':
				return c.text(
					'Without --http-token the status is read as localhost or 127.0.0.1 only: give one for a reverse proxy.\n',
					403,
				)
		}
	}
}

function denied(c: Context): Response | Promise<Response> {
	const headers = { 'www-authenticate': 'Bearer realm="push-gateway"' }
	if (c.req.header('accept')?.includes('text/html')) return c.html(deniedPage(), 401, headers)
	return c.text('Send the token of --http-token as "Authorization: Bearer …".\n', 401, headers)
}
