/** The hold of a call: its row in the store first, then its pushes; what is stored goes on after a restart. */
import type { CommitWaiter } from '../context.ts'
import type { HeldCallRecord } from '../model.ts'
import type { AgentCall } from './call.ts'
import type { Branch } from './device-branch.ts'
import { pushFor } from './outgoing.ts'
import { StoredCall } from './stored-call.ts'

export class Hold implements CommitWaiter {
	readonly #call: AgentCall
	readonly #row: StoredCall

	constructor(call: AgentCall) {
		this.#call = call
		this.#row = new StoredCall(call.calls.context, call.id)
	}

	/** Will a restart find the call? */
	get survives(): boolean {
		return this.#row.stored && this.#call.calls.context.storeFault === undefined
	}

	/** Stores the hold; the push goes out when that is committed. At most one push for each device of a call. */
	wake(branch: Branch, now: number): void {
		if (branch.push !== 'none') return
		const { context } = this.#call.calls
		branch.push = 'storing'
		branch.pushedAt = now
		branch.pushId = context.uuid()
		if (!this.#row.begun) this.#begin()
		this.#row.put(this.#record(), this)
	}

	committed(now: number): void {
		this.#row.isStored()
		this.#pushAll(now)
	}

	/** A hold that is not stored does not survive a restart, and works all the same. */
	commitFailed(_reason: string, now: number): void {
		this.#pushAll(now)
		this.#row.lost()
	}

	/** It came from the store. */
	takeUp(record: HeldCallRecord): void {
		this.#row.isStored(record)
	}

	/** After a restart a push that was stored but never answered for goes out (again) under its own id. */
	pushAgain(now: number): void {
		const { branches, calls } = this.#call
		for (const branch of branches)
			if (branch.push === 'sent' && !branch.isBack && !calls.pushes.knowsOutcome(branch.pushId)) this.#push(branch, now)
	}

	/** Somebody may have gone from those the row names. */
	update(): void {
		this.#row.putAgain(() => this.#record())
	}

	/** The caller has its answer; phones may still wake for the call. */
	end(over: { readonly at: number; readonly reason: string }): void {
		this.#row.end(over)
	}

	remove(): void {
		this.#row.remove()
	}

	#begin(): void {
		const { calls, id, agent, caller, holdUntil, receivedAt } = this.#call
		calls.context.counters.callsHeld++
		calls.context.event('call-held', {
			call: id,
			agent,
			caller: caller.identity.number,
			holdMs: holdUntil - receivedAt,
		})
	}

	#pushAll(now: number): void {
		for (const branch of this.#call.branches) if (branch.push === 'storing') this.#push(branch, now)
	}

	#push(branch: Branch, now: number): void {
		const { device } = branch
		const { calls } = this.#call
		/* it may have registered, or the call ended, while the hold was being stored */
		if (branch.state !== 'waking' || device?.push === undefined || !calls.wakeable(device)) {
			branch.push = 'none'
			if (branch.state !== 'waking') return
			branch.refused(now)
			return this.#call.settle(now)
		}
		/* its REGISTER is accepted, and only waits to be stored: then it has the INVITE; or it has said 100 to the one it has */
		if (branch.isBack || branch.isHeard) {
			branch.push = 'none'
			return
		}
		branch.push = 'sent'
		branch.pushedAt = now
		calls.pushes.send(branch, pushFor(this.#call, branch.deviceId, branch.pushId, device.push))
	}

	#record(): HeldCallRecord {
		const { id, agent, source, receivedAt, holdUntil, toTag, invite, over } = this.#call
		const branches = this.#call.branches
			.filter(({ state }) => state !== 'ended')
			.map((branch) => branch.record(receivedAt))
		return { id, agent, invite: invite.bytes, source, receivedAt, holdUntil, toTag, branches, ended: over }
	}
}
