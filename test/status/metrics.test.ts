import { describe, expect, test } from 'bun:test'
import { COUNTER_NAMES, GAUGE_NAMES } from '../../src/status/counters.ts'
import { counterMetricName, createMetrics, gaugeMetricName, type Metrics } from '../../src/status/metrics.ts'
import type { StatusSources } from '../../src/status/view.ts'
import { options, snapshot, withStatus } from './fixture.ts'

async function withMetrics(change: Partial<StatusSources>, use: (metrics: Metrics) => Promise<void>): Promise<void> {
	const metrics = createMetrics(options(change))
	try {
		await use(metrics)
	} finally {
		metrics.stop()
	}
}

interface Exposition {
	readonly samples: ReadonlyMap<string, number>
	readonly types: ReadonlyMap<string, string>
	readonly helps: ReadonlySet<string>
}

/** Reads the text format 0.0.4; throws at a line that is none of it. */
function parse(text: string): Exposition {
	const samples = new Map<string, number>()
	const types = new Map<string, string>()
	const helps = new Set<string>()
	for (const line of text.split('\n')) {
		if (line === '') continue
		const [, meta, name, words] = /^# (HELP|TYPE) ([a-z_0-9]+) (\S.*)$/.exec(line) ?? []
		if (meta === 'HELP') helps.add(name!)
		else if (meta === 'TYPE') types.set(name!, words!)
		else {
			const sample = /^([a-z_0-9]+(?:\{(?:[a-z]+="[^"]*",?)+\})?) (\S+)$/.exec(line)
			if (!sample || samples.has(sample[1]!)) throw new Error(`not a line of metrics: ${line}`)
			samples.set(sample[1]!, Number(sample[2]))
		}
	}
	return { samples, types, helps }
}

describe('/metrics', () => {
	test('has every counter under its own name, in snake case with _total, with its value', async () => {
		await withMetrics({}, async (metrics) => {
			const { samples, types } = parse(await metrics.text())
			expect(COUNTER_NAMES.length).toBe(Object.keys(snapshot().counters).length)
			for (const name of COUNTER_NAMES) {
				const metric = counterMetricName(name)
				expect(metric).toMatch(/^push_gateway_[a-z]+(_[a-z]+)*_total$/)
				expect(samples.get(metric), metric).toBe(snapshot().counters[name])
				expect(types.get(metric)).toBe('counter')
			}
			expect(counterMetricName('callsToAgents')).toBe('push_gateway_calls_to_agents_total')
		})
	})

	test('has every gauge, the state and the build', async () => {
		await withMetrics({}, async (metrics) => {
			const { samples, types } = parse(await metrics.text())
			for (const name of GAUGE_NAMES) expect(samples.get(gaugeMetricName(name))).toBe(snapshot().gauges[name])
			expect(types.get('push_gateway_devices_foreground')).toBe('gauge')
			expect(samples.get('push_gateway_ready')).toBe(1)
			expect(samples.get('push_gateway_pbx_silent')).toBe(0)
			expect(samples.get('push_gateway_pbx_up{machine="198.51.100.7:5060"}')).toBe(1)
			expect(samples.get('push_gateway_pbx_up{machine="198.51.100.8:5060"}')).toBe(0)
			expect(samples.get('push_gateway_build_info{gateway="0.1.0",bun="1.4.5",sqlite="3.51.0"}')).toBe(1)
		})
	})

	test('has the connections of each listener that has any, and why others ended', async () => {
		const tls = { name: 'tls:192.0.2.1:5061', connections: 7, ended: { refused: 3, time: 2 }, certificateUntil: 5_000 }
		const udp = { name: 'udp:192.0.2.1:5060', connections: undefined, ended: undefined, certificateUntil: undefined }
		await withMetrics({ listeners: () => [udp, tls] }, async (metrics) => {
			await metrics.text()
			const { samples } = parse(await metrics.text())
			const told = [...samples].filter(([name]) => name.includes('listener='))
			expect(told).toEqual([
				['push_gateway_connections{listener="tls:192.0.2.1:5061"}', 7],
				['push_gateway_certificate_expiry_timestamp_seconds{listener="tls:192.0.2.1:5061"}', 5],
				['push_gateway_connections_ended_total{listener="tls:192.0.2.1:5061",reason="refused"}', 3],
				['push_gateway_connections_ended_total{listener="tls:192.0.2.1:5061",reason="time"}', 2],
			])
		})
	})

	test('has a help and a type for each metric', async () => {
		await withMetrics({ udpDrops: () => 3 }, async (metrics) => {
			const { samples, types, helps } = parse(await metrics.text())
			expect([...helps]).toEqual([...types.keys()])
			for (const name of samples.keys()) {
				const bare = name.replace(/\{.*/, '')
				expect(types.has(bare) || types.get(bare.replace(/_(bucket|sum|count)$/, '')) === 'histogram', name).toBe(true)
			}
		})
	})

	test('follows the counters, and takes one snapshot a scrape', async () => {
		let taken = 0
		const rising = () => {
			taken++
			return snapshot({ counters: { ...snapshot().counters, wakes: taken }, storeFault: 'full', draining: true })
		}
		await withMetrics({ snapshot: rising }, async (metrics) => {
			expect(parse(await metrics.text()).samples.get('push_gateway_wakes_total')).toBe(1)
			const { samples } = parse(await metrics.text())
			expect(samples.get('push_gateway_wakes_total')).toBe(2)
			expect(samples.get('push_gateway_store_fault')).toBe(1)
			expect(samples.get('push_gateway_draining')).toBe(1)
		})
	})

	test('counts wakes and pushes into histograms of seconds, pushes by result', async () => {
		await withMetrics({}, async (metrics) => {
			metrics.observeWake(1432)
			metrics.observePush(84, 'accepted')
			metrics.observePush(5000, 'failed')
			const { samples } = parse(await metrics.text())
			expect(samples.get('push_gateway_wake_seconds_bucket{le="1"}')).toBe(0)
			expect(samples.get('push_gateway_wake_seconds_bucket{le="1.5"}')).toBe(1)
			expect(samples.get('push_gateway_wake_seconds_sum')).toBeCloseTo(1.432)
			expect(samples.get('push_gateway_push_seconds_bucket{le="0.1",result="accepted"}')).toBe(1)
			expect(samples.get('push_gateway_push_seconds_count{result="failed"}')).toBe(1)
		})
	})

	test('tells of the process: time, memory, files, and how late its timers are', async () => {
		await withMetrics({ udpDrops: () => 7 }, async (metrics) => {
			await Bun.sleep(40)
			const stalledUntil = performance.now() + 100
			while (performance.now() < stalledUntil);
			await Bun.sleep(40)
			const { samples } = parse(await metrics.text())
			for (const name of [
				'process_cpu_seconds_total',
				'process_resident_memory_bytes',
				'process_heap_bytes',
				'process_open_fds',
			])
				expect(samples.get(name), name).toBeGreaterThan(0)
			expect(Math.abs(samples.get('process_start_time_seconds')! - Date.now() / 1000)).toBeLessThan(3600)
			expect(samples.get('push_gateway_udp_drops_total')).toBe(7)
			const worst = 'push_gateway_event_loop_delay_seconds{quantile="1"}'
			expect(samples.get(worst)).toBeGreaterThan(0.05)
			expect(parse(await metrics.text()).samples.get(worst)).toBe(0)
		})
	})

	test('leaves out the kernel drops where nobody counts them', async () => {
		await withMetrics({}, async (metrics) => expect(await metrics.text()).not.toContain('udp_drops'))
	})

	test('is served with the content type of the text format, and shows what was observed', async () => {
		await withStatus({}, async ({ url, observeWake, observePush }) => {
			observeWake(900)
			observePush(20, 'refused')
			const answer = await fetch(`${url}metrics`)
			expect(answer.headers.get('content-type')).toStartWith('text/plain; version=0.0.4')
			const { samples } = parse(await answer.text())
			expect(samples.get('push_gateway_wake_seconds_count')).toBe(1)
			expect(samples.get('push_gateway_push_seconds_count{result="refused"}')).toBe(1)
		})
	})
})
