/**
 * How long each device takes to wake, from the push to the PBX's 2xx to its REGISTER, and so how long a call need wait
 * for it: a queue moves on sooner where a phone that has not come by then is not going to.
 */
import type { Context } from '../context.ts'
import type { Device } from '../registrar/devices.ts'
import type { HoldView } from '../snapshot.ts'

/** Wakes remembered of a device: a few days of a busy agent, so that a new phone or network is soon known. */
export const MAX_WAKES_KEPT = 16

/** With fewer wakes nothing is known, and a call waits for `--hold`. */
export const MIN_WAKES_TO_LEARN = 4

/** However quick the phone was so far: a cold start of the app on a poor network takes this long. */
export const MIN_HOLD_MS = 6_000

/** On top of the slow ones among the wakes: they were few, and the next may be slower. */
const MARGIN = 1.5

/** The nearest rank (of {@link MAX_WAKES_KEPT} at most it is the longest); undefined of none. */
export function p95Of(wakeTimes: readonly number[]): number | undefined {
	return [...wakeTimes].sort((a, b) => a - b)[Math.ceil(wakeTimes.length * 0.95) - 1]
}

/** How long a call waits for a device that took these times, ms; `mostMs` is `--hold`. */
export function learntHoldMs(wakeTimes: readonly number[], mostMs: number): number {
	const p95 = wakeTimes.length < MIN_WAKES_TO_LEARN ? undefined : p95Of(wakeTimes)
	return p95 === undefined ? mostMs : Math.min(mostMs, Math.max(MIN_HOLD_MS, Math.round(p95 * MARGIN)))
}

export class WakeTimes {
	readonly #context: Context

	constructor(context: Context) {
		this.#context = context
	}

	holdMs({ wakeTimes }: Device): number {
		return learntHoldMs(wakeTimes, this.#context.settings.holdMs)
	}

	woke(device: Device, wakeMs: number): void {
		/* late, but it came: what stood for it was a guess */
		this.#keep(device, device.overdue ? device.wakeTimes.slice(0, -1) : device.wakeTimes, wakeMs)
		device.overdue = false
	}

	/**
	 * The hold is over, and it has not come: this counts as a wake of `--hold`, so that the next calls wait that long
	 * again. Once, however many calls it sleeps through.
	 */
	missed(device: Device): void {
		if (device.overdue) return
		device.overdue = true
		this.#keep(device, device.wakeTimes, this.#context.settings.holdMs)
	}

	view(device: Device): HoldView {
		const { wakeTimes } = device
		return { holdMs: this.holdMs(device), samples: wakeTimes.length, p95Ms: p95Of(wakeTimes) }
	}

	#keep(device: Device, before: readonly number[], wakeMs: number): void {
		device.wakeTimes = [...before, wakeMs].slice(-MAX_WAKES_KEPT)
		this.#context.save([{ table: 'device', op: 'wake-times', id: device.id, wakeTimes: device.wakeTimes }])
	}
}
