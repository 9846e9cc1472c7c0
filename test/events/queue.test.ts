import { describe, expect, test } from 'bun:test'
import { EVENTS, type EventName } from '../../src/core/effects.ts'
import { POSTED } from '../../src/events/event.ts'
import type { PostResult } from '../../src/events/post.ts'
import {
	EVENT_LIFE_MS,
	EventQueue,
	LAST_TRY_MS,
	MAX_EVENTS_QUEUED,
	pauseMs,
	RETRY_FIRST_MS,
	RETRY_MAX_MS,
} from '../../src/events/queue.ts'
import { Secret } from '../../src/lib/secret.ts'

const NOW = Date.UTC(2026, 6, 27, 10, 0, 0)
const DELIVERED: PostResult = { kind: 'delivered' }
const AWAY: PostResult = { kind: 'failed', reason: 'HTTP 503' }
const REFUSED: PostResult = { kind: 'refused', reason: 'HTTP 404' }

/** A receiver that does what it is told, and a clock that goes when it is told. */
class Rig {
	now = NOW
	/** What the receiver does with the next posts; then the last one again. */
	answers: (PostResult | 'silence')[] = [DELIVERED]
	readonly posted: { readonly at: number; readonly body: Record<string, unknown> }[] = []
	readonly logged: { readonly name: EventName; readonly fields: Readonly<Record<string, unknown>> }[] = []
	inFlight = 0
	mostInFlight = 0
	#timers: { readonly at: number; readonly then: () => void }[] = []
	readonly queue = new EventQueue({
		post: (body) => this.#post(body),
		now: () => this.now,
		after: (ms, then) => {
			const timer = { at: this.now + ms, then }
			this.#timers.push(timer)
			return () => {
				this.#timers = this.#timers.filter((one) => one !== timer)
			}
		},
		log: (name, fields) => this.logged.push({ name, fields }),
	})

	async offer(agent = '1001', name: EventName = 'agent-unreachable'): Promise<void> {
		this.queue.offer(name, { agent })
		await settled()
	}

	/** Every timer due in this time, each at its own. */
	async advance(ms: number): Promise<void> {
		const until = this.now + ms
		for (;;) {
			const due = this.#timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
			if (due === undefined) break
			this.#timers = this.#timers.filter((one) => one !== due)
			this.now = due.at
			due.then()
			await settled()
		}
		this.now = until
	}

	get agents(): unknown[] {
		return this.posted.map(({ body }) => body['agent'])
	}

	async #post(body: string): Promise<PostResult> {
		this.posted.push({ at: this.now, body: JSON.parse(body) })
		this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight)
		const answer = this.answers.length > 1 ? this.answers.shift()! : this.answers[0]!
		if (answer === 'silence') return new Promise(() => {})
		await settled()
		this.inFlight--
		return answer
	}
}

/** All promises that can be resolved are. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('an event', () => {
	test('is posted with id, type, time and its fields', async () => {
		const rig = new Rig()
		rig.queue.offer('wake-slow', { agent: 'sip:1001@pbx.example', device: 7, push: 'p-1', wakeMs: 9_000, x: undefined })
		await settled()
		expect(rig.posted[0]!.body).toEqual({
			id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
			type: 'wake-slow',
			time: '2026-07-27T10:00:00.000Z',
			agent: 'sip:1001@pbx.example',
			device: 7,
			push: 'p-1',
			wakeMs: 9_000,
		})
		await settled()
		expect(rig.queue.state).toEqual({ queued: 0, delivered: 1, dropped: 0, failing: undefined })
	})

	test('of the log that no contact centre needs is not posted', async () => {
		const rig = new Rig()
		for (const name of Object.keys(EVENTS) as EventName[]) await rig.offer('x', name)
		expect(rig.posted.length).toBe(POSTED.size)
	})

	test('shows secrets masked', async () => {
		const rig = new Rig()
		rig.queue.offer('push-refused', { agent: 'a', token: new Secret('c0ffee00'.repeat(8)) })
		await settled()
		expect(rig.posted[0]!.body['token']).toBe('c0ff…00')
	})
})

describe('the queue', () => {
	test('posts one at a time, in order', async () => {
		const rig = new Rig()
		for (let n = 0; n < 20; n++) rig.queue.offer('agent-back', { agent: `${n}` })
		expect(rig.queue.state.queued).toBe(20)
		while (rig.queue.state.queued > 0) await settled()
		expect([rig.agents, rig.mostInFlight]).toEqual([Array.from({ length: 20 }, (_, n) => `${n}`), 1])
	})

	test('tries again after 1, 2, 4 … 60 s, with the same id, and the next event waits its turn', async () => {
		const rig = new Rig()
		rig.answers = [AWAY]
		await rig.offer('first')
		await rig.offer('second')
		await rig.advance(190_000)
		const pauses = rig.posted.map(({ at }, i) => (at - (rig.posted[i - 1]?.at ?? NOW)) / 1_000)
		expect(pauses).toEqual([0, 1, 2, 4, 8, 16, 32, 60, 60])
		expect(new Set(rig.agents)).toEqual(new Set(['first']))
		expect(new Set(rig.posted.map(({ body }) => body['id'])).size).toBe(1)
		expect(rig.queue.state).toMatchObject({ queued: 2, failing: 'HTTP 503' })
		rig.answers = [DELIVERED]
		await rig.advance(RETRY_MAX_MS)
		expect(rig.agents.slice(-2)).toEqual(['first', 'second'])
		expect(rig.logged.map(({ name }) => name)).toEqual(['events-failing', 'events-back'])
	})

	test('RETRY_FIRST_MS doubles up to RETRY_MAX_MS', () => {
		expect([pauseMs(1), pauseMs(2), pauseMs(6), pauseMs(7), pauseMs(500)]).toEqual([
			RETRY_FIRST_MS,
			2 * RETRY_FIRST_MS,
			32 * RETRY_FIRST_MS,
			RETRY_MAX_MS,
			RETRY_MAX_MS,
		])
	})

	test('EVENT_LIFE_MS: an event that could not be delivered by then is dropped, counted and said', async () => {
		const rig = new Rig()
		rig.answers = [AWAY]
		await rig.offer('old')
		await rig.advance(EVENT_LIFE_MS - 30_000)
		await rig.offer('young')
		await rig.advance(90_000)
		expect(rig.queue.state).toMatchObject({ queued: 1, dropped: 1 })
		expect(rig.agents.filter((agent) => agent === 'old').length).toBeLessThanOrEqual(17)
		expect(rig.logged.at(-1)).toEqual({
			name: 'event-undelivered',
			fields: { id: expect.any(String), type: 'agent-unreachable', reason: 'HTTP 503' },
		})
	})

	test('an event that is refused is not tried again, and the next one goes at once', async () => {
		const rig = new Rig()
		rig.answers = [REFUSED, DELIVERED]
		await rig.offer('refused')
		await rig.offer('taken')
		await settled()
		expect(rig.agents).toEqual(['refused', 'taken'])
		expect(rig.queue.state).toEqual({ queued: 0, delivered: 1, dropped: 1, failing: undefined })
		expect(rig.logged.map(({ name, fields }) => [name, fields['reason']])).toEqual([['event-undelivered', 'HTTP 404']])
	})

	test('a receiver that comes back and refuses everything is not back, until it takes one', async () => {
		const rig = new Rig()
		rig.answers = [AWAY, REFUSED]
		await rig.offer()
		expect(rig.logged).toEqual([{ name: 'events-failing', fields: { reason: 'HTTP 503', nextTrySeconds: 1 } }])
		await rig.advance(RETRY_FIRST_MS)
		await rig.offer()
		await settled()
		expect(rig.queue.state).toMatchObject({ queued: 0, dropped: 2, failing: 'HTTP 404' })
		expect(rig.logged.some(({ name }) => name === 'events-back')).toBe(false)
		rig.answers = [DELIVERED]
		await rig.offer()
		await settled()
		expect(rig.queue.state.failing).toBeUndefined()
		expect(rig.logged.at(-1)?.name).toBe('events-back')
	})

	test('MAX_EVENTS_QUEUED: the oldest makes room, is counted, and said once', async () => {
		const rig = new Rig()
		rig.answers = [AWAY]
		await rig.offer('first')
		for (let n = 0; n < MAX_EVENTS_QUEUED + 4; n++) rig.queue.offer('agent-back', { agent: `${n}` })
		expect(rig.queue.state).toMatchObject({ queued: MAX_EVENTS_QUEUED, dropped: 5 })
		expect(rig.logged.filter(({ name }) => name === 'limit-reached').map(({ fields }) => fields)).toEqual([
			{ limit: 'events-queued' },
		])
		rig.answers = [DELIVERED]
		await rig.advance(RETRY_FIRST_MS)
		expect(rig.agents[1]).toBe('4')
	})
})

describe('at the end', () => {
	test('what waits for a retry is tried at once', async () => {
		const rig = new Rig()
		rig.answers = [AWAY, DELIVERED]
		await rig.offer('first')
		await rig.offer('second')
		await rig.queue.finish()
		expect(rig.agents).toEqual(['first', 'first', 'second'])
		expect(rig.queue.state).toMatchObject({ queued: 0, delivered: 2, dropped: 0 })
	})

	test('one failure is enough: the rest is dropped, in one line', async () => {
		const rig = new Rig()
		rig.answers = [AWAY]
		await rig.offer('first')
		await rig.offer('second')
		await rig.queue.finish()
		expect(rig.posted.length).toBe(2)
		expect(rig.queue.state).toMatchObject({ queued: 2, dropped: 2 })
		expect(rig.logged.at(-1)).toEqual({
			name: 'event-undelivered',
			fields: { dropped: 2, reason: 'the gateway stopped' },
		})
	})

	test('LAST_TRY_MS: a receiver that says nothing is not waited for any longer', async () => {
		const rig = new Rig()
		rig.answers = ['silence']
		await rig.offer()
		let isOver = false
		const end = rig.queue.finish().then(() => {
			isOver = true
		})
		await rig.advance(LAST_TRY_MS - 1)
		expect(isOver).toBe(false)
		await rig.advance(1)
		await end
		expect(isOver).toBe(true)
	})

	test('with nothing queued it is over at once', async () => {
		const rig = new Rig()
		await rig.queue.finish()
		expect(rig.logged).toEqual([])
	})

	test('closed, nothing more is posted', async () => {
		const rig = new Rig()
		rig.answers = [AWAY]
		await rig.offer()
		rig.queue.close()
		await rig.offer('later')
		await rig.advance(EVENT_LIFE_MS)
		expect(rig.posted.length).toBe(1)
	})
})
