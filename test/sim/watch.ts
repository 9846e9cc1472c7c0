/** Checks that need the core or the store as they are at that moment: made after every input, noted as faults in the record. */
import type { Core } from '../../src/core/core.ts'
import { MAX_BANS, MAX_SOURCES } from '../../src/core/filter/sources.ts'
import { headerParam, parseNameAddr } from '../../src/sip/address.ts'
import { Header } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { type Handset, isRowOf, names } from './handset.ts'
import type { Closed, Entry, Out, Record } from './record.ts'
import { isPbx } from './scenario.ts'
import type { SimStore } from './store.ts'
import { isStream } from './streams.ts'

/** A binding is counted from the PBX's answer, and its 2xx goes out after the commit. */
const COMMIT_SLACK_MS = 1_000

/** A whole snapshot is looked through for secrets after every so many inputs. */
const SNAPSHOT_EVERY = 97

export class Watch {
	readonly #record: Record
	readonly #store: SimStore
	readonly #handsets: readonly Handset[]
	readonly #answered = new Set<string>()
	/** Branches of INVITEs that went to phones. */
	readonly #offered = new Set<string>()
	/** By invariant, how often there was something to look at. */
	readonly #judged = new Map<string, number>()
	#seen = 0
	/** When a device was last removed, ms. */
	#removedAt = 0
	#turns = 0
	#transactions = 0
	#life = 0

	constructor(record: Record, store: SimStore, handsets: readonly Handset[]) {
		this.#record = record
		this.#store = store
		this.#handsets = handsets
	}

	judged(invariant: string): number {
		return this.#judged.get(invariant) ?? 0
	}

	look(core: Core, now: number): void {
		const { entries } = this.#record
		this.#boundedBy(core, entries[entries.at(-1)!.cause]!, now)
		if (entries[entries.at(-1)!.cause]!.kind === 'closed') this.#cutOff(core, now)
		for (const end = entries.length; this.#seen < end; this.#seen++) this.#lookAt(entries[this.#seen]!, now)
		if (++this.#turns % SNAPSHOT_EVERY === 0) this.#noSecret(JSON.stringify(core.snapshot(now)), 'the snapshot', now)
	}

	#lookAt(entry: Entry, now: number): void {
		if (entry.kind === 'out') this.#lookAtOut(entry)
		else if (entry.kind === 'event') this.#noSecret(JSON.stringify(entry.fields), `the event ${entry.name}`, now)
		else if (entry.kind === 'save' && entry.save.changes.some(({ table, op }) => table === 'device' && op === 'delete'))
			this.#removedAt = entry.at
		else if (entry.kind === 'started') this.#nothingLost(entry.bound, now)
	}

	#lookAtOut(entry: Out): void {
		const { method, via } = entry.message
		if (method === 'INVITE' && !isPbx(entry.peer)) this.#offered.add(via.branch)
		this.#committedBefore(entry)
	}

	/** Invariant 7: what the phone is told of is in the store. */
	#committedBefore({ at, peer, message }: Out): void {
		if (message.status !== 200 || message.cseqMethod !== 'REGISTER' || isPbx(peer)) return
		const key = `${message.callId} ${message.cseq}`
		if (this.#answered.has(key)) return
		this.#answered.add(key)
		this.#judge('7')
		for (const value of message.list(Header.Contact)) this.#isStored(value, message, at)
	}

	#isStored(contact: string, { callId }: SipMessage, at: number): void {
		const sec = Number(headerParam(parseNameAddr(contact)?.params ?? '', 'expires'))
		const handset = this.#handsets.find((candidate) => names(candidate, contact))
		const row = [...this.#store.devices.values()].find((device) => handset !== undefined && isRowOf(device, handset))
		/* an un-REGISTER that was overtaken, and is stored in the same commit, takes it away again */
		if (row === undefined && at < this.#removedAt + COMMIT_SLACK_MS) return
		if (row === undefined) this.#fault(at, '7', `2xx to a REGISTER (${callId}) whose binding is not stored`)
		else if (row.expiresAt < at + sec * 1_000 - COMMIT_SLACK_MS)
			this.#fault(at, '7', `2xx to a REGISTER (${callId}) promises more than is stored`)
	}

	/** Invariant 7: no kill loses a committed binding. */
	#nothingLost(bound: readonly number[], now: number): void {
		this.#judge('7')
		for (const id of this.#store.devices.keys())
			if (!bound.includes(id)) this.#fault(now, '7', `device ${id} was stored, and is not bound after the start`)
	}

	/** Nothing can be sent to it, and the next call wakes it. */
	#cutOff({ devices }: Core, now: number): void {
		this.#judge('cut')
		const { entries } = this.#record
		const { peer } = entries[entries.at(-1)!.cause] as Closed
		for (const { id, flow, isCut, reach } of devices.all)
			if (flow.key === peer.key || (isCut && reach !== 'background'))
				this.#fault(now, 'cut', `device ${id} is ${reach} on ${flow.key}, and ${peer.key} is closed`)
	}

	/**
	 * Invariant 12: one message of a stranger leaves no more behind than the two transactions of its REGISTER. A phone may answer its
	 * INVITE by a connection that is not bound yet, and then the agent's phones are sent CANCEL.
	 */
	#boundedBy({ transactions, devices, filter }: Core, cause: Entry, now: number): void {
		const grown = transactions.count - this.#transactions
		this.#transactions = transactions.count
		if (cause.kind !== 'in' || isPbx(cause.peer) || cause.life !== this.#life) {
			this.#life = cause.life
			return
		}
		if (devices.flow(cause.peer.key) !== undefined) return
		this.#judge('12')
		const { method, via } = cause.message
		const isAnswer = method === '' && isStream(cause.peer) && this.#offered.has(via.branch)
		if (grown > (method === 'REGISTER' ? 2 : isAnswer ? this.#handsets.length : 0))
			this.#fault(now, '12', `${cause.message.method} ${cause.message.callId} of a stranger left ${grown} transactions`)
		if (filter.sources.size > MAX_SOURCES || filter.sources.banCount > MAX_BANS)
			this.#fault(now, '12', 'more sources or bans are remembered than there may be')
	}

	/** Invariant 13. */
	#noSecret(text: string, where: string, now: number): void {
		this.#judge('13')
		const leak = this.#handsets.some(({ plan }) =>
			[plan.token, plan.ordinary].some((token) => token !== '' && text.includes(token)),
		)
		if (leak || /digest |response=|eyJ/i.test(text)) this.#fault(now, '13', `${where} shows a secret: ${text}`)
	}

	#judge(invariant: string): void {
		this.#judged.set(invariant, this.judged(invariant) + 1)
	}

	#fault(at: number, invariant: string, sentence: string): void {
		this.#record.add(at, { kind: 'fault', invariant, sentence })
	}
}
