/** The process metrics of the Prometheus client guidelines, as far as Bun and Linux give them. */
import { readdirSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, type Registry } from 'prom-client'

/** Fine enough to see a stall of 50 ms, at about 0.4 % of a core. */
const DELAY_RESOLUTION_MS = 20

export interface ProcessMetrics {
	refresh(): void
	stop(): void
}

export function addProcessMetrics(registers: Registry[]): ProcessMetrics {
	const gauge = (name: string, help: string) => new Gauge({ name, help, registers })
	const cpu = new Counter({ name: 'process_cpu_seconds_total', help: 'User and system CPU time', registers })
	const resident = gauge('process_resident_memory_bytes', 'Resident memory')
	const heap = gauge('process_heap_bytes', 'Heap in use by JavaScript')
	const openFds = gauge('process_open_fds', 'Open file descriptors')
	gauge('process_start_time_seconds', 'Start of the process, seconds since the epoch').set(
		performance.timeOrigin / 1000,
	)
	const delay = addLoopDelay(registers)
	return {
		refresh() {
			const used = process.cpuUsage()
			cpu.reset()
			cpu.inc((used.user + used.system) / 1e6)
			const memory = process.memoryUsage()
			resident.set(memory.rss)
			heap.set(memory.heapUsed)
			openFds.set(countOpenFds())
			delay.refresh()
		},
		stop: delay.stop,
	}
}

/** How late timers are, since the scrape before this one. */
function addLoopDelay(registers: Registry[]): ProcessMetrics {
	const histogram = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS })
	histogram.enable()
	const delay = new Gauge({
		name: 'push_gateway_event_loop_delay_seconds',
		help: 'How late timers were since the last scrape; quantile 1 is the worst',
		labelNames: ['quantile'],
		registers,
	})
	return {
		refresh() {
			delay.set({ quantile: '0.5' }, secondsOf(histogram.percentile(50)))
			delay.set({ quantile: '0.99' }, secondsOf(histogram.percentile(99)))
			delay.set({ quantile: '1' }, secondsOf(histogram.max))
			histogram.reset()
		},
		stop: () => void histogram.disable(),
	}
}

/** An empty histogram says NaN, or a bound that no delay has; both are "none seen". */
function secondsOf(nanoseconds: number): number {
	const seconds = nanoseconds / 1e9
	return Number.isFinite(seconds) && seconds < 1e6 ? seconds : 0
}

/** NaN where there is no /proc: Prometheus' word for "not known". */
function countOpenFds(): number {
	try {
		return readdirSync('/proc/self/fd').length
	} catch {
		return Number.NaN
	}
}
