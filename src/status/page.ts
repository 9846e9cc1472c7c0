/** The whole page: what never changes while it is open, round the live sections. */
import { html, raw } from 'hono/html'
import type { Snapshot } from '../core/snapshot.ts'
import { ago, type Html, NOTHING } from './format.ts'
import { renderSections, type SectionId, type Sections } from './sections.ts'
import { QUERY_LENGTH_MAX } from './select.ts'
import type { ConfigEntry, ListenerView, Readiness, VersionView } from './view.ts'

/** A browser without scripts asks again after this time. */
const RELOAD_SEC = 10

export interface PageContent {
	readonly snapshot: Snapshot
	readonly readiness: Readiness
	/** As {@link import('./select.ts').normalizeQuery} gives it. */
	readonly query: string
	readonly config: readonly ConfigEntry[]
	readonly version: VersionView
	readonly listeners: readonly ListenerView[]
}

export function statusPage({ snapshot, readiness, query, config, version, listeners }: PageContent): Html {
	const sections = renderSections(snapshot, readiness, query, snapshot.now)
	return document(html`<header><h1>Push Gateway</h1><p>${version.gateway}, started ${ago(version.startedAt, snapshot.now)}</p><p id="link" hidden></p></header>
<main data-now="${snapshot.now}">
<p id="state" class="state" role="status" aria-live="polite">${raw(sections.state)}</p>
<section aria-label="At a glance">${live(sections, 'numbers')}</section>
<section><h2>Calls</h2>${live(sections, 'calls')}</section>
<section><h2>Agents</h2>${filter(query)}${live(sections, 'agents')}</section>
<section><h2>Pushes</h2>${live(sections, 'pushes')}</section>
<section><h2>Bans</h2>${live(sections, 'bans')}</section>
<section><details><summary><h2>Counters</h2> since start</summary>${live(sections, 'counters')}</details></section>
<section><details><summary><h2>Listeners</h2></summary>${listenerTable(listeners, snapshot.now)}</details></section>
<section><details><summary><h2>Configuration</h2></summary>${configTable(config)}</details></section>
</main>
<footer>Push Gateway ${version.gateway}, Bun ${version.bun}, SQLite ${version.sqlite}. <a href="api/status">JSON</a> <a href="metrics">Metrics</a></footer>
<script src="status.js"></script>`)
}

/** Says how to get in, and takes the token. */
export function deniedPage(): Html {
	return document(html`<header><h1>Push Gateway</h1></header>
<main><p class="state"><strong class="bad">✗ Token needed</strong> Give the token of <code>--http-token</code>.</p>
<form action="./"><label for="token">Token</label> <input id="token" name="token" type="password" autocomplete="current-password" required> <button>Open</button></form>
<p class="muted">Programs send it as <code>Authorization: Bearer …</code>.</p></main>`)
}

function document(body: Html): Html {
	return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Push Gateway</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,"><link rel="stylesheet" href="status.css">
<noscript><meta http-equiv="refresh" content="${RELOAD_SEC}"></noscript></head>
<body>${body}</body></html>`
}

/** The section's text is markup of ours already, everything from outside escaped where it went in. */
function live(sections: Sections, id: SectionId): Html {
	return html`<div id="${id}">${raw(sections[id])}</div>`
}

function filter(query: string): Html {
	return html`<form role="search" action="./"><label for="q">Find</label> <input id="q" name="q" type="search" maxlength="${QUERY_LENGTH_MAX}" value="${query}" placeholder="agent, device, address"> <button>Show</button>${query !== '' && html` <a href="./">All</a>`}</form>`
}

function listenerTable(listeners: readonly ListenerView[], now: number): Html {
	return html`<table class="listeners"><caption>As the page was made</caption>
<thead><tr><th scope="col">Listener</th><th scope="col">Connections</th><th scope="col">Certificate until</th></tr></thead>
<tbody>${listeners.map(
		({ name, connections, certificateUntil }) =>
			html`<tr><th scope="row"><code>${name}</code></th><td data-label="Connections">${connections ?? NOTHING}</td>
<td data-label="Certificate until">${certificateUntil === undefined ? NOTHING : day(certificateUntil, now)}</td></tr>`,
	)}</tbody></table>`
}

function day(at: number, now: number): Html {
	return html`<span class="${at < now ? 'bad' : ''}">${new Date(at).toISOString().slice(0, 10)}</span>`
}

const NOT_SET = html`<span class="muted">not set</span>`

function configTable(config: readonly ConfigEntry[]): Html {
	const groups = Map.groupBy(config, (entry) => entry.group)
	return html`<table class="config"><caption>As it runs; secrets are masked</caption>
<thead><tr><th scope="col">Option</th><th scope="col">Value</th></tr></thead>
${[...groups].map(
	([group, entries]) =>
		html`<tbody><tr><th scope="rowgroup" colspan="2">${group}</th></tr>${entries.map(
			({ flag, value }) => html`<tr><th scope="row"><code>${flag}</code></th><td>${String(value) || NOT_SET}</td></tr>`,
		)}</tbody>`,
)}</table>`
}
