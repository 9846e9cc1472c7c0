/**
 * Is the device awake at this moment? A call comes, and its last pong is old: it is asked at once, asked again in case
 * UDP lost that, and taken for asleep when nothing at all came back.
 */
import { Deadline } from '../../lib/deadlines.ts'
import type { Due, Timed } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Device } from '../registrar/devices.ts'

/** How long a call waits for a pong before it wakes the phone: two round trips of a poor mobile network. */
export const PROBE_MS = 600

/** The ping goes out once more after this, for UDP loses one: the copy still has a round trip left. */
export const PROBE_AGAIN_MS = 250

/** Who wants to know. Exactly one of the two is called, unless it is forgotten before. */
export interface Prober {
	heard(now: number): void
	unheard(now: number): void
}

/** All that ask about one device share its probe. */
class Probe implements Timed {
	readonly device: Device
	readonly probers = new Set<Prober>()
	readonly next: Deadline<Due>
	/** The copy is due first, then the end. */
	askedTwice = false
	readonly #probes: Probes

	constructor(probes: Probes, device: Device) {
		this.#probes = probes
		this.device = device
		this.next = new Deadline<Due>({ owner: this, event: 'probe' })
	}

	due(_event: string, now: number): void {
		this.#probes.due(this, now)
	}
}

export class Probes {
	readonly #context: Context
	readonly #ask: (device: Device, now: number) => void
	readonly #byDevice = new Map<Device, Probe>()

	/** @param ask sends the device a ping, the same one again where it has not answered the last */
	constructor(context: Context, ask: (device: Device, now: number) => void) {
		this.#context = context
		this.#ask = ask
	}

	begin(device: Device, prober: Prober, now: number): void {
		const known = this.#byDevice.get(device)
		if (known !== undefined) {
			known.probers.add(prober)
			return
		}
		const probe = new Probe(this, device)
		probe.probers.add(prober)
		this.#byDevice.set(device, probe)
		device.awaitWord()
		this.#context.counters.probes++
		this.#ask(device, now)
		this.#context.deadlines.after(probe.next, now, PROBE_AGAIN_MS)
	}

	/** It no longer wants to know. */
	forget(device: Device, prober: Prober): void {
		const probe = this.#byDevice.get(device)
		if (probe === undefined) return
		probe.probers.delete(prober)
		if (probe.probers.size === 0) this.#remove(probe)
	}

	/** Something came from the device. */
	heard(device: Device, now: number): void {
		const probe = this.#byDevice.get(device)
		if (probe === undefined) return
		this.#remove(probe)
		for (const prober of probe.probers) prober.heard(now)
	}

	/** Its connection is closed: it will not answer. */
	lost(device: Device, now: number): void {
		const probe = this.#byDevice.get(device)
		if (probe !== undefined) this.#over(probe, now)
	}

	/** @internal */
	due(probe: Probe, now: number): void {
		if (!probe.askedTwice) {
			probe.askedTwice = true
			this.#ask(probe.device, now)
			return this.#context.deadlines.after(probe.next, now, PROBE_MS - PROBE_AGAIN_MS)
		}
		this.#over(probe, now)
	}

	#over(probe: Probe, now: number): void {
		this.#remove(probe)
		for (const prober of probe.probers) prober.unheard(now)
	}

	#remove(probe: Probe): void {
		this.#byDevice.delete(probe.device)
		this.#context.deadlines.disarm(probe.next)
	}
}
