/** `/metrics`: the core's counters and gauges, how long pushes and wakes take, and how the process fares. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { PushOutcomeRecord } from '../core/model.ts'
import type { Counters, Gauges, Snapshot } from '../core/snapshot.ts'
import { COUNTER_NAMES, COUNTER_WORDS, GAUGE_NAMES, GAUGE_WORDS } from './counters.ts'
import { hostPort } from './format.ts'
import { addProcessMetrics } from './process.ts'
import type { StatusSources } from './view.ts'

const PREFIX = 'push_gateway_'
/** A phone on a good network wakes in one to three seconds; the longest hold is two minutes. */
const WAKE_BUCKETS_SEC = [0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 20, 30, 60, 120]
/** APNs answers in tens of milliseconds; a push is given up after two tries of 2.5 s. */
const PUSH_BUCKETS_SEC = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

export type PushResult = PushOutcomeRecord['result']

export interface Metrics {
	readonly contentType: string
	/** The exposition text of this moment. */
	text(): Promise<string>
	/** push → the PBX's 2xx to the woken device's REGISTER. */
	observeWake(wakeMs: number): void
	/** push → its outcome. */
	observePush(pushMs: number, result: PushResult): void
	stop(): void
}

export function createMetrics(sources: StatusSources): Metrics {
	const registry = new Registry()
	const registers = [registry]
	const refreshCore = coreMetrics(registers)
	const refreshState = stateMetrics(registers, sources)
	const refreshDrops = dropMetric(registers, sources.udpDrops)
	const refreshEvents = eventMetrics(registers, sources.events)
	const refreshListeners = listenerMetrics(registers, sources.listeners)
	const process = addProcessMetrics(registers)
	const { wake, push } = histograms(registers)
	return {
		contentType: registry.contentType,
		text() {
			const snapshot = sources.snapshot()
			refreshCore(snapshot)
			refreshState(snapshot)
			refreshDrops()
			refreshEvents()
			refreshListeners()
			process.refresh()
			return registry.metrics()
		},
		observeWake: (wakeMs) => wake.observe(wakeMs / 1000),
		observePush: (pushMs, result) => push.observe({ result }, pushMs / 1000),
		stop: process.stop,
	}
}

/** `callsToAgents` → `push_gateway_calls_to_agents_total`. */
export function counterMetricName(name: keyof Counters): string {
	return `${gaugeMetricName(name)}_total`
}

/** `devicesForeground` → `push_gateway_devices_foreground`. */
export function gaugeMetricName(name: keyof Gauges | keyof Counters): string {
	return PREFIX + name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

function coreMetrics(registers: Registry[]): (snapshot: Snapshot) => void {
	const counters = COUNTER_NAMES.map(
		(name) => [name, new Counter({ name: counterMetricName(name), help: COUNTER_WORDS[name], registers })] as const,
	)
	const gauges = GAUGE_NAMES.map(
		(name) => [name, new Gauge({ name: gaugeMetricName(name), help: GAUGE_WORDS[name], registers })] as const,
	)
	return (snapshot) => {
		for (const [name, counter] of counters) setCounter(counter, snapshot.counters[name])
		for (const [name, gauge] of gauges) gauge.set(snapshot.gauges[name])
	}
}

/** prom-client counts by itself; ours are counted elsewhere and only shown by it. */
function setCounter(counter: Counter, total: number): void {
	counter.reset()
	counter.inc(total)
}

function stateMetrics(registers: Registry[], { ready, version }: StatusSources): (snapshot: Snapshot) => void {
	const gauge = (name: string, help: string) => new Gauge({ name: PREFIX + name, help, registers })
	const readyNow = gauge('ready', '1 while /readyz says yes')
	const pbxSilent = gauge(
		'pbx_silent',
		'1 while the PBX does not answer: every machine is down, or a REGISTER had no answer',
	)
	const pbxUp = new Gauge({
		name: `${PREFIX}pbx_up`,
		help: '1 while requests may go to this machine of the PBX',
		labelNames: ['machine'],
		registers,
	})
	const storeFault = gauge('store_fault', '1 while the last commit failed')
	const draining = gauge('draining', '1 while the gateway takes no new calls because it stops')
	const { gateway, bun, sqlite } = version
	new Gauge({ name: `${PREFIX}build_info`, help: 'Versions', labelNames: ['gateway', 'bun', 'sqlite'], registers }).set(
		{ gateway, bun, sqlite },
		1,
	)
	return (snapshot) => {
		readyNow.set(Number(ready().ok))
		pbxSilent.set(Number(snapshot.pbx.silent))
		pbxUp.reset()
		for (const { transport, address, port, state } of snapshot.pbx.targets) {
			const machine = `${transport === 'udp' ? '' : `${transport}:`}${hostPort(address, port)}`
			pbxUp.set({ machine }, Number(state === 'up' || state === 'suspect'))
		}
		storeFault.set(Number(snapshot.storeFault !== undefined))
		draining.set(Number(snapshot.draining))
	}
}

function dropMetric(registers: Registry[], udpDrops: StatusSources['udpDrops']): () => void {
	if (!udpDrops) return () => {}
	const help = 'Datagrams the kernel threw away because the receive buffer was full'
	const drops = new Counter({ name: `${PREFIX}udp_drops_total`, help, registers })
	return () => setCounter(drops, udpDrops() ?? 0)
}

/** All 0 where nothing is posted. */
function eventMetrics(registers: Registry[], events: StatusSources['events']): () => void {
	const queued = new Gauge({ name: `${PREFIX}events_queued`, help: 'Events not delivered yet', registers })
	const counter = (name: string, help: string) => new Counter({ name: PREFIX + name, help, registers })
	const delivered = counter('events_delivered_total', 'Events the receiver took')
	const dropped = counter('events_dropped_total', 'Events given up: refused, too old or too many')
	return () => {
		const state = events?.()
		queued.set(state?.queued ?? 0)
		setCounter(delivered, state?.delivered ?? 0)
		setCounter(dropped, state?.dropped ?? 0)
	}
}

function listenerMetrics(registers: Registry[], listeners: StatusSources['listeners']): () => void {
	const gauge = (name: string, help: string) =>
		new Gauge({ name: PREFIX + name, help, labelNames: ['listener'], registers })
	const open = gauge('connections', 'Open connections of a TCP, TLS or WebSocket listener')
	const until = gauge('certificate_expiry_timestamp_seconds', 'When the first certificate of a listener expires')
	const ended = new Counter({
		name: `${PREFIX}connections_ended_total`,
		help: 'Connections turned away or cut off, by why',
		labelNames: ['listener', 'reason'],
		registers,
	})
	return () => {
		ended.reset()
		for (const { name: listener, connections, ended: counts = {}, certificateUntil } of listeners?.() ?? []) {
			for (const [reason, count] of Object.entries(counts)) ended.inc({ listener, reason }, count)
			if (connections !== undefined) open.set({ listener }, connections)
			if (certificateUntil !== undefined) until.set({ listener }, certificateUntil / 1000)
		}
	}
}

function histograms(registers: Registry[]) {
	const wake = new Histogram({
		name: `${PREFIX}wake_seconds`,
		help: 'From a push to the woken device registered at the PBX',
		buckets: WAKE_BUCKETS_SEC,
		registers,
	})
	const push = new Histogram({
		name: `${PREFIX}push_seconds`,
		help: 'From a push to its outcome, retries included',
		labelNames: ['result'],
		buckets: PUSH_BUCKETS_SEC,
		registers,
	})
	return { wake, push }
}
