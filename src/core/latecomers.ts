/**
 * What phones say by a connection that is not bound yet: the old one was closed, and the REGISTER that goes first by the new one
 * is still at the PBX. Over a connection nothing is said twice, so that what is dropped here would be lost (RFC 3261 §17, §18.2.2).
 */
import { Lru } from '../lib/lru.ts'
import type { SipMessage } from '../sip/message.ts'
import type { Transactions } from '../transaction/transactions.ts'
import type { Context } from './context.ts'
import type { Flow } from './model.ts'
import { type OwnAddresses, ownRoute } from './proxy/route.ts'
import type { Devices } from './registrar/devices.ts'

/** Connections whose requests are kept, the newest ones: those of a second in which every phone of a large contact centre moves. */
export const MAX_EARLY_CONNECTIONS = 1_024

/** Requests kept of each: a phone that hangs up says one. */
export const MAX_EARLY_REQUESTS = 4

/** What is longer is dropped: no request in a call that an agent waits for is. With this all of them together are 16 MB. */
export const MAX_EARLY_BYTES = 4_096

/** A phone that had no answer for so long has given its request up (timer F). */
export const GIVEN_UP_MS = 32_000

const NONE: readonly Uint8Array[] = []

interface Early {
	readonly bytes: Uint8Array
	readonly at: number
}

export class Latecomers {
	readonly #context: Context
	readonly #transactions: Transactions
	readonly #devices: Devices
	readonly #own: OwnAddresses
	readonly #requests = new Lru<string, Early[]>(MAX_EARLY_CONNECTIONS)

	constructor(context: Context, transactions: Transactions, devices: Devices, own: OwnAddresses) {
		this.#context = context
		this.#transactions = transactions
		this.#devices = devices
		this.#own = own
	}

	/** False: it is none of a phone's, as far as can be seen. */
	takes(message: SipMessage, flow: Flow, bytes: Uint8Array, now: number): boolean {
		if (!this.#context.isReliable(flow) || message.fault !== undefined) return false
		if (message.status > 0) return this.#own.includes(message.via) && this.#answer(message, flow, now)
		if (message.toTag === '' || bytes.length > MAX_EARLY_BYTES || !this.#isInDialog(message)) return false
		const kept = this.#requests.get(flow.key) ?? []
		if (kept.length < MAX_EARLY_REQUESTS) this.#requests.set(flow.key, [...kept, { bytes, at: now }])
		return true
	}

	/** What came by this connection before it was bound. */
	requestsOf({ key }: Flow, now: number): readonly Uint8Array[] {
		const kept = this.#requests.peek(key)
		if (kept === undefined) return NONE
		this.#requests.delete(key)
		return kept.filter(({ at }) => now < at + GIVEN_UP_MS).map(({ bytes }) => bytes)
	}

	closed({ key }: Flow): void {
		this.#requests.delete(key)
	}

	/**
	 * Who knows the branch has the request: the answer counts, and its ACK goes back where it came from. An answer to nothing costs no
	 * connection either, because a phone repeats its 2xx until it hears an ACK.
	 */
	#answer(answer: SipMessage, flow: Flow, now: number): true {
		const client = this.#transactions.findClient(answer)
		/* what the PBX was asked, nobody else answers */
		if (client?.to.key === undefined) this.#context.counters.strangersDropped++
		else {
			client.to = flow
			this.#transactions.receive(client, answer, now)
		}
		return true
	}

	/** Its Route has a token of ours, which nobody can make up. */
	#isInDialog(request: SipMessage): boolean {
		return this.#devices.byRouteToken(ownRoute(request, this.#own).token) !== undefined
	}
}
