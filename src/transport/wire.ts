/** The runtime's stream sockets, as far as they are used here, its types being incomplete. */

/** Whoever a socket belongs to now. The runtime calls it; nothing it does may throw. */
export interface Party {
	received(bytes: Uint8Array): void
	/** The kernel takes octets again. */
	drained(): void
	/** TLS is agreed on, or it failed. */
	handshaken(succeeded: boolean, error: Error | undefined): void
	/** Once. */
	closed(error: Error | undefined): void
	failed(error: Error): void
}

export interface Wire {
	data: Party
	readonly fd: number
	/** Undefined once it is closed, which may be before anybody was told that it is open. */
	readonly remoteAddress: string | undefined
	readonly remotePort: number
	/** Whether the far end's certificate was asked for and is good. */
	readonly authorized: boolean
	/** Octets the kernel took, perhaps not all; -1: it is closed. */
	write(bytes: Uint8Array): number
	/**
	 * Sends what was written, and that nothing follows; the far end closes then, or {@link terminate} does. The runtime's `end`
	 * waits over TLS for the far end's good-bye without a bound, and `terminate` does nothing any more after it.
	 */
	shutdown(): void
	terminate(): void
	/** Nothing is received until {@link resume}, nor is it told that the far end closed. */
	pause(): void
	resume(): void
	/** As a server, with what came already. The runtime does both and says neither; tls.test.ts holds it to it. */
	upgradeTLS(options: {
		isServer: true
		initialData: Uint8Array
		tls: { secureContext: unknown; requestCert: boolean; rejectUnauthorized: false }
		socket: typeof WIRE_HANDLERS
		data: Party
	}): readonly [raw: Wire, tls: Wire]
}

/** One set for all sockets: which it is, `data` says. */
export const WIRE_HANDLERS = {
	open() {},
	data(wire: Wire, bytes: Uint8Array) {
		wire.data.received(bytes)
	},
	drain(wire: Wire) {
		wire.data.drained()
	},
	handshake(wire: Wire, succeeded: boolean, error: Error | null) {
		wire.data.handshaken(succeeded, error ?? undefined)
	},
	close(wire: Wire, error?: Error) {
		wire.data.closed(error)
	},
	error(wire: Wire, error: Error) {
		wire.data.failed(error)
	},
	end() {},
	timeout() {},
}

/** For a socket that speaks for nobody: the raw one under TLS, which the runtime goes on telling of. */
export const NOBODY: Party = {
	received() {},
	drained() {},
	handshaken() {},
	closed() {},
	failed() {},
}
