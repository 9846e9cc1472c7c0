import { Database } from 'bun:sqlite'
import { afterEach, beforeEach, expect, test } from 'bun:test'
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Change } from '../../src/core/effects.ts'
import { MIGRATIONS, openDatabase, RUN_BUSY_MS } from '../../src/store/open.ts'
import { openStore, type StoreFault, storeOn } from '../../src/store/store.ts'
import { device, NOW, opened, scratch } from './records.ts'

let place: ReturnType<typeof scratch>

beforeEach(() => {
	place = scratch()
})

afterEach(() => place.remove())

const putMany = (from: number, count: number): Change[] =>
	Array.from({ length: count }, (_, i) => ({ table: 'device', op: 'put', row: device(from + i) }))

function filled(): void {
	const store = opened(place.path)
	store.commit(putMany(1, 200))
	store.close()
}

function expectFault(found: unknown, code: StoreFault['code'], path = place.path): void {
	const fault = found as StoreFault
	expect([fault.ok, fault.code]).toEqual([false, code])
	expect(fault.sentence).toContain(path)
	expect(fault.sentence).toEndWith('.')
	expect(fault.hint).toEndWith('.')
}

test('a missing directory is told from a file that cannot be opened', () => {
	const path = join(place.directory, 'none', 'gateway.db')
	expectFault(openStore(path), 'missing-directory', path)
	mkdirSync(path, { recursive: true })
	expectFault(openStore(path), 'cannot-open', path)
})

test('a file that is no database is refused and left as it is', () => {
	const text = 'this is a letter, not a database\n'.repeat(100)
	writeFileSync(place.path, text)
	expectFault(openStore(place.path), 'not-a-database')
	expect(readFileSync(place.path, 'utf8')).toBe(text)
})

test("another program's database is refused and left as it is", () => {
	const other = new Database(place.path)
	other.run('CREATE TABLE address_book (name TEXT)')
	other.close()
	const before = readFileSync(place.path)
	expectFault(openStore(place.path), 'foreign')
	expect(readFileSync(place.path)).toEqual(before)
})

test('damaged pages are found at start', () => {
	filled()
	const bytes = readFileSync(place.path)
	bytes.fill(0xa5, 4096 * 3, 4096 * 12)
	writeFileSync(place.path, bytes)
	expectFault(openStore(place.path), 'corrupt')
})

test('a file that was cut off is found at start', () => {
	filled()
	truncateSync(place.path, Math.floor(statSync(place.path).size / 2))
	expectFault(openStore(place.path), 'corrupt')
})

test('a database of a newer version is refused, with both versions', () => {
	filled()
	const db = new Database(place.path)
	db.run(`PRAGMA user_version = ${MIGRATIONS.length + 1}`)
	db.close()
	const found = openStore(place.path)
	expectFault(found, 'newer-schema')
	expect((found as StoreFault).sentence).toContain(`schema ${MIGRATIONS.length + 1}`)
})

test('a read-only file and a read-only directory are said to be so', () => {
	filled()
	const asOrdinaryUser = () => {
		const child = Bun.spawnSync([process.execPath, join(import.meta.dir, 'child.ts'), 'open', place.path])
		return JSON.parse(child.stdout.toString()) as unknown
	}
	chmodSync(place.directory, 0o777)
	chmodSync(place.path, 0o444)
	expectFault(asOrdinaryUser(), 'read-only')
	if (process.getuid?.() === 0) chownSync(place.path, 65_534, 65_534)
	chmodSync(place.path, 0o600)
	chmodSync(place.directory, 0o555)
	expectFault(asOrdinaryUser(), 'read-only')
	chmodSync(place.directory, 0o777)
})

test('a full disk fails the commit whole, keeps what was there, and is tried again', () => {
	filled()
	const base = openDatabase(place.path)
	if (!base.ok) throw new Error(base.sentence)
	const store = storeOn(base, place.path)
	base.db.run('PRAGMA max_page_count = 1')
	const failed = store.commit([{ table: 'device', op: 'delete', id: 1 }, ...putMany(1000, 200)])
	expect(failed).toMatchObject({ ok: false, code: 'full' })
	expect(failed).toHaveProperty('reason', expect.stringContaining('no space left'))
	/* the same words end a start, where nothing is tried again */
	expect(failed).toHaveProperty('reason', expect.stringContaining('a gateway that runs needs no restart'))
	expect(store.restore(NOW).devices).toHaveLength(200)
	base.db.run('PRAGMA max_page_count = 100000')
	expect(store.commit(putMany(1000, 200))).toEqual({ ok: true })
	expect(store.restore(NOW).devices).toHaveLength(400)
	store.close()
})

test('a lock held by another program fails a commit after a short wait, and the next one goes through', () => {
	const store = opened(place.path)
	const other = new Database(place.path)
	other.run('BEGIN IMMEDIATE')
	const began = performance.now()
	expect(store.commit(putMany(1, 1))).toMatchObject({ ok: false, code: 'busy' })
	expect(performance.now() - began).toBeGreaterThan(RUN_BUSY_MS / 2)
	expect(RUN_BUSY_MS).toBeLessThan(500)
	other.run('ROLLBACK')
	other.close()
	expect(store.commit(putMany(1, 1))).toEqual({ ok: true })
	store.close()
})

test('a reader beside the gateway, a backup say, hinders no commit', () => {
	const store = opened(place.path)
	const reader = new Database(place.path, { readonly: true })
	reader.run('BEGIN')
	reader.query('SELECT * FROM device').all()
	expect(store.commit(putMany(1, 10))).toEqual({ ok: true })
	reader.run('COMMIT')
	expect(reader.query('SELECT * FROM device').all()).toHaveLength(10)
	reader.close()
	store.close()
})

test('a fault says what is wrong and what to do', () => {
	const found = openStore('/nonexistent/gateway.db') as StoreFault
	expect(found.sentence).toBe('The directory of the database /nonexistent/gateway.db does not exist.')
	expect(found.hint).toContain('--db')
})
