import { describe, expect, test } from 'bun:test'
import css from '../../assets/status.css' with { type: 'text' }
import { Secret } from '../../src/lib/secret.ts'
import { COUNTER_WORDS } from '../../src/status/counters.ts'
import { duration, elapsed, hostPort } from '../../src/status/format.ts'
import { deniedPage, type PageContent, statusPage } from '../../src/status/page.ts'
import { BANS_SHOWN_MAX, CALLS_SHOWN_MAX, PUSHES_SHOWN_MAX, renderSections } from '../../src/status/sections.ts'
import { AGENTS_SHOWN_MAX, normalizeQuery, QUERY_LENGTH_MAX, selectAgents } from '../../src/status/select.ts'
import { agents, device, HTTP_TOKEN, NOW, options, PUSH_TOKEN, READY, snapshot } from './fixture.ts'

function page(change: Partial<PageContent> = {}): string {
	const { config, version } = options()
	return String(
		statusPage({ snapshot: snapshot(), readiness: READY, query: '', config, version, listeners: [], ...change }),
	)
}

/** The text of an element's content, tags taken out. */
function text(markup: string): string {
	return markup.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ')
}

const HOSTILE = '<script>alert("x")</script>\'&'
const HOSTILE_ESCAPED = '&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&#39;&amp;'

describe('the page', () => {
	test('shows agents, devices, calls, pushes, bans, counters, versions and configuration', () => {
		const words = text(page())
		expect(words).toContain('✓ Ready Calls reach their agents')
		expect(words).toContain('1003@pbx.example ◔ held from Ada Lovelace &lt;+441632960123&gt; 6 s ago 14 s left')
		expect(words).toContain('● foreground registered 4 min ago 2 s ago 192.0.2.1:5061 apns production c0ff…00')
		expect(words).toContain('✗ refused 410 Unregistered 84 ms')
		expect(words).toContain('203.0.113.66 8 failed authentications in a row 8 min left')
		expect(words).toContain('Bun 1.4.5, SQLite 3.51.0')
		expect(words).toContain('--hold 20 s')
		for (const label of Object.values(COUNTER_WORDS)) expect(words).toContain(label)
	})

	test('shows how long a call waits for a device that has woken before', () => {
		const known = device(1, { hold: { holdMs: 9_000, samples: 8, p95Ms: 6_000 } })
		const markup = page({ snapshot: snapshot({ agents: [{ agent: 'sip:1001@pbx.example', devices: [known] }] }) })
		expect(text(markup)).toContain('hold 9.0 s')
		expect(markup).toContain('of its last 8 wakes took no longer than 6.0 s')
		expect(text(page())).not.toMatch(/(?<!-)hold \d/)
	})

	test('marks a suspect device, with how many pushes woke nobody', () => {
		const suspect = { agent: 'sip:1001@pbx.example', devices: [device(1, { missedWakes: 4, suspect: true })] }
		const words = text(page({ snapshot: snapshot({ agents: [suspect] }) }))
		expect(words).toContain('⚠ suspect: 4 pushes, no wake')
		expect(text(page())).not.toContain('suspect:')
		const soon = { ...suspect, devices: [device(1, { missedWakes: 1, suspect: true })] }
		expect(text(page({ snapshot: snapshot({ agents: [soon] }) }))).toContain('⚠ suspect: 1 push, no wake')
	})

	test('says why the gateway is not ready, what ails the store and that the PBX is silent', () => {
		const broken = snapshot({
			storeFault: 'The disk is full.',
			pbx: {
				...{ transport: 'tls', address: '2001:db8::7', port: 5061, lastAnswerAt: undefined },
				...{ silent: true, targets: [] },
			},
		})
		const words = text(page({ snapshot: broken, readiness: { ok: false, sentence: 'The PBX is silent.' } }))
		expect(words).toContain('✗ Not ready The PBX is silent.')
		expect(words).toContain('Store ✗ The disk is full.')
		expect(words).toContain('tls:[2001:db8::7]:5061 ✗ silent , no answer yet')
	})

	test('shows each machine of the PBX where there are several: its state, since when, and its last words', () => {
		const words = text(page())
		expect(words).toContain('2 machines of the PBX')
		expect(words).toContain('one.pbx.example 198.51.100.7:5060 1 50 ✓ up 1 min ago 3 s ago 200')
		expect(words).toContain('198.51.100.8:5060 2 50 ✗ down 1 min ago never –')
		const { pbx } = snapshot()
		const secure = pbx.targets.map((one) => ({ ...one, transport: 'tls' as const }))
		expect(text(page({ snapshot: snapshot({ pbx: { ...pbx, targets: secure } }) }))).toContain(
			'tls:198.51.100.8:5060 2',
		)
		const alone = snapshot({ pbx: { ...pbx, targets: pbx.targets.slice(0, 1) } })
		expect(text(page({ snapshot: alone }))).not.toContain('of the PBX')
	})

	test('shows a PBX of one machine that is not well, and no answer of one that is down', () => {
		const { pbx } = snapshot()
		const targets = pbx.targets.slice(0, 1).map((target) => ({ ...target, state: 'down' as const }))
		const words = text(page({ snapshot: snapshot({ pbx: { ...pbx, silent: true, targets } }) }))
		expect(words).toContain('1 machine of the PBX')
		expect(words).toContain('one.pbx.example 198.51.100.7:5060 1 50 ✗ down 1 min ago 3 s ago –')
		expect(words).toContain('198.51.100.7:5060 ✗ silent , last answer 3 s ago')
	})

	test('shows nothing that came from outside as markup', () => {
		const evil = snapshot({
			agents: [
				{ agent: `sip:${HOSTILE}`, devices: [device(1, { label: HOSTILE, userAgent: HOSTILE, address: HOSTILE })] },
			],
			calls: snapshot().calls.map((call) => ({ ...call, caller: HOSTILE, agent: HOSTILE })),
			pushes: snapshot().pushes.map((push) => ({ ...push, agent: HOSTILE, result: 'failed', reason: HOSTILE })),
			bans: [{ source: HOSTILE, until: NOW, reason: HOSTILE }],
			storeFault: HOSTILE,
		})
		const config = [{ group: HOSTILE, flag: HOSTILE, value: HOSTILE }]
		const markup = page({ snapshot: evil, readiness: { ok: false, sentence: HOSTILE }, query: HOSTILE, config })
		expect(markup).not.toContain('<script>')
		expect(markup).not.toContain('alert("x")')
		expect(markup.split(HOSTILE_ESCAPED).length - 1).toBeGreaterThan(15)
	})

	test('says of an option without a value that it is not set', () => {
		expect(text(page({ config: [{ group: 'g', flag: '--advertise', value: '' }] }))).toContain('--advertise not set')
	})

	test('shows a secret of the configuration masked', () => {
		const markup = page()
		expect(markup).toContain(HTTP_TOKEN.masked())
		expect(markup).not.toContain(HTTP_TOKEN.reveal())
		expect(page({ config: [{ group: 'g', flag: '--f', value: new Secret('short') }] })).not.toContain('short')
		expect(markup).not.toContain(PUSH_TOKEN.reveal())
	})

	test('shows both the age and the absolute time', () => {
		expect(page()).toContain(
			'<time class="ago" datetime="2026-07-27T09:59:58.000Z" title="2026-07-27 09:59:58 UTC">2 s ago</time>',
		)
	})

	test('has no agents, no calls and no pushes to show at first, and says so', () => {
		const words = text(page({ snapshot: snapshot({ agents: [], calls: [], pushes: [], bans: [] }) }))
		for (const sentence of ['No calls.', 'No agents yet.', 'No pushes yet.', 'Nobody is banned.'])
			expect(words).toContain(sentence)
	})

	test('counts one agent as one', () => {
		expect(text(page({ snapshot: snapshot({ agents: agents(1) }) }))).toContain(' 1 agent ')
	})

	test('shows an agent without a device', () => {
		const markup = page({ snapshot: snapshot({ agents: [{ agent: 'sip:1@pbx.example', devices: [] }] }) })
		expect(text(markup)).toContain('1@pbx.example no device')
	})

	test('stays under 256 kB with 5000 agents, calls, pushes and bans, and tells how many there are', () => {
		const many = <T>(items: readonly T[]) => Array.from({ length: 5000 }, (_, i) => items[i % items.length]!)
		const base = snapshot({ agents: agents(5000) })
		const markup = page({
			snapshot: { ...base, calls: many(base.calls), pushes: many(base.pushes), bans: many(base.bans) },
		})
		expect(markup.length).toBeLessThan(256 * 1024)
		expect(markup).toContain(`${AGENTS_SHOWN_MAX} of 5000 agents`)
		expect(markup).toContain(`${CALLS_SHOWN_MAX} of 5000 calls`)
		expect(markup).toContain(`${PUSHES_SHOWN_MAX} of 5000 pushes`)
		expect(markup).toContain(`${BANS_SHOWN_MAX} of 5000 bans`)
	})

	test('gives every table a caption and every header cell a scope, and runs no script or style inline', () => {
		const markup = page()
		expect(markup.match(/<table/g)).toHaveLength(markup.match(/<caption/g)?.length ?? 0)
		expect(markup.match(/<th(?=[\s>])(?![^>]*scope=)/g)).toBeNull()
		expect(markup.match(/<script(?![^>]*src=)|<style|style=|\son\w+=/g)).toBeNull()
		expect(markup).toContain('role="status" aria-live="polite"')
		expect(markup).toContain('lang="en"')
	})

	test('lets who has no token give one', () => {
		expect(text(String(deniedPage()))).toContain('--http-token')
		expect(String(deniedPage())).toContain('name="token" type="password"')
	})
})

describe('a live section', () => {
	test('is the same as long as nothing but time went by', () => {
		const later = snapshot({ now: NOW + 60_000 })
		expect(renderSections(later, READY, '', undefined)).toEqual(renderSections(snapshot(), READY, '', undefined))
	})

	test('lists held calls before those that go well', () => {
		const { calls } = renderSections(snapshot(), READY, '', undefined)
		expect(calls.indexOf('held')).toBeLessThan(calls.indexOf('ringing'))
		expect(calls.indexOf('ringing')).toBeLessThan(calls.indexOf('live'))
	})
})

describe('the selection of agents', () => {
	test('puts agents in calls first, then awake ones, then sleeping ones, each by name', () => {
		const { shown } = selectAgents(snapshot({ agents: agents(6).reverse() }), '')
		expect(shown.map((view) => view.agent.slice(4, 8))).toEqual(['1001', '1002', '1003', '1004', '1005', '1006'])
		const idle = selectAgents(snapshot({ agents: agents(6).reverse(), calls: [] }), '')
		expect(idle.shown.map((view) => view.agent.slice(4, 8))).toEqual(['1001', '1002', '1004', '1005', '1003', '1006'])
	})

	test('finds agents by name, device, application and address, in any case', () => {
		const many = snapshot({ agents: agents(5000) })
		expect(selectAgents(many, normalizeQuery(' SIP:5001@ ')).matching).toBe(1)
		expect(selectAgents(many, '00a0c91e0042').shown[0]?.agent).toBe('sip:1042@pbx.example')
		expect(selectAgents(many, 'iphone15').matching).toBe(5000)
		expect(selectAgents(many, '192.0.2.9:5069').shown[0]?.agent).toBe('sip:1009@pbx.example')
		expect(selectAgents(many, 'no such agent')).toEqual({ shown: [], matching: 0 })
	})

	test('cuts a filter that is longer than anything one could look for', () => {
		expect(normalizeQuery('x'.repeat(10_000))).toHaveLength(QUERY_LENGTH_MAX)
		expect(normalizeQuery(undefined)).toBe('')
	})
})

test('durations are worded in their largest unit', () => {
	expect([-5, 999, 59_999, 60_000, 3_599_999, 3_600_000, 86_400_000, 200_000_000].map(duration)).toEqual([
		'0 s',
		'0 s',
		'59 s',
		'1 min',
		'59 min',
		'1 h',
		'1 d',
		'2 d',
	])
	expect([84.4, 999, 1000, 1449].map(elapsed)).toEqual(['84 ms', '999 ms', '1.0 s', '1.4 s'])
	expect(hostPort('2001:db8::1', 5060)).toBe('[2001:db8::1]:5060')
})

test('every text colour has a contrast of at least 4.5 to 1 on card and background, light and dark', () => {
	const [light, dark] = css.match(/:root \{[^}]*\}/g)!.map(coloursOf)
	for (const palette of [light!, dark!]) {
		for (const back of ['card', 'back'])
			for (const name of ['text', 'muted', 'good', 'warn', 'bad', 'link'])
				expect(contrast(palette.get(name)!, palette.get(back)!), `${name} on ${back}`).toBeGreaterThanOrEqual(4.5)
	}
})

function coloursOf(block: string): Map<string, string> {
	return new Map([...block.matchAll(/--(\w+): #(\w{6})/g)].map(([, name, colour]) => [name!, colour!]))
}

/** WCAG 2.2, contrast ratio. */
function contrast(a: string, b: string): number {
	const [dim, bright] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number]
	return (bright + 0.05) / (dim + 0.05)
}

function luminance(colour: string): number {
	const [r, g, b] = [0, 2, 4].map((at) => {
		const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255
		return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
	}) as [number, number, number]
	return 0.2126 * r + 0.7152 * g + 0.0722 * b
}
