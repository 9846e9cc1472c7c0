/** The record of a run sorted into what the invariants speak of: calls, holds, registrations. */
import type { Endpoint } from '../../src/demo/dialog.ts'
import { parseNameAddr } from '../../src/sip/address.ts'
import { Header } from '../../src/sip/headers.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { parse } from '../../src/sip/parse.ts'
import { parseUri } from '../../src/sip/uri.ts'
import { RESTARTS } from './exchange.ts'
import { type Handset, isRowOf, names } from './handset.ts'
import { keyOf } from './network.ts'
import {
	type Closed,
	type Declined,
	type Entry,
	type Handled,
	type In,
	type Killed,
	type Note,
	type Out,
	type Push,
	type PushResult,
	type Save,
	SWITCHED_OFF,
	type Visited,
} from './record.ts'
import { isPbx } from './scenario.ts'
import { isStream } from './streams.ts'
import type { World } from './world.ts'

type Told = Extract<Entry, { kind: 'event' }>

/** One INVITE transaction between the gateway and whoever calls. */
export interface Call {
	/** The first copy of the INVITE. */
	readonly invite: In
	readonly fromPbx: boolean
	/** The answers of the gateway, repeats too. */
	readonly answers: Out[]
	readonly cancels: In[]
	readonly cancelAnswers: Out[]
}

/** A device that is waited for. */
export interface Hold {
	/** Where it was decided. */
	readonly at: number
	readonly index: number
	readonly life: number
	readonly callId: string
	readonly deviceId: number
	/** Via branch of the INVITE for the device. */
	readonly branch: string
	readonly pushId: string
}

/** An INVITE that went to a phone, repeats too. */
export interface Offer {
	readonly out: Out
	readonly callId: string
	readonly deviceId: number
	readonly branch: string
}

export interface Registration {
	readonly handset: Handset
	readonly request: In
	/** Where copies of it came from: the gateway may not have heard the first one. */
	readonly places: Set<string>
	/** The PBX's 2xx to it. */
	accepted: In | undefined
}

/** What is worth storing is stored this long after it happened, slow disks and lazy commits together. */
export const STORED_MS = 100

export class Ledger {
	readonly world: World
	/** How often the check that runs now had something to judge. */
	judged = 0
	readonly entries: readonly Entry[]
	readonly calls = new Map<string, Call>()
	readonly holds: Hold[] = []
	readonly offers: Offer[] = []
	/** For calls. */
	readonly pushes: Push[] = []
	/** For all else. */
	readonly notices: Push[] = []
	readonly pushResults: PushResult[] = []
	readonly registrations = new Map<string, Registration>()
	readonly kills: Killed[] = []
	readonly notes: Note[] = []
	/** Calls of the PBX to agents. */
	readonly toAgents: Call[] = []
	readonly ins: In[] = []
	readonly outs: Out[] = []
	/** Uses of the address in a push. */
	readonly visits: Visited[] = []
	readonly declines: Declined[] = []
	/** Which phone a device id stands for, from which place in the record on. */
	readonly #devices = new Map<number, { readonly index: number; readonly handset: Handset | undefined }[]>()
	readonly #toAgentsById = new Map<string, Call>()
	readonly #heldBranches = new Set<string>()
	readonly #removals: {
		readonly entry: Entry
		readonly ids: readonly number[]
		readonly bound: readonly number[] | undefined
	}[] = []
	/** Where the phones are switched off: what lapses after that concerns no call. */
	settledIndex = Number.POSITIVE_INFINITY
	/** Call-IDs by the id the store has. */
	readonly storedCallIds = new Map<string, string>()
	readonly #resolved: Entry[] = []
	readonly #answers = new Map<string, In[]>()
	readonly #repeats = new Map<string, In[]>()
	readonly #heard = new Map<Handset, Entry[]>()
	readonly #commits = new Map<Handset, Entry[]>()
	/** By ticket and life: whose REGISTER waits for it. */
	readonly #tickets = new Map<string, Registration>()
	/** Where the PBX accepted its last REGISTER from, or what a start found stored. */
	readonly #flows = new Map<Handset, string>()
	/** Where the connection that reached the phone was closed. */
	readonly #cuts = new Map<Handset, Entry[]>()
	/** By either side: where the gateway closed each or heard that it is closed, and where it settled each. */
	readonly #closed = new Map<string, Entry[]>()
	readonly #bans: Told[] = []
	/** Lives that SIGTERM ended. */
	readonly #drained = new Set<number>()
	readonly #settled = new Map<string, Entry>()
	/** Registrations in the order they were accepted. */
	readonly accepted: Registration[] = []
	/** Branch of the last ping to each device id: what answers an older one, or one of an earlier life, proves nothing. */
	readonly #lastPing = new Map<number, string>()

	constructor(world: World) {
		this.world = world
		this.entries = world.record.entries
		for (const entry of this.entries) this.#enter(entry)
	}

	/** The phone this device id stood for at that place. */
	handset(deviceId: number, index: number): Handset | undefined {
		return this.#devices.get(deviceId)?.findLast((row) => row.index <= index)?.handset
	}

	judge(): void {
		this.judged++
	}

	/** Was the gateway killed in the middle of the turn that this input began? */
	wasCut({ index }: Entry): boolean {
		const last = lastOf(this.entries, index)
		const next = this.entries[last + 1]
		return next?.kind === 'killed' && next.midTurn
	}

	/** Did it lead to anything? What a stranger says does not, but that its connection may be closed. */
	isHeard({ index }: Entry): boolean {
		const next = this.entries[index + 1]
		return next?.cause === index && next.kind !== 'closes'
	}

	/** All copies of the INVITEs that came with this Call-ID. */
	repeats(callId: string): readonly In[] {
		return this.#repeats.get(callId) ?? []
	}

	/** What phones said to the INVITE with this branch, in order. */
	answers(branch: string): readonly In[] {
		return this.#answers.get(branch) ?? []
	}

	/** The first of the PBX to an agent with this Call-ID. */
	call(callId: string): Call | undefined {
		return this.#toAgentsById.get(callId)
	}

	/** When the caller got its final answer; undefined where it did not. */
	over(callId: string): Out | undefined {
		return this.call(callId)?.answers.find(isFinal)
	}

	/** Proofs that the phone was awake: pongs, answers to INVITEs, REGISTERs the PBX accepted. */
	heard(handset: Handset): readonly Entry[] {
		return this.#heard.get(handset) ?? []
	}

	/** When the connection that reached the phone was last closed before that place; -1 where it was not. */
	cutBefore(handset: Handset, index: number): number {
		return this.#cuts.get(handset)?.findLast((entry) => entry.index < index)?.index ?? -1
	}

	/** May it be the work of SIGTERM? */
	isDraining({ life }: Entry): boolean {
		return this.#drained.has(life)
	}

	/** Was the source of this banned, as whoever shares its NAT may have brought about? */
	isBanned({ peer, at, life }: In): boolean {
		const { banMs } = this.world.scenario.settings
		return this.#bans.some(
			(ban) => ban.life === life && ban.fields['source'] === peer.address && ban.at <= at && at < ban.at + banMs,
		)
	}

	/** Does the transport know that a phone is there? */
	isSettled({ peer, index }: In | Out): boolean {
		return (this.#settled.get(keyOf(peer))?.index ?? index) < index
	}

	/** Where the connection that this went by was closed. */
	closedAfter({ peer, index }: In | Out): Entry | undefined {
		return this.#closed.get(keyOf(peer))?.find((entry) => entry.index > index)
	}

	/** Was this connection closed between the two places? */
	closedBetween(peer: Endpoint, from: number, to: number): boolean {
		return this.#closed.get(keyOf(peer))?.some(({ index }) => index > from && index < to) ?? false
	}

	/** The inputs that told the gateway that a binding of this phone is stored, or that it cannot be, while it could be reached by it. */
	commits(handset: Handset): readonly Entry[] {
		return this.#commits.get(handset) ?? []
	}

	/** Of those accepted in this life before that: by CSeq, where they are of one user agent; undefined after an un-REGISTER. */
	newestRegister(handset: Handset, before: Entry): Registration | undefined {
		let newest: Registration | undefined
		for (const registration of this.registrations.values()) {
			const { accepted, request } = registration
			if (registration.handset !== handset || accepted === undefined || accepted.index > before.index) continue
			if (accepted.life !== before.life || request.life !== before.life) continue
			if (newest === undefined || isNewer(registration, newest)) newest = registration
		}
		return newest !== undefined && isBinding(newest.request.message) ? newest : undefined
	}

	/** Had this agent a device at that place? */
	isBound(agent: string, at: number): boolean {
		return [...this.#devices].some(([id, rows]) => {
			const row = rows.findLast(({ index }) => index < at)
			return row?.handset?.plan.agent === agent && !this.removedBetween(id, row.index, at)
		})
	}

	/** Was the device unbound between the two places, or had its binding lapsed when the gateway started again? */
	removedBetween(deviceId: number, from: number, to: number): boolean {
		return this.#removals.some(
			({ entry, ids, bound }) =>
				entry.index > from && entry.index < to && (ids.includes(deviceId) || !(bound?.includes(deviceId) ?? true)),
		)
	}

	/** Was this phone unbound between the two places? */
	signedOffBetween(handset: Handset, from: number, to: number): boolean {
		return this.#removals.some(
			({ entry, ids }) =>
				entry.index > from && entry.index < to && ids.some((id) => this.handset(id, entry.index) === handset),
		)
	}

	/** Was it killed before it could store what came of this? Nobody knows of that afterwards. */
	lostWithKill(from: Pick<Entry, 'at' | 'index'>): boolean {
		const kill = this.kills.find(({ index }) => index > from.index)
		if (kill === undefined) return false
		return (
			kill.at <= from.at + STORED_MS ||
			this.entries.slice(from.index, kill.index).some(({ kind }) => kind === 'commit-failed')
		)
	}

	/** When the PBX last forgot everything, as a place in the record; -1 where it never did. */
	get pbxForgotAt(): number {
		return this.notes.findLast(({ who, text }) => who === 'PBX' && text === RESTARTS)?.index ?? -1
	}

	/** Did the gateway know the PBX's address at that place? */
	resolvedBefore(index: number): boolean {
		const known = this.#resolved.findLast((entry) => entry.index < index)
		return known !== undefined && known.life === this.entries[index]!.life
	}

	/** Was the gateway killed between the two places? */
	killedBetween(from: number, to: number): boolean {
		return this.kills.some(({ index }) => index > from && index < to)
	}

	#enter(entry: Entry): void {
		if (entry.kind === 'in') this.#enterIn(entry)
		else if (entry.kind === 'out') this.#enterOut(entry)
		else if (entry.kind === 'push') (entry.push.kind === 'voip' ? this.pushes : this.notices).push(entry)
		else if (entry.kind === 'push-result') this.pushResults.push(entry)
		else if (entry.kind === 'killed') this.#enterKilled(entry)
		else if (entry.kind === 'visited') this.visits.push(entry)
		else if (entry.kind === 'declined') this.declines.push(entry)
		else if (entry.kind === 'note') {
			this.notes.push(entry)
			if (entry.text === SWITCHED_OFF) this.settledIndex = entry.index
		} else if (entry.kind === 'resolved') this.#resolved.push(entry)
		else if (entry.kind === 'started') {
			this.#lastPing.clear()
			this.#removals.push({ entry, ids: [], bound: entry.bound })
		} else if (entry.kind === 'committed' || entry.kind === 'commit-failed') this.#enterCommit(entry)
		else if (entry.kind === 'save') this.#enterSave(entry)
		else if (entry.kind === 'event') this.#enterEvent(entry)
		else if (entry.kind === 'closed' || entry.kind === 'closes') this.#enterClosed(entry)
		else if (entry.kind === 'settles' && !this.#settled.has(keyOf(entry.peer)))
			this.#settled.set(keyOf(entry.peer), entry)
	}

	#enterClosed(entry: Closed | Handled): void {
		listed(this.#closed, keyOf(entry.peer)).push(entry)
		for (const [handset, flow] of this.#flows) if (flow === keyOf(entry.peer)) listed(this.#cuts, handset).push(entry)
	}

	#enterEvent(entry: Told): void {
		if (entry.name === 'source-banned') this.#bans.push(entry)
		else if (entry.name === 'drain-started') this.#drained.add(entry.life)
	}

	/** It starts again with the flows that are stored, and with no connection. */
	#enterKilled(entry: Killed): void {
		this.kills.push(entry)
		this.#flows.clear()
		for (const row of entry.stored.devices) {
			const handset = this.world.handsets.find((candidate) => isRowOf(row, candidate))
			if (handset !== undefined && !isStream(row.flow)) this.#flows.set(handset, keyOf(row.flow))
		}
	}

	#enterIn(entry: In): void {
		this.ins.push(entry)
		const { message, peer } = entry
		if (message.method === 'INVITE') {
			listed(this.#repeats, message.callId).push(entry)
			const key = callKey(message, peer)
			if (!this.calls.has(key)) this.#enterCall(key, entry)
		} else if (message.method === 'CANCEL') this.calls.get(callKey(message, peer))?.cancels.push(entry)
		else if (message.method === 'REGISTER') this.#enterRegister(entry)
		else if (message.cseqMethod === 'REGISTER' && message.status >= 200 && message.status < 300 && isPbx(peer)) {
			const registration = this.registrations.get(`${message.callId} ${message.cseq}`)
			if (registration === undefined || registration.accepted !== undefined) return
			registration.accepted = entry
			/* the gateway that relayed it was killed */
			if (registration.request.life !== entry.life) return
			this.accepted.push(registration)
			/* by a connection that is closed by now it cannot be reached, awake or not */
			const isCut = this.#closed.has(keyOf(registration.request.peer))
			listed(isCut ? this.#cuts : this.#heard, registration.handset).push(entry)
			this.#flows.set(registration.handset, keyOf(registration.request.peer))
		} else if (message.status > 0 && !isPbx(peer)) this.#enterAnswer(entry)
	}

	#enterCall(key: string, invite: In): void {
		const call = { invite, fromPbx: isPbx(invite.peer), answers: [], cancels: [], cancelAnswers: [] }
		this.calls.set(key, call)
		if (!call.fromPbx || invite.message.toTag !== '') return
		this.toAgents.push(call)
		const { callId } = invite.message
		if (!this.#toAgentsById.has(callId)) this.#toAgentsById.set(callId, call)
	}

	#enterRegister(request: In): void {
		const text = request.message.rows(Header.Contact).join()
		const handset = this.world.handsets.find((candidate) => names(candidate, text))
		const key = `${request.message.callId} ${request.message.cseq}`
		const known = this.registrations.get(key)
		/* what a killed gateway had relayed is relayed anew, perhaps from another port of the NAT */
		const isNew = known === undefined || (known.accepted === undefined && known.request.life !== request.life)
		if (handset !== undefined && isNew)
			this.registrations.set(key, { handset, request, places: new Set(), accepted: undefined })
		this.registrations.get(key)?.places.add(keyOf(request.peer))
	}

	#enterOut(entry: Out): void {
		this.outs.push(entry)
		const { message, peer } = entry
		if (message.status > 0 && message.cseqMethod === 'INVITE')
			this.calls.get(callKey(message, peer))?.answers.push(entry)
		else if (message.status > 0 && message.cseqMethod === 'CANCEL')
			this.calls.get(callKey(message, peer))?.cancelAnswers.push(entry)
		else if (message.method === 'INVITE' && message.toTag === '' && !isPbx(peer)) {
			const { callId, via } = message
			this.offers.push({ out: entry, callId, deviceId: deviceIdOf(message), branch: via.branch })
		} else if (message.method === 'OPTIONS' && !isPbx(peer)) {
			const id = /^z9hG4bKping\.(\w+)\./.exec(message.via.branch)?.[1]
			if (id !== undefined) this.#lastPing.set(Number.parseInt(id, 36), message.via.branch)
		}
	}

	#enterSave(entry: Save): void {
		for (const change of entry.save.changes) this.#enterChange(change, entry)
		const cause = this.entries[entry.cause]!
		if (entry.save.ticket === 0 || cause.kind !== 'in') return
		const registration = this.registrations.get(`${cause.message.callId} ${cause.message.cseq}`)
		const binds = entry.save.changes.some(({ table, op }) => table === 'device' && op !== 'delete')
		if (registration !== undefined && binds && cause.message.cseqMethod === 'REGISTER')
			this.#tickets.set(`${entry.life} ${entry.save.ticket}`, registration)
	}

	#enterCommit(entry: Extract<Entry, { tickets: readonly number[] }>): void {
		for (const ticket of entry.tickets) {
			const registration = this.#tickets.get(`${entry.life} ${ticket}`)
			if (registration === undefined || this.#closed.has(keyOf(registration.request.peer))) continue
			listed(this.#commits, registration.handset).push(entry)
		}
	}

	/** An answer of a phone, by the INVITE or ping it belongs to. */
	#enterAnswer(entry: In): void {
		const { message } = entry
		if (message.cseqMethod === 'INVITE') listed(this.#answers, message.via.branch).push(entry)
		const ping = /^z9hG4bKping\.(\w+)\./.exec(message.via.branch)
		const deviceId =
			ping === null
				? this.offers.findLast(({ branch, out }) => branch === message.via.branch && out.life === entry.life)?.deviceId
				: Number.parseInt(ping[1]!, 36)
		if (deviceId === undefined || (ping !== null && this.#lastPing.get(deviceId) !== message.via.branch)) return
		const handset = this.handset(deviceId, entry.index)
		/* from elsewhere it is a stranger's */
		if (handset !== undefined && this.#flows.get(handset) === keyOf(entry.peer))
			listed(this.#heard, handset).push(entry)
	}

	#enterChange(change: Extract<Entry, { kind: 'save' }>['save']['changes'][number], entry: Entry): void {
		const { at, index, life } = entry
		if (change.table === 'device' && change.op === 'put') {
			const handset = this.world.handsets.find((candidate) => isRowOf(change.row, candidate))
			const rows = this.#devices.get(change.row.id) ?? []
			rows.push({ index, handset })
			this.#devices.set(change.row.id, rows)
		} else if (change.table === 'device' && change.op === 'delete') {
			this.#removals.push({ entry, ids: [change.id], bound: undefined })
		} else if (change.table === 'call' && change.op === 'put') {
			const { callId } = parse(change.row.invite)
			this.storedCallIds.set(change.row.id, callId)
			for (const { deviceId, branch, pushId } of change.row.branches) {
				/* a branch without a push is out already */
				if (pushId === '' || this.#heldBranches.has(branch)) continue
				this.#heldBranches.add(branch)
				this.holds.push({ at, index, life, callId, deviceId, branch, pushId })
			}
		}
	}
}

/** The last place in the record that this input led to. */
export function lastOf(entries: readonly Entry[], cause: number): number {
	let last = cause
	while (entries[last + 1]?.cause === cause) last++
	return last
}

/** RFC 3261 §10.3 step 7; another Call-ID is that of an app that was started anew. */
function isNewer(a: Registration, b: Registration): boolean {
	const [first, second] = [a.request.message, b.request.message]
	if (first.callId === second.callId) return first.cseq > second.cseq
	return a.accepted!.index > b.accepted!.index
}

function isBinding(register: SipMessage): boolean {
	return register.first(Header.Expires) !== '0' && !register.rows(Header.Contact).join().includes('expires=0')
}

export function isFinal({ message }: Out): boolean {
	return message.status >= 200
}

export function bytesText({ bytes }: SipMessage): string {
	return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** RFC 3261 §17.2.3, between the gateway and this peer. */
function callKey({ via, callId, cseq }: SipMessage, peer: Endpoint): string {
	/* an answer follows a phone whose connection is closed to the one it has now */
	return `${isStream(peer) ? 'stream' : keyOf(peer)} ${via.branch} ${callId} ${cseq}`
}

/** The device a Record-Route of the gateway names. */
function deviceIdOf(message: SipMessage): number {
	const route = parseNameAddr(message.list(Header.RecordRoute)[0] ?? '')?.uri ?? ''
	return Number.parseInt(parseUri(route)?.user ?? '', 36)
}

function listed<K, V>(lists: Map<K, V[]>, key: K): V[] {
	let list = lists.get(key)
	if (list === undefined) {
		list = []
		lists.set(key, list)
	}
	return list
}
