/** The live parts of the page, each rendered by itself so that only what changed is sent again. */
import { html } from 'hono/html'
import type { PushOutcomeRecord } from '../core/model.ts'
import type { AgentView, BanView, CallView, DeviceView, PbxTargetView, Snapshot } from '../core/snapshot.ts'
import { COUNTER_NAMES, COUNTER_WORDS } from './counters.ts'
import { ago, type Clock, elapsed, type Html, hostPort, left, NOTHING, shortAgent, shortLabel } from './format.ts'
import { selectAgents } from './select.ts'
import type { Readiness } from './view.ts'

/** A queue manager looks at the calls of now; more than a hundred are read from the API. */
export const CALLS_SHOWN_MAX = 100
/** The last half hour of a busy gateway, not its history. */
export const PUSHES_SHOWN_MAX = 30
/** Enough to see who is at it; the counter tells how many. */
export const BANS_SHOWN_MAX = 50

export const SECTION_IDS = ['state', 'numbers', 'calls', 'agents', 'pushes', 'bans', 'counters'] as const
export type SectionId = (typeof SECTION_IDS)[number]
export type Sections = Readonly<Record<SectionId, string>>

/** `clock` undefined: a live frame, equal to the last one as long as nothing but time went by. */
export function renderSections(snapshot: Snapshot, readiness: Readiness, query: string, clock: Clock): Sections {
	return {
		state: String(stateLine(readiness)),
		numbers: String(numbers(snapshot, clock)),
		calls: String(callTable(snapshot.calls, clock)),
		agents: String(agentTable(snapshot, query, clock)),
		pushes: String(pushTable(snapshot.pushes, clock)),
		bans: String(banTable(snapshot.bans, clock)),
		counters: String(counterList(snapshot)),
	}
}

function stateLine({ ok, sentence }: Readiness): Html {
	return ok
		? html`<strong class="good">✓ Ready</strong> ${sentence}`
		: html`<strong class="bad">✗ Not ready</strong> ${sentence}`
}

function numbers({ gauges, pbx, pushes, storeFault }: Snapshot, clock: Clock): Html {
	const woken = pushes.find((push) => push.wakeMs !== undefined)
	const figure = (name: string, value: number | string | Html) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`
	return html`<dl class="figures">
${figure('Agents', gauges.agents)}
${figure('Foreground', gauges.devicesForeground)}
${figure('Background', gauges.devicesBackground)}
${figure('Calls held', gauges.callsHeld)}
${figure('Calls live', gauges.callsLive)}
${figure('Last wake', woken?.wakeMs === undefined ? NOTHING : elapsed(woken.wakeMs))}
</dl>
<p class="facts"><span>PBX <b>${over(pbx.transport)}${hostPort(pbx.address, pbx.port)}</b> ${pbxWord(pbx, clock)}</span>
<span>Store ${storeFault === undefined ? html`<span class="good">✓ works</span>` : html`<span class="bad">✗ ${storeFault}</span>`}</span></p>${machineTable(pbx, clock)}`
}

function pbxWord({ silent, lastAnswerAt }: Snapshot['pbx'], clock: Clock): Html {
	const answered = lastAnswerAt === undefined ? 'no answer yet' : html`last answer ${ago(lastAnswerAt, clock)}`
	return silent ? html`<span class="bad">✗ silent</span>, ${answered}` : html`${answered}`
}

const MACHINE_STATES = {
	up: ['✓', 'good'],
	suspect: ['◔', 'warn'],
	down: ['✗', 'bad'],
	resting: ['◔', 'bad'],
} as const satisfies Record<PbxTargetView['state'], readonly [sign: string, colour: string]>

/** Of a PBX that is one machine, and well, the line above says enough. */
function machineTable({ targets }: Snapshot['pbx'], clock: Clock): Html {
	if (targets.length < 2 && targets.every(({ state }) => state === 'up')) return html``
	return html`
<table class="machines"><caption>${shownOf(targets.length, targets.length, 'machine')} of the PBX</caption>
<thead><tr><th scope="col">Machine</th><th scope="col">Rank</th><th scope="col">Weight</th><th scope="col">State</th><th scope="col">Since</th><th scope="col">Last heard</th><th scope="col">OPTIONS</th></tr></thead>
<tbody>${targets.map((target) => machineRow(target, clock))}</tbody></table>`
}

/** UDP is usual. */
function over(transport: PbxTargetView['transport']): string {
	return transport === 'udp' ? '' : `${transport}:`
}

function machineRow(target: PbxTargetView, clock: Clock): Html {
	const { name, transport, address, port, rank, weight, state, since, lastHeardAt, lastStatus } = target
	const [sign, colour] = MACHINE_STATES[state]
	return html`<tr><th scope="row">${name === address ? '' : html`${name} `}<small>${over(transport)}${hostPort(address, port)}</small></th>
<td data-label="Rank">${rank + 1}</td><td data-label="Weight">${weight}</td>
<td data-label="State"><span class="${colour}">${sign} ${state}</span></td>
<td data-label="Since">${ago(since, clock)}</td>
<td data-label="Last heard">${ago(lastHeardAt, clock)}</td>
<td data-label="OPTIONS">${lastStatus === 0 || state === 'down' ? NOTHING : lastStatus}</td></tr>`
}

function callTable(calls: readonly CallView[], clock: Clock): Html {
	if (calls.length === 0) return html`<p class="muted">No calls.</p>`
	const shown = [...calls].sort(heldFirst).slice(0, CALLS_SHOWN_MAX)
	return html`<table><caption>${shownOf(shown.length, calls.length, 'call')}</caption>
<thead><tr><th scope="col">Agent</th><th scope="col">State</th><th scope="col">Other party</th><th scope="col">Began</th><th scope="col">Hold</th></tr></thead>
<tbody>${shown.map((call) => callRow(call, clock))}</tbody></table>`
}

const CALL_STATES = {
	held: ['◔', 'warn'],
	calling: ['→', 'muted'],
	ringing: ['♪', 'good'],
	live: ['●', 'good'],
} as const satisfies Record<CallView['state'], readonly [sign: string, colour: string]>

const STATE_ORDER = Object.keys(CALL_STATES)

function heldFirst(a: CallView, b: CallView): number {
	return STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state) || b.since - a.since
}

function callRow(call: CallView, clock: Clock): Html {
	const [sign, colour] = CALL_STATES[call.state]
	const direction = call.direction === 'to-agent' ? 'from' : 'to'
	return html`<tr><th scope="row" title="${call.agent}">${shortAgent(call.agent)}</th>
<td data-label="State"><span class="${colour}">${sign} ${call.state}</span></td>
<td data-label="Other party"><span class="muted">${direction}</span> ${call.caller}</td>
<td data-label="Began">${ago(call.since, clock)}</td>
<td data-label="Hold">${left(call.holdUntil, clock)}</td></tr>`
}

function agentTable(snapshot: Snapshot, query: string, clock: Clock): Html {
	const { shown, matching } = selectAgents(snapshot, query)
	if (matching === 0) return html`<p class="muted">${query === '' ? 'No agents yet.' : 'No agent matches.'}</p>`
	return html`<table class="agents"><caption>${shownOf(shown.length, matching, 'agent')}</caption>
<thead><tr><th scope="col">Agent</th><th scope="col">Device</th><th scope="col">State</th><th scope="col">Last pong</th><th scope="col">Address</th><th scope="col">Push</th><th scope="col">Last wake</th></tr></thead>
${shown.map((view) => agentRows(view, clock))}</table>`
}

function agentRows({ agent, devices }: AgentView, clock: Clock): Html {
	const span = Math.max(1, devices.length)
	const head = html`<th scope="rowgroup" rowspan="${span}" title="${agent}">${shortAgent(agent)}</th>`
	if (devices.length === 0) return html`<tbody><tr>${head}<td colspan="6" class="muted">no device</td></tr></tbody>`
	const rows = devices.map((device, row) => html`<tr>${row === 0 && head}${deviceCells(device, clock)}</tr>`)
	return html`<tbody>${rows}</tbody>`
}

function deviceCells(device: DeviceView, clock: Clock): Html {
	const { label, userAgent, reach, lastPongAt, registeredAt, lastWakeMs, suspect, missedWakes, hold } = device
	const pushes = shownOf(missedWakes, missedWakes, 'push')
	const reachWord =
		reach === 'foreground'
			? html`<span class="good">● foreground</span>`
			: html`<span class="muted">○ background</span>`
	return html`<td data-label="Device"><span class="clip" title="${label}">${shortLabel(label)}</span><small class="clip" title="${userAgent}">${userAgent}</small></td>
<td data-label="State">${reachWord}<small>registered ${ago(registeredAt, clock)}</small>${suspect && html`<small class="warn" title="${pushes} in a row accepted, and nobody woke">⚠ suspect: ${pushes}, no wake</small>`}</td>
<td data-label="Last pong">${ago(lastPongAt, clock)}</td>
<td data-label="Address">${hostPort(device.address, device.port)}</td>
<td data-label="Push">${pushCell(device.push)}</td>
<td data-label="Last wake">${lastWakeMs === undefined ? NOTHING : elapsed(lastWakeMs)}${learntHold(hold)}</td>`
}

/** Before its first wake it is --hold, which stands in the configuration. */
function learntHold({ holdMs, samples, p95Ms }: DeviceView['hold']): Html | string {
	if (p95Ms === undefined) return ''
	return html`<small title="95 % of its last ${samples} wakes took no longer than ${elapsed(p95Ms)}">hold ${elapsed(holdMs)}</small>`
}

function pushCell(push: DeviceView['push']): Html {
	if (!push) return html`<span class="muted">none</span>`
	const { provider, environment, topic, token, dead } = push
	return html`<span title="${topic}">${provider} ${environment}</span><small>${dead && html`<span class="bad">✗ token dead</span> `}${token}</small>`
}

function pushTable(pushes: readonly PushOutcomeRecord[], clock: Clock): Html {
	if (pushes.length === 0) return html`<p class="muted">No pushes yet.</p>`
	const shown = pushes.slice(0, PUSHES_SHOWN_MAX)
	return html`<table><caption>${shownOf(shown.length, pushes.length, 'push')}, newest first</caption>
<thead><tr><th scope="col">Agent</th><th scope="col">Sent</th><th scope="col">Outcome</th><th scope="col">Answer in</th><th scope="col">Wake</th></tr></thead>
<tbody>${shown.map((push) => pushRow(push, clock))}</tbody></table>`
}

function outcomeOf({ result, status, reason }: PushOutcomeRecord): Html {
	if (result === 'accepted') return html`<span class="good">✓ accepted</span>`
	if (result === 'withdrawn') return html`<span class="muted">not needed</span>`
	const why = [status || '', reason].filter(Boolean).join(' ')
	return html`<span class="bad">✗ ${result}</span><small>${why}</small>`
}

function pushRow(push: PushOutcomeRecord, clock: Clock): Html {
	return html`<tr><th scope="row" title="${push.agent}">${shortAgent(push.agent)}</th>
<td data-label="Sent">${ago(push.sentAt, clock)}</td>
<td data-label="Outcome">${outcomeOf(push)}</td>
<td data-label="Answer in">${elapsed(push.pushMs)}</td>
<td data-label="Wake">${push.wakeMs === undefined ? NOTHING : elapsed(push.wakeMs)}</td></tr>`
}

function banTable(bans: readonly BanView[], clock: Clock): Html {
	if (bans.length === 0) return html`<p class="muted">Nobody is banned.</p>`
	const shown = bans.slice(0, BANS_SHOWN_MAX)
	return html`<table><caption>${shownOf(shown.length, bans.length, 'ban')}</caption>
<thead><tr><th scope="col">Source</th><th scope="col">Reason</th><th scope="col">Ends</th></tr></thead>
<tbody>${shown.map(
		(ban) => html`<tr><th scope="row">${ban.source}</th>
<td data-label="Reason">${ban.reason}</td><td data-label="Ends">${left(ban.until, clock)}</td></tr>`,
	)}</tbody></table>`
}

function counterList({ counters }: Snapshot): Html {
	return html`<dl class="counters">${COUNTER_NAMES.map(
		(name) => html`<div><dt>${COUNTER_WORDS[name]}</dt><dd>${counters[name]}</dd></div>`,
	)}</dl>`
}

/** `1 call`, `12 calls`, `200 of 5000 agents`. */
function shownOf(shown: number, all: number, noun: string): string {
	const plural = noun.endsWith('h') ? `${noun}es` : `${noun}s`
	const words = all === 1 ? noun : plural
	return shown < all ? `${shown} of ${all} ${words}` : `${all} ${words}`
}
