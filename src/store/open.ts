/** Opening the file: who may have it, is it ours, is it whole, which schema. Nothing is changed in a file not ours. */
import { Database } from 'bun:sqlite'
import { accessSync, chmodSync, constants, existsSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { faultOf, type StoreFault, storeFault } from './fault.ts'
import initial from './migrations/001-initial.sql' with { type: 'text' }
import missedWakes from './migrations/002-missed-wakes.sql' with { type: 'text' }
import wakeTimes from './migrations/003-wake-times.sql' with { type: 'text' }

/** Forward only; `PRAGMA user_version` counts how many a file has had. */
export const MIGRATIONS: readonly string[] = [initial, missedWakes, wakeTimes]

/** 'XPGW': tells our file from any other program's (https://sqlite.org/pragma.html#pragma_application_id). */
export const APPLICATION_ID = 0x58504757

/** Nothing runs yet at start: a backup that is just finishing may take this long. */
const START_BUSY_MS = 2000
/** While running a wait blocks every call: stay below T1 (500 ms), after which phones and PBX retransmit. */
export const RUN_BUSY_MS = 250
/** 4 MB of WAL between checkpoints: each blocks for 5-15 ms, and four times as much saved but a fifth of the CPU. */
const CHECKPOINT_PAGES = 1000
/** After a long reader let the WAL grow, it is cut back to this. */
const WAL_KEPT_BYTES = 16 * 1024 * 1024
/** All of 20,000 devices stays in memory: refreshes hit random pages. Negative: KiB. */
const CACHE_KIB = -16_384
/** Push tokens are in it: only the owner reads it. SQLite gives -wal and -shm the mode of the file. */
const OWNER_ONLY = 0o600

export interface Opened {
	readonly ok: true
	readonly db: Database
	/** Ends the connection and gives the file free for another gateway. */
	close(): void
}

/**
 * Open or create the database at `path`, alone, checked and migrated.
 *
 * Alone: `<path>.lock` is locked for as long as the process lives (the kernel drops it after kill -9 too), so that
 * the database itself stays open to readers and `.backup`.
 */
export function openDatabase(path: string): Opened | StoreFault {
	const blocked = blockedPath(path)
	if (blocked !== undefined) return blocked
	const file = canonical(path)
	let lock: Database | undefined
	let db: Database | undefined
	const close = () => {
		// true: its prepared statements end with it. Without, they would keep it open until they are collected.
		db?.close(true)
		lock?.close(true)
	}
	const fail = (fault: StoreFault) => {
		close()
		return fault
	}
	try {
		lock = openOwnerOnly(`${file}.lock`)
		if (!lockAlone(lock)) return fail(storeFault('in-use', path))
		db = openOwnerOnly(file)
		const fault = examine(db, path) ?? prepare(db, path)
		return fault === undefined ? { ok: true, db, close } : fail(fault)
	} catch (error) {
		return fail(faultOf(error, path))
	}
}

/** What the file system says before SQLite is asked: its own errors do not tell these apart. */
function blockedPath(path: string): StoreFault | undefined {
	const directory = dirname(path)
	if (!existsSync(directory) || !statSync(directory).isDirectory()) return storeFault('missing-directory', path)
	if (!writable(directory)) return storeFault('read-only', path)
	if (!existsSync(path)) return undefined
	if (!statSync(path).isFile()) return storeFault('cannot-open', path)
	return writable(path) ? undefined : storeFault('read-only', path)
}

function writable(path: string): boolean {
	try {
		accessSync(path, constants.R_OK | constants.W_OK)
		return true
	} catch {
		return false
	}
}

/** One name for the file whatever links lead to it, so that two gateways meet at one lock. */
function canonical(path: string): string {
	return existsSync(path) ? realpathSync(path) : join(realpathSync(dirname(path)), basename(path))
}

/** By umask and chmod: to open and close the file by other means would drop the locks SQLite holds in this process. */
function openOwnerOnly(path: string): Database {
	const before = process.umask(0o777 & ~OWNER_ONLY)
	try {
		const db = new Database(path, { create: true, readwrite: true, strict: true })
		if ((statSync(path).mode & 0o777 & ~OWNER_ONLY) !== 0) chmodSync(path, OWNER_ONLY)
		return db
	} finally {
		process.umask(before)
	}
}

function lockAlone(lock: Database): boolean {
	try {
		lock.run('PRAGMA busy_timeout = 0')
		// Nothing is ever written to it: without this an empty journal would lie beside it.
		lock.run('PRAGMA journal_mode = MEMORY')
		lock.run('BEGIN EXCLUSIVE')
		return true
	} catch (error) {
		if (faultOf(error, '').code === 'busy') return false
		throw error
	}
}

/** Ours, and no newer than this binary? */
function examine(db: Database, path: string): StoreFault | undefined {
	db.run(`PRAGMA busy_timeout = ${START_BUSY_MS}`)
	const tables = pragma(db, 'SELECT count(*) FROM sqlite_schema')
	if (tables !== 0 && pragma(db, 'PRAGMA application_id') !== APPLICATION_ID) return storeFault('foreign', path)
	const version = Number(pragma(db, 'PRAGMA user_version'))
	if (version <= MIGRATIONS.length) return undefined
	return storeFault('newer-schema', path, `schema ${version}, this binary knows ${MIGRATIONS.length}`)
}

function prepare(db: Database, path: string): StoreFault | undefined {
	const check = pragma(db, 'PRAGMA quick_check(1)')
	if (check !== 'ok') return storeFault('corrupt', path, String(check).replaceAll('\n', ' '))
	if (pragma(db, 'PRAGMA journal_mode = WAL') !== 'wal') return storeFault('no-wal', path)
	// NORMAL: a killed process loses nothing; a power cut may lose the last commits, never the file's integrity.
	db.run('PRAGMA synchronous = NORMAL')
	db.run(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
	db.run(`PRAGMA journal_size_limit = ${WAL_KEPT_BYTES}`)
	db.run(`PRAGMA cache_size = ${CACHE_KIB}`)
	migrate(db)
	db.run(`PRAGMA busy_timeout = ${RUN_BUSY_MS}`)
	return undefined
}

function migrate(db: Database): void {
	for (let version = Number(pragma(db, 'PRAGMA user_version')); version < MIGRATIONS.length; version++) {
		const step = () => {
			db.run(MIGRATIONS[version]!)
			db.run(`PRAGMA application_id = ${APPLICATION_ID}`)
			db.run(`PRAGMA user_version = ${version + 1}`)
		}
		db.transaction(step).immediate()
	}
}

/** The first column of the first row. */
function pragma(db: Database, sql: string): unknown {
	const statement = db.prepare(sql)
	try {
		return statement.values()[0]?.[0]
	} finally {
		statement.finalize()
	}
}
