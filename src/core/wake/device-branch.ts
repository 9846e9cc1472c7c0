/** One device's branch of a call to an agent: walks the table of branch.ts and does what it says. */
import { Deadline } from '../../lib/deadlines.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { ClientTransaction, ClientUser, Due, Timed } from '../../transaction/transactions.ts'
import type { PushResultInput } from '../inputs.ts'
import type { HeldBranch } from '../model.ts'
import { sendCancel } from '../proxy/pass.ts'
import type { Prober } from '../reach/probes.ts'
import type { Device } from '../registrar/devices.ts'
import { BRANCH, type BranchAction, type BranchEvent, type BranchState } from './branch.ts'
import type { Calls } from './calls.ts'

/** A flow that gives no answer at all in this time is dead: three copies of the INVITE were sent (0, 0.5, 1.5 s). */
export const SILENCE_MS = 1_800

/** Some apps sign off and on again as they start; one that signs off and stays off ends the hold after this. */
export const SIGN_ON_MS = 2_000

/** A phone that said 100 rings by then, the cold start of an app included, or not at all. */
export const TRYING_MS = 10_000

/** A phone may wake this long after the end of its call and still be told that it is over. */
export const GHOST_MS = 60_000

/** How a branch begins. */
export type Opening = 'direct' | 'probe' | 'wake' | 'both' | 'dead'

/** What a branch needs of its call. */
export interface BranchOwner {
	readonly calls: Calls
	readonly invite: SipMessage
	send(branch: Branch, now: number): void
	wake(branch: Branch, now: number): void
	silent(branch: Branch, now: number): void
	settle(now: number): void
	provisional(answer: SipMessage, now: number): void
	final(branch: Branch, answer: SipMessage, live: boolean, now: number): void
	branchLapsed(): void
	/** What APNs said of this branch's push. */
	pushed(branch: Branch, result: PushResultInput, now: number): void
	/** Reason rows for its CANCEL. */
	endRows(): readonly (readonly [string, string])[]
}

/** One device's part in the call. */
export class Branch implements ClientUser, Prober, Timed {
	readonly call: BranchOwner
	readonly deviceId: number
	readonly viaBranch: string
	/** Its share of Max-Breadth (RFC 5393 §5.3). */
	readonly breadth: number
	state: BranchState = 'idle'
	client: ClientTransaction | undefined = undefined
	pushId = ''
	/** When its push went out; before that, when it was asked for. */
	pushedAt = 0
	/** none → stored (waits for the commit) → sent → accepted or refused. */
	push: 'none' | 'storing' | 'sent' | 'accepted' | 'refused' = 'none'
	/** When it last answered the INVITE, ms; 0: never. */
	heardAt = 0
	/** A 2xx nobody wanted was ended with a BYE. */
	phantomEnded = false
	/** Neither awake nor wakeable: nobody waits for it alone. */
	hopeless = false
	readonly #timer: Deadline<Due>
	/** When the INVITE was last sent, or it was last begun to wait for an answer to it, ms; 0: never. */
	#calledAt = 0
	/** No push wakes it. */
	#isUnwoken = false
	#cancel: ClientTransaction | undefined = undefined
	#parking: Deadline<Due> | undefined = undefined

	constructor(call: BranchOwner, deviceId: number, viaBranch: string, breadth: number) {
		this.call = call
		this.deviceId = deviceId
		this.viaBranch = viaBranch
		this.breadth = breadth
		this.#timer = new Deadline<Due>({ owner: this, event: 'timer' })
	}

	get device(): Device | undefined {
		return this.call.calls.devices.device(this.deviceId)
	}

	begin(opening: Opening, now: number): void {
		this.hopeless = opening === 'dead'
		this.on(opening, now)
	}

	/** As the store had it. A device that is not stored any more is nowhere. */
	restore({ pushId, pushedAt }: HeldBranch): void {
		this.state = this.device === undefined ? 'ended' : 'waking'
		this.pushId = pushId
		this.pushedAt = pushedAt
		this.push = pushId === '' ? 'none' : 'sent'
	}

	/** As the store keeps it. */
	record(receivedAt: number): HeldBranch {
		return {
			deviceId: this.deviceId,
			branch: this.viaBranch,
			pushId: this.pushId,
			pushedAt: this.pushedAt || receivedAt,
		}
	}

	/** Does the caller wait for it? Past the hold a sleeping phone may still join one that rings, but nobody waits for it alone. */
	isAwaited(pastHold: boolean): boolean {
		if (this.state === 'waking') return !this.hopeless && !pastHold
		return this.isOffered
	}

	/** Has it the call, or gets it as soon as it is there? */
	get isOffered(): boolean {
		const { state } = this
		return state !== 'ended' && state !== 'doomed' && state !== 'ghost'
	}

	get wasPushed(): boolean {
		return this.push === 'sent' || this.push === 'accepted'
	}

	/** It said 100, and no more in all its time. */
	isMute(now: number): boolean {
		return this.state === 'calling' && this.client?.state === 'proceeding' && now >= this.#calledAt + TRYING_MS
	}

	/** Has it answered the INVITE since its push? */
	get isHeard(): boolean {
		return this.heardAt > this.pushedAt
	}

	/** Has its device registered since its push? */
	get isBack(): boolean {
		return (this.device?.registeredAt ?? 0) > this.pushedAt
	}

	/** Its time was up while the gateway was down, which is about to be told: nobody knows who has its address now. */
	isLapsed(now: number): boolean {
		return (this.device?.expiresAt ?? 0) <= now
	}

	/** It signed off, perhaps to sign on again at once: it has its id back then, and the hold goes on. */
	goneForNow(now: number): void {
		if (this.state === 'waking') this.call.calls.context.deadlines.after(this.#timer, now, SIGN_ON_MS)
	}

	/** The call is over for it. What never went out, neither INVITE nor push, needs no taking back. */
	end(now: number): void {
		const rang = this.client !== undefined || this.wasPushed
		this.on(this.state === 'waking' && !rang ? 'refused' : 'over', now)
		/* it said 100, which is enough for a CANCEL (RFC 3261 §9.1); started anew since, it is to get both again */
		const isUndecided = this.state === 'doomed' || this.state === 'ghost'
		if (isUndecided && this.client?.state === 'proceeding' && this.#cancel === undefined) this.#sendCancel(now)
	}

	/** The app declined, and shows the call no more: only a copy of the INVITE that it may still find is taken back. */
	declined(now: number): void {
		if (this.client === undefined) this.on('refused', now)
		else this.end(now)
	}

	/** The push never went out. */
	withdrawn(now: number): void {
		this.push = 'none'
		this.pushId = ''
		if (this.state === 'ghost') this.refused(now)
	}

	/** Any sign of life, while it was asked. */
	heard(now: number): void {
		this.on('direct', now)
	}

	unheard(now: number): void {
		this.on('wake', now)
		this.call.settle(now)
	}

	/** No push reaches it. Copies of the INVITE may lie in its socket, to be taken back when it wakes. */
	refused(now: number): void {
		if (this.client === undefined && !this.#isComing) this.on('refused', now)
		else this.unwoken(now)
	}

	/**
	 * Nobody waits for it any more, but where it has the INVITE by a connection that still lives: there it has as long to
	 * answer as one that is awake, and once it has said 100 the hold alone ends its wait.
	 */
	unwoken(now: number): void {
		this.#isUnwoken = true
		if (this.#isComing) return
		const { device } = this
		const silentAt = this.#calledAt + SILENCE_MS
		const mayAnswer = device !== undefined && !device.isCut && (this.#isHeard || now < silentAt)
		if (!mayAnswer) this.hopeless = true
		else if (!this.#isHeard && this.state === 'waking') this.call.calls.context.deadlines.at(this.#timer, silentAt)
	}

	/** Its REGISTER is accepted, and only waits to be stored: then it has the INVITE. */
	get #isComing(): boolean {
		const { device, pushedAt } = this
		if (this.state !== 'waking' || device === undefined || device.isCut) return false
		return device.registeredAt > Math.max(pushedAt, this.#calledAt)
	}

	/** Has it answered the INVITE where it went last? */
	get #isHeard(): boolean {
		return this.heardAt > 0 && this.heardAt >= this.#calledAt
	}

	/** Its connection is closed: what it has not answered it will not answer by that. */
	cut(now: number): void {
		if (this.state === 'calling') return this.call.silent(this, now)
		if (this.state !== 'waking') return
		/* it had said 100, so that its push was spared */
		const { device } = this
		if (this.push === 'none' && device !== undefined && this.call.calls.wakeable(device)) return this.#act('push', now)
		if (!this.#isUnwoken) return
		this.hopeless = true
		this.call.settle(now)
	}

	/** Walks the table. */
	on(event: BranchEvent, now: number): void {
		const row = BRANCH[this.state][event]
		this.state = row.to
		for (const action of row.do) this.#act(action, now)
	}

	response(_client: ClientTransaction, answer: SipMessage, now: number): void {
		this.heardAt = now
		if (this.wasPushed) this.call.calls.pushes.needless(this)
		if (answer.status === 100 && this.state === 'calling') {
			/* it is there, and nothing rings yet: the hold goes on */
			this.#act('disarmSilence', now)
		} else if (answer.status === 100 && this.state === 'waking') {
			/* so it is awake, but the hold is all that ends its wait */
			this.#act('withdraw', now)
		} else if (answer.status < 200) {
			const live = this.state === 'calling' || this.state === 'proceeding' || this.state === 'waking'
			this.on('provisional', now)
			if (live) this.call.provisional(answer, now)
		} else {
			const live = this.state !== 'ended'
			this.on('final', now)
			this.call.final(this, answer, live, now)
		}
	}

	/** Timer B: the flow swallowed all copies; its silence was noticed long before. */
	timedOut(_client: ClientTransaction, now: number): void {
		this.client = undefined
		this.on('dead', now)
		if (this.state === 'waking') this.on('refused', now)
		this.call.settle(now)
	}

	due(event: string, now: number): void {
		if (event === 'park') return this.client?.park(now)
		if (this.state === 'waking') return this.#waitOver(now)
		if (this.state !== 'calling') {
			this.on('lapse', now)
			return this.call.branchLapsed()
		}
		/* a device that answered anything meanwhile, such as a ping, is awake: only the INVITE was lost so far */
		if ((this.device?.lastPongAt ?? 0) > this.#calledAt) return this.#act('armSilence', now)
		this.call.silent(this, now)
	}

	/** What goneForNow or unwoken armed: it did not come back, or did not answer, and may do so when the call is over. */
	#waitOver(now: number): void {
		if (this.device !== undefined && this.#isHeard) return
		if (this.wasPushed || this.client !== undefined) this.hopeless = true
		else this.on('refused', now)
		this.call.settle(now)
	}

	#act(action: BranchAction, now: number): void {
		const { call } = this
		const { context } = call.calls
		switch (action) {
			case 'send':
				this.#calledAt = now
				return call.send(this, now)
			case 'replay':
				call.calls.replayed(this)
				if (this.#parking !== undefined) context.deadlines.disarm(this.#parking)
				return call.send(this, now)
			case 'park':
				return this.client?.park(now)
			case 'parkLater':
				this.#parking = new Deadline<Due>({ owner: this, event: 'park' })
				return context.deadlines.at(this.#parking, this.#calledAt + SILENCE_MS)
			case 'armSilence':
				this.#calledAt = now
				/* it was given up, and has come: no push of this call has been tried */
				if (this.push === 'none') this.hopeless = false
				return context.deadlines.after(this.#timer, now, SILENCE_MS)
			case 'armLapse':
				return context.deadlines.after(this.#timer, now, GHOST_MS)
			case 'disarmSilence':
			case 'disarmLapse':
				return context.deadlines.disarm(this.#timer)
			case 'push':
				/* there is no second one after a refusal, and so nobody to wait for */
				this.#isUnwoken = this.#isUnwoken && this.push !== 'none'
				this.hopeless = this.#isUnwoken
				return call.wake(this, now)
			case 'withdraw':
				return call.calls.pushes.withdraw(this)
			case 'askAwake':
				if (this.device !== undefined) call.calls.pings.probes.begin(this.device, this, now)
				return
			case 'stopAsking':
				if (this.device !== undefined) call.calls.pings.probes.forget(this.device, this)
				return
			case 'markBackground':
				if (this.device !== undefined) call.calls.pings.asleep(this.device)
				return
			case 'cancel':
				return this.#sendCancel(now)
			case 'follow':
				if (this.client !== undefined && this.device !== undefined) this.client.to = this.device.flow
				return
			case 'repeat':
				return this.#repeat(now)
			case 'forget':
				context.deadlines.disarm(this.#timer)
				if (this.client !== undefined) call.calls.transactions.forget(this.client)
		}
	}

	/**
	 * With its connection a phone may have lost the call: an app that was started anew has, and a browser's ends it. For one that
	 * still rings it is a copy of its request, which it answers as before (RFC 3261 §17.2.1); but by another listener it has
	 * another Via, and would be a second request, to be refused with 482.
	 */
	#repeat(now: number): void {
		const { client, device, call } = this
		if (client === undefined || device === undefined || client.to.key === device.flow.key) return
		const isLost = call.calls.context.isReliable(client.to) && client.to.listener === device.flow.listener
		if (isLost) call.send(this, now)
		else this.#act('follow', now)
	}

	/** The INVITE goes out again as the request that it is; one that rings is said once more, and no more than that. */
	sendAgain(bytes: Uint8Array, now: number): void {
		const { client, device, state } = this
		if (client === undefined || device === undefined) return
		if (state === 'proceeding') client.repeat(bytes, device.flow, now)
		else client.sendAnew(bytes, device.flow, now)
	}

	/** Once more where the device has moved since: the CANCEL to its old address is given up. */
	#sendCancel(now: number): void {
		const { transactions } = this.call.calls
		if (this.client === undefined) return
		if (this.#cancel !== undefined) transactions.forget(this.#cancel)
		this.#cancel = sendCancel(transactions, this.client, this.call.endRows(), now)
	}
}
