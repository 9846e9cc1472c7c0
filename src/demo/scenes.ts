/** What the demo shows, one scene after the other, each with the checks it is for. */
import type { SipMessage } from '../sip/message.ts'
import { inWords } from './journal.ts'
import type { Call, UaEvent } from './party.ts'
import type { Caller } from './pbx.ts'
import type { Handset, Stage } from './stage.ts'
import { TOPIC } from './stage.ts'

export interface Scene {
	readonly title: string
	play(stage: Stage): Promise<void>
}

const CUSTOMER: Caller = { name: 'Maria Rossi', number: '+390612345678' }
/** Anna comes back on this address: her phone has left the Wi-Fi. */
const ANNA_ELSEWHERE = '127.0.0.22'
const HANG_UP = 'Q.850;cause=16;text="Normal call clearing"'

/* Limits of each wait, ms: what is promised is in the checks, these are for a machine that is busy. */
const MESSAGE_LIMIT_MS = 3000
const BACKGROUND_LIMIT_MS = 8000
/** "Within milliseconds", with room for a busy machine. */
const PROMPT_MS = 250
/* How long people take. */
const RING_MS = 300
const TALK_MS = 400
/** From push to the app's first line of code, on a phone in a pocket. */
const LAUNCH_MS = 700

export const SCENES: readonly Scene[] = [
	{ title: '1. Two agents register through the gateway', play: registers },
	{ title: '2. A call to Anna, whose app is in the foreground', play: foregroundCall },
	{ title: "3. Anna's app goes to sleep, a call wakes it, and it comes back from another address", play: wakingCall },
	{ title: '4. Bruno is woken and declines', play: declinedCall },
	{ title: '5. The caller gives up while Anna is asleep', play: abandonedCall },
	{ title: '6. Looking back', play: lookBack },
]

async function registers(stage: Stage): Promise<void> {
	for (const handset of [stage.anna, stage.bruno]) {
		handset.phone.register(stage.now())
		await event(stage, handset, 'registered', `${handset.name} registers`)
		const signed = handset.phone.recorded.filter(({ message }) => message.status === 401).length
		stage.journal.check(
			`${handset.name} registers, digest and all, and the 2xx names the app's own Contact`,
			signed === 1,
		)
		const contact = stage.pbx.binding(handset.user, stage.now())?.contact ?? 'none'
		const { address, port } = stage.gateway.sip
		const isOurs = contact.includes(`@${address}:${port}`) && !contact.includes('pn-')
		stage.journal.check("the PBX sees the gateway's Contact, without push parameters", isOurs, contact)
	}
}

async function foregroundCall(stage: Stage): Promise<void> {
	const { journal, anna, pbx, now } = stage
	const call = startCall(stage, anna)
	const incoming = await event(stage, anna, 'incoming', 'the INVITE reaches the awake app')
	journal.check(
		'an awake app gets the INVITE at once, without a push',
		stage.pushes.length === 0,
		took(call.startedAt, incoming),
	)
	await Bun.sleep(RING_MS)
	anna.phone.answer(now())
	await talks(stage, anna, 'the foreground call')
	anna.phone.hangup(now())
	await pbxEvent(stage, 'ended', "Anna's BYE reaches the PBX")
	journal.check('the agent hangs up, and the PBX knows', pbx.calls.current === undefined)
}

async function wakingCall(stage: Stage): Promise<void> {
	const { journal, anna, pbx, now } = stage
	const before = pbx.binding(anna.user, now())?.contact
	await fallsAsleep(stage, anna)
	const call = await heldCall(stage, anna)
	const endpoint = await anna.line.move(ANNA_ELSEWHERE)
	journal.note("Anna's app", `is started by the push, now at ${endpoint.address}`)
	anna.phone.wake(now(), endpoint, true)
	const incoming = await event(stage, anna, 'incoming', 'the held INVITE reaches the woken app')
	const registered = lastOut(stage, (message) => message.status === 200 && message.cseqMethod === 'REGISTER')
	const releaseMs = Math.round(incoming.at - registered)
	journal.check('the held INVITE follows the 2xx to the REGISTER at once', releaseMs < PROMPT_MS, `${releaseMs} ms`)
	journal.check('it is the call of the push', incoming.call.id === pushedCallId(stage), incoming.call.id)
	await Bun.sleep(RING_MS)
	anna.phone.answer(now())
	await talks(stage, anna, 'the woken call')
	pbx.hangup(call, now(), HANG_UP)
	await event(stage, anna, 'ended', "the caller's BYE finds the app on its new address")
	journal.check("the caller hangs up, and the BYE finds the app's new address", true)
	journal.check('exactly one INVITE came to the app', invitesOf(anna, incoming.call.id) === 1)
	const after = pbx.binding(anna.user, now())?.contact
	journal.check("Anna's Contact at the PBX is the same as before", after === before, after)
}

async function declinedCall(stage: Stage): Promise<void> {
	const { journal, bruno, now } = stage
	await fallsAsleep(stage, bruno)
	await heldCall(stage, bruno)
	journal.note("Bruno's app", 'is thawed by the push, where it was')
	bruno.phone.wake(now())
	await event(stage, bruno, 'incoming', 'the held INVITE reaches the woken app')
	await Bun.sleep(RING_MS)
	bruno.phone.decline(486, now())
	const failed = await pbxEvent(stage, 'failed', "Bruno's answer reaches the PBX")
	journal.check("the PBX gets the agent's own refusal", failed.status === 486, `${failed.status} ${failed.reason}`)
}

async function abandonedCall(stage: Stage): Promise<void> {
	const { journal, anna, pbx, now } = stage
	await fallsAsleep(stage, anna)
	const call = await heldCall(stage, anna)
	journal.note('caller', 'hangs up')
	const hungUpAt = now()
	pbx.cancel(call, now(), HANG_UP)
	const failed = await pbxEvent(stage, 'failed', 'the CANCEL is answered')
	const tookMs = Math.round(failed.at - hungUpAt)
	journal.check('a CANCEL while held brings 487 at once', failed.status === 487 && tookMs < PROMPT_MS, `${tookMs} ms`)
	await Bun.sleep(RING_MS)
	journal.note("Anna's app", 'is thawed by the push, too late')
	anna.phone.wake(now())
	await event(stage, anna, 'incoming', 'the INVITE of the lost call reaches the app')
	const cancelled = await event(stage, anna, 'cancelled', 'the CANCEL of the lost call reaches the app')
	journal.check(
		'the late app gets INVITE and CANCEL, with the Reason',
		cancelled.reason.includes('cause=16'),
		cancelled.reason,
	)
}

async function lookBack(stage: Stage): Promise<void> {
	const { journal, anna, bruno, pbx, pushes, apns } = stage
	journal.check('one push for each held call, and not one more', pushes.length === HELD_CALLS, pushes.length)
	journal.check('APNs refused nothing', apns.refusals.length === 0, apns.refusals.join(', '))
	const heard = [pbx, anna.phone, bruno.phone].flatMap((agent) => agent.recorded).filter(isIncoming)
	const faults = heard.flatMap(({ message }) => message.fault?.sentence ?? [])
	journal.check('every message of the gateway was well-formed', faults.length === 0, faults.join(', '))
	const leaks = pbx.recorded.filter(isIncoming).filter(({ message }) => /[;&]pn-/.test(text(message)))
	const leaky = [...new Set(leaks.map(({ message }) => inWords(message) ?? message.cseqMethod))]
	journal.check('no push parameter ever reached the PBX', leaky.length === 0, leaky.join(', '))
	const { gauges } = await stage.gateway.status()
	journal.check('no call is left behind', gauges.callsHeld + gauges.callsLive === 0)
}

/** Scenes 3, 4 and 5. */
const HELD_CALLS = 3

function startCall(stage: Stage, handset: Handset): Call {
	stage.pbxFeed.skip()
	handset.feed.skip()
	stage.journal.note('caller', `${CUSTOMER.name} calls ${handset.name}`)
	const call = stage.pbx.call(handset.user, CUSTOMER, stage.now())
	if (call === undefined) throw new Error(`${handset.name} has no Contact at the PBX`)
	return call
}

async function fallsAsleep(stage: Stage, handset: Handset): Promise<void> {
	const { journal } = stage
	const sleptAt = stage.now()
	handset.phone.sleep()
	journal.note(`${handset.name}'s app`, 'is frozen by its operating system')
	const isBackground = async () => (await stage.reach(handset)) === 'background'
	await stage.until(`the gateway notices that ${handset.name}'s app sleeps`, isBackground, BACKGROUND_LIMIT_MS)
	const noticedMs = Math.round(stage.now() - sleptAt)
	journal.note('gateway', `has missed the pongs of ${handset.name}'s app: background`)
	journal.check(`the gateway notices that ${handset.name}'s app sleeps`, true, `${noticedMs} ms`)
}

/** A call to a sleeping app: held while its push goes out. Resolves as the operating system starts the app. */
async function heldCall(stage: Stage, handset: Handset): Promise<Call> {
	const { journal, pushes, now } = stage
	const earlier = pushes.length
	const call = startCall(stage, handset)
	const push = await stage.until('the push goes out', () => pushes[earlier], MESSAGE_LIMIT_MS)
	const pushMs = Math.round(now() - call.startedAt)
	const payload = JSON.stringify(push.payload)
	const names = push.token === handset.token && push.topic === TOPIC && payload.includes(CUSTOMER.number)
	journal.check(`a VoIP push for ${handset.name}'s device goes out at once and names the caller`, names, `${pushMs} ms`)
	await Bun.sleep(LAUNCH_MS)
	const { calls } = await stage.gateway.status()
	const held = calls.filter(({ state }) => state === 'held').length
	const unanswered = call.state !== 'ended' && invitesOf(handset, call.id) === 0
	journal.check('the call is held meanwhile: no answer to the caller, no INVITE to the app', held === 1 && unanswered)
	return call
}

async function talks(stage: Stage, handset: Handset, what: string): Promise<void> {
	await event(stage, handset, 'answered', `${what} is acknowledged`)
	await pbxEvent(stage, 'answered', `${what} is answered at the PBX`)
	stage.journal.note('both', 'talk')
	stage.journal.check(`${what} is answered, and both talk`, true)
	await Bun.sleep(TALK_MS)
}

function event<T extends UaEvent['type']>(stage: Stage, handset: Handset, type: T, sentence: string) {
	return stage.until(sentence, () => handset.feed.take(type), MESSAGE_LIMIT_MS)
}

function pbxEvent<T extends UaEvent['type']>(stage: Stage, type: T, sentence: string) {
	return stage.until(sentence, () => stage.pbxFeed.take(type), MESSAGE_LIMIT_MS)
}

const isIncoming = ({ direction }: { direction: 'in' | 'out' }) => direction === 'in'

/** INVITEs of a call that came to the app as calls of their own, repeats left out. */
function invitesOf(handset: Handset, callId: string): number {
	const invites = handset.phone.recorded.filter(
		({ direction, message }) => direction === 'in' && message.method === 'INVITE' && message.callId === callId,
	)
	return new Set(invites.map(({ message }) => message.via.branch)).size
}

/** When the PBX last sent such a message. */
function lastOut(stage: Stage, is: (message: SipMessage) => boolean): number {
	return stage.pbx.recorded.findLast(({ direction, message }) => direction === 'out' && is(message))?.at ?? 0
}

function pushedCallId(stage: Stage): unknown {
	return (stage.pushes.at(-1)?.payload as { callId?: unknown } | undefined)?.callId
}

function took(since: number, { at }: { readonly at: number }): string {
	return `${Math.round(at - since)} ms`
}

function text(message: SipMessage): string {
	return new TextDecoder('latin1').decode(message.bytes)
}
