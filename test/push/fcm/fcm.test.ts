/** The client against a real HTTPS server that verifies what Google verifies. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { Secret } from '../../../src/lib/secret.ts'
import { BREAKER_REFUSALS } from '../../../src/push/breaker.ts'
import { REFRESH_BEFORE_MS } from '../../../src/push/fcm/access-token.ts'
import { AGAIN_MS } from '../../../src/push/fcm/answers.ts'
import {
	ATTEMPT_TIMEOUT_MS,
	FCM_LIMIT_MS,
	MAX_OUTSTANDING,
	MAX_PAUSED,
	QUOTA_PAUSE_MAX_MS,
	QUOTA_PAUSE_MS,
} from '../../../src/push/fcm/fcm.ts'
import { until } from '../rig.ts'
import { accountOf, call, rig, TOKEN } from './rig.ts'
import { error, GoogleStandIn, keyFile } from './stand-in.ts'

let google: GoogleStandIn
beforeEach(() => {
	google = new GoogleStandIn()
})
afterEach(async () => {
	await google.stop()
})

const sent = () => google.messages.length
const about = (field: string) => ({
	details: [{ '@type': 'type.googleapis.com/google.rpc.BadRequest', fieldViolations: [{ field, description: 'x' }] }],
})
const unregistered = () => error(404, 'NOT_FOUND', 'UNREGISTERED')

describe('a push', () => {
	test('of a call is data alone, HIGH, with a ttl that ends with the hold, under a token the account signed for', async () => {
		const { send } = rig(google)
		const result = await send({ expiresAt: Date.now() + 20_000 })
		expect(result).toMatchObject({ outcome: { kind: 'accepted', status: 200, environment: 'production' } })
		expect(google.faults).toEqual([])
		const [{ message }] = google.messages as [(typeof google.messages)[0]]
		expect(message.token).toBe(TOKEN)
		expect(message.data).toEqual({ event: 'call', callerName: 'Ada Lovelace' })
		expect(message.android).toMatchObject({ priority: 'HIGH', direct_boot_ok: true })
		expect(['19s', '20s']).toContain(message.android.ttl)
		expect(google.assertions[0]).toMatchObject({ scope: 'https://www.googleapis.com/auth/firebase.messaging' })
	})

	test('of any other kind is HIGH, too: nothing else passes Doze', async () => {
		const { send } = rig(google)
		for (const kind of ['alert', 'background'] as const) await send({ kind, expiresAt: Date.now() + 3_600_900 })
		expect(google.messages.map(({ message }) => message.android)).toEqual([
			{ priority: 'HIGH', ttl: '3600s' },
			{ priority: 'HIGH', ttl: '3600s' },
		])
	})

	test('whose time is over is for now or never', async () => {
		await rig(google).send({ expiresAt: Date.now() - 5_000 })
		expect(google.messages[0]!.message.android.ttl).toBe('0s')
	})

	test('a hundred at once share one access token, and some connections', async () => {
		const { send } = rig(google)
		await Promise.all(Array.from({ length: 100 }, () => send()))
		for (let i = 0; i < 20; i++) await send()
		expect([google.assertions.length, sent(), google.faults]).toEqual([1, 120, []])
		expect(new Set(google.messages.slice(100).map(({ port }) => port)).size).toBeLessThan(5)
	})

	test('with a token that could be anything is not sent', async () => {
		const { send } = rig(google)
		for (const token of ['', 'a"b', 'x'.repeat(1_001), 'a/b'])
			expect(await send({ token: new Secret(token) })).toMatchObject({ outcome: { kind: 'bad-token', status: 0 } })
		expect(sent()).toBe(0)
	})
})

describe('the access token', () => {
	test(`is fetched anew REFRESH_BEFORE_MS before its end, ${REFRESH_BEFORE_MS / 1000} s, while the old one serves`, async () => {
		let ahead = 0
		google.now = () => Date.now() + ahead
		const { send } = rig(google, { now: google.now })
		await send()
		ahead = 3_600_000 - REFRESH_BEFORE_MS - 5_000
		await send()
		expect(google.assertions.length).toBe(1)
		ahead += 6_000
		google.onToken = () => 'stall'
		const [{ authorization }] = google.messages as [(typeof google.messages)[0]]
		const started = performance.now()
		for (let i = 0; i < 3; i++) await send()
		expect(performance.now() - started).toBeLessThan(1_000)
		expect(google.messages.map((one) => one.authorization)).toEqual(Array(5).fill(authorization))
		await until(() => google.assertions.length === 2)
	})

	test('that FCM refuses is replaced once', async () => {
		const { send } = rig(google)
		await send()
		google.granted.clear()
		expect(await send()).toMatchObject({ outcome: { kind: 'accepted' } })
		expect([google.assertions.length, sent()]).toEqual([2, 2])
	})

	test('whose successor is refused, too, is a fault of the configuration', async () => {
		google.onMessage = () => error(401, 'UNAUTHENTICATED')
		expect(await rig(google).send()).toMatchObject({
			outcome: {
				kind: 'misconfigured',
				status: 401,
				reason: 'UNAUTHENTICATED',
				hint: expect.stringContaining('clock'),
			},
		})
		expect([google.assertions.length, sent()]).toEqual([2, 2])
	})

	test('that is refused because the key was deleted is told at the start and to every push, with its reason', async () => {
		google.onToken = () => Response.json({ error: 'invalid_grant', error_description: 'Invalid JWT' }, { status: 400 })
		const { send, events } = rig(google)
		expect(await send()).toMatchObject({
			outcome: {
				...{ kind: 'misconfigured', status: 400, reason: 'no access token: invalid_grant' },
				hint: expect.stringContaining('--fcm-key'),
			},
		})
		expect(events.map(({ name, fields }) => [name, fields['provider']])).toEqual([['push-misconfigured', 'fcm']])
		for (let i = 1; i < BREAKER_REFUSALS; i++) await send()
		const asked = google.assertions.length
		expect(await send()).toMatchObject({ outcome: { kind: 'misconfigured' } })
		expect([google.assertions.length, sent()]).toEqual([asked, 0])
	})

	test('that cannot be had now is no fault of the configuration', async () => {
		const answers = [new Response('busy', { status: 503 }), Response.json({ token_type: 'Bearer' })]
		google.onToken = () => answers.shift()
		const { send, events } = rig(google)
		const reasons = []
		for (let i = 0; i < 2; i++) reasons.push((await send()).outcome)
		expect(reasons).toEqual([
			{ kind: 'failed', status: 503, reason: 'no access token: HTTP 503' },
			{ kind: 'failed', status: 200, reason: 'no access token: HTTP 200' },
		])
		expect([await send(), events]).toMatchObject([{ outcome: { kind: 'accepted' } }, []])
	})

	test('is not waited for longer than EXCHANGE_TIMEOUT_MS', async () => {
		google.onToken = () => 'stall'
		const { outcome, pushMs } = await rig(google).send()
		expect(outcome).toEqual({ kind: 'failed', status: 0, reason: 'no access token: timeout' })
		expect(pushMs).toBeWithin(2_300, 4_000)
	})

	test('of a server whose certificate is of nobody known is not asked for', async () => {
		const { send } = rig(google, { ca: undefined })
		expect(await send()).toMatchObject({
			outcome: { kind: 'misconfigured', hint: expect.stringContaining('--fcm-ca') },
		})
		expect(google.assertions).toEqual([])
	})
})

describe('what FCM refuses', () => {
	test('UNREGISTERED: the token is dead since the push went out', async () => {
		google.onMessage = unregistered
		const before = Date.now()
		const { outcome } = await rig(google).send()
		expect(outcome).toEqual({ kind: 'gone', status: 404, reason: 'UNREGISTERED', timestampMs: expect.any(Number) })
		expect((outcome as { timestampMs: number }).timestampMs).toBeWithin(before, Date.now() + 1)
		expect(sent()).toBe(1)
	})

	test('SENDER_ID_MISMATCH: the token is bad, once the key has proved good; before that the key is doubted', async () => {
		const { send } = rig(google)
		google.onMessage = (_, nth) => (nth === 2 ? undefined : error(403, 'PERMISSION_DENIED', 'SENDER_ID_MISMATCH'))
		expect(await send()).toMatchObject({ outcome: { kind: 'misconfigured', hint: expect.stringContaining('project') } })
		await send()
		expect(await send()).toMatchObject({ outcome: { kind: 'bad-token', status: 403, reason: 'SENDER_ID_MISMATCH' } })
	})

	test('INVALID_ARGUMENT about the token: it is bad; about anything else the minimal data goes out once', async () => {
		const { send } = rig(google)
		google.onMessage = () => error(400, 'INVALID_ARGUMENT', undefined, about('message.token'))
		expect(await send()).toMatchObject({ outcome: { kind: 'bad-token', status: 400 } })
		google.onMessage = (_, nth) =>
			nth === 2 ? error(400, 'INVALID_ARGUMENT', undefined, about('message.data')) : undefined
		expect(await send()).toMatchObject({ outcome: { kind: 'accepted' } })
		expect(google.messages.map(({ message }) => Object.keys(message.data).length)).toEqual([2, 2, 1])
		google.onMessage = () => error(400, 'INVALID_ARGUMENT', 'INVALID_ARGUMENT')
		expect(await send()).toMatchObject({ outcome: { kind: 'misconfigured', status: 400 } })
	})

	test('a 404 that does not name the token, and a 403 for the account, leave every token alone', async () => {
		const { send } = rig(google, { account: accountOf(keyFile(google.tokenUri, { project_id: 'another-one' })) })
		expect(await send()).toMatchObject({ outcome: { kind: 'misconfigured', status: 404, reason: 'HTTP 404' } })
		google.onMessage = () => error(403, 'PERMISSION_DENIED')
		expect(await rig(google).send()).toMatchObject({
			outcome: { kind: 'misconfigured', status: 403, hint: expect.stringContaining('API (V1)') },
		})
	})

	test('BREAKER_REFUSALS of the key in a row stop pushes for a while', async () => {
		google.onMessage = () => error(403, 'PERMISSION_DENIED')
		const { send } = rig(google)
		for (let i = 0; i <= BREAKER_REFUSALS; i++) await send()
		expect(sent()).toBe(BREAKER_REFUSALS)
	})

	test('QUOTA_EXCEEDED: that device is left alone for as long as Retry-After says, others are not', async () => {
		const { send } = rig(google)
		google.onMessage = (_, nth) => {
			const refusal = error(429, 'RESOURCE_EXHAUSTED', 'QUOTA_EXCEEDED')
			refusal.headers.set('retry-after', '1')
			return nth === 1 ? refusal : undefined
		}
		const throttled = { outcome: { kind: 'throttled', status: 429, reason: 'QUOTA_EXCEEDED' } }
		expect([await send(), await send()]).toMatchObject([throttled, throttled])
		expect(await send({ token: new Secret('another') })).toMatchObject({ outcome: { kind: 'accepted' } })
		expect(sent()).toBe(2)
		await Bun.sleep(1_050)
		expect(await send()).toMatchObject({ outcome: { kind: 'accepted' } })
	})

	test('QUOTA_PAUSE_MS: a minute where it does not say, never more than QUOTA_PAUSE_MAX_MS, for MAX_PAUSED devices', () => {
		expect([QUOTA_PAUSE_MS, QUOTA_PAUSE_MAX_MS, MAX_PAUSED]).toEqual([60_000, 600_000, 20_000])
	})
})

describe('one retry', () => {
	for (const status of [500, 503])
		test(`of a call after ${status}, AGAIN_MS later, and no second one`, async () => {
			google.onMessage = (_, nth) => (nth === 1 ? error(status, 'UNAVAILABLE') : undefined)
			const { send } = rig(google)
			expect(await send()).toMatchObject({ outcome: { kind: 'accepted' } })
			const [first, second] = google.messages.map(({ at }) => at) as [number, number]
			expect(second - first).toBeWithin(AGAIN_MS - 5, AGAIN_MS + 300)
			google.onMessage = () => error(status, 'UNAVAILABLE')
			expect(await send()).toMatchObject({ outcome: { kind: 'failed', status } })
			expect(sent()).toBe(4)
		})

	test('after an answer of a proxy that is no JSON', async () => {
		google.onMessage = (_, nth) => (nth === 1 ? new Response('<html>', { status: 502 }) : undefined)
		expect(await rig(google).send()).toMatchObject({ outcome: { kind: 'accepted' } })
	})

	test('not of what is no call: FCM asks to keep off for longer', async () => {
		google.onMessage = () => error(503, 'UNAVAILABLE')
		expect(await rig(google).send({ kind: 'background' })).toMatchObject({ outcome: { kind: 'failed', status: 503 } })
		expect(sent()).toBe(1)
	})

	test('not where the hold would be over', async () => {
		google.onMessage = () => error(503, 'UNAVAILABLE')
		await rig(google).send({ expiresAt: Date.now() + AGAIN_MS / 2 })
		expect(sent()).toBe(1)
	})

	test(`of any push after ATTEMPT_TIMEOUT_MS of silence, by a connection of its own; all of it within FCM_LIMIT_MS`, async () => {
		const { send } = rig(google)
		await send()
		google.onMessage = (_, nth) => (nth === 2 ? 'stall' : undefined)
		const { outcome, pushMs } = await send({ kind: 'background' })
		expect(outcome).toMatchObject({ kind: 'accepted' })
		expect(pushMs).toBeWithin(ATTEMPT_TIMEOUT_MS, ATTEMPT_TIMEOUT_MS + AGAIN_MS + 700)
		const ports = google.messages.map(({ port }) => port)
		expect(ports.slice(0, 2)).not.toContain(ports[2]!)
		expect(2 * ATTEMPT_TIMEOUT_MS + AGAIN_MS).toBeLessThan(FCM_LIMIT_MS)
	})

	test('after a connection that nobody takes', async () => {
		await google.stop()
		const { outcome } = await rig(google).send()
		expect(outcome).toMatchObject({ kind: 'failed', status: 0, reason: expect.stringContaining('no access token: ') })
	})
})

describe('a push that is taken back', () => {
	test('before anything went out is withdrawn', async () => {
		google.onToken = () => 'stall'
		const { client, results } = rig(google)
		const effect = call()
		client.send(effect)
		client.cancel(effect.pushId)
		await until(() => results.length > 0)
		expect(results).toMatchObject([{ pushId: effect.pushId, outcome: { kind: 'withdrawn' } }])
	})

	test('after a first try is not tried again', async () => {
		google.onMessage = () => error(503, 'UNAVAILABLE')
		const { client, results } = rig(google)
		const effect = call()
		client.send(effect)
		await until(() => sent() === 1)
		client.cancel(effect.pushId)
		await until(() => results.length > 0)
		await Bun.sleep(AGAIN_MS + 100)
		expect([results.map(({ outcome }) => outcome.kind), sent()]).toEqual([['failed'], 1])
	})

	test('is no other', async () => {
		const { client, send } = rig(google)
		client.cancel('unknown')
		expect(await send()).toMatchObject({ outcome: { kind: 'accepted' } })
	})
})

test(`MAX_OUTSTANDING: of ${MAX_OUTSTANDING} pushes out the next one fails at once`, async () => {
	google.onToken = () => 'stall'
	const { client, results } = rig(google)
	for (let i = 0; i <= MAX_OUTSTANDING; i++) client.send(call())
	await until(() => results.length > 0)
	expect(results).toMatchObject([{ outcome: { kind: 'failed', reason: 'overloaded' } }])
	client.close()
	expect([results.length, client.outstanding]).toEqual([MAX_OUTSTANDING + 1, 0])
})

test('close answers what is out, once, and nothing is sent after it', async () => {
	google.onMessage = () => 'stall'
	const { client, results } = rig(google)
	client.send(call())
	await until(() => sent() === 1)
	client.close()
	client.send(call())
	await until(() => results.length === 2)
	expect(results.map(({ outcome }) => outcome)).toEqual(Array(2).fill({ kind: 'failed', status: 0, reason: 'stopped' }))
	expect(sent()).toBe(1)
})

test('nothing secret gets into an outcome or an event', async () => {
	google.onMessage = () => error(403, 'PERMISSION_DENIED', undefined, { message: TOKEN })
	const { send, results, events } = rig(google)
	await send()
	google.onMessage = () => error(500, TOKEN.toUpperCase())
	await send()
	const told = JSON.stringify([results, events])
	for (const secret of [TOKEN, 'ya29.', 'BEGIN PRIVATE KEY']) expect(told).not.toContain(secret)
})
