/** The status edge: an HTTP server that shows the gateway and changes nothing. */
import type { Secret } from '../lib/secret.ts'
import { createAccess, isLoopback } from './access.ts'
import { Live } from './live.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { createRoutes } from './routes.ts'
import { renderSections } from './sections.ts'
import { type HttpPlace, type Server, serve, whyNot } from './serve.ts'
import type { StatusSources } from './view.ts'

export type { PushResult } from './metrics.ts'
export type { ConfigEntry, Readiness, StatusSources, VersionView } from './view.ts'

export interface StatusOptions extends StatusSources, HttpPlace {
	/** Demanded of every reader. Without one the address must be a loopback address. */
	readonly token: Secret | undefined
}

export interface Status extends Pick<Metrics, 'observeWake' | 'observePush'> {
	/** `http://127.0.0.1:8080/`. */
	readonly url: string
	readonly port: number
	/** Closes all connections; resolves when the port is free. */
	stop(): Promise<void>
}

export interface StatusFault {
	readonly code: 'token-missing' | 'cannot-listen'
	readonly sentence: string
	/** What to do now. */
	readonly hint: string
}

export type StatusStart =
	| { readonly ok: true; readonly status: Status }
	| { readonly ok: false; readonly fault: StatusFault }

/** Listens, or says why it cannot; never throws. */
export function startStatus(options: StatusOptions): StatusStart {
	const { address, token } = options
	if (!token && !isLoopback(address)) return { ok: false, fault: tokenMissing(address) }
	const metrics = createMetrics(options)
	const live = new Live(() => {
		const snapshot = options.snapshot()
		const readiness = options.ready()
		return (query) => renderSections(snapshot, readiness, query, undefined)
	}, options.report)
	const app = createRoutes({ sources: options, access: createAccess(token), live, metrics })
	try {
		const server = serve(options, (request) => app.fetch(request))
		return { ok: true, status: running(server, live, metrics) }
	} catch (error) {
		metrics.stop()
		return { ok: false, fault: cannotListen(options, error) }
	}
}

function running(server: Server, live: Live, metrics: Metrics): Status {
	return {
		url: server.url.href,
		port: server.port!,
		async stop() {
			live.stop()
			metrics.stop()
			await server.stop(true)
		},
		observeWake: metrics.observeWake,
		observePush: metrics.observePush,
	}
}

function tokenMissing(address: string): StatusFault {
	return {
		code: 'token-missing',
		sentence: `The status page would be open to everybody who reaches ${address}.`,
		hint: 'Give --http-token, or listen on 127.0.0.1.',
	}
}

function cannotListen({ address, port }: StatusOptions, error: unknown): StatusFault {
	return {
		code: 'cannot-listen',
		sentence: `The status page cannot listen on ${address} port ${port}: ${whyNot(error)}.`,
		hint: 'Choose another address or port with --http, or end the program that has it.',
	}
}
