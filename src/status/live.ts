/** `/events`: Server-Sent Events with the sections that changed, at most once a second. */
import { SECTION_IDS, type SectionId, type Sections } from './sections.ts'

/** Each open page costs a rendering a second; 32 is a wall of screens, and still no load. */
export const LIVE_CLIENTS_MAX = 32
/** The page counts in seconds; what changes within one is seen at its end. */
const FRAME_INTERVAL_MS = 1000
/** With very many agents a snapshot takes long: then frames come rarer, so that calls keep 98 % of the loop. */
const FRAME_LOAD_MAX = 0.02
/** A browser that took nothing for this long is gone, or its network is: it reconnects by itself. */
const STALL_MS = 30_000
/** Keeps proxies from cutting a silent stream; most give up after 60 s. */
const HEARTBEAT_MS = 15_000
/** The browser's wait before it reconnects. */
const RETRY_MS = 2000

/** Takes one snapshot, and renders it for each filter that is looked through. */
export type Frame = () => (query: string) => Sections

interface Client {
	readonly query: string
	readonly controller: ReadableStreamDefaultController<Uint8Array>
	/** What the browser shows now. */
	sent: Partial<Sections>
	/** When it last took something, ms of performance.now(). */
	tookAt: number
	/** When something was last written to it. */
	wroteAt: number
}

export class Live {
	readonly #frame: Frame
	readonly #report: (sentence: string) => void
	readonly #clients = new Set<Client>()
	readonly #encoder = new TextEncoder()
	#timer: ReturnType<typeof setTimeout> | undefined

	constructor(frame: Frame, report: (sentence: string) => void) {
		this.#frame = frame
		this.#report = report
	}

	get size(): number {
		return this.#clients.size
	}

	/** A stream for one more page, its first event on the way; undefined when there are {@link LIVE_CLIENTS_MAX}. */
	open(query: string): ReadableStream<Uint8Array> | undefined {
		if (this.#clients.size >= LIVE_CLIENTS_MAX) return undefined
		let client: Client
		return new ReadableStream<Uint8Array>({
			start: (controller) => {
				client = this.#join(query, controller)
			},
			cancel: () => this.#leave(client),
		})
	}

	stop(): void {
		for (const client of this.#clients) this.#close(client)
	}

	#join(query: string, controller: Client['controller']): Client {
		const now = performance.now()
		const sections = this.#frame()(query)
		const client: Client = { query, controller, sent: sections, tookAt: now, wroteAt: now }
		this.#clients.add(client)
		controller.enqueue(this.#encoder.encode(`retry: ${RETRY_MS}\n${event(sections)}`))
		this.#timer ??= setTimeout(this.#tick, FRAME_INTERVAL_MS)
		return client
	}

	#leave(client: Client): void {
		this.#clients.delete(client)
		if (this.#clients.size > 0) return
		clearTimeout(this.#timer)
		this.#timer = undefined
	}

	#close(client: Client): void {
		this.#leave(client)
		client.controller.close()
	}

	readonly #tick = (): void => {
		const begin = performance.now()
		try {
			const render = memoize(this.#frame())
			for (const client of this.#clients) this.#update(client, render, begin)
		} catch (error) {
			// A fault of ours must not end calls: the pages are cut off, and reconnect by themselves.
			this.#report(`The live status failed: ${error instanceof Error ? error.message : error}`)
			this.stop()
		}
		const tookMs = performance.now() - begin
		if (this.#clients.size === 0) return
		this.#timer = setTimeout(this.#tick, Math.max(FRAME_INTERVAL_MS, tookMs / FRAME_LOAD_MAX))
	}

	/** Nothing is queued for a browser that has not taken the last event: it gets the newest state when it has. */
	#update(client: Client, render: (query: string) => Sections, now: number): void {
		if ((client.controller.desiredSize ?? 0) <= 0) {
			if (now - client.tookAt > STALL_MS) this.#close(client)
			return
		}
		client.tookAt = now
		const sections = render(client.query)
		const changed = changedSections(client.sent, sections)
		if (changed) this.#write(client, event(changed), now)
		else if (now - client.wroteAt >= HEARTBEAT_MS) this.#write(client, ':\n\n', now)
		client.sent = sections
	}

	#write(client: Client, text: string, now: number): void {
		client.controller.enqueue(this.#encoder.encode(text))
		client.wroteAt = now
	}
}

/** JSON has no line feeds of its own, so that one `data:` line holds it. */
function event(sections: Partial<Sections>): string {
	return `data: ${JSON.stringify(sections)}\n\n`
}

function changedSections(before: Partial<Sections>, after: Sections): Partial<Sections> | undefined {
	const changed = SECTION_IDS.filter((id) => before[id] !== after[id])
	if (changed.length === 0) return undefined
	return Object.fromEntries(changed.map((id) => [id, after[id]])) as Partial<Record<SectionId, string>>
}

function memoize(render: (query: string) => Sections): (query: string) => Sections {
	const done = new Map<string, Sections>()
	return (query) => {
		const sections = done.get(query) ?? render(query)
		done.set(query, sections)
		return sections
	}
}
