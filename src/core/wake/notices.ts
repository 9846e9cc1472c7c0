/**
 * Pushes that are no calls: an alert for a message, a background push for whatever else a sleeping phone should come
 * back for. They go to the ordinary token of the phone, never to its VoIP token: iOS ends an app that gets a VoIP push and
 * shows no call.
 */
import { Bucket, type BucketLimits } from '../../lib/bucket.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { Context } from '../context.ts'
import type { PushEffect, PushKind } from '../effects.ts'
import type { PushOutcome, PushResultInput } from '../inputs.ts'
import type { PushParams } from '../model.ts'
import type { Device, Devices } from '../registrar/devices.ts'
import { bundleOf } from '../registrar/push-params.ts'
import { callerOf, MAX_CALL_ID_LENGTH } from './payload.ts'
import { tokenDied } from './pushes.ts'

/** Alerts to one device: a lively conversation, and no more than its owner would bear. */
export const ALERT_LIMITS: BucketLimits = { burst: 10, perSecond: 0.2 }

/** Background pushes to one device: Apple asks for no more than two or three an hour, and delays what is more. */
export const BACKGROUND_LIMITS: BucketLimits = { burst: 3, perSecond: 3 / 3600 }

/** An alert is worth showing for an hour: the message itself waits at its server. */
export const ALERT_LIFE_MS = 3_600_000

/** The whole text of an alert: what the message says is nobody's business on a locked screen, nor Apple's. */
export const ALERT_BODY = 'New message'

/** Who waits for what APNs says. */
export interface NoticeOwner {
	noticed(deviceId: number, outcome: PushOutcome, now: number): void
}

interface Notice {
	readonly kind: PushKind
	readonly deviceId: number
	readonly token: string
	readonly owner: NoticeOwner | undefined
}

interface Rates {
	readonly alert: Bucket
	readonly background: Bucket
}

interface Payloads {
	readonly payload: string
	readonly minimalPayload: string
}

const COME_BACK: Payloads = same(JSON.stringify({ aps: { 'content-available': 1 } }))

export class Notices {
	readonly #context: Context
	readonly #devices: Devices
	/** Without an answer of APNs, by push id. */
	readonly #out = new Map<string, Notice>()
	/** Ordinary tokens that APNs called dead, by device: the VoIP token beside one may live. */
	readonly #dead = new Map<number, string>()
	readonly #rates = new Map<number, Rates>()

	constructor(context: Context, devices: Devices) {
		this.#context = context
		this.#devices = devices
	}

	/** Pushes that APNs has not answered yet. */
	get unanswered(): number {
		return this.#out.size
	}

	/** Has it an ordinary token that may be pushed to? */
	reaches({ id, push }: Device): boolean {
		if (push?.remoteToken === undefined || push.topic === '' || !this.#context.settings.pushEnabled) return false
		return this.#dead.size === 0 || this.#dead.get(id) !== push.remoteToken.reveal()
	}

	/** Somebody wrote to the agent. False where it cannot be told, or was told too often. */
	alert(device: Device, message: SipMessage, owner: NoticeOwner | undefined, now: number): boolean {
		if (!this.reaches(device) || !this.#ratesOf(device, now).alert.take(now)) return false
		this.#send('alert', device, alertOf(device, message), now + ALERT_LIFE_MS, owner)
		return true
	}

	/** Something waits for it until `until`. False where it cannot be told, or was told too often. */
	comeBack(device: Device, until: number, now: number): boolean {
		if (!this.reaches(device) || !this.#ratesOf(device, now).background.take(now)) return false
		this.#send('background', device, COME_BACK, until, undefined)
		return true
	}

	/** RFC 8599 §5.5: its binding lapses soon. Once for each expiry (src/core/registrar/refresh.ts). */
	refresh(device: Device): void {
		if (this.reaches(device)) this.#send('background', device, COME_BACK, device.expiresAt, undefined)
	}

	/** False where it was no push of these. */
	answered({ pushId, outcome, pushMs }: PushResultInput, now: number): boolean {
		const notice = this.#out.get(pushId)
		if (notice === undefined) return false
		this.#out.delete(pushId)
		const device = this.#devices.device(notice.deviceId)
		this.#tell(pushId, notice, device, outcome, pushMs)
		if (device !== undefined) this.#learn(device, notice, outcome)
		notice.owner?.noticed(notice.deviceId, outcome, now)
		return true
	}

	deviceGone({ id }: Device): void {
		this.#dead.delete(id)
		this.#rates.delete(id)
	}

	#send(kind: PushKind, { id, agent, push }: Device, payloads: Payloads, expiresAt: number, owner?: NoticeOwner): void {
		const { provider, environment, remoteToken } = push as PushParams
		const token = remoteToken!
		const pushId = this.#context.uuid()
		const topic = bundleOf(push!)
		const effect: PushEffect = {
			...{ type: 'push', kind, pushId, provider, environment, topic, token, expiresAt },
			...payloads,
		}
		this.#out.set(pushId, { kind, deviceId: id, token: token.reveal(), owner })
		this.#context.counters.noticesSent++
		this.#context.effects.push(effect)
		this.#context.event('push-sent', { push: pushId, agent: agent.aor, device: id, token, kind })
	}

	#tell(pushId: string, notice: Notice, device: Device | undefined, outcome: PushOutcome, pushMs: number): void {
		const { kind, deviceId } = notice
		const fields = { push: pushId, agent: device?.agent.aor, device: deviceId, status: outcome.status, pushMs, kind }
		if (outcome.kind === 'accepted') return this.#context.event('push-accepted', fields)
		this.#context.counters.noticesRefused++
		const hint = outcome.kind === 'misconfigured' ? outcome.hint : undefined
		/* never `push-misconfigured`: calls go by another topic, and the gateway stays ready for them */
		this.#context.event('push-refused', { ...fields, reason: outcome.reason, hint })
	}

	#learn(device: Device, { token }: Notice, outcome: PushOutcome): void {
		const { push } = device
		if (push?.remoteToken?.reveal() !== token) return
		if (outcome.kind === 'accepted' && push.environment !== outcome.environment) {
			device.push = { ...push, environment: outcome.environment }
			this.#context.save([{ table: 'device', op: 'environment', id: device.id, environment: outcome.environment }])
		} else if (tokenDied(outcome, device.registeredAt)) this.#dead.set(device.id, token)
	}

	#ratesOf({ id }: Device, now: number): Rates {
		let rates = this.#rates.get(id)
		if (rates === undefined) {
			rates = { alert: new Bucket(ALERT_LIMITS, now), background: new Bucket(BACKGROUND_LIMITS, now) }
			this.#rates.set(id, rates)
		}
		return rates
	}
}

/** Who wrote, and nothing of what. `content-available` and `mutable-content`: the app may come for it before anybody taps. */
function alertOf({ agent }: Device, message: SipMessage): Payloads {
	const { name, number } = callerOf(message)
	const aps = {
		alert: { title: name, body: ALERT_BODY },
		sound: 'default',
		'content-available': 1,
		'mutable-content': 1,
	}
	const callId = message.callId.length <= MAX_CALL_ID_LENGTH ? { callId: message.callId } : {}
	return {
		payload: JSON.stringify({ aps, ...callId, senderName: name, senderNumber: number, agent: agent.aor }),
		minimalPayload: JSON.stringify({ aps: { alert: { body: ALERT_BODY } } }),
	}
}

function same(payload: string): Payloads {
	return { payload, minimalPayload: payload }
}
