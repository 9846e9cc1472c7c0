/**
 * A call to an agent: the response context (RFC 3261 §16.7) of an INVITE of the PBX, and the hold.
 *
 * It forks to every device of the agent: awake ones get the INVITE at once, sleeping ones a push, and the INVITE when
 * they register. The call is over when the caller has a final response; its branches may live on to take it back.
 */
import { Deadline } from '../../lib/deadlines.ts'
import { response } from '../../sip/build.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { Due, ServerTransaction, Timed } from '../../transaction/transactions.ts'
import type { CommitWaiter } from '../context.ts'
import type { PushResultInput } from '../inputs.ts'
import type { Flow, HeldBranch, HeldCallRecord } from '../model.ts'
import { addRecordRoute, forwardEdit, newBranch, stripPushParams } from '../proxy/forward.ts'
import { phoneAnswer, TIMER_C_MS } from '../proxy/pass.ts'
import { removeOwnRoute } from '../proxy/route.ts'
import type { Device } from '../registrar/devices.ts'
import { AnswerCopies } from './answer-copies.ts'
import { better } from './best.ts'
import type { BranchState } from './branch.ts'
import type { Calls } from './calls.ts'
import { Branch, type BranchOwner, GHOST_MS } from './device-branch.ts'
import { callerOf, minimalPayloadOf, payloadOf } from './payload.ts'
import { endPhantomAnswer } from './phantom.ts'

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
	#ringing = false
	/** A row of the store is ours. */
	#stored = false
	/** How many branches that row names. */
	#storedBranches = 0
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
	}

	/** A call that just came: one branch for each device. */
	offer(devices: readonly Device[], now: number): void {
		this.calls.context.deadlines.at(this.#hold, this.holdUntil)
		for (const device of devices)
			this.branches.push(new Branch(this, device.id, newBranch(this.calls.context, this.invite)))
		for (const branch of this.branches) this.#begin(branch, now)
		this.settle(now)
	}

	/** A call of the store, taken up again: nothing is pushed twice, and what was sent may still be answered. */
	takeUp(record: HeldCallRecord, now: number): void {
		this.#stored = true
		this.#storedBranches = record.branches.length
		for (const held of record.branches) this.branches.push(this.#restored(held))
		if (record.ended === undefined) return this.calls.context.deadlines.at(this.#hold, this.holdUntil)
		this.over = record.ended
		this.#reasons = [record.ended.reason]
		for (const branch of this.branches) branch.on('over', now)
	}

	/** held: no device has the INVITE. calling: one has it. ringing: one rings. */
	get state(): 'held' | 'calling' | 'ringing' {
		if (this.#ringing) return 'ringing'
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
		branch.on('refused', now)
		this.settle(now)
	}

	// — answers —

	provisional(answer: SipMessage, now: number): void {
		if (this.over !== undefined) return
		this.#armTimerC(TIMER_C_MS, now)
		if (answer.status === 100) return
		if (answer.status >= 180) this.#ringing = true
		this.server.respond(answer.status, this.#upstream(answer), now)
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
		for (const other of this.branches) if (other !== branch) this.#end(other, now)
		this.settle(now)
		if (this.over === undefined) this.#armTimerC(CANCEL_GRACE_MS, now)
	}

	/** Answers the caller once no branch can any more. */
	settle(now: number): void {
		if (this.over !== undefined) return this.branchLapsed()
		const waiting = this.branches.some(
			({ state, hopeless }) =>
				state !== 'ended' &&
				state !== 'doomed' &&
				state !== 'ghost' &&
				/* past the hold a sleeping phone may still join one that rings; nobody waits for it alone */
				!(state === 'waking' && (hopeless || now >= this.holdUntil)),
		)
		if (waiting) return this.#storeAgain()
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
		for (const branch of this.branches) this.#end(branch, now)
		this.settle(now)
		if (this.over === undefined) this.#armTimerC(CANCEL_GRACE_MS, now)
	}

	/** Reason for the CANCELs this call sends (RFC 3326). */
	endRows(): readonly (readonly [string, string])[] {
		return this.#reasons.map((value) => ['Reason', value] as const)
	}

	due(event: string, now: number): void {
		if (event === 'hold') return this.#holdOver(now)
		/* timer C, or the phone that does not confirm the CANCEL */
		if (this.over !== undefined) return
		for (const branch of this.branches) {
			if (branch.state === 'proceeding') branch.on('over', now)
			else if (branch.state === 'cancelling') branch.on('lapse', now)
		}
		if (this.#cancelled) this.settle(now)
		else if (this.#best !== undefined) this.#passBest(this.#best, now)
		else this.#finish(408, 'timer C', now)
	}

	/** After a restart: no phone has the INVITE, and the store has the call. */
	get canBeTakenUp(): boolean {
		if (!this.#stored || this.calls.context.storeFault !== undefined) return false
		return this.branches.every(({ state, push }) => !WITH_INVITE.has(state) && push !== 'storing')
	}

	/** The gateway goes: phones that ring are cancelled, and the caller's PBX may try elsewhere. */
	end(now: number): void {
		if (this.over === undefined && !this.canBeTakenUp) this.#finish(480, 'the gateway stopped', now)
	}

	/** SIGTERM: what a restart cannot take up again gets its answer now. */
	drain(now: number): void {
		if (
			this.over !== undefined ||
			this.state !== 'held' ||
			(this.#stored && this.calls.context.storeFault === undefined)
		)
			return
		for (const branch of this.branches) this.#end(branch, now)
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
		context.counters.callsHeld += this.#stored ? 0 : 1
		if (!this.#stored)
			context.event('call-held', {
				call: this.id,
				agent: this.agent,
				caller: callerOf(this.invite).number,
				holdMs: this.holdUntil - this.receivedAt,
			})
		this.#store(this)
	}

	committed(now: number): void {
		for (const branch of this.branches) if (branch.push === 'storing') this.#push(branch, now)
	}

	/** A hold that is not stored does not survive a restart, and works all the same. */
	commitFailed(_reason: string, now: number): void {
		this.committed(now)
	}

	pushed(branch: Branch, result: PushResultInput, now: number): void {
		const { outcome } = result
		branch.push = outcome.kind === 'accepted' ? 'accepted' : 'refused'
		if (outcome.kind === 'accepted') return this.#ringOnPush(now)
		if (outcome.kind === 'throttled') return
		branch.on('refused', now)
		this.settle(now)
	}

	/** Sends the INVITE of a branch where its device is now. */
	send(branch: Branch, now: number): void {
		const { device } = branch
		if (device === undefined) return
		const { flow } = device
		const bytes = this.#inviteFor(branch, device)
		if (branch.client === undefined)
			branch.client = this.calls.transactions.open(branch.viaBranch, 'INVITE', bytes, flow, branch, now)
		else branch.client.redirect(bytes, flow, now)
	}

	/** A branch of a call that is over ended: nothing may be left to remember. */
	branchLapsed(): void {
		if (this.over === undefined) return
		if (this.branches.some(({ state }) => state !== 'ended')) return this.#storeAgain()
		this.#unstore()
		this.calls.remove(this)
	}

	#restored(held: HeldBranch): Branch {
		const branch = new Branch(this, held.deviceId, held.branch)
		const { device } = branch
		branch.state = 'waking'
		branch.pushId = held.pushId
		branch.pushedAt = held.pushedAt
		branch.push = held.pushId === '' ? 'none' : 'sent'
		const bytes = device === undefined ? this.invite.bytes : this.#inviteFor(branch, device)
		branch.client = this.calls.transactions.reopen(held.branch, bytes, device?.flow ?? this.source, branch)
		return branch
	}

	#begin(branch: Branch, now: number): void {
		const { device } = branch
		if (device === undefined) return
		if (this.calls.asleep(device)) branch.on('wake', now)
		else branch.on('direct', now)
	}

	#push(branch: Branch, now: number): void {
		const { device } = branch
		const { calls } = this
		/* it may have registered, or the call ended, while the hold was being stored */
		if (branch.state !== 'waking' || device?.push === undefined || !calls.wakeable(device)) {
			branch.push = 'none'
			if (branch.state !== 'waking') return
			branch.on('refused', now)
			return this.settle(now)
		}
		branch.push = 'sent'
		branch.pushedAt = now
		const call = {
			callId: this.invite.callId,
			uuid: uuidOf(this.id, calls.context.hmac(`call|${this.id}`)),
			caller: callerOf(this.invite),
			agent: this.agent,
			time: this.receivedAt,
		}
		calls.push(branch, {
			type: 'push',
			pushId: branch.pushId,
			provider: device.push.provider,
			environment: device.push.environment,
			topic: device.push.topic,
			token: device.push.token,
			payload: payloadOf(call),
			minimalPayload: minimalPayloadOf(call),
			expiresAt: this.holdUntil,
		})
	}

	/** `--ringing-on-push`: a virtual UAS with a tag of its own says what the phone cannot say yet (§16.7 step 6). */
	#ringOnPush(now: number): void {
		const { settings } = this.calls.context
		if (!settings.ringingOnPush || this.#ringing || this.over !== undefined) return
		/* RFC 3262 §3: a caller that insists on reliable provisionals gets none from us */
		if (this.invite.list(Header.Require).some((tag) => tag.toLowerCase() === '100rel')) return
		this.#ringing = true
		this.server.respond(180, response(this.invite, this.source, 180, { toTag: this.toTag }), now)
	}

	#holdOver(now: number): void {
		if (this.over !== undefined) return
		/* a phone that rings may go on ringing, and others may still join it */
		if (this.branches.some(({ state }) => state === 'proceeding' || state === 'cancelling')) return
		this.#reasons = HOLD_OVER
		for (const branch of this.branches) this.#end(branch, now)
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
		this.server.respond(answer.status, this.#upstream(answer), now)
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
		this.server.respond(answer.status === 503 ? 500 : answer.status, this.#upstream(answer), now)
		this.#reasons = [`SIP;cause=${answer.status}`]
		this.#close(`${answer.status}`, now)
	}

	#finish(status: number, reason: string, now: number): void {
		this.server.respond(status, response(this.invite, this.source, status, { toTag: this.toTag }), now)
		if (this.#reasons.length === 0) this.#reasons = [`SIP;cause=${status}`]
		this.#close(reason, now)
	}

	#close(how: string, now: number): void {
		const { context } = this.calls
		context.deadlines.disarm(this.#hold)
		if (this.#timerC !== undefined) context.deadlines.disarm(this.#timerC)
		this.over = { at: now, reason: this.#reasons.join(', ') }
		for (const branch of this.branches) this.#end(branch, now)
		if (how !== 'answered')
			context.event(how === 'nobody to reach' ? 'call-failed' : 'call-ended', { call: this.id, agent: this.agent, how })
		if (!this.branches.some(({ state }) => state === 'ghost')) this.#unstore()
		else if (this.#stored) context.save([{ table: 'call', op: 'end', id: this.id, at: now, reason: this.over.reason }])
		this.branchLapsed()
	}

	/** What never went out, neither INVITE nor push, needs no taking back. */
	#end(branch: Branch, now: number): void {
		const rang = branch.client !== undefined || branch.push === 'sent' || branch.push === 'accepted'
		branch.on(branch.state === 'waking' && !rang ? 'refused' : 'over', now)
	}

	#unstore(): void {
		if (!this.#stored) return
		this.#stored = false
		this.calls.context.save([{ table: 'call', op: 'delete', id: this.id }])
	}

	/**
	 * The row names who is still waited for. After a restart nobody waits for a phone whose push was refused, and none
	 * that has confirmed the end gets the INVITE again: it would absorb the CANCEL as a retransmission, and ring on.
	 */
	#storeAgain(): void {
		if (!this.#stored || this.#record().branches.length === this.#storedBranches) return
		this.#store()
	}

	#store(waiter?: CommitWaiter): void {
		const row = this.#record()
		this.#stored = true
		this.#storedBranches = row.branches.length
		this.calls.context.save([{ table: 'call', op: 'put', row }], waiter)
	}

	#armTimerC(durationMs: number, now: number): void {
		this.#timerC ??= new Deadline<Due>({ owner: this, event: 'timer-c' })
		this.calls.context.deadlines.after(this.#timerC, now, durationMs)
	}

	#upstream(answer: SipMessage): Uint8Array {
		return phoneAnswer(this.server, this.invite, answer, this.calls.stableContact(this.agent, this.source.listener))
	}

	#inviteFor(branch: Branch, device: Device): Uint8Array {
		const { calls, invite } = this
		const edit = forwardEdit(calls.context, invite, this.source, device.flow.listener, branch.viaBranch).uri(
			device.target,
		)
		removeOwnRoute(edit, invite, calls.ownRoute(invite))
		addRecordRoute(calls.context, edit, device.flow.listener, device.routeToken)
		stripPushParams(edit, invite)
		return edit.finish()
	}

	#record(): HeldCallRecord {
		const { id, agent, source, receivedAt, holdUntil, toTag } = this
		const branches = this.branches
			.filter(({ state }) => state !== 'ended')
			.map(({ deviceId, viaBranch, pushId, pushedAt }) => ({
				deviceId,
				branch: viaBranch,
				pushId,
				pushedAt: pushedAt || receivedAt,
			}))
		return { id, agent, invite: this.invite.bytes, source, receivedAt, holdUntil, toTag, branches, ended: this.over }
	}
}

const CANCELLED_BY_CALLER = ['SIP;cause=487;text="Request Terminated"']
const ANSWERED_ELSEWHERE = ['SIP;cause=200;text="Call completed elsewhere"']
const HOLD_OVER = ['SIP;cause=480;text="Temporarily Unavailable"']

/** The same call has the same UUID before and after a restart. */
function uuidOf(id: string, hmac: string): string {
	const a = id.padStart(16, '0')
	return `${a.slice(0, 8)}-${a.slice(8, 12)}-4${a.slice(13, 16)}-8${hmac.slice(0, 3)}-${hmac.slice(3, 15)}`
}
