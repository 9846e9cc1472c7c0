/**
 * RFC 8599 §5.5: a phone that sleeps cannot refresh its binding, so it is pushed to before that lapses. Only by a background
 * push to an ordinary token: a phone with a VoIP token alone asks for a long expiry instead.
 */
import { Bucket, type BucketLimits } from '../../lib/bucket.ts'
import { Deadline } from '../../lib/deadlines.ts'
import type { Due, Timed } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Device, Devices } from './devices.ts'

/** RFC 8599 §5.5: at least 120 s before the binding lapses; half a minute for a phone that refreshes by itself to come late. */
export const REFRESH_BEFORE_MS = 150_000

/**
 * After a restart nobody knows whether the push above went out. Then this is the time for it: a phone that was pushed to has long
 * registered, one that was not still can, and however often the gateway starts there is one more push at most.
 */
export const REFRESH_LATE_MS = 60_000

/** A shorter binding would be pushed for again as soon as it was refreshed, and Apple takes no more than a few an hour. */
export const LEAST_REFRESHED_MS = 2 * REFRESH_BEFORE_MS

/** Refresh pushes of all devices: those that registered in the same minute must not stand in the way of calls. */
export const REFRESH_LIMITS: BucketLimits = { burst: 20, perSecond: 20 }

/** How long one waits that found too many before it. */
const AGAIN_MS = 1_000

/** Who can be told. */
export interface RefreshNotices {
	reaches(device: Device): boolean
	refresh(device: Device): void
}

export class RefreshPushes implements Timed {
	readonly #context: Context
	readonly #devices: Devices
	readonly #notices: RefreshNotices
	readonly #deadlines = new Map<number, Deadline<Due>>()
	#rate: Bucket | undefined = undefined

	constructor(context: Context, devices: Devices, notices: RefreshNotices) {
		this.#context = context
		this.#devices = devices
		this.#notices = notices
	}

	/** A binding of the store, at the start. */
	takenUp(device: Device, now: number): void {
		if (now < device.expiresAt - REFRESH_BEFORE_MS) return this.registered(device, now)
		const late = device.expiresAt - REFRESH_LATE_MS
		if (now < late && this.#isFor(device)) this.#at(device, late)
	}

	/** Bound anew or refreshed. The deadline stays where it is and is looked at when it comes. */
	registered(device: Device, now: number): void {
		if (!this.#isFor(device)) return this.deviceGone(device)
		const at = Math.max(now + 1, device.expiresAt - REFRESH_BEFORE_MS)
		const known = this.#deadlines.get(device.id)
		if (!known?.armed || known.at > at) this.#at(device, at)
	}

	deviceGone({ id }: Device): void {
		const deadline = this.#deadlines.get(id)
		if (deadline === undefined) return
		this.#context.deadlines.disarm(deadline)
		this.#deadlines.delete(id)
	}

	due(event: string, now: number): void {
		const device = this.#devices.device(Number(event))
		if (device === undefined || !this.#isFor(device)) return
		const dueAt = device.expiresAt - REFRESH_BEFORE_MS
		if (now < dueAt) return this.#at(device, dueAt)
		this.#rate ??= new Bucket(REFRESH_LIMITS, now)
		if (this.#rate.take(now)) this.#notices.refresh(device)
		else this.#at(device, now + AGAIN_MS)
	}

	#isFor(device: Device): boolean {
		return (
			device.push?.dialect === 'rfc8599' &&
			device.expiresAt - device.registeredAt >= LEAST_REFRESHED_MS &&
			this.#notices.reaches(device)
		)
	}

	#at({ id }: Device, at: number): void {
		let deadline = this.#deadlines.get(id)
		if (deadline === undefined) {
			deadline = new Deadline<Due>({ owner: this, event: `${id}` })
			this.#deadlines.set(id, deadline)
		}
		this.#context.deadlines.at(deadline, at)
	}
}
