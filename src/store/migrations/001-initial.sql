-- Words and units as in src/core/model.ts; every *_at and *_until is ms since the epoch.

CREATE TABLE meta (
	key TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: an id is signed into Record-Route and must never come to mean another device.
-- No index besides: the core looks devices up in memory, the store only by id.
CREATE TABLE device (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	agent TEXT NOT NULL,
	key TEXT NOT NULL,
	contact TEXT NOT NULL,
	flow TEXT NOT NULL,
	listener INTEGER NOT NULL,
	address TEXT NOT NULL,
	port INTEGER NOT NULL,
	token_dead INTEGER NOT NULL,
	user_agent TEXT NOT NULL,
	-- All seven are NULL for a device without push parameters.
	push_provider TEXT,
	push_environment TEXT,
	push_topic TEXT,
	push_token TEXT,
	push_remote_token TEXT,
	push_prid TEXT,
	push_dialect TEXT
) STRICT;

-- What every refresh changes, one row for each device, apart from the long rest: a page holds a hundred of these and
-- five of those, and SQLite writes whole pages.
CREATE TABLE binding (
	device_id INTEGER PRIMARY KEY,
	expires_at INTEGER NOT NULL,
	pbx_expires_at INTEGER NOT NULL,
	registered_at INTEGER NOT NULL,
	reach TEXT NOT NULL
) STRICT;

-- A rowid table: an INVITE would overflow the small cells of a WITHOUT ROWID one.
CREATE TABLE held_call (
	id TEXT NOT NULL PRIMARY KEY,
	agent TEXT NOT NULL,
	invite BLOB NOT NULL,
	source_flow TEXT NOT NULL,
	source_listener INTEGER NOT NULL,
	source_address TEXT NOT NULL,
	source_port INTEGER NOT NULL,
	received_at INTEGER NOT NULL,
	hold_until INTEGER NOT NULL,
	to_tag TEXT NOT NULL,
	-- JSON array of HeldBranch: one to a few, always read and written with their call.
	branches TEXT NOT NULL,
	ended_at INTEGER,
	ended_reason TEXT
) STRICT;

-- The rowid counts the outcomes; src/store/changes.ts keeps the newest.
CREATE TABLE push_outcome (
	push_id TEXT NOT NULL PRIMARY KEY,
	call_id TEXT NOT NULL,
	agent TEXT NOT NULL,
	device_id INTEGER NOT NULL,
	sent_at INTEGER NOT NULL,
	result TEXT NOT NULL,
	status INTEGER NOT NULL,
	reason TEXT NOT NULL,
	push_ms INTEGER NOT NULL,
	wake_ms INTEGER
) STRICT;
