/** What a run really met: hostile things one by one, and interleavings that are rare. Counted from its record. */
import { DELIVERED } from './handset.ts'
import { isFinal, type Ledger } from './ledger.ts'
import { RARE } from './rare.ts'
import type { In, Visited } from './record.ts'
import { isPbx } from './scenario.ts'
import { RARE_STREAMS, STREAMS } from './streams.met.ts'

export type Count = (ledger: Ledger) => number

const noted =
	(pattern: RegExp): Count =>
	({ notes }) =>
		count(notes, ({ who, text }) => pattern.test(`${who}: ${text}`))

const refusedBy =
	(reason: string): Count =>
	({ pushResults }) =>
		count(pushResults, ({ result: { outcome } }) => outcome.kind !== 'accepted' && outcome.reason === reason)

const said =
	(of: (entry: In) => boolean): Count =>
	({ ins }) =>
		count(ins, of)

const visited =
	(of: (entry: Visited) => boolean): Count =>
	({ visits }) =>
		count(visits, of)

const HOSTILE: Readonly<Record<string, Count>> = {
	'the network loses a datagram': ({ world }) => world.network.lost,
	'the network delivers a datagram twice': ({ world }) => world.network.duplicated,
	'a datagram overtakes another': ({ world }) => world.network.overtaken,
	'a NAT gives another port': noted(/: gets another port of its NAT$/),

	'a phone falls asleep': noted(/: falls asleep$/),
	'a phone wakes after its call is over': wakesLate,
	'a phone wakes from another address': noted(/: wakes elsewhere$/),
	'a phone was closed, and starts anew': noted(/: wakes relaunched$/),
	'a phone sends three REGISTERs': noted(/: wakes thrice$/),
	'a phone does not wake': noted(/does not wake$/),
	'a phone is asked for credentials twice in a row': challengedTwice,
	'a phone declines': noted(/: declines with \d/),
	'a phone signs off': noted(/: unregisters$/),
	'two phones answer one call': answeredTwice,

	'the PBX cancels': said(({ message, peer }) => message.method === 'CANCEL' && isPbx(peer)),
	'the PBX repeats an INVITE': repeated,
	'the PBX challenges an INVITE': said(
		({ message }) => message.cseqMethod === 'INVITE' && (message.status === 401 || message.status === 407),
	),
	'the PBX restarts': noted(/^PBX: restarts/),
	'a queue calls several agents at once': noted(/^queue: rings .+,/),
	'a queue calls an agent again right after 480': calledAgain(480),
	'a queue calls an agent again right after 486': calledAgain(486),
	'a queue calls an agent again right after 487': calledAgain(487),

	'APNs refuses: BadDeviceToken': refusedBy('BadDeviceToken'),
	'APNs refuses: Unregistered': refusedBy('Unregistered'),
	'APNs refuses: ExpiredToken': refusedBy('ExpiredToken'),
	'APNs refuses: InvalidProviderToken': refusedBy('InvalidProviderToken'),
	'APNs refuses: TooManyRequests': refusedBy('TooManyRequests'),
	'APNs refuses: ServiceUnavailable': refusedBy('ServiceUnavailable'),
	'APNs stalls': refusedBy('timeout'),
	'APNs goes away': noted(/^APNs: goes away/),
	'a sleeping phone is told of a message': ({ notices }) => count(notices, ({ push }) => push.kind === 'alert'),
	'a sleeping phone is fetched for a request in a call, or to refresh its binding': ({ notices }) =>
		count(notices, ({ push }) => push.kind === 'background'),
	'a call wakes a phone of Android': ({ pushes }) => count(pushes, ({ push }) => push.provider === 'fcm'),
	'a phone of Android is pushed to for anything else': ({ notices }) =>
		count(notices, ({ push }) => push.provider === 'fcm'),
	'APNs loses a push': noted(/^APNs: loses/),
	'APNs delivers a push twice': deliveredTwice,

	'an app asks for its call by the address in its push': visited(
		({ method, verdict }) => method === 'GET' && verdict.kind === 'ringing',
	),
	'an app declines by it': ({ declines }) => declines.length,
	'an app declines by it again, or when its call is over': visited(
		({ method, verdict }) => method === 'POST' && verdict.kind === 'ended',
	),
	'an app comes with it when its time is up': visited(
		({ make, verdict }) => make === 'genuine' && verdict.kind === 'forged',
	),
	'an address is forged': visited(({ make }) => make === 'forged'),
	'an address is turned to another device': visited(({ make }) => make === 'turned'),

	'the gateway is killed': ({ kills }) => kills.length,
	'the gateway is killed in the middle of a turn': ({ kills }) => count(kills, ({ midTurn }) => midTurn),
	'the gateway starts with a held call': ({ kills }) =>
		count(kills, ({ stored }) => stored.calls.some((c) => !c.ended)),
	'the gateway starts with a ghost': ({ kills }) => count(kills, ({ stored }) => stored.calls.some((c) => c.ended)),
	'the disk is full': noted(/^disk: is full/),

	'a scanner comes from many addresses': noted(/^scanner: scans/),
	'a stranger is refused': ({ outs }) => count(outs, ({ message, peer }) => message.status === 403 && !isPbx(peer)),
	'a source is banned': ({ entries }) => count(entries, (e) => e.kind === 'event' && e.name === 'source-banned'),
	'an agent uses the name of another one': ({ entries }) =>
		count(entries, (e) => e.kind === 'event' && e.name === 'own-name-violation'),
}

export const MET: Readonly<Record<string, Count>> = { ...HOSTILE, ...STREAMS, ...RARE, ...RARE_STREAMS }

/** A queue is done with an agent's refusal, and calls once more, within this. */
const AGAIN_MS = 100

function wakesLate(ledger: Ledger): number {
	return count(ledger.notes, ({ text, at }) => {
		const hold = ledger.holds.find(({ pushId }) => text.startsWith(`${DELIVERED} ${pushId}`) && !text.includes(','))
		return hold !== undefined && (ledger.over(hold.callId)?.at ?? at) < at
	})
}

function challengedTwice({ ins }: Ledger): number {
	const last = new Map<string, { status: number; cseq: number }>()
	return count(ins, ({ message, peer }) => {
		const { status, cseqMethod, callId, cseq } = message
		if (cseqMethod !== 'REGISTER' || status < 200 || !isPbx(peer)) return false
		const known = last.get(callId)
		last.set(callId, { status, cseq })
		return status === 401 && known?.status === 401 && known.cseq === cseq - 1
	})
}

function answeredTwice({ ins }: Ledger): number {
	const branches = new Map<string, string>()
	return count(ins, ({ message, peer }) => {
		if (message.cseqMethod !== 'INVITE' || message.status !== 200 || isPbx(peer)) return false
		const { callId, via, cseq } = message
		const first = branches.get(`${callId} ${cseq}`)
		branches.set(`${callId} ${cseq}`, first ?? via.branch)
		return first !== undefined && first !== via.branch
	})
}

function repeated({ ins }: Ledger): number {
	const seen = new Set<string>()
	return count(ins, ({ message, peer }) => {
		if (message.method !== 'INVITE' || !isPbx(peer)) return false
		const isRepeat = seen.has(message.via.branch)
		seen.add(message.via.branch)
		return isRepeat
	})
}

function calledAgain(status: number): Count {
	return ({ toAgents }) =>
		count(toAgents, ({ invite }) =>
			toAgents.some(({ invite: earlier, answers }) => {
				const final = answers.find(isFinal)
				return (
					final?.message.status === status &&
					earlier.message.uri === invite.message.uri &&
					final.at <= invite.at &&
					invite.at <= final.at + AGAIN_MS
				)
			}),
		)
}

function deliveredTwice({ notes }: Ledger): number {
	const seen = new Set<string>()
	return count(notes, ({ text }) => {
		if (!text.startsWith(DELIVERED)) return false
		const pushId = text.slice(DELIVERED.length + 1).split(',')[0]!
		const isSecond = seen.has(pushId)
		seen.add(pushId)
		return isSecond
	})
}

function count<T>(of: readonly T[], matches: (one: T) => boolean): number {
	let times = 0
	for (const one of of) if (matches(one)) times++
	return times
}
