/** What the bench asks of its generator, and what it gets: one JSON each way between the two processes. */

/** The four works, and `bind`: agents register once, for measuring memory. */
export const WORKS = ['W1', 'W2', 'W3', 'W4'] as const
export type Work = (typeof WORKS)[number]

/** Ports of the bench; all of them on 127.0.0.1. */
export const PORTS = { gateway: 28060, http: 28061, pbx: 28000, wake: 28090, push: 28080, phones: 28100 } as const
/** Of the gateway, for phones on connections. */
export const STREAM_PORTS = { tcp: 28070, tls: 28071, ws: 28072, wss: 28073 } as const
/** Phones share this many sockets, as a contact centre's phones share a few NATs. */
export const PHONE_SOCKETS = 32
export const DOMAIN = 'pbx.example.com'

export interface Job {
	readonly work: Work | 'bind'
	readonly agents: number
	/** Items at a time in W1 to W3. */
	readonly inFlight: number
	/** Packets a second in W4. */
	readonly rate: number
	/** Of the gateway's CPU, under the load that is measured then. */
	readonly warmUpSeconds: number
	readonly seconds: number
	/** What the PBX calls: the Contact that reached it, or the agent's name at the gateway. */
	readonly target: 'contact' | 'agent'
	/** Processes whose CPU time is the gateway's, and those that share the generator's core. */
	readonly gatewayPids: readonly number[]
	readonly besidePids: readonly number[]
}

/** Of the measured seconds alone. */
export interface Outcome {
	/** Items done; packets taken in W4; agents bound in `bind`. */
	readonly done: number
	readonly failed: number
	readonly resent: number
	/** Packets that found the gateway's receive buffer full: no item is counted for them. */
	readonly dropped: number
	/** Of 20 phones that register right after W4. */
	readonly alive: number
	readonly wallSeconds: number
	readonly gatewayCpuSeconds: number
	/** Of the generator's core: the generator and what stands beside it. */
	readonly generatorLoad: number
	readonly gatewayRssKb: number
	/** Why items failed, most frequent first; empty where none did. */
	readonly faults: readonly string[]
}
