/**
 * A call to an agent: the response context (RFC 3261 §16.7) of an INVITE of the PBX, and the hold.
 *
 * It forks to every device of the agent: awake ones get the INVITE at once, sleeping ones a push, and the INVITE when
 * they register. The call is over when the caller has a final response; its branches may live on to take it back.
 */
import { Deadline } from '../../lib/deadlines.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { Due, ServerTransaction, Timed } from '../../transaction/transactions.ts'
import type { PushResultInput } from '../inputs.ts'
import type { Flow, HeldBranch, HeldCallRecord } from '../model.ts'
import { newBranch } from '../proxy/forward.ts'
import { hasNextVia } from '../proxy/pass.ts'
import type { Device } from '../registrar/devices.ts'
import { bestOf } from './best.ts'
import type { BranchState } from './branch.ts'
import { breadthOf, sharesOf } from './breadth.ts'
import { Caller } from './caller.ts'
import type { Calls } from './calls.ts'
import { Branch, type BranchOwner, GHOST_MS, TRYING_MS } from './device-branch.ts'
import { Hold } from './hold.ts'
import { HoldTime } from './hold-time.ts'
import { inviteFor } from './outgoing.ts'
import { Patience } from './patience.ts'
import { endPhantomAnswer } from './phantom.ts'
import { ANSWERED_ELSEWHERE, CANCELLED_BY_CALLER, DECLINED, HOLD_OVER } from './reasons.ts'

/** The device has the INVITE and owes its final response. */
const WITH_INVITE: ReadonlySet<BranchState> = new Set(['calling', 'proceeding', 'cancelling'])

export class AgentCall implements BranchOwner, Timed {
	readonly calls: Calls
	readonly id: string
	readonly agent: string
	readonly invite: SipMessage
	readonly source: Flow
	readonly server: ServerTransaction
	readonly receivedAt: number
	readonly toTag: string
	branches: Branch[] = []
	/** The caller has its final response, because of this. */
	over: { readonly at: number; readonly reason: string } | undefined = undefined
	/** CANCEL came, and a ringing phone has to confirm it. */
	#cancelled = false
	/** One of the apps declined; what still rings has to confirm its end. */
	#declined = false
	/** The final responses of its branches, but 2xx. */
	readonly #finals: SipMessage[] = []
	/** The branch whose 2xx the caller has. */
	#winner: Branch | undefined = undefined
	/** Values of Reason (RFC 3326) for the CANCELs of this call. */
	#reasons: readonly string[] = []
	readonly caller: Caller
	readonly #hold: Hold
	readonly #holdTime: HoldTime
	readonly #holdEnds: Deadline<Due>
	readonly #patience: Patience

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
		this.toTag = record.toTag
		this.#hold = new Hold(this)
		this.#holdTime = new HoldTime(invite, record.receivedAt, calls.context.settings.holdMs, record.holdUntil)
		this.#patience = new Patience(calls.context, this)
		this.#holdEnds = new Deadline<Due>({ owner: this, event: 'hold' })
		this.caller = new Caller(calls, server, invite, source, record.toTag, agent)
	}

	/** A call that just came: one branch for each device. */
	offer(devices: readonly Device[], now: number): void {
		this.calls.context.deadlines.at(this.#holdEnds, this.#holdTime.patientUntil)
		const shares = sharesOf(breadthOf(this.invite), devices.length)
		for (const [i, device] of devices.entries())
			this.branches.push(new Branch(this, device.id, newBranch(this.calls.context, this.invite), shares[i]!))
		for (const branch of this.branches)
			if (branch.device !== undefined) branch.begin(this.calls.opening(branch.device, now), now)
		this.settle(now)
	}

	/** A call of the store, taken up again: nothing is pushed twice, and what was sent may still be answered. */
	takeUp(record: HeldCallRecord, now: number): void {
		this.#hold.takeUp(record)
		const shares = sharesOf(breadthOf(this.invite), record.branches.length)
		for (const [i, held] of record.branches.entries()) this.branches.push(this.#restored(held, shares[i]!))
		if (record.ended === undefined) return this.#holdAgain(now)
		this.over = record.ended
		this.#reasons = [record.ended.reason]
		for (const branch of this.branches) branch.on('over', now)
		this.branchLapsed()
	}

	/** The hold goes on after a restart. */
	#holdAgain(now: number): void {
		this.calls.context.deadlines.at(this.#holdEnds, this.holdUntil)
		if (now >= this.holdUntil) return
		/* who was called without a push, or has registered since it, is there as far as anybody knows: but for one that has lapsed */
		const there = this.branches.filter((branch) => (!branch.wasPushed || branch.isBack) && !branch.isLapsed(now))
		this.#hold.pushAgain(now)
		for (const branch of there) branch.on('registered', now)
		this.settle(now)
	}

	/** Sleeping devices are waited for until then, ms since the epoch. */
	get holdUntil(): number {
		return this.#holdTime.until
	}

	/** held: no device has the INVITE. calling: one has it. ringing: one rings. */
	get state(): 'held' | 'calling' | 'ringing' {
		if (this.caller.ringing) return 'ringing'
		return this.branches.some(({ state }) => state === 'calling' || state === 'proceeding') ? 'calling' : 'held'
	}

	/** The device's REGISTER was accepted and stored. */
	registered(device: Device, now: number): void {
		const branch = this.#branchOf(device.id)
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
		const branch = this.#branchOf(deviceId)
		if (branch === undefined) return
		if (branch.wasPushed) return branch.goneForNow(now)
		branch.refused(now)
		this.settle(now)
	}

	// — answers —

	provisional(answer: SipMessage, now: number): void {
		if (this.over !== undefined || answer.status === 100) return
		this.#patience.rings(now)
		this.caller.pass(answer, now)
	}

	/** §16.7: `live` where this branch had no final response before. */
	final(branch: Branch, answer: SipMessage, live: boolean, now: number): void {
		if (answer.status < 300) return this.#answered(branch, answer, now)
		if (this.over !== undefined) return this.branchLapsed()
		if (!live) return
		this.#finals.push(answer)
		if (answer.status >= 600) this.#endOthers(branch, [`SIP;cause=${answer.status}`], now)
		else this.settle(now)
	}

	/** §16.7 step 5, as for a 6xx; one that rings but sleeps must not keep the caller waiting for its 487. */
	#endOthers(branch: Branch | undefined, reasons: readonly string[], now: number): void {
		this.#reasons = reasons
		for (const other of this.branches) if (other !== branch) other.end(now)
		this.settle(now)
		if (this.over === undefined) this.#patience.ends(now)
	}

	/** Answers the caller once no branch can any more. */
	settle(now: number): void {
		if (this.over !== undefined) return this.branchLapsed()
		if (this.branches.some((branch) => branch.isAwaited(now >= this.holdUntil))) this.#hold.update()
		else this.#conclude(now)
	}

	#conclude(now: number): void {
		const { counters } = this.calls.context
		if (this.#cancelled) {
			counters.callsCancelled++
			return this.#finish(487, 'cancelled', now)
		}
		if (this.#declined) {
			counters.callsDeclined++
			return this.#finish(603, 'declined', now)
		}
		const best = bestOf(this.#finals)
		if (best !== undefined) return this.#passBest(best, now)
		counters.callsUnanswered++
		this.#finish(480, 'nobody to reach', now)
	}

	/** RFC 3261 §16.10: the caller gives up. Phones that ring confirm it with their 487; nobody waits for the others. */
	cancel(reasons: readonly string[], now: number): void {
		if (this.over !== undefined || this.#cancelled) return
		this.#cancelled = true
		this.#endOthers(undefined, reasons.length > 0 ? reasons : CANCELLED_BY_CALLER, now)
	}

	/** Does it ring on this device, or is it to be woken? */
	isOfferedTo(deviceId: number): boolean {
		if (this.over !== undefined || this.#cancelled || this.#declined) return false
		return this.#branchOf(deviceId)?.isOffered === true
	}

	/** By the address in its push: as a 603 of its phone, which ends the call on all of them (RFC 3261 §16.7 step 5). */
	decline(deviceId: number, now: number): void {
		const branch = this.#branchOf(deviceId)
		if (branch === undefined || !this.isOfferedTo(deviceId)) return
		this.#declined = true
		this.#reasons = DECLINED
		branch.declined(now)
		this.#endOthers(branch, DECLINED, now)
	}

	#branchOf(deviceId: number): Branch | undefined {
		return this.branches.find((branch) => branch.deviceId === deviceId)
	}

	/** Values of Reason for its end; '' while it goes on. */
	get endReason(): string {
		return this.over?.reason ?? this.#reasons.join(', ')
	}

	/** Reason for the CANCELs this call sends (RFC 3326). */
	endRows(): readonly (readonly [string, string])[] {
		return this.#reasons.map((value) => ['Reason', value] as const)
	}

	due(event: string, now: number): void {
		if (event === 'hold') return this.#holdOver(now)
		/* timer C, or a phone that does not confirm the CANCEL: it is cancelled on, but nobody waits for it */
		if (this.over !== undefined) return
		if (this.#cancelled || this.#declined || this.#finals.length > 0) this.#conclude(now)
		else this.#finish(408, 'timer C', now)
	}

	/** After a restart: no phone has the INVITE, and the store has the call. */
	get canBeTakenUp(): boolean {
		return (
			this.#hold.survives && this.branches.every(({ state, push }) => !WITH_INVITE.has(state) && push !== 'storing')
		)
	}

	/** The gateway goes: phones that ring are cancelled, and the caller's PBX may try elsewhere. */
	end(now: number): void {
		if (this.over === undefined && !this.canBeTakenUp) this.#finish(480, 'the gateway stopped', now)
	}

	/** SIGTERM: what a restart cannot take up again gets its answer now. */
	drain(now: number): void {
		if (this.over !== undefined || this.state !== 'held' || this.#hold.survives) return
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

	wake(branch: Branch, now: number): void {
		if (branch.device !== undefined) {
			this.#holdTime.extend(this.calls.wakeTimes.holdMs(branch.device), now)
			this.calls.context.deadlines.at(this.#holdEnds, this.holdUntil)
		}
		this.#hold.wake(branch, now)
	}

	pushed(branch: Branch, result: PushResultInput, now: number): void {
		const { outcome } = result
		if (outcome.kind === 'withdrawn') {
			branch.withdrawn(now)
			return this.branchLapsed()
		}
		/* without any answer APNs may have it: nobody waits for the phone, but one that wakes hears of the call */
		if (outcome.kind === 'failed' && outcome.status === 0) {
			branch.unwoken(now)
			return this.settle(now)
		}
		branch.push = outcome.kind === 'accepted' ? 'accepted' : 'refused'
		if (outcome.kind === 'accepted') return this.#ring(now)
		if (outcome.kind === 'throttled') return
		branch.refused(now)
		this.settle(now)
	}

	/** Sends the INVITE of a branch where its device is now. */
	send(branch: Branch, now: number): void {
		const { device, client, viaBranch } = branch
		if (device === undefined) return
		const bytes = inviteFor(this, branch, device)
		if (client !== undefined) return branch.sendAgain(bytes, now)
		branch.client = this.calls.transactions.open(viaBranch, 'INVITE', bytes, device.flow, branch, now)
	}

	/** A branch of a call that is over ended: nothing may be left to remember. */
	branchLapsed(): void {
		if (this.over === undefined) return
		if (this.branches.some(({ state }) => state !== 'ended')) return this.#hold.update()
		this.#hold.remove()
		this.calls.remove(this)
	}

	#restored(held: HeldBranch, breadth: number): Branch {
		const branch = new Branch(this, held.deviceId, held.branch, breadth)
		const { device } = branch
		branch.restore(held)
		if (device === undefined) return branch
		const bytes = inviteFor(this, branch, device)
		branch.client = this.calls.transactions.reopen(held.branch, bytes, device.flow, branch)
		return branch
	}

	#ring(now: number): void {
		if (this.calls.context.settings.ringingOnPush && this.over === undefined) this.caller.ring(now)
	}

	#holdOver(now: number): void {
		if (this.over !== undefined) return
		for (const { state, push, device, isHeard } of this.branches)
			if (state === 'waking' && push === 'accepted' && device !== undefined && !isHeard && !this.#holdTime.isCutShort)
				this.calls.wakeTimes.missed(device)
		const { patientUntil } = this.#holdTime
		/* one that has the INVITE only now is given time to ring; who sleeps may still join it, but is not waited for */
		if (now < patientUntil && this.branches.some(({ state }) => state === 'calling' || state === 'probing'))
			return this.calls.context.deadlines.at(this.#holdEnds, patientUntil)
		/* a phone that rings may go on ringing, and others may still join it: but none that had its time and does not ring */
		const rings = this.branches.some(({ state }) => state === 'proceeding' || state === 'cancelling')
		const late = this.branches.filter((branch) => !rings || branch.isMute(now))
		if (late.length > 0) this.#reasons = HOLD_OVER
		for (const branch of late) branch.end(now)
		if (this.branches.some(({ state }) => state === 'calling'))
			this.calls.context.deadlines.after(this.#holdEnds, now, TRYING_MS)
		this.settle(now)
	}

	// — the end —

	#answered(branch: Branch, answer: SipMessage, now: number): void {
		const { calls } = this
		/* RFC 3261 §16.7 step 3: without the caller's Via it is no answer to the caller, who will acknowledge none */
		const winner = (this.over === undefined || this.#winner === branch) && hasNextVia(answer)
		if (!winner) {
			endPhantomAnswer(calls, branch, answer, now)
			return this.settle(now)
		}
		this.caller.pass(answer, now)
		if (this.over !== undefined) return
		this.#winner = branch
		calls.context.counters.callsAnswered++
		calls.answered(this, branch.device)
		this.#reasons = ANSWERED_ELSEWHERE
		this.#close('answered', now)
		/* what may still come of it are copies of the 2xx: they need the caller's transaction, not the whole call */
		if (branch.client !== undefined) branch.client.user = this.caller.copies
	}

	#passBest(answer: SipMessage, now: number): void {
		if (answer.status === 486 || answer.status >= 600) this.calls.context.counters.callsDeclined++
		this.caller.pass(answer, now)
		this.#reasons = [`SIP;cause=${answer.status}`]
		this.#close(`${answer.status}`, now)
	}

	#finish(status: number, reason: string, now: number): void {
		this.caller.tell(status, now)
		if (this.#reasons.length === 0) this.#reasons = [`SIP;cause=${status}`]
		this.#close(reason, now)
	}

	#close(how: string, now: number): void {
		const { context } = this.calls
		context.deadlines.disarm(this.#holdEnds)
		this.#patience.over()
		this.over = { at: now, reason: this.#reasons.join(', ') }
		for (const branch of this.branches) branch.end(now)
		if (how !== 'answered')
			context.event(how === 'nobody to reach' ? 'call-failed' : 'call-ended', { call: this.id, agent: this.agent, how })
		if (!this.branches.some(({ state }) => state === 'ghost')) this.#hold.remove()
		else this.#hold.end(this.over)
		this.branchLapsed()
	}
}
