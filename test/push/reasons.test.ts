import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { ApnsStandIn, StandInAnswer } from '../../src/demo/apns.ts'
import { RULES, type Rule, readRefusal, ruleFor, ruleForSilence } from '../../src/push/reasons.ts'
import { memoryTokens, push, rig, standIn } from './rig.ts'

let production: ApnsStandIn
let sandbox: ApnsStandIn
/** What both stand-ins answer now; undefined: 200. */
let answer: StandInAnswer | undefined
const tokens = memoryTokens()

beforeAll(async () => {
	production = await standIn({ behaviour: () => answer })
	sandbox = await standIn({ behaviour: () => answer })
})
afterAll(() => {
	production.close()
	sandbox.close()
})

const WALK: [string, Rule][] = Object.entries(RULES)
/** Attempts of a push whose every attempt is refused so: the remedy once, but no new token minutes after the last. */
const attemptsOf = (rule: Rule): number => (rule.remedy === undefined || rule.remedy === 'new-token' ? 1 : 2)

test.each(WALK)('%s, again and again, comes to what the table says', async (key, rule) => {
	const { outcome, received } = await pushAgainst(key, Number.POSITIVE_INFINITY)
	const [status, reason] = split(key)
	expect(outcome).toMatchObject({ kind: rule.kind, status, reason })
	if (rule.kind === 'misconfigured') expect(outcome).toHaveProperty('hint', rule.hint)
	if (rule.kind === 'gone') expect(outcome).toHaveProperty('timestampMs', 1_700_000_000_123)
	expect(received.length).toBe(attemptsOf(rule))
})

test.each(WALK.filter(([, rule]) => attemptsOf(rule) === 2))(
	'%s once: the remedy saves the push',
	async (key, rule) => {
		const { outcome, received, pushId, dialled } = await pushAgainst(key, 1)
		expect(outcome.kind).toBe('accepted')
		if (rule.remedy === 'minimal-request') {
			expect(received[1]!.payload).toEqual({ aps: {} })
			expect(received[1]!.headers['apns-priority']).toBeUndefined()
			expect(received[1]!.headers['apns-expiration']).toBe('0')
		} else expect(received.map((one) => one.apnsId)).toEqual([pushId, pushId])
		if (rule.remedy === 'other-session') expect(received[1]!.session).toBeGreaterThan(received[0]!.session)
		if (rule.remedy === 'other-environment') expect(outcome).toHaveProperty('environment', 'sandbox')
		expect(dialled).toBeGreaterThan(0)
	},
)

test.each([
	[400, 'misconfigured'],
	[401, 'misconfigured'],
	[403, 'misconfigured'],
	[404, 'misconfigured'],
	[405, 'misconfigured'],
	[410, 'gone'],
	[413, 'misconfigured'],
	[418, 'misconfigured'],
	[429, 'throttled'],
	[500, 'failed'],
	[599, 'failed'],
	[302, 'failed'],
	[0, 'failed'],
])('a reason of %p that nobody has heard of goes by its status: %s', (status, kind) => {
	expect(ruleFor(status, 'SomethingNew').kind).toBe(kind as Rule['kind'])
})

test('a rule is only found under its own status', () => {
	expect(ruleFor(503, 'BadDeviceToken').kind).toBe('failed')
	expect(ruleFor(400, 'constructor').kind).toBe('misconfigured')
})

test('every misconfiguration has a hint that says what to do', () => {
	for (const [, rule] of WALK)
		if (rule.kind === 'misconfigured') expect(rule.hint).toMatch(/\b(check|report|let)\b.*\.$/i)
})

test('silence is retried, but not where the certificate is wrong', () => {
	expect(ruleForSilence('timeout').remedy).toBe('other-session')
	expect(ruleForSilence('CERT_HAS_EXPIRED')).toMatchObject({ kind: 'misconfigured' })
	expect(ruleForSilence('CERT_HAS_EXPIRED').remedy).toBeUndefined()
})

test.each([
	['', { reason: 'HTTP 400', timestampMs: 0 }],
	['<html>', { reason: 'HTTP 400', timestampMs: 0 }],
	['null', { reason: 'HTTP 400', timestampMs: 0 }],
	['{"reason":7,"timestamp":"x"}', { reason: 'HTTP 400', timestampMs: 0 }],
	['{"reason":"Unregistered","timestamp":1700000000123}', { reason: 'Unregistered', timestampMs: 1_700_000_000_123 }],
	[`{"reason":"${'x'.repeat(65)}"}`, { reason: 'HTTP 400', timestampMs: 0 }],
	['{"reason":"two\\nlines"}', { reason: 'HTTP 400', timestampMs: 0 }],
])('a body is read whatever it is: %p', (body, refusal) => {
	expect(readRefusal(400, body)).toEqual(refusal)
})

function split(key: string): [number, string] {
	const [status, reason] = key.split(' ') as [string, string]
	return [Number(status), reason]
}

/** One push by a fresh client; the first `times` attempts are refused by `key`. */
async function pushAgainst(key: string, times: number) {
	const [status, reason] = split(key)
	const from = [production.pushes.length, sandbox.pushes.length, production.sessions + sandbox.sessions] as const
	const refusal: StandInAnswer = {
		kind: 'answer',
		status,
		reason,
		...(status === 410 ? { timestampMs: 1_700_000_000_123 } : {}),
	}
	answer = times === Number.POSITIVE_INFINITY ? refusal : undefined
	if (times === 1) production.next(refusal)
	const { client, send } = rig({ production: production.url, sandbox: sandbox.url }, production.caPem + sandbox.caPem, {
		tokens,
	})
	const { pushId } = push()
	const { outcome } = await send({ pushId })
	client.close()
	const received = [...production.pushes.slice(from[0]), ...sandbox.pushes.slice(from[1])]
	return { outcome, received, pushId, dialled: production.sessions + sandbox.sessions - from[2] }
}
