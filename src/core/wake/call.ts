/**
 * A call to an agent: the response context (RFC 3261 §16.7) of an INVITE of the PBX, and the hold.
 *
 * It forks to every device of the agent: awake ones get the INVITE at once, sleeping ones a push, and the INVITE when
 * they register. The call is over when the caller has a final response; its branches may live on to take it back.
 */
import { Deadline } from '../../lib/deadlines.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { Due, ServerTransaction, Timed } from '../../transaction/transactions.ts'
import type { CommitWaiter } from '../context.ts'
import type { PushResultInput } from '../inputs.ts'
import type { Flow, HeldBranch, HeldCallRecord } from '../model.ts'
import { newBranch } from '../proxy/forward.ts'
import { TIMER_C_MS } from '../proxy/pass.ts'
import type { Device } from '../registrar/devices.ts'
import { AnswerCopies } from './answer-copies.ts'
import { better } from './best.ts'
import type { BranchState } from './branch.ts'
import { Caller } from './caller.ts'
import type { Calls } from './calls.ts'
import { Branch, type BranchOwner, GHOST_MS } from './device-branch.ts'
import { inviteFor, pushFor } from './outgoing.ts'
import { callerOf } from './payload.ts'
import { endPhantomAnswer } from './phantom.ts'
import { ANSWERED_ELSEWHERE, CANCELLED_BY_CALLER, HOLD_OVER } from './reasons.ts'
import { StoredCall } from './stored-call.ts'

/** The device has the INVITE and owes its final response. */
const WITH_INVITE: ReadonlySet<BranchState> = new Set(['calling', 'proceeding', 'cancelling'])

/** How long the caller waits for the 487 of a ringing phone after its CANCEL before it gets ours. */
export const CANCEL_GRACE_MS = 5_000

export class AgentCall implements BranchOwner, CommitWaiter, Timed {
	readonly calls: Calls
	readonly id: string
	readonly agent: string
	readonly invite: SipMessage
	readonly source: Flow
	readonly server: ServerTransaction
	readonly receivedAt: number
	readonly holdUntil: number
	readonly toTag: string
	branches: Branch[] = []
	/** The caller has its final response, because of this. */
	over: { readonly at: number; readonly reason: string } | undefined = undefined
	/** CANCEL came, and a ringing phone has to confirm it. */
	#cancelled = false
	#best: SipMessage | undefined = undefined
	/** The branch whose 2xx the caller has. */
	#winner: Branch | undefined = undefined
	/** Values of Reason (RFC 3326) for the CANCELs of this call. */
	#reasons: readonly string[] = []
	readonly #caller: Caller
	readonly #row: StoredCall
	readonly #hold: Deadline<Due>
	#timerC: Deadline<Due> | undefined = undefined

	constructor(
		calls: Calls,
		server: ServerTransaction,
		invite: SipMessage,
		source: Flow,
		agent: string,
		record: { id: string; receivedAt: number; holdUntil: number; toTag: string },
	) {
		this.calls = calls
		this.server = server
		this.invite = invite
		this.source = source
		this.agent = agent
		this.id = record.id
		this.receivedAt = record.receivedAt
		this.holdUntil = record.holdUntil
		this.toTag = record.toTag
		this.#hold = new Deadline<Due>({ owner: this, event: 'hold' })
		this.#row = new StoredCall(calls.context, record.id)
		this.#caller = new Caller(server, invite, source, record.toTag, calls.stableContact(agent, source.listener))
	}

	/** A call that just came: one branch for each device. */
	offer(devices: readonly Device[], now: number): void {
		this.calls.context.deadlines.at(this.#hold, this.holdUntil)
		for (const device of devices)
			this.branches.push(new Branch(this, device.id, newBranch(this.calls.context, this.invite)))
		for (const branch of this.branches) {
			const { device } = branch
			if (device !== undefined) branch.on(this.calls.asleep(device) ? 'wake' : 'direct', now)
		}
		this.settle(now)
	}

	/** A call of the store, taken up again: nothing is pushed twice, and what was sent may still be answered. */
	takeUp(record: HeldCallRecord, now: number): void {
		this.#row.isStored(record)
		for (const held of record.branches) this.branches.push(this.#restored(held))
		if (record.ended === undefined) return this.#holdAgain(now)
		this.over = record.ended
		this.#reasons = [record.ended.reason]
		for (const branch of this.branches) branch.on('over', now)
		this.branchLapsed()
	}

	/** The hold goes on after a restart; a push that was stored but never answered for goes out (again) under its own id. */
	#holdAgain(now: number): void {
		this.calls.context.deadlines.at(this.#hold, this.holdUntil)
		if (now >= this.holdUntil) return
		for (const branch of this.branches) {
			const { device, push, pushId } = branch
			if (push !== 'sent' || this.calls.pushes.knowsOutcome(pushId)) continue
			if (device !== undefined && device.registeredAt <= this.receivedAt) this.#push(branch, now)
		}
		this.settle(now)
	}

	/** held: no device has the INVITE. calling: one has it. ringing: one rings. */
	get state(): 'held' | 'calling' | 'ringing' {
		if (this.#caller.ringing) return 'ringing'
		return this.branches.some(({ state }) => state === 'calling' || state === 'proceeding') ? 'calling' : 'held'
	}

	/** The device's REGISTER was accepted and stored. */
	registered(device: Device, now: number): void {
		const branch = this.branches.find(({ deviceId }) => deviceId === device.id)
		if (branch === undefined || (this.over !== undefined && now >= this.over.at + GHOST_MS)) return
		const waited = branch.state === 'waking'
		branch.on('registered', now)
		if (waited && this.over === undefined)
			this.calls.context.event('call-released', {
				call: this.id,
				agent: this.agent,
				device: device.id,
				heldMs: now - this.receivedAt,
			})
	}

	/** The device is gone (unregistered, expired): it cannot answer any more, unless it rings already. */
	deviceGone(deviceId: number, now: number): void {
		const branch = this.branches.find((candidate) => candidate.deviceId === deviceId)
		if (branch === undefined) return
		if (branch.wasPushed) return branch.goneForNow(now)
		branch.on('refused', now)
		this.settle(now)
	}

	// — answers —

	provisional(answer: SipMessage, now: number): void {
		if (this.over !== undefined) return
		if (answer.status === 100) return
		this.#armTimerC(TIMER_C_MS, now)
		this.#caller.pass(answer, now)
	}

	/** §16.7: `live` where this branch had no final response before. */
	final(branch: Branch, answer: SipMessage, live: boolean, now: number): void {
		if (answer.status < 300) return this.#answered(branch, answer, now)
		if (this.over !== undefined) return this.branchLapsed()
		if (!live) return
		this.#best = better(this.#best, answer)
		if (answer.status >= 600) this.#endOthers(branch, answer.status, now)
		else this.settle(now)
	}

	/** §16.7 step 5: a 6xx ends the others; one that rings but sleeps must not keep the caller waiting for its 487. */
	#endOthers(branch: Branch, status: number, now: number): void {
		this.#reasons = [`SIP;cause=${status}`]
		for (const other of this.branches) if (other !== branch) other.end(now)
		this.settle(now)
		if (this.over === undefined) this.#armTimerC(CANCEL_GRACE_MS, now)
	}

	/** Answers the caller once no branch can any more. */
	settle(now: number): void {
		if (this.over !== undefined) return this.branchLapsed()
		const waiting = this.branches.some((branch) => branch.isAwaited(now >= this.holdUntil))
		if (waiting) this.#row.putAgain(() => this.#record())
		else this.#conclude(now)
	}

	#conclude(now: number): void {
		const { counters } = this.calls.context
		if (this.#cancelled) {
			counters.callsCancelled++
			this.#finish(487, 'cancelled', now)
		} else if (this.#best === undefined) {
			counters.callsUnanswered++
			this.#finish(480, 'nobody to reach', now)
		} else this.#passBest(this.#best, now)
	}

	/** RFC 3261 §16.10: the caller gives up. Phones that ring confirm it with their 487; nobody waits for the others. */
	cancel(reasons: readonly string[], now: number): void {
		if (this.over !== undefined || this.#cancelled) return
		this.#cancelled = true
		this.#reasons = reasons.length > 0 ? reasons : CANCELLED_BY_CALLER
		for (const branch of this.branches) branch.end(now)
		this.settle(now)
		if (this.over === undefined) this.#armTimerC(CANCEL_GRACE_MS, now)
	}

	/** Reason for the CANCELs this call sends (RFC 3326). */
	endRows(): readonly (readonly [string, string])[] {
		return this.#reasons.map((value) => ['Reason', value] as const)
	}

	due(event: string, now: number): void {
		if (event === 'hold') return this.#holdOver(now)
		/* timer C, or a phone that does not confirm the CANCEL: it is cancelled on, but nobody waits for it */
		if (this.over !== undefined) return
		if (this.#cancelled || this.#best !== undefined) this.#conclude(now)
		else this.#finish(408, 'timer C', now)
	}

	/** After a restart: no phone has the INVITE, and the store has the call. */
	get canBeTakenUp(): boolean {
		if (!this.#row.stored || this.calls.context.storeFault !== undefined) return false
		return this.branches.every(({ state, push }) => !WITH_INVITE.has(state) && push !== 'storing')
	}

	/** The gateway goes: phones that ring are cancelled, and the caller's PBX may try elsewhere. */
	end(now: number): void {
		if (this.over === undefined && !this.canBeTakenUp) this.#finish(480, 'the gateway stopped', now)
	}

	/** SIGTERM: what a restart cannot take up again gets its answer now. */
	drain(now: number): void {
		const survives = this.#row.stored && this.calls.context.storeFault === undefined
		if (this.over !== undefined || this.state !== 'held' || survives) return
		for (const branch of this.branches) branch.end(now)
		this.settle(now)
	}

	// — the hold —

	/** No answer at all: the flow is dead. */
	silent(branch: Branch, now: number): void {
		const { device } = branch
		const { calls } = this
		if (device !== undefined && calls.wakeable(device)) branch.on('silent', now)
		else if (device === undefined || device.reach === 'background' || calls.pingsOn) {
			branch.hopeless = true
			branch.on('dead', now)
		}
		this.settle(now)
	}

	/** Stores the hold; the push goes out when that is committed. At most one push for each device of a call. */
	wake(branch: Branch): void {
		if (branch.push !== 'none') return
		const { context } = this.calls
		branch.push = 'storing'
		branch.pushId = context.uuid()
		context.counters.callsHeld += this.#row.begun ? 0 : 1
		if (!this.#row.begun)
			context.event('call-held', {
				call: this.id,
				agent: this.agent,
				caller: callerOf(this.invite).number,
				holdMs: this.holdUntil - this.receivedAt,
			})
		this.#row.put(this.#record(), this)
	}

	committed(now: number): void {
		this.#row.isStored()
		for (const branch of this.branches) if (branch.push === 'storing') this.#push(branch, now)
	}

	/** A hold that is not stored does not survive a restart, and works all the same. */
	commitFailed(_reason: string, now: number): void {
		for (const branch of this.branches) if (branch.push === 'storing') this.#push(branch, now)
		this.#row.lost()
	}

	pushed(branch: Branch, result: PushResultInput, now: number): void {
		const { outcome } = result
		branch.push = outcome.kind === 'accepted' ? 'accepted' : 'refused'
		if (outcome.kind === 'accepted') return this.#ring(now)
		if (outcome.kind === 'throttled') return
		branch.refused(now)
		this.settle(now)
	}

	/** Sends the INVITE of a branch where its device is now. */
	send(branch: Branch, now: number): void {
		const { device } = branch
		if (device === undefined) return
		const { flow } = device
		const bytes = inviteFor(this, branch.viaBranch, device)
		if (branch.client === undefined)
			branch.client = this.calls.transactions.open(branch.viaBranch, 'INVITE', bytes, flow, branch, now)
		else branch.client.redirect(bytes, flow, now)
	}

	/** A branch of a call that is over ended: nothing may be left to remember. */
	branchLapsed(): void {
		if (this.over === undefined) return
		if (this.branches.some(({ state }) => state !== 'ended')) return this.#row.putAgain(() => this.#record())
		this.#row.remove()
		this.calls.remove(this)
	}

	#restored(held: HeldBranch): Branch {
		const branch = new Branch(this, held.deviceId, held.branch)
		const { device } = branch
		branch.restore(held)
		if (device === undefined) return branch
		const bytes = inviteFor(this, branch.viaBranch, device)
		branch.client = this.calls.transactions.reopen(held.branch, bytes, device.flow, branch)
		return branch
	}

	#push(branch: Branch, now: number): void {
		const { device } = branch
		const { calls } = this
		/* it may have registered, or the call ended, while the hold was being stored */
		if (branch.state !== 'waking' || device?.push === undefined || !calls.wakeable(device)) {
			branch.push = 'none'
			if (branch.state !== 'waking') return
			branch.refused(now)
			return this.settle(now)
		}
		branch.push = 'sent'
		branch.pushedAt = now
		calls.pushes.send(branch, pushFor(this, branch.pushId, device.push))
	}

	#ring(now: number): void {
		if (this.calls.context.settings.ringingOnPush && this.over === undefined) this.#caller.ring(now)
	}

	#holdOver(now: number): void {
		if (this.over !== undefined) return
		/* a phone that rings may go on ringing, and others may still join it */
		if (this.branches.some(({ state }) => state === 'proceeding' || state === 'cancelling')) return
		this.#reasons = HOLD_OVER
		for (const branch of this.branches) branch.end(now)
		this.settle(now)
	}

	// — the end —

	#answered(branch: Branch, answer: SipMessage, now: number): void {
		const { calls } = this
		const winner = this.over === undefined || this.#winner === branch
		if (!winner) {
			endPhantomAnswer(calls, branch, answer, now)
			return this.branchLapsed()
		}
		this.#caller.pass(answer, now)
		if (this.over !== undefined) return
		this.#winner = branch
		calls.context.counters.callsAnswered++
		calls.answered(this, branch.device)
		this.#reasons = ANSWERED_ELSEWHERE
		this.#close('answered', now)
		/* what may still come of it are copies of the 2xx: they need the caller's transaction, not the whole call */
		if (branch.client !== undefined)
			branch.client.user = new AnswerCopies(this.server, calls.stableContact(this.agent, this.source.listener))
	}

	#passBest(answer: SipMessage, now: number): void {
		if (answer.status === 486 || answer.status >= 600) this.calls.context.counters.callsDeclined++
		this.#caller.pass(answer, now)
		this.#reasons = [`SIP;cause=${answer.status}`]
		this.#close(`${answer.status}`, now)
	}

	#finish(status: number, reason: string, now: number): void {
		this.#caller.tell(status, now)
		if (this.#reasons.length === 0) this.#reasons = [`SIP;cause=${status}`]
		this.#close(reason, now)
	}

	#close(how: string, now: number): void {
		const { context } = this.calls
		context.deadlines.disarm(this.#hold)
		if (this.#timerC !== undefined) context.deadlines.disarm(this.#timerC)
		this.over = { at: now, reason: this.#reasons.join(', ') }
		for (const branch of this.branches) branch.end(now)
		if (how !== 'answered')
			context.event(how === 'nobody to reach' ? 'call-failed' : 'call-ended', { call: this.id, agent: this.agent, how })
		if (!this.branches.some(({ state }) => state === 'ghost')) this.#row.remove()
		else this.#row.end(this.over)
		this.branchLapsed()
	}

	#armTimerC(durationMs: number, now: number): void {
		this.#timerC ??= new Deadline<Due>({ owner: this, event: 'timer-c' })
		this.calls.context.deadlines.after(this.#timerC, now, durationMs)
	}

	#record(): HeldCallRecord {
		const { id, agent, source, receivedAt, holdUntil, toTag } = this
		const branches = this.branches.filter(({ state }) => state !== 'ended').map((branch) => branch.record(receivedAt))
		return { id, agent, invite: this.invite.bytes, source, receivedAt, holdUntil, toTag, branches, ended: this.over }
	}
}
