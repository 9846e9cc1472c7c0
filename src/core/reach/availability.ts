/**
 * Can a call reach the agent? The PBX asks it by OPTIONS (Asterisk's qualify), and the contact centre is told when it
 * changes. Looked at only where something of a device has changed, never for a packet.
 */
import { Lru } from '../../lib/lru.ts'
import type { Context } from '../context.ts'
import type { Agent, Device, Devices } from '../registrar/devices.ts'

/** Agents known to be out of reach, about 150 bytes each: the twenty thousand of the largest PBX, and none for ever. */
export const MAX_UNREACHABLE = 20_000

/** What is asked of other rooms about a device. */
export interface Judges {
	/** Can a push reach it? */
	wakeable(device: Device): boolean
	/** Have its last pushes woken nobody? */
	isSuspect(device: Device): boolean
}

export class Availability {
	readonly #context: Context
	readonly #judges: Judges
	/** Told to be out of reach, and not back since, by AoR. */
	readonly #unreachable = new Lru<string, true>(MAX_UNREACHABLE)
	/** While the devices of the store are bound nothing is told: it was, before the restart. */
	#begun = false

	constructor(context: Context, judges: Judges) {
		this.#context = context
		this.#judges = judges
	}

	/** The devices of the store are bound. */
	begin(devices: Devices): void {
		this.#begun = true
		for (const agent of devices.agents) if (!this.isReachable(agent)) this.#unreachable.set(agent.aor, true)
	}

	/**
	 * A call would be offered to it: it is awake, or a push can be tried. Without pings nobody knows who is awake, so
	 * what cannot be woken is called directly.
	 */
	isCallable(device: Device): boolean {
		if (device.reach === 'foreground' || this.#judges.wakeable(device)) return true
		return this.#context.settings.pingIntervalMs === 0 && !device.isCut
	}

	/** What the PBX is told: a device whose last pushes woke nobody is called, but not counted on. */
	isReachable({ devices }: Agent): boolean {
		return devices.some((device) => this.#isReliable(device))
	}

	#isReliable(device: Device): boolean {
		if (!this.isCallable(device)) return false
		const isAwake = this.#context.settings.pingIntervalMs > 0 && device.reach === 'foreground'
		return isAwake || !this.#judges.isSuspect(device)
	}

	/** Something of one of its devices has changed. */
	changed(agent: Agent): void {
		if (!this.#begun) return
		const { aor } = agent
		const wasReachable = this.#unreachable.peek(aor) === undefined
		const isReachable = this.isReachable(agent)
		if (wasReachable === isReachable) return
		if (isReachable) {
			this.#unreachable.delete(aor)
			this.#context.event('agent-back', { agent: aor })
		} else this.#lost(aor, this.#why(agent))
	}

	/** A device is bound no more, because its time was up or because it signed off. */
	deviceGone({ agent, expiresAt }: Device, now: number): void {
		if (agent.devices.length > 0) return this.changed(agent)
		/* who signs off means it, and the PBX knows; one told to be out of reach is back when it registers again */
		if (expiresAt <= now && this.#unreachable.peek(agent.aor) === undefined) this.#lost(agent.aor, 'expired')
	}

	#lost(aor: string, reason: string): void {
		this.#unreachable.set(aor, true)
		this.#context.event('agent-unreachable', { agent: aor, reason })
	}

	/** What speaks loudest: a device that ought to be mended, before one that only sleeps. */
	#why({ devices }: Agent): string {
		if (devices.some((device) => this.#judges.isSuspect(device))) return 'suspect'
		return devices.some(({ tokenDead }) => tokenDead) ? 'token-dead' : 'asleep'
	}
}
