/** Times, durations and names as the page says them. assets/status.js words ages in the same way. */
import { html } from 'hono/html'

/** What `html` gives as long as no promise goes in: a string that is escaped already. */
export type Html = ReturnType<typeof html>

/** `3 s`, `12 min`, `5 h`, `2 d`; never negative. */
export function duration(ms: number): string {
	const seconds = Math.max(0, Math.floor(ms / 1000))
	if (seconds < 60) return `${seconds} s`
	if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
	if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`
	return `${Math.floor(seconds / 86_400)} d`
}

/** `84 ms` or `1.4 s`. */
export function elapsed(ms: number): string {
	return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}

/**
 * The clock a fragment is rendered by. A live frame has none: it would differ every second for nothing, so it
 * carries times of day, and the script words them as ages.
 */
export type Clock = number | undefined

/** A past time: `12 s ago`, the absolute one as its title. */
export function ago(at: number | undefined, now: Clock): Html {
	if (at === undefined) return html`<span class="muted">never</span>`
	return time('ago', at, now === undefined ? undefined : `${duration(now - at)} ago`)
}

/** A time to come: `12 s left`. */
export function left(until: number | undefined, now: Clock): Html {
	if (until === undefined) return NOTHING
	return time('left', until, now === undefined ? undefined : `${duration(until - now)} left`)
}

export const NOTHING = html`<span class="muted nothing">–</span>`

function time(kind: 'ago' | 'left', at: number, relative: string | undefined): Html {
	const iso = new Date(at).toISOString()
	const utc = iso.slice(0, 19).replace('T', ' ')
	return html`<time class="${kind}" datetime="${iso}" title="${utc} UTC">${relative ?? utc.slice(11)}</time>`
}

/** `sip:1001@pbx.example` → `1001@pbx.example`. */
export function shortAgent(agent: string): string {
	return agent.replace(/^sips?:/, '')
}

/** `urn:uuid:f81d4fae-…` → `f81d4fae-…`: the part that tells devices apart, first. */
export function shortLabel(label: string): string {
	return label.replace(/^urn:uuid:/i, '')
}

/** `192.0.2.1:5060`, `[2001:db8::1]:5060`. */
export function hostPort(address: string, port: number): string {
	return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
