/** One HTTP listener of this room. */

/** Requests are GETs, and POSTs without a body: whoever sends one is not meant. */
const BODY_BYTES_MAX = 1024
/** Longer than the heartbeat of a live page, so that only dead connections are cut. */
const IDLE_SEC = 60

export interface HttpPlace {
	/** The one address to listen on, IPv6 without brackets. */
	readonly address: string
	/** 0: any free one. */
	readonly port: number
}

export type Server = ReturnType<typeof Bun.serve>

const WHY_NOT: ReadonlyMap<string, string> = new Map([
	['EADDRINUSE', 'another program has it, perhaps a gateway that is running already'],
	['EADDRNOTAVAIL', 'this machine does not have that address'],
	['EACCES', 'ports below 1024 need CAP_NET_BIND_SERVICE'],
])

/** Why `serve` threw, in words and without a full stop. */
export function whyNot(error: unknown): string {
	const { code, message } = error as { readonly code?: unknown; readonly message?: unknown }
	return WHY_NOT.get(String(code)) ?? String(message ?? error)
}

/** Throws where it cannot listen. */
export function serve({ address, port }: HttpPlace, fetch: (request: Request) => Response | Promise<Response>): Server {
	return Bun.serve({
		hostname: address,
		port,
		// Left out, it shares the port with another process in silence (Bun 1.4.5).
		reusePort: false,
		fetch,
		development: false,
		maxRequestBodySize: BODY_BYTES_MAX,
		idleTimeout: IDLE_SEC,
	})
}
