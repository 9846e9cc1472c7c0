/**
 * Pushes that are no calls: an alert for a message, a background push for whatever else a sleeping phone should come
 * back for. An iPhone gets them to its ordinary token, never to its VoIP token: iOS ends an app that gets a VoIP push and
 * shows no call. FCM has one token for all.
 */
import { Bucket, type BucketLimits } from '../../lib/bucket.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { Context } from '../context.ts'
import type { PushEffect, PushKind } from '../effects.ts'
import type { PushOutcome, PushResultInput } from '../inputs.ts'
import type { PushParams, PushProvider } from '../model.ts'
import type { Device, Devices } from '../registrar/devices.ts'
import { bundleOf, hasOneToken, isComplete } from '../registrar/push-params.ts'
import { alertPayloads, COME_BACK, type Payloads } from './notice-payload.ts'
import { tokenDied } from './pushes.ts'

/** Alerts to one device: a lively conversation, and no more than its owner would bear. */
export const ALERT_LIMITS: BucketLimits = { burst: 10, perSecond: 0.2 }

/** Background pushes to one device: Apple asks for no more than two or three an hour, and delays what is more. */
export const BACKGROUND_LIMITS: BucketLimits = { burst: 3, perSecond: 3 / 3600 }

/** An alert is worth showing for an hour: the message itself waits at its server. */
export const ALERT_LIFE_MS = 3_600_000

/** Who waits for the answer. */
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

export class Notices {
	readonly #context: Context
	readonly #devices: Devices
	readonly #tokenDied: (device: Device) => void
	/** Without an answer, by push id. */
	readonly #out = new Map<string, Notice>()
	/** Ordinary tokens that are dead, by device: the VoIP token beside one may live. */
	readonly #dead = new Map<number, string>()
	readonly #rates = new Map<number, Rates>()

	/** @param tokenDied told when the token of a device is dead for its calls, too */
	constructor(context: Context, devices: Devices, tokenDied: (device: Device) => void) {
		this.#context = context
		this.#devices = devices
		this.#tokenDied = tokenDied
	}

	/** Pushes that have no answer yet. */
	get unanswered(): number {
		return this.#out.size
	}

	/** Has it a token that may be pushed to? */
	reaches({ id, push, tokenDead }: Device): boolean {
		if (push?.remoteToken === undefined || !isComplete(push)) return false
		if (!this.#context.settings.providers.includes(push.provider) || (tokenDead && hasOneToken(push))) return false
		return this.#dead.size === 0 || this.#dead.get(id) !== push.remoteToken.reveal()
	}

	/** Somebody wrote to the agent. False where it cannot be told, or was told too often. */
	alert(device: Device, message: SipMessage, owner: NoticeOwner | undefined, now: number): boolean {
		if (!this.reaches(device) || !this.#ratesOf(device, now).alert.take(now)) return false
		this.#send(
			'alert',
			device,
			alertPayloads(providerOf(device), device.agent.aor, message),
			now + ALERT_LIFE_MS,
			owner,
		)
		return true
	}

	/** Something waits for it until `until`. False where it cannot be told, or was told too often. */
	comeBack(device: Device, until: number, now: number): boolean {
		if (!this.reaches(device) || !this.#ratesOf(device, now).background.take(now)) return false
		this.#send('background', device, COME_BACK[providerOf(device)], until, undefined)
		return true
	}

	/** RFC 8599 §5.5: its binding lapses soon. Once for each expiry (src/core/registrar/refresh.ts). */
	refresh(device: Device): void {
		if (!this.reaches(device)) return
		this.#send('background', device, COME_BACK[providerOf(device)], device.expiresAt, undefined)
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
		this.#context.event('push-sent', { push: pushId, agent: agent.aor, device: id, provider, token, kind })
	}

	#tell(pushId: string, notice: Notice, device: Device | undefined, outcome: PushOutcome, pushMs: number): void {
		const { kind, deviceId } = notice
		const { status } = outcome
		const provider = device?.push?.provider
		const fields = { push: pushId, agent: device?.agent.aor, device: deviceId, provider, status, pushMs, kind }
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
		} else if (tokenDied(outcome, device.registeredAt)) {
			if (hasOneToken(push)) this.#tokenDied(device)
			else this.#dead.set(device.id, token)
		}
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

function providerOf({ push }: Device): PushProvider {
	return (push as PushParams).provider
}
