import { describe, expect, test } from 'bun:test'
import { LIVE_CLIENTS_MAX } from '../../src/status/live.ts'
import type { Sections } from '../../src/status/sections.ts'
import { agents, snapshot, withStatus } from './fixture.ts'

/** Longer than a frame takes to come, much shorter than a heartbeat. */
const DEADLINE_MS = 3000

interface Events {
	readonly status: number
	readonly type: string | null
	/** The next event's sections; undefined when none came within `withinMs`. */
	next(withinMs?: number): Promise<Partial<Sections> | undefined>
	close(): void
}

async function open(url: string): Promise<Events> {
	const abort = new AbortController()
	const answer = await fetch(url, { signal: abort.signal })
	const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
	let text = ''
	let pending: ReturnType<typeof reader.read> | undefined
	const readEvent = () => {
		const end = text.indexOf('\n\n')
		if (end < 0) return undefined
		const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1]
		text = text.slice(end + 2)
		return JSON.parse(data!) as Partial<Sections>
	}
	return {
		status: answer.status,
		type: answer.headers.get('content-type'),
		async next(withinMs = DEADLINE_MS) {
			const deadline = Bun.sleep(withinMs).then(() => undefined)
			for (;;) {
				const event = readEvent()
				if (event) return event
				pending ??= reader.read()
				const chunk = await Promise.race([pending, deadline])
				if (!chunk || chunk.done) return undefined
				pending = undefined
				text += chunk.value
			}
		},
		close: () => abort.abort(),
	}
}

describe('/events', () => {
	test('sends all sections at once, then only those that changed, and nothing while nothing did', async () => {
		let current = snapshot()
		let taken = 0
		const counting = () => {
			taken++
			return { ...current, now: current.now + taken * 1000 }
		}
		await withStatus({ snapshot: counting }, async ({ url }) => {
			const events = await open(`${url}events`)
			expect([events.status, events.type]).toEqual([200, 'text/event-stream'])
			const first = await events.next()
			expect(Object.keys(first!)).toEqual(['state', 'numbers', 'calls', 'agents', 'pushes', 'bans', 'counters'])
			expect(first!.calls).toContain('held')
			expect(await events.next(1500)).toBeUndefined()
			current = snapshot({ calls: [] })
			expect(await events.next()).toEqual({ calls: '<p class="muted">No calls.</p>' })
			events.close()
		})
		expect(taken).toBeLessThanOrEqual(5)
	})

	test('shows through the filter of its page', async () => {
		await withStatus({ snapshot: () => snapshot({ agents: agents(50) }) }, async ({ url }) => {
			const events = await open(`${url}events?q=1042`)
			expect((await events.next())!.agents).toContain('1 agent<')
			events.close()
		})
	})

	test('escapes what came from outside', async () => {
		const evil = [{ agent: 'sip:<script>@pbx.example', devices: [] }]
		await withStatus({ snapshot: () => snapshot({ agents: evil }) }, async ({ url }) => {
			const events = await open(`${url}events`)
			expect((await events.next())!.agents).toContain('&lt;script&gt;@pbx.example')
			events.close()
		})
	})

	test(`refuses page ${LIVE_CLIENTS_MAX + 1}, and takes one again when another has gone`, async () => {
		await withStatus({}, async ({ url }) => {
			const pages = await Promise.all(Array.from({ length: LIVE_CLIENTS_MAX }, () => open(`${url}events`)))
			expect(pages.every((page) => page.status === 200)).toBe(true)
			expect((await fetch(`${url}events`)).status).toBe(503)
			expect((await fetch(`${url}events`, { method: 'HEAD' })).status).toBe(200)
			pages[0]!.close()
			expect(await becomesFree(`${url}events`)).toBe(true)
			for (const page of pages) page.close()
		})
	})

	test('takes no snapshots while nobody looks', async () => {
		let taken = 0
		const counting = () => {
			taken++
			return snapshot()
		}
		await withStatus({ snapshot: counting }, async ({ url }) => {
			const events = await open(`${url}events`)
			await events.next()
			events.close()
			await Bun.sleep(1200)
			const before = taken
			await Bun.sleep(1200)
			expect(taken).toBe(before)
		})
	})
})

async function becomesFree(url: string): Promise<boolean> {
	for (const deadline = Date.now() + DEADLINE_MS; Date.now() < deadline; await Bun.sleep(50)) {
		const abort = new AbortController()
		const { status } = await fetch(url, { signal: abort.signal })
		abort.abort()
		if (status === 200) return true
	}
	return false
}
