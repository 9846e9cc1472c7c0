/** What the room is given: everything it shows comes through these, and it changes nothing. */
import type { Snapshot } from '../core/snapshot.ts'
import type { Secret } from '../lib/secret.ts'
import type { CallSources } from './call-routes.ts'

/** One option as configured. A {@link Secret} is shown masked, whoever renders it. */
export interface ConfigEntry {
	readonly group: string
	readonly flag: string
	readonly value: string | number | boolean | Secret
}

export interface VersionView {
	readonly gateway: string
	readonly bun: string
	readonly sqlite: string
	/** ms since the epoch. */
	readonly startedAt: number
}

/** Can the gateway do its job now? `sentence` says why not, or what "ready" means here. */
export interface Readiness {
	readonly ok: boolean
	readonly sentence: string
}

/** What became of the events that are posted. */
export interface EventsView {
	readonly queued: number
	readonly delivered: number
	readonly dropped: number
	/** Why the last try failed; undefined while the receiver works. */
	readonly failing: string | undefined
}

/** A listener of the gateway. */
export interface ListenerView {
	/** `tls:192.0.2.1:5061`. */
	readonly name: string
	/** Undefined where there are none: UDP. */
	readonly connections: number | undefined
	/** Connections turned away or cut off since the start, by why; undefined where there are none. */
	readonly ended: Readonly<Record<string, number>> | undefined
	/** ms since the epoch: the first of its certificates to expire; undefined where it has none. */
	readonly certificateUntil: number | undefined
}

export interface StatusSources {
	/** Called for each page, scrape and live frame; never more than once for one of them. */
	readonly snapshot: () => Snapshot
	readonly ready: () => Readiness
	readonly config: readonly ConfigEntry[]
	readonly version: VersionView
	/** undefined where nothing is posted. */
	readonly events?: (() => EventsView | undefined) | undefined
	/** Datagrams the kernel threw away since start, all listeners together; undefined where it cannot tell. */
	readonly udpDrops?: (() => number | undefined) | undefined
	/** Where apps ask for their calls here, and not at a listener of its own. */
	readonly calls?: CallSources | undefined
	readonly listeners?: (() => readonly ListenerView[]) | undefined
	/** Told a sentence when a request failed through a fault of ours. */
	readonly report: (sentence: string) => void
}
