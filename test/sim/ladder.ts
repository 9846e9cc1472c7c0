/** A run as a ladder: who said what to whom, and when. */
import type { Endpoint } from '../../src/demo/dialog.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import type { Entry } from './record.ts'
import { isPbx } from './scenario.ts'
import type { World } from './world.ts'

/** Pings, keep-alives and what an idle run is full of: left out unless asked for. */
function isNoise(entry: Entry): boolean {
	if (entry.kind === 'in' || entry.kind === 'out') return entry.message.callId.startsWith('ping-')
	return entry.kind === 'fires' || entry.kind === 'committed'
}

/** `about`: only what concerns one of these words, such as a Call-ID, besides notes and restarts. */
export function ladder(world: World, about: readonly string[] = []): string {
	const lines = world.record.entries.filter((entry) => !isNoise(entry)).map((entry) => line(world, entry))
	const wanted =
		about.length === 0
			? lines
			: lines.filter((text) => /^\S+ +· /.test(text) || about.some((word) => text.includes(word)))
	return wanted.join('\n')
}

function line(world: World, entry: Entry): string {
	return `${((entry.at - world.begin) / 1_000).toFixed(3).padStart(8)} ${words(world, entry)}`
}

function words(world: World, entry: Entry): string {
	switch (entry.kind) {
		case 'in':
			return `${name(world, entry.peer)} → gateway: ${inShort(entry.message)}`
		case 'out':
			return `  gateway → ${name(world, entry.peer)}: ${inShort(entry.message)}`
		case 'push':
			return `  gateway → APNs: ${entry.push.pushId} for ${entry.callId}`
		case 'push-result':
			return `APNs → gateway: ${entry.result.pushId} ${entry.result.outcome.kind}`
		case 'closed':
		case 'garbled':
			return `${name(world, entry.peer)}: its connection is ${entry.kind}`
		case 'closes':
		case 'settles':
			return `  gateway ${entry.kind} the connection of ${name(world, entry.peer)}`
		case 'visited':
			return `${entry.who} → gateway: ${entry.method} ${entry.token} of ${entry.pushId}: ${entry.verdict.kind}`
		case 'declined':
			return `  call ${entry.callId} is declined by the app of device ${entry.deviceId}`
		case 'save':
			return `  save ${entry.save.ticket}: ${entry.save.changes.map(({ table, op }) => `${table} ${op}`).join(', ')}`
		case 'event':
			return `  ${entry.name} ${JSON.stringify(entry.fields)}`
		case 'note':
			return `· ${entry.who} ${entry.text}`
		case 'started':
			return `· gateway starts with ${entry.bound.length} devices`
		case 'killed':
			return '· gateway is killed'
		case 'commit-failed':
			return `· commit failed: ${entry.reason}`
		case 'threw':
			return `· THREW ${entry.error}`
		case 'fault':
			return `· FAULT (${entry.invariant}) ${entry.sentence}`
		default:
			return entry.kind
	}
}

function inShort(message: SipMessage): string {
	const { method, status, reason, cseqMethod, cseq, callId, via } = message
	const what = method === '' ? `${status} ${reason} (${cseqMethod})` : method
	return `${what} ${cseq} ${callId} ${via.branch}`
}

function name(world: World, peer: Endpoint): string {
	if (isPbx(peer)) return 'PBX'
	const handset = world.handsets.find(({ seenAs }) => seenAs.address === peer.address && seenAs.port === peer.port)
	return `${handset?.plan.name ?? ''}[${peer.address}:${peer.port}]`
}
