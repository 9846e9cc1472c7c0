/** `--public-http`: a listener of its own for what apps ask from outside, and for nothing else. */
import { Hono } from 'hono'
import { type CallSources, createCallRoutes } from './call-routes.ts'
import { securityHeaders } from './routes.ts'
import { type HttpPlace, serve, whyNot } from './serve.ts'

export interface PublicOptions extends HttpPlace {
	readonly calls: CallSources
	/** Told a sentence when a request failed through a fault of ours. */
	readonly report: (sentence: string) => void
}

export type PublicStart =
	| { readonly ok: true; readonly port: number; readonly stop: () => Promise<void> }
	| { readonly ok: false; readonly sentence: string }

/** Listens, or says why it cannot; never throws. */
export function startPublic({ address, port, calls, report }: PublicOptions): PublicStart {
	const app = new Hono()
	app.use(securityHeaders)
	app.route('/', createCallRoutes(calls))
	app.notFound((c) => c.json({ error: 'There is nothing here.' }, 404))
	app.onError((error, c) => {
		report(`A request of an app failed: ${error.message}`)
		return c.json({ error: 'The gateway failed; its log says why.' }, 500)
	})
	try {
		const server = serve({ address, port }, (request) => app.fetch(request))
		return { ok: true, port: server.port!, stop: () => server.stop(true) }
	} catch (error) {
		return { ok: false, sentence: `--public-http cannot listen on ${address} port ${port}: ${whyNot(error)}.` }
	}
}
