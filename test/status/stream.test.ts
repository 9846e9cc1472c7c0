import { afterEach, beforeEach, describe, expect, jest, test } from 'bun:test'
import { Live } from '../../src/status/live.ts'
import { renderSections } from '../../src/status/sections.ts'
import { READY, snapshot } from './fixture.ts'

beforeEach(() => void jest.useFakeTimers())
afterEach(() => void jest.useRealTimers())

/** A page on a fake clock, over a gateway whose number of pongs the test sets. */
function watch(frameCostMs = 0) {
	const world = { pongs: 0, frames: 0, fault: false, reports: [] as string[] }
	const live = new Live(
		() => {
			world.frames++
			if (world.fault) throw new Error('no snapshot')
			if (frameCostMs > 0) jest.advanceTimersByTime(frameCostMs)
			const counters = { ...snapshot().counters, pongs: world.pongs }
			return (query) => renderSections(snapshot({ counters }), READY, query, undefined)
		},
		(sentence) => void world.reports.push(sentence),
	)
	const reader = live.open('')!.getReader()
	const next = async () => {
		const { value, done } = await reader.read()
		return done ? 'closed' : new TextDecoder().decode(value)
	}
	return { world, live, reader, next }
}

describe('a live stream', () => {
	test('sends at most one event a second', async () => {
		const { world, live, next } = watch()
		expect(await next()).toContain('"counters"')
		const second = next()
		for (world.pongs = 1; world.pongs < 10; world.pongs++) jest.advanceTimersByTime(100)
		expect(world.frames).toBe(1)
		jest.advanceTimersByTime(100)
		expect(await second).toContain('Pongs received</dt><dd>10</dd>')
		expect(world.frames).toBe(2)
		live.stop()
	})

	test('queues nothing for a page that takes nothing, and gives it the newest state when it does', async () => {
		const { world, live, next } = watch()
		for (world.pongs = 1; world.pongs < 8; world.pongs++) jest.advanceTimersByTime(1000)
		expect(await next()).toContain('Pongs received</dt><dd>0</dd>')
		jest.advanceTimersByTime(1000)
		expect(await next()).toContain('Pongs received</dt><dd>8</dd>')
		live.stop()
	})

	test('ends for a page that took nothing for half a minute, and frees its place', async () => {
		const { live, next } = watch()
		jest.advanceTimersByTime(30_000)
		expect(live.size).toBe(1)
		jest.advanceTimersByTime(2000)
		expect(live.size).toBe(0)
		expect(await next()).toStartWith('retry: 2000\ndata: {')
		expect(await next()).toBe('closed')
	})

	test('sends a comment every 15 s when nothing happens, so that no proxy cuts it', async () => {
		const { live, next } = watch()
		await next()
		const beat = next()
		jest.advanceTimersByTime(16_000)
		expect(await beat).toBe(':\n\n')
		live.stop()
	})

	test('comes more rarely when a frame is dear, so that it takes 2 % of the loop at most', async () => {
		const { world, next, live } = watch(100)
		await next()
		jest.advanceTimersByTime(1000)
		expect(world.frames).toBe(2)
		jest.advanceTimersByTime(4500)
		expect(world.frames).toBe(2)
		jest.advanceTimersByTime(500)
		expect(world.frames).toBe(3)
		live.stop()
	})

	test('is cut off by a fault of ours, which is reported and thrown at nobody', async () => {
		const { world, live, next } = watch()
		await next()
		world.fault = true
		jest.advanceTimersByTime(1000)
		expect(await next()).toBe('closed')
		expect(world.reports).toEqual(['The live status failed: no snapshot'])
		expect(() => live.open('')).toThrow('no snapshot')
		expect([live.size, jest.getTimerCount()]).toEqual([0, 0])
	})

	test('has no timer once its page has gone', async () => {
		const { reader, live } = watch()
		await reader.cancel()
		expect([live.size, jest.getTimerCount()]).toEqual([0, 0])
	})
})
