/** The store in memory: the changes of src/core/effects.ts with the meaning SQLite gives them. */
import type { Change } from '../../src/core/effects.ts'
import type { DeviceRecord, HeldCallRecord, PushOutcomeRecord, Restored } from '../../src/core/model.ts'
import { ENDED_KEPT_MS } from '../../src/store/restore.ts'

export type Committed = { readonly ok: true } | { readonly ok: false; readonly code: string; readonly reason: string }

export class SimStore {
	devices = new Map<number, DeviceRecord>()
	calls = new Map<string, HeldCallRecord>()
	pushes = new Map<string, PushOutcomeRecord>()
	/** Set while the disk is full: the reason. */
	fault: string | undefined = undefined
	#lastDeviceId = 0

	/** All of them, or none. */
	commit(changes: readonly Change[]): Committed {
		if (this.fault !== undefined) return { ok: false, code: 'full', reason: this.fault }
		const before = { devices: new Map(this.devices), calls: new Map(this.calls), pushes: new Map(this.pushes) }
		for (const change of changes) {
			const reason = this.#apply(change)
			if (reason === undefined) continue
			Object.assign(this, before)
			return { ok: false, code: 'rejected', reason }
		}
		return { ok: true }
	}

	restore(now: number): Restored {
		for (const [id, { ended, holdUntil }] of this.calls)
			if ((ended?.at ?? holdUntil) + ENDED_KEPT_MS <= now) this.calls.delete(id)
		return {
			devices: [...this.devices.values()],
			heldCalls: [...this.calls.values()],
			pushOutcomes: [...this.pushes.values()],
			nextDeviceId: this.#lastDeviceId + 1,
		}
	}

	/** Why it cannot be done. */
	#apply(change: Change): string | undefined {
		if (change.table === 'device') return this.#applyDevice(change)
		if (change.table === 'push') this.pushes.set(change.row.pushId, change.row)
		else if (change.op === 'put') this.calls.set(change.row.id, change.row)
		else if (change.op === 'delete') this.calls.delete(change.id)
		else {
			const call = this.calls.get(change.id)
			if (call !== undefined) this.calls.set(change.id, { ...call, ended: { at: change.at, reason: change.reason } })
		}
		return undefined
	}

	#applyDevice(change: Extract<Change, { table: 'device' }>): string | undefined {
		if (change.op === 'put') {
			this.devices.set(change.row.id, change.row)
			this.#lastDeviceId = Math.max(this.#lastDeviceId, change.row.id)
			return undefined
		}
		const device = this.devices.get(change.id)
		if (device === undefined)
			return change.op === 'refresh' ? `refresh of device ${change.id}, which is not stored` : undefined
		this.#update(device, change)
		return undefined
	}

	#update(device: DeviceRecord, change: Exclude<Extract<Change, { table: 'device' }>, { op: 'put' }>): void {
		switch (change.op) {
			case 'refresh': {
				const { expiresAt, pbxExpiresAt, registeredAt, reach } = change
				this.devices.set(device.id, { ...device, expiresAt, pbxExpiresAt, registeredAt, reach })
				break
			}
			case 'reach':
				this.devices.set(device.id, { ...device, reach: change.reach })
				break
			case 'token-dead':
				this.devices.set(device.id, { ...device, tokenDead: true })
				break
			case 'wake-times':
				this.devices.set(device.id, { ...device, wakeTimes: change.wakeTimes })
				break
			case 'missed-wakes':
				this.devices.set(device.id, { ...device, missedWakes: change.missedWakes })
				break
			case 'environment':
				if (device.push !== undefined)
					this.devices.set(device.id, { ...device, push: { ...device.push, environment: change.environment } })
				break
			case 'delete':
				this.devices.delete(device.id)
		}
	}
}
