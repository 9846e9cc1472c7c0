/**
 * Pushes that APNs accepted and that woke nobody. Apple stops delivering VoIP pushes to an app that lets too many pass
 * without showing a call, and says so to nobody: a token may be good and its phone deaf all the same.
 */
import { Deadline } from '../../lib/deadlines.ts'
import type { Due, Timed } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Device, Devices } from '../registrar/devices.ts'

/** One accepted push: did the device give a sign of life before its time was up? */
class Vigil implements Timed {
	readonly device: Device
	/** When the push went out, ms. */
	readonly since: number
	readonly deadline: Deadline<Due>
	readonly #suspicion: Suspicion

	constructor(suspicion: Suspicion, device: Device, since: number) {
		this.#suspicion = suspicion
		this.device = device
		this.since = since
		this.deadline = new Deadline<Due>({ owner: this, event: 'unwoken' })
	}

	due(): void {
		this.#suspicion.over(this)
	}
}

export class Suspicion {
	readonly #context: Context
	readonly #devices: Devices
	readonly #changed: (device: Device) => void

	/** @param changed told when a device has become suspect, or is trusted again */
	constructor(context: Context, devices: Devices, changed: (device: Device) => void) {
		this.#context = context
		this.#devices = devices
		this.#changed = changed
	}

	/** Have the last `--suspect-after` pushes woken nobody? */
	isSuspect({ missedWakes }: Device): boolean {
		const { suspectAfter } = this.#context.settings
		return suspectAfter > 0 && missedWakes >= suspectAfter
	}

	/** APNs took a push that went out at `since`; its time is up at `until`. Both in ms. */
	watch(device: Device, since: number, until: number): void {
		this.#context.deadlines.at(new Vigil(this, device, since).deadline, until)
	}

	/** It registered, answered a ping after it had not, or its app declined a call. */
	alive(device: Device): void {
		if (device.missedWakes === 0) return
		const wasSuspect = this.isSuspect(device)
		this.#count(device, 0)
		if (!wasSuspect) return
		this.#context.event('device-trusted', { agent: device.agent.aor, device: device.id })
		this.#changed(device)
	}

	/** @internal */
	over({ device, since }: Vigil): void {
		if (this.#devices.device(device.id) !== device) return
		if (device.seenAt > since || device.askedAt > since) return
		const wasSuspect = this.isSuspect(device)
		this.#context.counters.wakesMissed++
		this.#count(device, device.missedWakes + 1)
		if (wasSuspect || !this.isSuspect(device)) return
		this.#context.event('device-suspect', {
			agent: device.agent.aor,
			device: device.id,
			missedWakes: device.missedWakes,
		})
		this.#changed(device)
	}

	#count(device: Device, missedWakes: number): void {
		device.missedWakes = missedWakes
		this.#context.save([{ table: 'device', op: 'missed-wakes', id: device.id, missedWakes }])
	}
}
