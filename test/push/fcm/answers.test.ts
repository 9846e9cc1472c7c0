import { describe, expect, test } from 'bun:test'
import { outcomeOf, RULES, type Rule, readCode, ruleFor, ruleForSilence } from '../../../src/push/fcm/answers.ts'
import { retryAfter } from '../../../src/push/fcm/post.ts'

const FCM_ERROR = 'type.googleapis.com/google.firebase.fcm.v1.FcmError'
const body = (status: string, code?: string, message = '') =>
	JSON.stringify({
		error: { status, message, details: code === undefined ? undefined : [{ '@type': FCM_ERROR, errorCode: code }] },
	})

describe('the code of a refusal', () => {
	test.each([
		[404, body('NOT_FOUND', 'UNREGISTERED'), 'UNREGISTERED'],
		[404, body('NOT_FOUND'), 'NOT_FOUND'],
		[400, body('INVALID_ARGUMENT', 'INVALID_ARGUMENT'), 'INVALID_ARGUMENT'],
		[
			400,
			body('INVALID_ARGUMENT', 'INVALID_ARGUMENT', 'The registration token is not a valid FCM registration token'),
			'INVALID_TOKEN',
		],
		[404, '<html>', 'HTTP 404'],
		[500, '{"error":null}', 'HTTP 500'],
		[500, 'null', 'HTTP 500'],
		[500, '{"error":{"details":[null,{}],"status":"a b"}}', 'HTTP 500'],
	])('%p %p: %p', (status, text, code) => {
		expect(readCode(status, text)).toBe(code)
	})

	test('several fields that are wrong say nothing of the token', () => {
		const violations = (...fields: string[]) =>
			JSON.stringify({
				error: { status: 'INVALID_ARGUMENT', details: [{ fieldViolations: fields.map((field) => ({ field })) }] },
			})
		expect(readCode(400, violations('message.token'))).toBe('INVALID_TOKEN')
		expect(readCode(400, violations('message.token', 'message.data[0].value'))).toBe('INVALID_ARGUMENT')
	})
})

describe('the rules', () => {
	test('are total, and only what names the token speaks against it', () => {
		const deadly = (status: number, code: string) => ['gone', 'bad-token'].includes(ruleFor(status, code).kind)
		for (let status = 100; status < 600; status++)
			expect([status, deadly(status, `HTTP ${status}`)]).toEqual([status, false])
		const found = Object.keys(RULES).filter((known) => deadly(Number(known.slice(0, 3)), known.slice(4)))
		expect(found).toEqual(['400 INVALID_TOKEN', '403 SENDER_ID_MISMATCH', '404 UNREGISTERED'])
	})

	test('each has its row in docs/operations.md', async () => {
		const text = await Bun.file(new URL('../../../docs/operations.md', import.meta.url)).text()
		const rows = [...text.slice(text.indexOf('\n## FCM')).matchAll(/^\| `(\d{3} [A-Z_]+)`/gm)].map((match) => match[1]!)
		expect(rows).toEqual(Object.keys(RULES))
	})

	test('what is misconfigured says what to do, in a sentence', () => {
		for (const rule of Object.values<Rule>(RULES)) if (rule.kind === 'misconfigured') expect(rule.hint).toEndWith('.')
		expect(ruleForSilence('DEPTH_ZERO_SELF_SIGNED_CERT').hint).toEndWith('.')
		expect(ruleForSilence('timeout')).toEqual({ remedy: 'again', kind: 'failed' })
	})

	test('a token of another project is dead only where the key has proved good', () => {
		const rule = ruleFor(403, 'SENDER_ID_MISMATCH')
		expect(outcomeOf(rule, 403, 'SENDER_ID_MISMATCH', false, 7).kind).toBe('misconfigured')
		expect(outcomeOf(rule, 403, 'SENDER_ID_MISMATCH', true, 7).kind).toBe('bad-token')
	})
})

test('Retry-After is seconds or a date, and nothing where it is neither', () => {
	const now = Date.UTC(2026, 0, 1)
	expect([retryAfter('30', now), retryAfter('Thu, 01 Jan 2026 00:00:05 GMT', now)]).toEqual([30_000, 5_000])
	expect([retryAfter('Wed, 31 Dec 2025 00:00:00 GMT', now), retryAfter('soon', now), retryAfter(null, now)]).toEqual([
		0,
		undefined,
		undefined,
	])
})
