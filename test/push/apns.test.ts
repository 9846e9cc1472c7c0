import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { ApnsStandIn, StandInAnswer } from '../../src/demo/apns.ts'
import { Secret } from '../../src/lib/secret.ts'
import { apnsUrls } from '../../src/push/apns.ts'
import { BREAKER_REFUSALS } from '../../src/push/breaker.ts'
import { MAX_IN_FLIGHT, MAX_QUEUED } from '../../src/push/host.ts'
import { DEVICE_TOKEN, memoryTokens, oneHost, P8, push, type Rig, rig, standIn, TOPIC } from './rig.ts'

let apns: ApnsStandIn
let sandbox: ApnsStandIn
const rigs: Rig[] = []

beforeAll(async () => {
	apns = await standIn()
	sandbox = await standIn()
})
afterAll(() => {
	for (const { client } of rigs) client.close()
	apns.close()
	sandbox.close()
})

/* One provider token for all, as the stand-in, like APNs, punishes a new one for each test. */
const tokens = memoryTokens()

function open(...args: Parameters<typeof rig>): Rig {
	const made = rig(args[0], args[1], { tokens, ...args[2] })
	rigs.push(made)
	return made
}

test('a push carries the headers of a VoIP call and its payload, and is accepted', async () => {
	const { send } = open(oneHost(apns.url), apns.caPem)
	const expiresAt = 1_900_000_000_500
	const result = await send({ pushId: '0f0e0d0c-0b0a-4908-8706-050403020100', expiresAt })
	expect(result.outcome).toEqual({ kind: 'accepted', status: 200, environment: 'production' })
	expect(result.pushMs).toBeGreaterThanOrEqual(0)
	const received = apns.pushes.at(-1)!
	expect(received).toMatchObject({ token: DEVICE_TOKEN, topic: TOPIC, payload: { aps: {}, caller: 'Ada Lovelace' } })
	expect(received.apnsId).toBe('0f0e0d0c-0b0a-4908-8706-050403020100')
	expect(received.expirationSec).toBe(1_900_000_001)
	expect(received.headers['apns-priority']).toBe('10')
	expect(received.headers['apns-push-type']).toBe('voip')
})

test('an alert and a background push carry their own type and priority, and the bundle id as their topic', async () => {
	const { send } = open(oneHost(apns.url), apns.caPem)
	const topic = TOPIC.replace('.voip', '')
	const seen: unknown[] = []
	for (const kind of ['alert', 'background'] as const) {
		expect((await send({ kind, topic })).outcome.kind).toBe('accepted')
		const { headers } = apns.pushes.at(-1)!
		seen.push([headers['apns-push-type'], headers['apns-priority'], headers['apns-topic']])
	}
	expect(seen).toEqual([
		['alert', '10', 'com.example.app'],
		['background', '5', 'com.example.app'],
	])
})

test('a minimal request keeps the priority that a background push cannot do without', async () => {
	const { send } = open(oneHost(apns.url), apns.caPem)
	const seen: unknown[] = []
	for (const kind of ['voip', 'alert', 'background'] as const) {
		apns.next({ kind: 'answer', status: 413, reason: 'PayloadTooLarge' })
		const topic = kind === 'voip' ? TOPIC : TOPIC.replace('.voip', '')
		expect((await send({ kind, topic })).outcome.kind).toBe('accepted')
		seen.push([apns.pushes.at(-1)!.headers['apns-push-type'], apns.pushes.at(-1)!.headers['apns-priority']])
	}
	expect(seen).toEqual([
		['voip', undefined],
		['alert', undefined],
		['background', '5'],
	])
})

test('without --apns-url pushes go to the hosts of Apple', () => {
	expect(apnsUrls(undefined)).toEqual({
		production: 'https://api.push.apple.com',
		sandbox: 'https://api.sandbox.push.apple.com',
	})
	expect(apnsUrls('https://x')).toEqual({ production: 'https://x', sandbox: 'https://x' })
})

test('a push taken back before it is on the wire never goes out, and its result says so', async () => {
	const queued = open(oneHost(apns.url), apns.caPem)
	const before = apns.pushes.length
	const kept = queued.send()
	const back = queued.send({ pushId: 'aaaaaaaa-0000-4000-8000-000000000001' })
	queued.client.cancel('aaaaaaaa-0000-4000-8000-000000000001')
	expect(queued.results).toEqual([])
	expect((await back).outcome).toEqual({ kind: 'withdrawn', status: 0, reason: '' })
	expect((await kept).outcome.kind).toBe('accepted')
	expect([apns.pushes.length - before, queued.client.outstanding]).toEqual([1, 0])
})

test('one that is on the wire is not taken back: its result is what APNs says', async () => {
	const { send, client } = open(oneHost(apns.url), apns.caPem)
	await send()
	const pushId = 'aaaaaaaa-0000-4000-8000-000000000002'
	const result = send({ pushId })
	client.cancel(pushId)
	client.cancel('of nobody')
	expect((await result).outcome.kind).toBe('accepted')
})

test('the session is dialled at start and serves all pushes', async () => {
	const before = apns.sessions
	const { send, client } = open(oneHost(apns.url), apns.caPem)
	await Promise.all([send(), send()])
	await send()
	expect(apns.sessions).toBe(before + 1)
	expect(client.connected('production')).toBe(true)
	expect(client.outstanding).toBe(0)
})

test('BadDeviceToken: the other environment is asked, and named in the result', async () => {
	const { send } = open({ production: apns.url, sandbox: sandbox.url }, undefined, twoCas())
	apns.next({ kind: 'answer', status: 400, reason: 'BadDeviceToken' })
	expect((await send()).outcome).toEqual({ kind: 'accepted', status: 200, environment: 'sandbox' })
	expect(sandbox.pushes.at(-1)!.apnsId).toBe(apns.pushes.at(-1)!.apnsId)
})

test('BadDeviceToken in both environments is a bad token', async () => {
	const { send } = open({ production: apns.url, sandbox: sandbox.url }, undefined, twoCas())
	apns.next({ kind: 'answer', status: 400, reason: 'BadDeviceToken' })
	sandbox.next({ kind: 'answer', status: 400, reason: 'BadDeviceToken' })
	const { outcome } = await send({ environment: 'sandbox' })
	expect(outcome).toEqual({ kind: 'bad-token', status: 400, reason: 'BadDeviceToken' })
})

test('a key that the other environment refuses says nothing against the key, nor against the token', async () => {
	const { send } = open({ production: apns.url, sandbox: sandbox.url }, undefined, twoCas())
	for (let i = 0; i < BREAKER_REFUSALS; i++) {
		apns.next({ kind: 'answer', status: 400, reason: 'BadDeviceToken' })
		sandbox.next({ kind: 'answer', status: 403, reason: 'BadEnvironmentKeyIdInToken' })
		expect((await send()).outcome.kind).toBe('misconfigured')
	}
	expect((await send()).outcome.kind).toBe('accepted')
})

test('with one host for both environments BadDeviceToken is not asked twice', async () => {
	const { send } = open(oneHost(apns.url), apns.caPem)
	const before = apns.pushes.length
	apns.next({ kind: 'answer', status: 400, reason: 'BadDeviceToken' })
	expect((await send()).outcome.kind).toBe('bad-token')
	expect(apns.pushes.length).toBe(before + 1)
})

test('a token or a topic that could not stand in a request never reaches one', async () => {
	const { send } = open(oneHost(apns.url), apns.caPem)
	const [sessions, pushes] = [apns.sessions, apns.pushes.length]
	for (const token of ['', '../../x', 'ab cd', 'ab\r\n', 'ab'.repeat(101)]) {
		expect((await send({ token: new Secret(token) })).outcome.kind).toBe('bad-token')
	}
	for (const topic of ['', 'a\r\nb: c', 'é.voip']) {
		expect((await send({ topic })).outcome).toMatchObject({ kind: 'misconfigured', reason: 'BadTopic' })
	}
	expect((await send()).outcome.kind).toBe('accepted')
	expect(apns.pushes.length).toBe(pushes + 1)
	expect(apns.sessions).toBe(sessions + 1)
})

test('a body that is longer than any of APNs is not kept', async () => {
	const { send } = open(oneHost(apns.url), apns.caPem)
	const long: StandInAnswer = { kind: 'answer', status: 410, reason: 'x'.repeat(100_000) }
	apns.next(long)
	expect((await send()).outcome).toEqual({ kind: 'gone', status: 410, reason: 'HTTP 410', timestampMs: 0 })
})

test('no result comes before send has returned', () => {
	const { client, results } = open(oneHost(apns.url), apns.caPem)
	client.send(push({ token: new Secret('') }))
	client.close()
	client.send(push())
	expect(results.filter((result) => result.outcome.kind === 'bad-token')).toEqual([])
})

test('beyond the requests under way and the queue a push is refused as overloaded, and each has one result', async () => {
	const stalling = await standIn({ key: undefined, behaviour: () => ({ kind: 'stall' }) })
	const { client, send, results } = open(oneHost(stalling.url), stalling.caPem)
	await send({ token: new Secret('') })
	const room = MAX_IN_FLIGHT + MAX_QUEUED
	await Bun.sleep(100)
	for (let i = 0; i < room + 10; i++) client.send(push())
	await Bun.sleep(0)
	const overloaded = results.filter((result) => 'reason' in result.outcome && result.outcome.reason === 'overloaded')
	expect(overloaded.length).toBe(10)
	client.close()
	stalling.close()
	expect(results.length).toBe(room + 10 + 1)
	expect(new Set(results.map((result) => result.pushId)).size).toBe(results.length)
	expect(client.outstanding).toBe(0)
})

test('a key refused again and again is not shown to APNs for a while', async () => {
	const { send } = open(oneHost(apns.url), apns.caPem)
	const before = apns.pushes.length
	for (let i = 0; i < BREAKER_REFUSALS; i++) {
		apns.next({ kind: 'answer', status: 403, reason: 'InvalidProviderToken' })
		await send()
	}
	expect((await send()).outcome).toMatchObject({ kind: 'misconfigured', status: 403, reason: 'InvalidProviderToken' })
	expect(apns.pushes.length).toBe(before + BREAKER_REFUSALS)
})

test('a key that cannot sign is a sentence, not an exception', async () => {
	const { send } = open(oneHost(apns.url), apns.caPem, { key: new Secret('no key'), tokens: memoryTokens() })
	expect((await send()).outcome).toMatchObject({ kind: 'misconfigured', status: 0, reason: 'InvalidKey' })
})

test('a server that the CA does not vouch for gets no push, at once', async () => {
	const { send } = open(oneHost(apns.url), sandbox.caPem)
	const before = apns.pushes.length
	const result = await send()
	expect(result.outcome).toMatchObject({ kind: 'misconfigured', status: 0 })
	expect(result.pushMs).toBeLessThan(1000)
	expect(apns.pushes.length).toBe(before)
})

test('a clock that APNs does not share is complained of', async () => {
	const late = await standIn({ key: undefined, now: () => Date.now() + 90_000 })
	const { send, events } = open(oneHost(late.url), late.caPem)
	await send()
	await send()
	const complaints = events.filter((event) => event.name === 'apns-clock-drift')
	expect(complaints.length).toBe(1)
	const { driftSec } = complaints[0]!.fields
	expect(Number(driftSec)).toBeWithin(-92, -87)
	late.close()
})

test('nothing secret stands in events or results', async () => {
	const { send, events, results } = open(oneHost(apns.url), apns.caPem)
	apns.next({ kind: 'answer', status: 403, reason: 'InvalidProviderToken' }, { kind: 'kill' })
	await Promise.all([send(), send(), send()])
	const shown = JSON.stringify([events, results]) + Bun.inspect([events, results])
	const jwt = tokens.saved.at(-1)!.token.reveal()
	for (const secret of [DEVICE_TOKEN, jwt, jwt.split('.')[2]!, P8.p8.split('\n')[1]!])
		expect(shown).not.toContain(secret)
	expect(events.length).toBeGreaterThan(0)
})

/** Each stand-in has a certificate of its own: trust both. */
function twoCas(): { ca: string } {
	return { ca: apns.caPem + sandbox.caPem }
}
