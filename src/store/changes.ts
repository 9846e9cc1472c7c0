/** One prepared statement for each kind of change, and which change runs which. */
import type { Database } from 'bun:sqlite'
import type { Change } from '../core/effects.ts'
import type { DeviceRecord, HeldCallRecord, PushOutcomeRecord } from '../core/model.ts'

/** The status page shows the last pushes, the metrics count all: a day of a busy centre is enough to look back on. */
export const PUSH_OUTCOMES_KEPT = 1000

/** Positional parameters throughout: binding by name costs more than the update itself. */
const SQL = {
	devicePut: `INSERT OR REPLACE INTO device (id, agent, key, contact, flow, listener, address, port, token_dead,
		missed_wakes, wake_times, user_agent, push_provider, push_environment, push_topic, push_token, push_remote_token, push_prid,
		push_dialect) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
	bindingPut: `INSERT OR REPLACE INTO binding (device_id, expires_at, pbx_expires_at, registered_at, reach)
		VALUES (?,?,?,?,?)`,
	bindingRefresh: `UPDATE binding SET expires_at = ?, pbx_expires_at = ?, registered_at = ?, reach = ?
		WHERE device_id = ?`,
	bindingReach: 'UPDATE binding SET reach = ? WHERE device_id = ?',
	bindingDelete: 'DELETE FROM binding WHERE device_id = ?',
	deviceTokenDead: 'UPDATE device SET token_dead = 1 WHERE id = ?',
	deviceWakeTimes: 'UPDATE device SET wake_times = ? WHERE id = ?',
	deviceMissedWakes: 'UPDATE device SET missed_wakes = ? WHERE id = ?',
	deviceEnvironment: 'UPDATE device SET push_environment = ? WHERE id = ? AND push_provider IS NOT NULL',
	deviceDelete: 'DELETE FROM device WHERE id = ?',
	callPut: `INSERT INTO held_call (id, agent, invite, source_flow, source_listener, source_address, source_port,
		received_at, hold_until, to_tag, branches, ended_at, ended_reason) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET agent = excluded.agent, invite = excluded.invite,
		source_flow = excluded.source_flow, source_listener = excluded.source_listener,
		source_address = excluded.source_address, source_port = excluded.source_port,
		received_at = excluded.received_at, hold_until = excluded.hold_until, to_tag = excluded.to_tag,
		branches = excluded.branches, ended_at = excluded.ended_at, ended_reason = excluded.ended_reason`,
	callEnd: 'UPDATE held_call SET ended_at = ?, ended_reason = ? WHERE id = ?',
	callDelete: 'DELETE FROM held_call WHERE id = ?',
	pushPut: `INSERT INTO push_outcome (push_id, call_id, agent, device_id, sent_at, result, status, reason, push_ms,
		wake_ms) VALUES (?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (push_id) DO UPDATE SET call_id = excluded.call_id, agent = excluded.agent,
		device_id = excluded.device_id, sent_at = excluded.sent_at, result = excluded.result, status = excluded.status,
		reason = excluded.reason, push_ms = excluded.push_ms, wake_ms = excluded.wake_ms`,
	// rowids rise by one and only the oldest are ever deleted: no count is needed.
	pushPrune: `DELETE FROM push_outcome WHERE rowid <= (SELECT max(rowid) FROM push_outcome) - ${PUSH_OUTCOMES_KEPT}`,
} as const

type Statements = { readonly [K in keyof typeof SQL]: ReturnType<Database['prepare']> }
type DeviceChange = Extract<Change, { table: 'device' }>
type CallChange = Extract<Change, { table: 'call' }>

/** @returns applies changes in order; call it inside a transaction. Throws what SQLite throws. */
export function prepareChanges(db: Database): (changes: readonly Change[]) => void {
	const names = Object.keys(SQL) as (keyof typeof SQL)[]
	const statements = Object.fromEntries(names.map((name) => [name, db.prepare(SQL[name])])) as Statements
	return (changes) => applyAll(statements, changes)
}

function applyAll(s: Statements, changes: readonly Change[]): void {
	let pushes = false
	for (const change of changes) {
		if (change.table === 'device') applyDevice(s, change)
		else if (change.table === 'call') applyCall(s, change)
		else {
			putPush(s, change.row)
			pushes = true
		}
	}
	if (pushes) s.pushPrune.run()
}

function applyDevice(s: Statements, change: DeviceChange): void {
	switch (change.op) {
		case 'put':
			putDevice(s, change.row)
			break
		case 'refresh':
			refreshBinding(s, change)
			break
		case 'reach':
			s.bindingReach.run(change.reach, change.id)
			break
		case 'token-dead':
			s.deviceTokenDead.run(change.id)
			break
		case 'wake-times':
			s.deviceWakeTimes.run(JSON.stringify(change.wakeTimes), change.id)
			break
		case 'missed-wakes':
			s.deviceMissedWakes.run(change.missedWakes, change.id)
			break
		case 'environment':
			s.deviceEnvironment.run(change.environment, change.id)
			break
		case 'delete':
			s.bindingDelete.run(change.id)
			s.deviceDelete.run(change.id)
			break
	}
}

function applyCall(s: Statements, change: CallChange): void {
	switch (change.op) {
		case 'put':
			putCall(s, change.row)
			break
		case 'end':
			s.callEnd.run(change.at, change.reason, change.id)
			break
		case 'delete':
			s.callDelete.run(change.id)
			break
	}
}

/** A 2xx waits on it: a binding that is not there must not be taken for refreshed. */
function refreshBinding(s: Statements, change: Extract<DeviceChange, { op: 'refresh' }>): void {
	const { expiresAt, pbxExpiresAt, registeredAt, reach, id } = change
	if (s.bindingRefresh.run(expiresAt, pbxExpiresAt, registeredAt, reach, id).changes === 0)
		throw new Error(`refresh of device ${id}, which is not stored`)
}

function putDevice(s: Statements, d: DeviceRecord): void {
	const { flow, push } = d
	s.devicePut.run(
		d.id,
		d.agent,
		d.key,
		d.contact,
		flow.key,
		flow.listener,
		flow.address,
		flow.port,
		d.tokenDead ? 1 : 0,
		d.missedWakes,
		JSON.stringify(d.wakeTimes),
		d.userAgent,
		push?.provider ?? null,
		push?.environment ?? null,
		push?.topic ?? null,
		push?.token.reveal() ?? null,
		push?.remoteToken?.reveal() ?? null,
		push?.prid.reveal() ?? null,
		push?.dialect ?? null,
	)
	s.bindingPut.run(d.id, d.expiresAt, d.pbxExpiresAt, d.registeredAt, d.reach)
}

function putCall(s: Statements, c: HeldCallRecord): void {
	const { source, ended } = c
	s.callPut.run(
		c.id,
		c.agent,
		c.invite,
		source.key,
		source.listener,
		source.address,
		source.port,
		c.receivedAt,
		c.holdUntil,
		c.toTag,
		JSON.stringify(c.branches),
		ended?.at ?? null,
		ended?.reason ?? null,
	)
}

function putPush(s: Statements, p: PushOutcomeRecord): void {
	const wakeMs = p.wakeMs === undefined ? null : Math.round(p.wakeMs)
	const pushMs = Math.round(p.pushMs)
	s.pushPut.run(p.pushId, p.callId, p.agent, p.deviceId, p.sentAt, p.result, p.status, p.reason, pushMs, wakeMs)
}
