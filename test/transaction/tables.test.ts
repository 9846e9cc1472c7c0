/** One walk for all tables: every state × event pair is there, every state is reached, and the end is the end. */
import { describe, expect, test } from 'bun:test'
import { BRANCH } from '../../src/core/wake/branch.ts'
import { INVITE_CLIENT } from '../../src/transaction/invite-client.ts'
import { INVITE_SERVER } from '../../src/transaction/invite-server.ts'
import { NON_INVITE_CLIENT } from '../../src/transaction/non-invite-client.ts'
import { NON_INVITE_SERVER } from '../../src/transaction/non-invite-server.ts'

type Table = Readonly<Record<string, Readonly<Record<string, { readonly to: string; readonly do: readonly string[] }>>>>

interface Machine {
	readonly name: string
	readonly table: Table
	readonly first: string
	readonly last: string
	/** What the machine arms, and where it may only be armed: leaving such a state the end must disarm it. */
	readonly timers: readonly string[]
}

const MACHINES: readonly Machine[] = [
	{
		name: 'INVITE client (figure 5, RFC 6026 §7.2)',
		table: INVITE_CLIENT,
		first: 'calling',
		last: 'terminated',
		timers: ['retransmit', 'timeout', 'linger'],
	},
	{
		name: 'INVITE server (figure 7, RFC 6026 §7.1)',
		table: INVITE_SERVER,
		first: 'proceeding',
		last: 'terminated',
		timers: ['retransmit', 'timeout', 'linger'],
	},
	{
		name: 'non-INVITE client (figure 6)',
		table: NON_INVITE_CLIENT,
		first: 'trying',
		last: 'terminated',
		timers: ['retransmit', 'timeout'],
	},
	{
		name: 'non-INVITE server (figure 8)',
		table: NON_INVITE_SERVER,
		first: 'trying',
		last: 'terminated',
		timers: ['linger'],
	},
	{ name: 'branch of a call', table: BRANCH, first: 'idle', last: 'ended', timers: ['silent', 'lapse'] },
]

function reached(table: Table, first: string): Set<string> {
	const seen = new Set([first])
	for (const state of seen) for (const { to } of Object.values(table[state]!)) seen.add(to)
	return seen
}

for (const { name, table, first, last, timers } of MACHINES) {
	const states = Object.keys(table)
	const events = Object.keys(table[first]!)

	describe(name, () => {
		test('every state has a row for every event, and leads to a state there is', () => {
			for (const state of states) {
				expect(Object.keys(table[state]!).sort(), state).toEqual([...events].sort())
				for (const [event, { to }] of Object.entries(table[state]!)) expect(states, `${state} × ${event}`).toContain(to)
			}
		})

		test('every state is reached from the first, and the last from every state', () => {
			expect([...reached(table, first)].sort()).toEqual([...states].sort())
			for (const state of states) expect(reached(table, state).has(last), state).toBe(true)
		})

		test('the last state absorbs everything and does nothing', () => {
			for (const event of events) expect(table[last]![event], event).toEqual({ to: last, do: [] })
		})

		test('a timer does something in some state, and no row does one thing twice', () => {
			for (const timer of timers) expect(states.some((state) => table[state]![timer]!.do.length > 0)).toBe(true)
			for (const state of states)
				for (const { do: actions } of Object.values(table[state]!)) expect(new Set(actions).size).toBe(actions.length)
		})
	})
}

describe('what the tables promise', () => {
	test('a client transaction sends nothing after an answer, but to a phone that said 100 or rang, and has registered anew', () => {
		for (const state of ['proceeding', 'completed', 'accepted', 'terminated'] as const)
			for (const [event, row] of Object.entries(INVITE_CLIENT[state]))
				expect((row.do as readonly string[]).includes('send')).toBe(
					state === 'proceeding' && (event === 'redirect' || event === 'repeat'),
				)
	})

	test('a server transaction never sends a second final response of its user, but for 2xx to INVITE', () => {
		for (const event of ['provisional', 'success', 'failure'] as const)
			expect(INVITE_SERVER.completed[event].do as readonly string[]).toEqual([])
		expect(NON_INVITE_SERVER.completed.final.do as readonly string[]).toEqual([])
		expect(INVITE_SERVER.accepted.success.do as readonly string[]).toEqual(['send'])
	})

	test('a branch is pushed from idle or silence only, to a ping or to the INVITE, and its INVITE goes out only to a device that is there, or that may listen to its connection', () => {
		const pushing: string[] = []
		const sending: string[] = []
		for (const [state, rows] of Object.entries(BRANCH) as [string, Table[string]][])
			for (const [event, row] of Object.entries(rows)) {
				if (row.do.includes('push')) pushing.push(`${state} × ${event}`)
				if (row.do.includes('send') || row.do.includes('replay')) sending.push(`${state} × ${event}`)
			}
		expect(pushing).toEqual(['idle × wake', 'idle × both', 'probing × wake', 'calling × silent'])
		expect(sending).toEqual([
			'idle × direct',
			'idle × both',
			'probing × direct',
			'probing × registered',
			'waking × registered',
			'calling × registered',
			'doomed × registered',
			'ghost × registered',
		])
	})
})
