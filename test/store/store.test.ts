import { Database } from 'bun:sqlite'
import { afterEach, beforeEach, expect, test } from 'bun:test'
import { statSync, writeFileSync } from 'node:fs'
import type { Change } from '../../src/core/effects.ts'
import type { DeviceRecord, PushParams } from '../../src/core/model.ts'
import { PUSH_OUTCOMES_KEPT } from '../../src/store/changes.ts'
import { ENDED_KEPT_MS, OVERDUE_KEPT_MS } from '../../src/store/restore.ts'
import type { Store } from '../../src/store/store.ts'
import { device, heldCall, NOW, opened, pushOutcome, scratch } from './records.ts'

let place: ReturnType<typeof scratch>
let store: Store

beforeEach(() => {
	place = scratch()
	store = opened(place.path)
})

afterEach(() => {
	store.close()
	place.remove()
})

function commit(...changes: Change[]): void {
	expect(store.commit(changes)).toEqual({ ok: true })
}

function restart(): void {
	store.close()
	store = opened(place.path)
}

/** Secrets compare by what they hide. */
function revealed(d: DeviceRecord) {
	const { push } = d
	return { ...d, push: push && { ...push, ...secretsOf(push) } }
}

function secretsOf({ token, remoteToken, prid }: PushParams) {
	return { token: token.reveal(), remoteToken: remoteToken?.reveal(), prid: prid.reveal() }
}

const put = (row: DeviceRecord): Change => ({ table: 'device', op: 'put', row })

test('a device comes back after a restart exactly as it was put', () => {
	const bare = device(2, { push: undefined, reach: 'background' })
	const legacy = device(3, { push: { ...device(3).push!, remoteToken: undefined, dialect: 'legacy' }, tokenDead: true })
	commit(put(device(1)), put(bare), put(legacy))
	restart()
	expect(store.restore(NOW).devices.map(revealed)).toEqual([device(1), bare, legacy].map(revealed))
})

test('a database of the first version is taken over, its devices as they were', () => {
	commit(put(device(1, { missedWakes: 2, wakeTimes: [1] })))
	store.close()
	const db = new Database(place.path)
	for (const column of ['missed_wakes', 'wake_times']) db.run(`ALTER TABLE device DROP COLUMN ${column}`)
	db.run('PRAGMA user_version = 1')
	db.close()
	store = opened(place.path)
	expect(store.restore(NOW).devices.map(revealed)).toEqual([revealed(device(1, { wakeTimes: [] }))])
})

test('a put replaces the whole row of that id', () => {
	commit(put(device(1)))
	const moved = device(1, { contact: 'sip:1001@198.51.100.9', push: undefined, userAgent: 'other' })
	commit(put(moved))
	expect(store.restore(NOW).devices).toEqual([moved])
})

test('refresh, reach, token-dead, missed-wakes, wake-times, environment and delete change what they name and nothing else', () => {
	commit(put(device(1)), put(device(2)), put(device(3)))
	commit(
		{
			table: 'device',
			op: 'refresh',
			id: 1,
			expiresAt: NOW + 9,
			pbxExpiresAt: NOW + 8,
			registeredAt: NOW + 7,
			reach: 'background',
		},
		{ table: 'device', op: 'reach', id: 2, reach: 'background' },
		{ table: 'device', op: 'token-dead', id: 2 },
		{ table: 'device', op: 'missed-wakes', id: 2, missedWakes: 4 },
		{ table: 'device', op: 'wake-times', id: 2, wakeTimes: [900, 1_800] },
		{ table: 'device', op: 'environment', id: 2, environment: 'production' },
		{ table: 'device', op: 'delete', id: 3 },
	)
	const first = device(1, { expiresAt: NOW + 9, pbxExpiresAt: NOW + 8, registeredAt: NOW + 7, reach: 'background' })
	const push: PushParams = { ...device(2).push!, environment: 'production' }
	const second = device(2, { reach: 'background', tokenDead: true, missedWakes: 4, wakeTimes: [900, 1_800], push })
	expect(store.restore(NOW).devices.map(revealed)).toEqual([first, second].map(revealed))
})

test('a refresh of a device that is not stored is refused, and its whole group with it', () => {
	const refresh = { expiresAt: NOW + 9, pbxExpiresAt: NOW, registeredAt: NOW, reach: 'foreground' } as const
	const result = store.commit([put(device(1)), { table: 'device', op: 'refresh', id: 9, ...refresh }])
	expect(result).toMatchObject({ ok: false, code: 'rejected' })
	expect(result).toHaveProperty('reason', expect.stringContaining('device 9'))
	expect(store.restore(NOW).devices).toEqual([])
})

test('a held call comes back with its INVITE byte for byte, its source and its branches', () => {
	const branches = [1, 2].map((n) => ({ deviceId: n, branch: `z9hG4bK"${n}`, pushId: `p-${n}`, pushedAt: NOW + n }))
	const invite = Uint8Array.from({ length: 60_000 }, (_, i) => i & 0xff)
	const big = heldCall('b', { invite, branches, receivedAt: NOW + 1 })
	commit({ table: 'call', op: 'put', row: heldCall('c') }, { table: 'call', op: 'put', row: big })
	restart()
	expect(store.restore(NOW).heldCalls).toEqual([heldCall('c'), big])
})

test('a second put of a call replaces the first, delete removes it', () => {
	commit({ table: 'call', op: 'put', row: heldCall('a') }, { table: 'call', op: 'put', row: heldCall('b') })
	const again = heldCall('a', { branches: [] })
	commit({ table: 'call', op: 'put', row: again }, { table: 'call', op: 'delete', id: 'b' })
	expect(store.restore(NOW).heldCalls).toEqual([again])
})

test('restore keeps devices that expired, so that the core tells of them', () => {
	commit(put(device(1, { expiresAt: NOW - 1 })), put(device(2, { expiresAt: NOW + 1 })))
	expect(store.restore(NOW).devices.map((d) => d.id)).toEqual([1, 2])
})

test('restore drops held calls that nobody waits for any more', () => {
	commit({ table: 'call', op: 'put', row: heldCall('given up', { holdUntil: NOW - OVERDUE_KEPT_MS }) })
	commit({ table: 'call', op: 'put', row: heldCall('overdue', { holdUntil: NOW - OVERDUE_KEPT_MS + 1 }) })
	commit({ table: 'call', op: 'put', row: heldCall('waits', { holdUntil: NOW + 1 }) })
	expect(store.restore(NOW).heldCalls.map((c) => c.id)).toEqual(['overdue', 'waits'])
	expect(store.restore(0).heldCalls.map((c) => c.id)).toEqual(['overdue', 'waits'])
})

test('a call that ended is kept 60 s for phones that wake late, whatever its hold limit was', () => {
	commit(
		{ table: 'call', op: 'put', row: heldCall('a') },
		{ table: 'call', op: 'end', id: 'a', at: NOW, reason: 'cancelled' },
	)
	const ended = { at: NOW, reason: 'cancelled' }
	expect(store.restore(NOW + ENDED_KEPT_MS - 1).heldCalls).toEqual([heldCall('a', { ended })])
	expect(store.restore(NOW + ENDED_KEPT_MS).heldCalls).toEqual([])
})

test('the id of a removed device is never used again, not even after a restart', () => {
	expect(store.restore(NOW).nextDeviceId).toBe(1)
	commit(put(device(7)))
	commit({ table: 'device', op: 'delete', id: 7 })
	restart()
	expect(store.restore(NOW).nextDeviceId).toBe(8)
})

test('of the push outcomes the newest thousand are kept, and a wake time comes in later', () => {
	const all = Array.from({ length: PUSH_OUTCOMES_KEPT + 5 }, (_, i) => pushOutcome(`p-${i}`, { sentAt: NOW + i }))
	for (let i = 0; i < all.length; i += 100)
		commit(...all.slice(i, i + 100).map((row): Change => ({ table: 'push', op: 'put', row })))
	const woke = pushOutcome('p-500', { sentAt: NOW + 500, wakeMs: 812 })
	commit({ table: 'push', op: 'put', row: woke })
	const { pushOutcomes } = store.restore(NOW)
	expect(PUSH_OUTCOMES_KEPT).toBe(1000)
	expect(pushOutcomes).toEqual(all.slice(5).map((p) => (p.pushId === 'p-500' ? woke : p)))
})

test('the key is 32 random octets, made once and kept over restarts', () => {
	const key = store.hmacKey()
	restart()
	expect(store.hmacKey()).toEqual(key)
	expect(key).toHaveLength(32)
	const other = scratch()
	const stranger = opened(other.path)
	expect(stranger.hmacKey()).not.toEqual(key)
	stranger.close()
	other.remove()
})

test('what meta was told it says again after a restart', () => {
	expect(store.meta('started')).toBeUndefined()
	expect(store.setMeta('started', 'once')).toEqual({ ok: true })
	store.setMeta('started', 'twice')
	restart()
	expect(store.meta('started')).toBe('twice')
})

test('only the owner may read the database and what lies beside it', () => {
	commit(put(device(1)))
	for (const suffix of ['', '-wal', '-shm', '.lock']) expect(statSync(place.path + suffix).mode & 0o777).toBe(0o600)
})

test('a file that others could read is closed to them', () => {
	const other = scratch()
	writeFileSync(other.path, '', { mode: 0o644 })
	const store = opened(other.path)
	expect(statSync(other.path).mode & 0o777).toBe(0o600)
	store.close()
	other.remove()
})

test('closing twice does nothing, and nothing can be stored after it', () => {
	store.close()
	store.close()
	expect(store.commit([put(device(1))])).toMatchObject({ ok: false })
})
