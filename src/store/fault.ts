/** What can be wrong with the database, in sentences an operator can act on (docs/operations.md lists them). */

export type StoreFaultCode =
	| 'missing-directory'
	| 'cannot-open'
	| 'read-only'
	| 'in-use'
	| 'busy'
	| 'not-a-database'
	| 'foreign'
	| 'corrupt'
	| 'newer-schema'
	| 'full'
	| 'no-wal'
	| 'io'
	| 'rejected'

export interface StoreFault {
	readonly ok: false
	readonly code: StoreFaultCode
	/** What is wrong. */
	readonly sentence: string
	/** What to do now. */
	readonly hint: string
}

type Words = readonly [sentence: string, hint: string]

const START_ANEW =
	'Restore a backup, or move the file and its -wal away and start again: devices come back as they register.'

/** `%` stands for the path. */
const WORDS: Readonly<Record<StoreFaultCode, Words>> = {
	'missing-directory': [
		'The directory of the database % does not exist.',
		'Create it, owned by the user the gateway runs as, or give another --db.',
	],
	'cannot-open': [
		'The database % cannot be opened.',
		'See that it is a file, not a directory, and that the user the gateway runs as owns it.',
	],
	'read-only': [
		'The database % or its directory is read-only for the gateway.',
		'Make both writable for the user the gateway runs as (in a systemd unit: StateDirectory= or ReadWritePaths=).',
	],
	'in-use': ['Another gateway is running on the database %.', 'Stop it first, or give this one a --db of its own.'],
	busy: [
		'Another program keeps the database % locked.',
		'Close it: reading and .backup beside the gateway are fine, writing is not.',
	],
	'not-a-database': ['The file % is not a SQLite database.', `Check --db. ${START_ANEW}`],
	foreign: [
		'The database % belongs to another program.',
		'Check --db: the gateway wants a file of its own, and creates it.',
	],
	corrupt: ['The database % is damaged.', START_ANEW],
	'newer-schema': [
		'The database % was written by a newer version of the gateway.',
		'Run that version or a later one, or restore the backup made before the upgrade.',
	],
	full: ['There is no space left for the database %.', 'Free space on its disk: a gateway that runs needs no restart.'],
	'no-wal': [
		'The file system of the database % does not support write-ahead logging.',
		'Put it on a local disk: network file systems lack the shared memory it needs.',
	],
	io: ['Reading or writing the database % failed.', 'Look for disk errors in the log of the kernel (journalctl -k).'],
	rejected: ['The database % refused a change.', 'This is a fault of the gateway: please report it with these words.'],
}

/** SQLite's primary result codes; extended ones (`SQLITE_IOERR_WRITE`) begin with them. */
const CODES: readonly (readonly [prefix: string, code: StoreFaultCode])[] = [
	['SQLITE_FULL', 'full'],
	['SQLITE_READONLY', 'read-only'],
	['SQLITE_PERM', 'read-only'],
	['SQLITE_CANTOPEN', 'cannot-open'],
	['SQLITE_NOTADB', 'not-a-database'],
	['SQLITE_CORRUPT', 'corrupt'],
	['SQLITE_BUSY', 'busy'],
	['SQLITE_LOCKED', 'busy'],
	['SQLITE_PROTOCOL', 'busy'],
	['SQLITE_IOERR', 'io'],
]

/** @param detail SQLite's own words, or which change; appended to the sentence in parentheses. */
export function storeFault(code: StoreFaultCode, path: string, detail = ''): StoreFault {
	const [sentence, hint] = WORDS[code]
	const named = sentence.replace('%', () => path)
	return { ok: false, code, sentence: detail === '' ? named : `${named.slice(0, -1)} (${detail}).`, hint }
}

/** The fault behind whatever bun:sqlite threw; all that is not SQLite's own complaint about the file is `rejected`. */
export function faultOf(error: unknown, path: string): StoreFault {
	const code = String((error as { code?: unknown } | null)?.code ?? '')
	const known = CODES.find(([prefix]) => code.startsWith(prefix))
	const detail = error instanceof Error ? error.message : String(error)
	return storeFault(known?.[1] ?? 'rejected', path, detail)
}
