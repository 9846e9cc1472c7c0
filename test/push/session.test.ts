import { afterAll, afterEach, expect, mock, setDefaultTimeout, spyOn, test } from 'bun:test'
import { constants } from 'node:http2'
import type { ApnsStandIn, ApnsStandInOptions } from '../../src/demo/apns.ts'
import { PUSH_LIMIT_MS } from '../../src/push/apns.ts'
import { ANSWER_TIMEOUT_MS, DIAL_PAUSE_MS, WARM_FOR_MS } from '../../src/push/host.ts'
import { ApnsSession, IDLE_PING_MS, PONG_TIMEOUT_MS, RETIRED_FOR_MS } from '../../src/push/session.ts'
import { oneHost, push, type Rig, rig, standIn, startRelay, TOPIC, until } from './rig.ts'

/** A push may take PUSH_LIMIT_MS: a test that the runner gives up goes on beside the next ones, with its clock. */
setDefaultTimeout(2 * PUSH_LIMIT_MS)

/** Bound once: bound where the clock is replaced already, it would be the replacement, and call itself. */
const real = performance.now.bind(performance)

/* a clock that a failed test left would be that of all tests of this process */
afterEach(() => mock.restore())

const cleanups: (() => void)[] = []
afterAll(() => {
	for (const cleanup of cleanups.splice(0)) cleanup()
})

async function pair(options: Partial<ApnsStandInOptions> = {}): Promise<Rig & { apns: ApnsStandIn }> {
	const apns = await standIn(options)
	const made = rig(oneHost(apns.url), apns.caPem)
	cleanups.push(
		() => made.client.close(),
		() => apns.close(),
	)
	return { ...made, apns }
}

const ids = (apns: ApnsStandIn): string[] => apns.pushes.map((one) => one.apnsId)
const sessions = (apns: ApnsStandIn): number[] => apns.pushes.map((one) => one.session)

test('a connection closed without a word: the push goes out again at once, with the same apns-id', async () => {
	const { apns, send } = await pair()
	await send()
	apns.next({ kind: 'kill' })
	const result = await send()
	expect(result.outcome.kind).toBe('accepted')
	expect(result.pushMs).toBeLessThan(1000)
	expect(ids(apns).slice(1)).toEqual([result.pushId, result.pushId])
	expect(sessions(apns)).toEqual([1, 1, 2])
})

test.each([constants.NGHTTP2_REFUSED_STREAM, constants.NGHTTP2_CANCEL, constants.NGHTTP2_INTERNAL_ERROR])(
	'RST_STREAM %p: the push goes out on another session',
	async (code) => {
		const { apns, send } = await pair()
		apns.next({ kind: 'reset', code })
		const result = await send()
		expect(result.outcome.kind).toBe('accepted')
		expect(sessions(apns)).toEqual([1, 2])
	},
)

test('GOAWAY with pushes under way: they finish on the old session, later ones go out on a new one, none twice', async () => {
	const { apns, send, events } = await pair({
		behaviour: ({ payload }) => {
			const { nth } = payload as { nth: number }
			return nth === 10 ? { kind: 'goaway', reason: 'Shutdown', accept: true } : undefined
		},
	})
	const results = await Promise.all(Array.from({ length: 30 }, (_, nth) => send({ payload: JSON.stringify({ nth }) })))
	expect(results.map((result) => result.outcome.kind)).toEqual(results.map(() => 'accepted'))
	expect(new Set(ids(apns)).size).toBe(30)
	expect(apns.pushes.length).toBe(30)
	await send({ payload: '{"nth":99}' })
	expect(sessions(apns)).toEqual([...Array.from({ length: 30 }, () => 1), 2])
	expect(apns.refusals).toEqual([])
	expect(events.map((event) => event.fields)).toContainEqual({
		host: apns.url,
		state: 'lost',
		reason: 'GOAWAY Shutdown',
	})
})

test('GOAWAY for a push that was not processed: it goes out on another session', async () => {
	const { apns, send } = await pair()
	apns.next({ kind: 'goaway', reason: 'Shutdown', accept: false })
	expect((await send()).outcome.kind).toBe('accepted')
	expect(sessions(apns)).toEqual([1, 2])
})

test('a warm session that is lost while nothing is under way is dialled anew by itself', async () => {
	const { apns, client, send } = await pair()
	await send()
	apns.goAway('Shutdown')
	await until(() => apns.sessions === 2 && client.connected('production'))
	apns.kill()
	await until(() => apns.sessions === 3 && client.connected('production'))
})

test('a server that refuses on every session is dialled a few times a second, not for each push', async () => {
	const { apns, send } = await pair({
		behaviour: () => ({ kind: 'answer', status: 503, reason: 'ServiceUnavailable' }),
	})
	const started = performance.now()
	await Promise.all(Array.from({ length: 200 }, () => send()))
	expect(apns.sessions).toBeLessThanOrEqual(2 + Math.ceil((performance.now() - started) / DIAL_PAUSE_MS))
})

test('after a long silence a ping goes before the push', async () => {
	const { apns, send } = await pair()
	await send()
	const clock = spyOn(performance, 'now').mockImplementation(() => real() + 2 * IDLE_PING_MS)
	try {
		const ping = spyOn(ApnsSession.prototype, 'probe')
		expect((await send()).outcome.kind).toBe('accepted')
		expect(ping).toHaveBeenCalledTimes(1)
		ping.mockRestore()
	} finally {
		clock.mockRestore()
	}
	expect(sessions(apns)).toEqual([1, 1])
})

test('a session without a word for half a minute is pinged, one in use is not', async () => {
	const apns = await standIn()
	const idleTimers: (() => void)[] = []
	const timers = spyOn(globalThis, 'setTimeout')
	const session = new ApnsSession(apns.url, apns.caPem, { opened: () => {}, lost: () => {}, ended: () => {} })
	cleanups.push(
		() => session.destroy(),
		() => apns.close(),
	)
	await until(() => session.state === 'open')
	for (const [callback, ms] of timers.mock.calls) if (ms === IDLE_PING_MS) idleTimers.push(callback as () => void)
	timers.mockRestore()
	expect(idleTimers.length).toBe(1)
	/* whole, so that the difference is exactly that of the two */
	const now = Math.ceil(performance.now())
	const clock = spyOn(performance, 'now').mockImplementation(() => now + IDLE_PING_MS)
	session.heard(now + 1000)
	idleTimers[0]!()
	expect(session.state).toBe('open')
	session.heard(now)
	idleTimers[0]!()
	expect(session.state).toBe('probing')
	clock.mockRestore()
	await until(() => session.state === 'open')
})

test('a request that the session will not take is not sent, and retires it', async () => {
	const apns = await standIn()
	const lost: string[] = []
	const session = new ApnsSession(apns.url, apns.caPem, {
		opened: () => {},
		lost: (_session, reason) => lost.push(reason),
		ended: () => {},
	})
	cleanups.push(
		() => session.destroy(),
		() => apns.close(),
	)
	await until(() => session.state === 'open')
	expect(session.request({ 'no header': 'x' }, '')).toBeUndefined()
	expect(session.state).not.toBe('open')
	expect(lost.length).toBe(1)
})

test('a host that only a stray push needed is let go after an hour', async () => {
	const production = await standIn()
	const sandbox = await standIn()
	const { client, send } = rig({ production: production.url, sandbox: sandbox.url }, production.caPem + sandbox.caPem)
	cleanups.push(
		() => client.close(),
		() => production.close(),
		() => sandbox.close(),
	)
	await Promise.all([send({ environment: 'sandbox' }), send()])
	const clock = spyOn(performance, 'now').mockImplementation(() => real() + WARM_FOR_MS)
	sandbox.goAway('Shutdown')
	production.goAway('Shutdown')
	await until(() => production.sessions === 2)
	await Bun.sleep(2 * DIAL_PAUSE_MS)
	clock.mockRestore()
	expect(sandbox.sessions).toBe(1)
})

test('close answers what is out, once, and nothing comes after it', async () => {
	const { client, results } = await pair({ behaviour: () => ({ kind: 'stall' }) })
	client.send(push())
	client.send(push({ environment: 'sandbox' }))
	await Bun.sleep(50)
	client.close()
	client.close()
	client.send(push())
	await Bun.sleep(50)
	expect(results.map((result) => result.outcome)).toEqual(
		Array.from({ length: 3 }, () => ({ kind: 'failed' as const, status: 0, reason: 'stopped' })),
	)
})

/* These wait for real timeouts: side by side. */

test.concurrent('a server that stalls: after 2.5 s the push goes out on another session with the same apns-id', async () => {
	const { apns, send } = await pair()
	apns.next({ kind: 'stall' })
	const result = await send()
	expect(result.outcome.kind).toBe('accepted')
	expect(result.pushMs).toBeWithin(ANSWER_TIMEOUT_MS, ANSWER_TIMEOUT_MS + 600)
	expect(ids(apns)).toEqual([result.pushId, result.pushId])
	expect(sessions(apns)).toEqual([1, 2])
})

test.concurrent('a server that never answers: one retry, then failed, within the limit', async () => {
	const { apns, send } = await pair({ behaviour: () => ({ kind: 'stall' }) })
	const result = await send()
	expect(result.outcome).toEqual({ kind: 'failed', status: 0, reason: 'timeout' })
	expect(result.pushMs).toBeLessThan(PUSH_LIMIT_MS + 300)
	expect(apns.pushes.length).toBe(2)
}, 10_000)

test.concurrent('silent loss: the push goes out on another session, and those that come meanwhile do too', async () => {
	const apns = await standIn()
	const relay = await startRelay(apns.port)
	const { client, send } = rig(oneHost(relay.url), apns.caPem)
	cleanups.push(
		() => client.close(),
		() => relay.close(),
		() => apns.close(),
	)
	await send()
	relay.cut()
	const results = await Promise.all([send(), send()])
	expect(results.map((result) => result.outcome.kind)).toEqual(['accepted', 'accepted'])
	expect(sessions(apns)).toEqual([1, 2, 2])
})

test.concurrent('APNs out of reach: the push is failed with the reason of the network, within the limit', async () => {
	const apns = await standIn()
	apns.close()
	const { client, send } = rig(oneHost(apns.url), apns.caPem)
	cleanups.push(() => client.close())
	const result = await send()
	expect(result.outcome).toEqual({ kind: 'failed', status: 0, reason: 'ECONNREFUSED' })
	expect(result.pushMs).toBeLessThan(PUSH_LIMIT_MS + 300)
}, 10_000)

test.concurrent('APNs that comes back within the limit gets the push', async () => {
	const apns = await standIn()
	const gone = await startRelay(apns.port)
	gone.close()
	const { client, send, events } = rig(oneHost(gone.url), apns.caPem)
	const result = send()
	await until(() => events.length > 0)
	const relay = await startRelay(apns.port, Number(new URL(gone.url).port))
	cleanups.push(
		() => client.close(),
		() => relay.close(),
		() => apns.close(),
	)
	expect((await result).outcome.kind).toBe('accepted')
	expect(events[0]!.fields).toMatchObject({ state: 'lost', reason: 'ECONNREFUSED' })
})

test.concurrent('a ping without a pong ends the session; with one it takes requests again', async () => {
	const apns = await standIn()
	const relay = await startRelay(apns.port)
	const heard: string[] = []
	const session = new ApnsSession(relay.url, apns.caPem, {
		opened: (_session, isNew) => heard.push(isNew ? 'connected' : 'pong'),
		lost: (_session, reason) => heard.push(reason),
		ended: () => heard.push('ended'),
	})
	cleanups.push(
		() => session.destroy(),
		() => relay.close(),
		() => apns.close(),
	)
	await until(() => session.state === 'open')
	session.probe()
	expect(session.state).toBe('probing')
	await until(() => session.state === 'open')
	relay.cut()
	const started = performance.now()
	session.probe()
	await until(() => session.state === 'dead')
	expect(performance.now() - started).toBeWithin(PONG_TIMEOUT_MS - 50, PONG_TIMEOUT_MS + 500)
	expect(heard).toEqual(['connected', 'pong', 'no pong', 'ended'])
})

test.concurrent('a retired session finishes what it has, but not for ever', async () => {
	const apns = await standIn({ key: undefined, behaviour: () => ({ kind: 'stall' }) })
	const heard: string[] = []
	const session = new ApnsSession(apns.url, apns.caPem, {
		opened: () => {},
		lost: (_session, reason) => heard.push(reason),
		ended: () => heard.push('ended'),
	})
	cleanups.push(
		() => session.destroy(),
		() => apns.close(),
	)
	await until(() => session.state === 'open')
	const headers = { ':path': '/3/device/ab', authorization: 'bearer x', 'apns-push-type': 'voip', 'apns-topic': TOPIC }
	session.request({ ':method': 'POST', ...headers }, '{}')!.on('error', () => {})
	session.retire('for a test')
	session.retire('and again')
	expect(session.state).toBe('retired')
	await Bun.sleep(RETIRED_FOR_MS - 500)
	expect(session.state).toBe('retired')
	await until(() => session.state === 'dead')
	expect(heard).toEqual(['for a test', 'ended'])
})

test.concurrent('a host that is down is dialled ever more rarely while nothing waits', async () => {
	const apns = await standIn()
	apns.close()
	const { client, events } = rig(oneHost(apns.url), apns.caPem)
	cleanups.push(() => client.close())
	await Bun.sleep(DIAL_PAUSE_MS * 8)
	/* At 0, 1, 3 and 7 pauses from the start. */
	expect(events.filter((event) => JSON.stringify(event.fields).includes('"lost"')).length).toBeWithin(3, 5)
})
