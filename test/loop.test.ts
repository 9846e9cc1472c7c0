import { describe, expect, test } from 'bun:test'
import type { Core } from '../src/core/core.ts'
import type { Change, Effect } from '../src/core/effects.ts'
import type { Input } from '../src/core/inputs.ts'
import { COMMIT_PAUSE_MS, type Edges, LAZY_COMMIT_MS, Loop } from '../src/loop.ts'

type Committed = ReturnType<Edges['commit']>

const FLOW = { key: '0|::1|5060', listener: 0, address: '::1', port: 5060 }
const FIRES: Input = { type: 'fires' }

const change = (id: string): Change => ({ table: 'call', op: 'delete', id })
const save = (ticket: number, id = `${ticket}`): Effect => ({ type: 'save', ticket, changes: [change(id)] })
const note = (name: string): Effect => ({ type: 'event', name: 'started', fields: { name } })

/** A core that does what each input's `address` is mapped to, and a world that writes down what is done. */
function world(
	script: (input: Input) => readonly Effect[],
	store: (changes: readonly Change[]) => Committed = () => ({ ok: true }),
) {
	const done: string[] = []
	const inputs: Input[] = []
	const state = { deadline: Infinity, now: 1_000 }
	const core = {
		effects: [] as Effect[],
		nextDeadline: () => state.deadline,
		handle(input: Input) {
			inputs.push(input)
			core.effects.push(...script(input))
		},
	}
	const edges: Edges = {
		send: ({ listener, address, port }) => void done.push(`send ${listener} ${address} ${port}`),
		close: ({ listener, key }) => void done.push(`close ${listener} ${key}`),
		settle: ({ listener, key }) => void done.push(`settle ${listener} ${key}`),
		push: ({ pushId }) => done.push(`push ${pushId}`) && undefined,
		cancelPush: (pushId) => done.push(`cancel ${pushId}`) && undefined,
		commit: (changes) => {
			done.push(`commit ${changes.map((one) => ('id' in one ? one.id : one.table))}`)
			return store(changes)
		},
		event: (name, fields) => done.push(`event ${fields['name'] ?? name}`) && undefined,
	}
	const loop = new Loop(core as unknown as Core, edges, () => state.now)
	return { loop, done, inputs, state }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Waits for something to become true, a second at the most. */
async function until(holds: () => boolean): Promise<void> {
	const end = performance.now() + 1_000
	while (!holds() && performance.now() < end) await Bun.sleep(2)
}

describe('the loop', () => {
	test('performs the effects of an input in their order, each once', () => {
		const effects: Effect[] = [
			{ type: 'send', listener: 0, key: undefined, address: '::1', port: 1, bytes: new Uint8Array() },
			note('a'),
			{ type: 'push', pushId: 'p' } as Effect,
			{ type: 'push-cancel', pushId: 'p' },
			{ type: 'send', listener: 1, key: '1|::1|2|1', address: '::1', port: 2, bytes: new Uint8Array() },
			{ type: 'settle', listener: 1, key: '1|::1|2|1' },
			{ type: 'close', listener: 1, key: '1|::1|2|1' },
		]
		const { loop, done } = world((input) => (input.type === 'datagram' ? effects : []))
		loop.input({ type: 'datagram', flow: FLOW, bytes: new Uint8Array() })
		loop.input(FIRES)
		expect(done).toEqual([
			'send 0 ::1 1',
			'event a',
			'push p',
			'cancel p',
			'send 1 ::1 2',
			'settle 1 1|::1|2|1',
			'close 1 1|::1|2|1',
		])
		loop.close()
	})

	test('gathers the saves of one turn into one commit, and tells the core of all tickets', async () => {
		const { loop, done, inputs } = world((input) =>
			input.type === 'fires' ? [save(inputs.length), save(0, 'lazy')] : [],
		)
		loop.input(FIRES)
		loop.input(FIRES)
		expect(done).toEqual([])
		await turn()
		expect(done).toEqual(['commit 1,lazy,2,lazy'])
		expect(inputs.at(-1)).toEqual({ type: 'committed', tickets: [1, 2] })
		loop.close()
	})

	test(`LAZY_COMMIT_MS: what nobody waits for is stored after ${LAZY_COMMIT_MS} ms, and not at once`, async () => {
		const { loop, done, inputs } = world((input) => (input.type === 'fires' ? [save(0, 'lazy')] : []))
		loop.input(FIRES)
		await turn()
		expect(done).toEqual([])
		await until(() => done.length > 0)
		expect([done, inputs.at(-1)]).toEqual([['commit lazy'], { type: 'committed', tickets: [] }])
		loop.close()
	})

	test('a save somebody waits for takes the lazy ones along', async () => {
		const { loop, done, inputs } = world((input) => (input.type === 'fires' ? [save(inputs.length === 1 ? 0 : 7)] : []))
		loop.input(FIRES)
		loop.input(FIRES)
		await turn()
		expect(done).toEqual(['commit 0,7'])
		await Bun.sleep(LAZY_COMMIT_MS + 10)
		expect(done.length).toBe(1)
		loop.close()
	})

	test('a store that fails: every waiting ticket hears of it, with the reason', async () => {
		const { loop, inputs } = world(
			(input) => (input.type === 'fires' ? [save(1), save(2)] : []),
			() => ({ ok: false, code: 'full', reason: 'The disk is full.' }),
		)
		loop.input(FIRES)
		await turn()
		expect(inputs.at(-1)).toEqual({ type: 'commit-failed', tickets: [1, 2], reason: 'The disk is full.' })
		loop.close()
	})

	test('one change that is rejected: the others are stored singly', async () => {
		const { loop, done, inputs } = world(
			(input) => (input.type === 'fires' ? [save(1), save(2), save(3)] : []),
			(changes) =>
				changes.some((one) => 'id' in one && one.id === '2')
					? { ok: false, code: 'rejected', reason: 'no' }
					: { ok: true },
		)
		loop.input(FIRES)
		await turn()
		expect(done).toEqual(['commit 1,2,3', 'commit 1', 'commit 2', 'commit 3'])
		expect(inputs.slice(1)).toEqual([
			{ type: 'committed', tickets: [1] },
			{ type: 'commit-failed', tickets: [2], reason: 'no' },
			{ type: 'committed', tickets: [3] },
		])
		loop.close()
	})

	test('a single one that is rejected fails without a second try', async () => {
		const { loop, done } = world(
			(input) => (input.type === 'fires' ? [save(1)] : []),
			() => ({ ok: false, code: 'rejected', reason: 'no' }),
		)
		loop.input(FIRES)
		await turn()
		expect(done).toEqual(['commit 1'])
		loop.close()
	})

	test('saves made because of a commit are the next commit', async () => {
		const { loop, done } = world((input) =>
			input.type === 'fires' ? [save(1)] : input.type === 'committed' && input.tickets[0] === 1 ? [save(2)] : [],
		)
		loop.input(FIRES)
		await turn()
		await until(() => done.length === 2)
		expect(done).toEqual(['commit 1', 'commit 2'])
		loop.close()
	})

	test(`COMMIT_PAUSE_MS: what comes within ${COMMIT_PAUSE_MS} ms of a commit shares the next one, however many turns it takes`, async () => {
		let ticket = 0
		const { loop, done, state } = world((input) => (input.type === 'fires' ? [save(++ticket)] : []))
		loop.input(FIRES)
		await turn()
		loop.input(FIRES)
		await turn()
		loop.input(FIRES)
		await turn()
		await until(() => done.length === 2)
		expect(done).toEqual(['commit 1', 'commit 2,3'])
		state.now += COMMIT_PAUSE_MS
		loop.input(FIRES)
		await turn()
		expect(done).toEqual(['commit 1', 'commit 2,3', 'commit 4'])
		loop.close()
	})

	test('a throw in the core is logged and survived; what was emitted before it is done', () => {
		const { loop, done } = world(() => {
			throw new Error('a bug of ours')
		})
		loop.input(FIRES)
		loop.input({ type: 'drain' })
		expect(done).toEqual(['event internal-error', 'event internal-error'])
		loop.close()
	})

	test('a throw that is no Error is logged as well', () => {
		const { loop, done } = world(() => {
			throw 'text'
		})
		loop.input(FIRES)
		expect(done).toEqual(['event internal-error'])
		loop.close()
	})

	test('the core is woken at its deadline', async () => {
		const { loop, inputs, state } = world(() => [])
		state.deadline = state.now + 20
		loop.input({ type: 'drain' })
		expect(inputs.length).toBe(1)
		await until(() => inputs.length > 1)
		state.deadline = Infinity
		expect(inputs[1]).toEqual(FIRES)
		loop.close()
	})

	test('an earlier deadline moves the alarm, a later one leaves it', async () => {
		const { loop, inputs, state } = world(() => [])
		for (const delay of [60_000, 5, 90_000]) {
			state.deadline = state.now + delay
			loop.input({ type: 'drain' })
		}
		await until(() => inputs.length > 3)
		expect(inputs.slice(3)).toEqual([FIRES])
		loop.close()
	})

	test('a deadline further away than a timer can count does not fire at once', async () => {
		const { loop, inputs, state } = world(() => [])
		state.deadline = state.now + 2 ** 40
		loop.input({ type: 'drain' })
		await Bun.sleep(20)
		expect(inputs.length).toBe(1)
		loop.close()
	})

	test('closed, it has stored what was to be stored, and takes no more inputs', async () => {
		const { loop, done, inputs, state } = world((input) => (input.type === 'fires' ? [save(0, 'lazy')] : []))
		state.deadline = state.now + 5
		loop.input(FIRES)
		loop.close()
		expect(done).toEqual(['commit lazy'])
		loop.input(FIRES)
		await Bun.sleep(20)
		expect(inputs.map(({ type }) => type)).toEqual(['fires', 'committed'])
	})
})
