import { describe, expect, test } from 'bun:test'
import { Bucket } from '../../src/lib/bucket.ts'

const LIMITS = { perSecond: 2, burst: 3 }

/** How many tokens it gives at `now`, at most `asks`. */
function drain(bucket: Bucket, now: number, asks = 100): number {
	let given = 0
	for (let i = 0; i < asks; i++) if (bucket.take(now)) given++
	return given
}

describe('a token bucket', () => {
	test('gives its burst at once and then nothing', () => {
		expect(drain(new Bucket(LIMITS, 1000), 1000)).toBe(3)
	})

	test('gives perSecond tokens in each second that follows', () => {
		const bucket = new Bucket(LIMITS, 0)
		drain(bucket, 0)
		expect(bucket.take(499)).toBe(false)
		expect(bucket.take(500)).toBe(true)
		expect(drain(bucket, 1500)).toBe(2)
	})

	test('keeps fractions of a token between calls', () => {
		const bucket = new Bucket(LIMITS, 0)
		drain(bucket, 0)
		for (let now = 100; now < 500; now += 100) expect(bucket.take(now)).toBe(false)
		expect(bucket.take(500)).toBe(true)
	})

	test('never holds more than its burst', () => {
		const bucket = new Bucket(LIMITS, 0)
		expect(drain(bucket, 3_600_000)).toBe(3)
		bucket.refund()
		bucket.refund()
		bucket.refund()
		bucket.refund()
		expect(drain(bucket, 3_600_000)).toBe(3)
	})

	test('a refund lets one more through', () => {
		const bucket = new Bucket(LIMITS, 0)
		drain(bucket, 0)
		bucket.refund()
		expect(drain(bucket, 0)).toBe(1)
	})

	test('is full when new and again once it has refilled', () => {
		const bucket = new Bucket(LIMITS, 0)
		expect(bucket.full(0)).toBe(true)
		drain(bucket, 0)
		expect(bucket.full(1499)).toBe(false)
		expect(bucket.full(1500)).toBe(true)
	})

	test('a clock that goes back gives nothing and takes nothing', () => {
		const bucket = new Bucket(LIMITS, 10_000)
		drain(bucket, 10_000)
		expect(bucket.take(0)).toBe(false)
		expect(bucket.take(10_500)).toBe(true)
	})

	test('with a rate of 0 never refills', () => {
		const bucket = new Bucket({ perSecond: 0, burst: 1 }, 0)
		expect(drain(bucket, 0)).toBe(1)
		expect(bucket.take(1e9)).toBe(false)
	})
})
