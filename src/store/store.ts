/**
 * What must survive a restart, in SQLite. It blocks while it writes: give it groups of changes.
 *
 * A killed process loses no acknowledged commit. A power cut may lose the last ones since the WAL was last synced
 * (synchronous=NORMAL): those devices come back with their next REGISTER.
 */
import type { Database } from 'bun:sqlite'
import type { Change } from '../core/effects.ts'
import type { Restored } from '../core/model.ts'
import { prepareChanges } from './changes.ts'
import { faultOf, type StoreFault, type StoreFaultCode } from './fault.ts'
import { type Opened, openDatabase } from './open.ts'
import { dropOverCalls, readRestored } from './restore.ts'

export type { StoreFault, StoreFaultCode } from './fault.ts'

export type CommitResult =
	| { readonly ok: true }
	/** `reason`: what is wrong and what to do, in two sentences. Nothing of the group is stored. */
	| { readonly ok: false; readonly code: StoreFaultCode; readonly reason: string }

export interface Store {
	readonly ok: true
	/**
	 * What is stored: all devices, and the calls that are not over by `nowMs` (ms since the epoch); ended ones are kept 60 s.
	 * @throws an Error of SQLite where the disk fails although the check at start passed.
	 */
	restore(nowMs: number): Restored
	/**
	 * All of these changes in one transaction, or none. After a failure the next call tries again.
	 * Waits at most 250 ms for another program's lock. `rejected` means that a change itself was at fault.
	 */
	commit(changes: readonly Change[]): CommitResult
	meta(key: string): string | undefined
	setMeta(key: string, value: string): CommitResult
	/** 32 octets, made from the system's random source at first start: they sign Record-Route. */
	hmacKey(): Uint8Array
	/** Empty the WAL into the database, and let it go. Once more does nothing. */
	close(): void
}

const HMAC_KEY = 'hmac-key'
/** The block of SHA-256's output: longer adds nothing (RFC 2104 §3). */
const HMAC_KEY_BYTES = 32

/** Open or create the database of this gateway. Never throws for what is wrong with the file: it says it. */
export function openStore(path: string): Store | StoreFault {
	const opened = openDatabase(path)
	if (!opened.ok) return opened
	try {
		return storeOn(opened, path)
	} catch (error) {
		opened.close()
		return faultOf(error, path)
	}
}

/** A store on a database that is open, checked and migrated. Throws what SQLite throws. */
export function storeOn({ db, close }: Opened, path: string): Store {
	const applyAll = prepareChanges(db)
	const readMeta = db.prepare<{ value: string }, [string]>('SELECT value FROM meta WHERE key = ?')
	const writeMeta = db.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)')
	const transact = transactor(db, path)
	const meta = (key: string) => readMeta.get(key)?.value
	const write = (key: string, value: string) => void writeMeta.run(key, value)
	const hmacKey = keptKey(meta, write)
	// Synced here whatever `synchronous` says: a power cut must not take the schema or the key away.
	checkpoint(db)
	let open = true
	return {
		ok: true,
		restore: (nowMs) => {
			transact(() => dropOverCalls(db, nowMs))
			return readRestored(db, nowMs)
		},
		commit: (changes) => (changes.length === 0 ? DONE : transact(applyAll, changes)),
		meta,
		setMeta: (key, value) => transact(() => write(key, value)),
		hmacKey: () => hmacKey.slice(),
		close: () => {
			if (open) closeDown(db, close)
			open = false
		},
	}
}

const DONE: CommitResult = { ok: true }

/** IMMEDIATE: the lock is asked for where a wait is harmless, before anything is written. */
function transactor(db: Database, path: string) {
	const begin = db.prepare('BEGIN IMMEDIATE')
	const commit = db.prepare('COMMIT')
	return <A extends unknown[]>(work: (...args: A) => void, ...args: A): CommitResult => {
		try {
			begin.run()
			work(...args)
			commit.run()
			return DONE
		} catch (error) {
			rollBack(db)
			const { code, sentence, hint } = faultOf(error, path)
			return { ok: false, code, reason: `${sentence} ${hint}` }
		}
	}
}

/** SQLite has rolled back by itself after some errors, such as a full disk; a closed database throws even here. */
function rollBack(db: Database): void {
	try {
		if (db.inTransaction) db.run('ROLLBACK')
	} catch {}
}

function keptKey(read: (key: string) => string | undefined, write: (key: string, value: string) => void): Uint8Array {
	const kept = read(HMAC_KEY)
	if (kept !== undefined) return Uint8Array.fromHex(kept)
	const made = crypto.getRandomValues(new Uint8Array(HMAC_KEY_BYTES))
	write(HMAC_KEY, made.toHex())
	return made
}

function checkpoint(db: Database): void {
	db.run('PRAGMA wal_checkpoint(TRUNCATE)')
}

/** The disk may be full or gone by now: what is committed is in the WAL, and the next start takes it from there. */
function closeDown(db: Database, close: () => void): void {
	try {
		checkpoint(db)
	} catch {}
	close()
}
