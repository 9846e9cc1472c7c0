/**
 * Pushes that were accepted and woke nobody. Apple stops delivering VoIP pushes to an app that lets too many pass
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

	/** Has the device given a sign of life since the push? */
	get isHeard(): boolean {
		return this.device.seenAt > this.since || this.device.askedAt > this.since
	}

	due(): void {
		this.#suspicion.over(this)
	}
}

export class Suspicion {
	readonly #context: Context
	readonly #devices: Devices
	readonly #changed: (device: Device) => void
	/** Pushes that may still wake their device. */
	readonly #vigils = new Map<Device, Vigil[]>()

	/** @param changed told when a device has become suspect, or is trusted again */
	constructor(context: Context, devices: Devices, changed: (device: Device) => void) {
		this.#context = context
		this.#devices = devices
		this.#changed = changed
	}

	/** Pushes whose wake is still awaited. */
	get awaited(): number {
		let count = 0
		for (const vigils of this.#vigils.values()) count += vigils.length
		return count
	}

	/** Have the last `--suspect-after` pushes woken nobody? */
	isSuspect({ missedWakes }: Device): boolean {
		const { suspectAfter } = this.#context.settings
		return suspectAfter > 0 && missedWakes >= suspectAfter
	}

	/** A push was accepted that went out at `since`; its time is up at `until`. Both in ms. */
	watch(device: Device, since: number, until: number): void {
		const vigil = new Vigil(this, device, since)
		const vigils = this.#vigils.get(device)
		if (vigils === undefined) this.#vigils.set(device, [vigil])
		else vigils.push(vigil)
		this.#context.deadlines.at(vigil.deadline, until)
	}

	/** It registered, answered a ping after it had not, or its app declined a call. */
	alive(device: Device): void {
		this.#endVigils(device)
		if (device.missedWakes === 0) return
		const wasSuspect = this.isSuspect(device)
		this.#count(device, 0)
		if (!wasSuspect) return
		this.#context.event('device-trusted', { agent: device.agent.aor, device: device.id })
		this.#changed(device)
	}

	/** @internal */
	over(vigil: Vigil): void {
		const { device } = vigil
		this.#forget(device, vigil)
		if (this.#devices.device(device.id) !== device || vigil.isHeard) return
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

	/** Those that the device has been heard of since: at a thousand calls a second they would be eighty thousand. */
	#endVigils(device: Device): void {
		for (const vigil of this.#vigils.get(device)?.filter(({ isHeard }) => isHeard) ?? []) {
			this.#context.deadlines.disarm(vigil.deadline)
			this.#forget(device, vigil)
		}
	}

	#forget(device: Device, vigil: Vigil): void {
		const left = this.#vigils.get(device)?.filter((other) => other !== vigil) ?? []
		if (left.length === 0) this.#vigils.delete(device)
		else this.#vigils.set(device, left)
	}

	#count(device: Device, missedWakes: number): void {
		device.missedWakes = missedWakes
		this.#context.save([{ table: 'device', op: 'missed-wakes', id: device.id, missedWakes }])
	}
}
