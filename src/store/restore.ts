/** Rows back into the records of src/core/model.ts. */
import type { Database } from 'bun:sqlite'
import type { DeviceRecord, HeldCallRecord, PushOutcomeRecord, PushParams, Restored } from '../core/model.ts'
import { Secret } from '../lib/secret.ts'

/** A phone that wakes this late for a call that ended still gets its INVITE and CANCEL (docs/architecture.md). */
export const ENDED_KEPT_MS = 60_000

/**
 * A call whose hold ran out while the gateway was down is still owed its final response (RFC 3261 §16.7), until the
 * caller's own timer C has given it up ("MUST be larger than 3 minutes", §16.6 step 11).
 */
export const OVERDUE_KEPT_MS = 180_000

/** A call that is over by `?1`, ms since the epoch. */
const CALL_LAPSED = `CASE WHEN ended_at IS NULL THEN hold_until + ${OVERDUE_KEPT_MS} ELSE ended_at + ${ENDED_KEPT_MS} END <= ?1`

interface DeviceRow {
	readonly id: number
	readonly agent: string
	readonly key: string
	readonly contact: string
	readonly flow: string
	readonly listener: number
	readonly address: string
	readonly port: number
	readonly expires_at: number
	readonly pbx_expires_at: number
	readonly registered_at: number
	readonly reach: DeviceRecord['reach']
	readonly token_dead: number
	readonly missed_wakes: number
	readonly wake_times: string
	readonly user_agent: string
	readonly push_provider: PushParams['provider'] | null
	readonly push_environment: PushParams['environment']
	readonly push_topic: string
	readonly push_token: string
	readonly push_remote_token: string | null
	readonly push_prid: string
	readonly push_dialect: PushParams['dialect']
}

interface HeldCallRow {
	readonly id: string
	readonly agent: string
	readonly invite: Uint8Array
	readonly source_flow: string
	readonly source_listener: number
	readonly source_address: string
	readonly source_port: number
	readonly received_at: number
	readonly hold_until: number
	readonly to_tag: string
	readonly branches: string
	readonly ended_at: number | null
	readonly ended_reason: string | null
}

interface PushOutcomeRow {
	readonly push_id: string
	readonly call_id: string
	readonly agent: string
	readonly device_id: number
	readonly sent_at: number
	readonly result: PushOutcomeRecord['result']
	readonly status: number
	readonly reason: string
	readonly push_ms: number
	readonly wake_ms: number | null
}

/** Delete the calls that are over by `nowMs`, ms since the epoch. Only tidying: {@link readRestored} leaves it out anyway. */
export function dropOverCalls(db: Database, nowMs: number): void {
	db.run(`DELETE FROM held_call WHERE ${CALL_LAPSED}`, [nowMs])
}

/** Devices by id, those too that lapsed: who watches the agent is told by the core, and then they go. Calls by arrival, push outcomes oldest first. */
export function readRestored(db: Database, nowMs: number): Restored {
	const devices = db.prepare<DeviceRow, []>('SELECT * FROM device JOIN binding ON device_id = id ORDER BY id')
	const calls = db.prepare<HeldCallRow, [number]>(
		`SELECT * FROM held_call WHERE NOT (${CALL_LAPSED}) ORDER BY received_at, id`,
	)
	const pushes = db.prepare<PushOutcomeRow, []>('SELECT * FROM push_outcome ORDER BY rowid')
	const lastId = db.prepare<{ seq: number }, []>("SELECT seq FROM sqlite_sequence WHERE name = 'device'")
	try {
		return {
			devices: devices.all().map(deviceOf),
			heldCalls: calls.all(nowMs).map(heldCallOf),
			pushOutcomes: pushes.all().map(pushOutcomeOf),
			nextDeviceId: (lastId.get()?.seq ?? 0) + 1,
		}
	} finally {
		for (const statement of [devices, calls, pushes, lastId]) statement.finalize()
	}
}

function deviceOf(row: DeviceRow): DeviceRecord {
	return {
		id: row.id,
		agent: row.agent,
		key: row.key,
		contact: row.contact,
		flow: { key: row.flow, listener: row.listener, address: row.address, port: row.port },
		push: row.push_provider === null ? undefined : pushOf(row, row.push_provider),
		expiresAt: row.expires_at,
		pbxExpiresAt: row.pbx_expires_at,
		registeredAt: row.registered_at,
		reach: row.reach,
		tokenDead: row.token_dead === 1,
		missedWakes: row.missed_wakes,
		wakeTimes: JSON.parse(row.wake_times) as number[],
		userAgent: row.user_agent,
	}
}

function pushOf(row: DeviceRow, provider: PushParams['provider']): PushParams {
	return {
		provider,
		environment: row.push_environment,
		topic: row.push_topic,
		token: new Secret(row.push_token),
		remoteToken: row.push_remote_token === null ? undefined : new Secret(row.push_remote_token),
		prid: new Secret(row.push_prid),
		dialect: row.push_dialect,
	}
}

function heldCallOf(row: HeldCallRow): HeldCallRecord {
	return {
		id: row.id,
		agent: row.agent,
		invite: row.invite,
		source: {
			key: row.source_flow,
			listener: row.source_listener,
			address: row.source_address,
			port: row.source_port,
		},
		receivedAt: row.received_at,
		holdUntil: row.hold_until,
		toTag: row.to_tag,
		branches: JSON.parse(row.branches) as HeldCallRecord['branches'],
		ended: row.ended_at === null ? undefined : { at: row.ended_at, reason: row.ended_reason ?? '' },
	}
}

function pushOutcomeOf(row: PushOutcomeRow): PushOutcomeRecord {
	return {
		pushId: row.push_id,
		callId: row.call_id,
		agent: row.agent,
		deviceId: row.device_id,
		sentAt: row.sent_at,
		result: row.result,
		status: row.status,
		reason: row.reason,
		pushMs: row.push_ms,
		wakeMs: row.wake_ms ?? undefined,
	}
}
