/**
 * A request to a PBX of several machines: where one gives no answer, or says 503, the same request goes to the next as a
 * client transaction of its own, inside the same server transaction (RFC 3263 §4.3).
 */
import { Deadline } from '../../lib/deadlines.ts'
import { Edit } from '../../sip/edit.ts'
import type { SipMessage } from '../../sip/message.ts'
import { parse } from '../../sip/parse.ts'
import type {
	ClientTransaction,
	ClientUser,
	Destination,
	Due,
	Timed,
	Transactions,
} from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import { viaValue } from '../proxy/forward.ts'
import { type Leaver, LeftBehind } from './left-behind.ts'
import { retryAfter } from './retry-after.ts'
import type { Target } from './target.ts'
import type { Targets } from './targets.ts'

/** Three copies went out by then (0, 0.5 and 1.5 s); Asterisk says 100 or 401 in milliseconds, and a caller waits. */
export const FAILOVER_MS = 2_500

/** RFC 3261 §18.1.1: what is larger is broken up on the way, and lost with any of its parts. */
export const MAX_UDP_REQUEST = 1_300

/** How many machines one request tries: a phone gives up a REGISTER after 32 s, and a caller sooner. */
export const MAX_TRIES = 4

export interface HopUser extends ClientUser {
	readonly method: string
	/** The agent it is for, which chooses among machines of the same rank. */
	readonly aor: string
	/** False once nobody wants another machine to be asked: the caller has given up. */
	readonly isWanted: boolean
	/** The request as it goes to this machine, by whose transport Via, Record-Route and Contact go. */
	bytesFor(machine: Target, branch: string, now: number): Uint8Array
}

/** Sends what is asked of the PBX outside any dialog. */
export class PbxRequests {
	readonly context: Context
	readonly transactions: Transactions
	readonly targets: Targets

	constructor(context: Context, transactions: Transactions, targets: Targets) {
		this.context = context
		this.transactions = transactions
		this.targets = targets
	}

	/** `first` is the machine to begin with. To a PBX of one machine this is a plain transaction. */
	open(branch: string, first: Target, user: HopUser, now: number): ClientTransaction {
		const bytes = user.bytesFor(first, branch, now)
		if (this.targets.all.length < 2) return this.send(branch, user.method, bytes, first.to, user, now)
		const hops = new Hops(this, user)
		return hops.begin(this.send(branch, user.method, bytes, first.to, hops, now), first, now)
	}

	/** To one machine alone. RFC 3261 §18.1.1: what is too large for UDP goes by TCP where there is a way, and back to UDP where not. */
	send(
		branch: string,
		method: string,
		bytes: Uint8Array,
		to: Destination,
		user: ClientUser,
		now: number,
	): ClientTransaction {
		const { context, targets, transactions } = this
		const isLarge = bytes.length > MAX_UDP_REQUEST && !context.isReliable(to)
		const way = isLarge ? targets.largeWay(to, now) : undefined
		if (way === undefined) return transactions.open(branch, method, bytes, to, user, now)
		const via = viaValue(context, way.listener, branch)
		const large = new Edit(parse(bytes)).popVia().pushVia(via).addLength().finish()
		const client = transactions.open(branch, method, large, way, user, now)
		client.fallback = { bytes, to }
		return client
	}
}

class Hops implements ClientUser, Leaver, Timed {
	readonly #parts: PbxRequests
	readonly #user: HopUser
	readonly #tried: Target[] = []
	readonly #patience: Deadline<Due> = new Deadline<Due>({ owner: this, event: 'patience' })
	#client!: ClientTransaction
	#askedAt = 0
	/** The caller heard of this machine: there is no way back. */
	#committed = false

	constructor(parts: PbxRequests, user: HopUser) {
		this.#parts = parts
		this.#user = user
	}

	begin(client: ClientTransaction, target: Target, now: number): ClientTransaction {
		this.#client = client
		this.#tried.push(target)
		this.#wait(now)
		return client
	}

	response(client: ClientTransaction, answer: SipMessage, now: number): void {
		this.#disarm()
		const restSec = answer.status === 503 ? retryAfter(answer) : 0
		if (restSec > 0) this.#parts.targets.unavailable(this.#target, restSec, now)
		/* the 503 itself ended that transaction */
		if (answer.status === 503 && !this.#committed && this.#hop(now)) return
		if (answer.status > 100) this.#committed = true
		this.#user.response(client, answer, now)
	}

	timedOut(client: ClientTransaction, now: number): void {
		this.#disarm()
		this.#parts.targets.missed(this.#target, now)
		this.#user.timedOut(client, now)
	}

	/** As if it had said 503 (RFC 3261 §16.9); that it is down its connection has told. */
	unreachable(client: ClientTransaction, now: number): void {
		this.#disarm()
		if (!this.#committed && this.#hop(now)) return
		if (this.#user.unreachable !== undefined) this.#user.unreachable(client, now)
		else this.#user.timedOut(client, now)
	}

	due(_event: string, now: number): void {
		const { heardAt } = this.#target
		const { state } = this.#client
		if (state !== 'calling' && state !== 'trying') return
		/* it speaks to others: it is slow, or has just died, which the next look tells */
		if (heardAt !== undefined && heardAt > this.#askedAt) return this.#wait(now)
		this.#parts.targets.missed(this.#target, now)
		const left = this.#client
		if (!this.#hop(now)) return this.#wait(now)
		this.#leave(left, now)
	}

	/** RFC 3261 §16.7 step 5: a 2xx to INVITE always goes on, and no machine is asked or rings beside it. */
	answeredLate(client: ClientTransaction, answer: SipMessage, now: number): void {
		this.#disarm()
		const asked = this.#client
		this.#client = client
		if (asked.state === 'calling' || asked.state === 'proceeding') this.#leave(asked, now)
		this.#user.response(client, answer, now)
	}

	#leave(client: ClientTransaction, now: number): void {
		new LeftBehind(this.#parts.context, this.#parts.transactions, client, this).begin(now)
	}

	get #target(): Target {
		return this.#tried[this.#tried.length - 1]!
	}

	/** False: there is nobody else to ask. */
	#hop(now: number): boolean {
		const { targets } = this.#parts
		if (this.#tried.length >= MAX_TRIES || !this.#user.isWanted) return false
		const next = targets.next(this.#user.aor, this.#tried)
		if (next === undefined) return false
		const branch = this.#freshBranch()
		this.#tried.push(next)
		const bytes = this.#user.bytesFor(next, branch, now)
		this.#client = this.#parts.send(branch, this.#user.method, bytes, next.to, this, now)
		this.#wait(now)
		return true
	}

	#wait(now: number): void {
		this.#askedAt = now
		if (this.#tried.length < MAX_TRIES) this.#parts.context.deadlines.after(this.#patience, now, FAILOVER_MS)
	}

	#disarm(): void {
		this.#parts.context.deadlines.disarm(this.#patience)
	}

	/** Of its own for each machine (RFC 3263 §4.3); the part that tells a loop from a spiral stays. */
	#freshBranch(): string {
		const { branch } = this.#client
		return `z9hG4bK${this.#parts.context.id()}${branch.slice(branch.indexOf('.'))}`
	}
}
