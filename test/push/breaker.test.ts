import { expect, test } from 'bun:test'
import { BREAKER_PAUSE_MS, BREAKER_REFUSALS, KeyBreaker } from '../../src/push/breaker.ts'

const REFUSED = { kind: 'misconfigured', status: 403, reason: 'InvalidProviderToken', hint: 'Check the key.' } as const

function broken(): KeyBreaker {
	const breaker = new KeyBreaker()
	for (let i = 0; i < BREAKER_REFUSALS; i++) breaker.refused(REFUSED, 0)
	return breaker
}

test('pushes go until the key has been refused five times in a row, then get that answer', () => {
	const breaker = new KeyBreaker()
	for (let i = 0; i < BREAKER_REFUSALS; i++) {
		expect(breaker.verdict(0)).toBeUndefined()
		breaker.refused(REFUSED, 0)
	}
	expect(breaker.verdict(0)).toBe(REFUSED)
})

test('after the pause pushes go again, and the first refusal ends that', () => {
	const breaker = broken()
	expect(breaker.verdict(BREAKER_PAUSE_MS - 1)).toBe(REFUSED)
	expect(breaker.verdict(BREAKER_PAUSE_MS)).toBeUndefined()
	breaker.refused(REFUSED, BREAKER_PAUSE_MS)
	expect(breaker.verdict(BREAKER_PAUSE_MS + 1)).toBe(REFUSED)
})

test('an accepted push ends the pause and the count', () => {
	const breaker = broken()
	breaker.accepted()
	expect(breaker.verdict(0)).toBeUndefined()
	breaker.refused(REFUSED, 0)
	expect(breaker.verdict(0)).toBeUndefined()
})
