/** `/api/status`: the stable shape programs read. Fields are only ever added. */
import type { Snapshot } from '../core/snapshot.ts'
import type { ConfigEntry, EventsView, ListenerView, Readiness, StatusSources, VersionView } from './view.ts'

/** The {@link Snapshot} (times in ms since the epoch, tokens masked), and what the process says of itself. */
export interface ApiStatus extends Snapshot {
	readonly ready: Readiness
	readonly version: VersionView
	/** Absent where nothing is posted. */
	readonly events: EventsView | undefined
	readonly listeners: readonly ListenerView[]
	/** Secrets are masked as they become JSON. */
	readonly config: readonly ConfigEntry[]
}

export function apiStatus({ snapshot, ready, version, events, listeners, config }: StatusSources): ApiStatus {
	return { ready: ready(), version, ...snapshot(), events: events?.(), listeners: listeners?.() ?? [], config }
}
