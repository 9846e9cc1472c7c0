/**
 * Is the app awake? OPTIONS on the flow of every device, and any answer to it (docs/architecture.md, "ping, pong").
 *
 * A ping is no transaction: it is not retransmitted, because a lost one counts as missed, and the device it belongs to
 * stands in its branch, so that thousands a second need no table.
 */
import { Deadline } from '../../lib/deadlines.ts'
import { request } from '../../sip/build.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { Due, Timed } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import { viaValue } from '../proxy/forward.ts'
import type { Device, Devices, DeviceWatcher } from '../registrar/devices.ts'
import { Probes } from './probes.ts'

/**
 * A background device that a push can wake is pinged this much more seldom: it is asleep, and answers only if iOS wakes
 * it for us. One that no push can wake has nothing but its pongs to be found by.
 */
export const BACKGROUND_SLOWDOWN = 6

/** Starts the branch of every ping. */
const PING_BRANCH = 'z9hG4bKping.'

/** Steps of the golden ratio spread any number of consecutive ids evenly over the interval. */
const GOLDEN_RATIO = 0.618_033_988_75

/** What is known of one device's pings. */
class Pinger implements Timed {
	readonly device: Device
	readonly #pings: Pings
	readonly next: Deadline<Due>
	readonly timeout: Deadline<Due>
	/** CSeq of the last ping. */
	sequence = 0
	/** No answer to the last ping yet. */
	waiting = false
	/** Pings in a row without a pong. */
	missed = 0

	constructor(pings: Pings, device: Device) {
		this.#pings = pings
		this.device = device
		this.next = new Deadline<Due>({ owner: this, event: 'ping' })
		this.timeout = new Deadline<Due>({ owner: this, event: 'missed' })
	}

	due(event: string, now: number): void {
		if (event === 'ping') this.#pings.ping(this, now)
		else this.#pings.missed(this, now)
	}
}

/** What pings ask and tell of other rooms. */
export interface PingRooms {
	/** The device has come to the foreground, or gone to the background. */
	reachChanged(device: Device): void
	/** Can a push reach it? */
	wakeable(device: Device): boolean
}

export class Pings implements DeviceWatcher {
	readonly #context: Context
	readonly #devices: Devices
	readonly #rooms: PingRooms
	readonly #pingers = new Map<number, Pinger>()
	readonly probes: Probes

	constructor(context: Context, devices: Devices, rooms: PingRooms) {
		this.#context = context
		this.#devices = devices
		this.#rooms = rooms
		this.probes = new Probes(context, (device, now) => this.#askNow(device, now))
	}

	deviceBound(device: Device, now: number): void {
		const { pingIntervalMs } = this.#context.settings
		if (pingIntervalMs === 0) return
		const pinger = new Pinger(this, device)
		/* the device may have had this id before, in this life or an earlier one: no branch comes twice (RFC 3261 §8.1.1.7) */
		pinger.sequence = this.#context.random32() >>> 2
		this.#pingers.set(device.id, pinger)
		this.#context.deadlines.at(pinger.next, this.#turnOf(device, now))
	}

	deviceGone(device: Device): void {
		const pinger = this.#pingers.get(device.id)
		if (pinger === undefined) return
		this.#pingers.delete(device.id)
		this.#context.deadlines.disarm(pinger.next)
		this.#context.deadlines.disarm(pinger.timeout)
	}

	/** Is it the answer to a ping? Then it is a pong, whatever its status says. */
	isPong(response: SipMessage): boolean {
		/* by the method first, one word for all its answers: nearly all that phones answer are calls */
		return response.cseqMethod === 'OPTIONS' && response.via.branch.startsWith(PING_BRANCH)
	}

	/** An answer to a ping, from the flow with this key. */
	pong(response: SipMessage, flowKey: string, now: number): void {
		const [id, sequence] = response.via.branch.slice(PING_BRANCH.length).split('.')
		const pinger = this.#pingers.get(Number.parseInt(id ?? '', 36))
		if (
			pinger === undefined ||
			pinger.device.flow.key !== flowKey ||
			Number.parseInt(sequence ?? '', 36) !== pinger.sequence
		)
			return
		this.#context.counters.pongs++
		this.seen(pinger.device, now)
	}

	/** Something came from the device itself: it is awake. True when that is news, which the caller then stores. */
	noteAwake(device: Device, now: number): boolean {
		device.heardAt = now
		const pinger = this.#pingers.get(device.id)
		if (pinger !== undefined) {
			pinger.waiting = false
			pinger.missed = 0
			this.#context.deadlines.disarm(pinger.timeout)
		}
		if (device.reach === 'foreground') return false
		device.reach = 'foreground'
		if (pinger !== undefined) this.#context.deadlines.at(pinger.next, this.#turnOf(device, now))
		this.#context.event('device-foreground', { agent: device.agent.aor, device: device.id })
		this.#rooms.reachChanged(device)
		return true
	}

	/** The next moment that is this device's: devices that bind or wake together are not pinged together. */
	#turnOf(device: Device, now: number): number {
		const { pingIntervalMs } = this.#context.settings
		const phaseMs = Math.floor(((device.id * GOLDEN_RATIO) % 1) * pingIntervalMs)
		const sinceMs = (now - phaseMs) % pingIntervalMs
		return now + pingIntervalMs - sinceMs
	}

	seen(device: Device, now: number): void {
		if (this.noteAwake(device, now))
			this.#context.save([{ table: 'device', op: 'reach', id: device.id, reach: 'foreground' }])
		this.probes.heard(device, now)
	}

	/** It did not answer: the next call wakes it. */
	asleep(device: Device): void {
		if (device.reach === 'background') return
		device.reach = 'background'
		device.awaitWord()
		this.#context.save([{ table: 'device', op: 'reach', id: device.id, reach: 'background' }])
		this.#context.event('device-background', { agent: device.agent.aor, device: device.id })
		this.#rooms.reachChanged(device)
	}

	/** Its connection is closed. */
	cut(device: Device, now: number): void {
		this.asleep(device)
		this.probes.lost(device, now)
	}

	/** @internal */
	ping(pinger: Pinger, now: number): void {
		const { device } = pinger
		/* there is nothing to ask it by: its next turn comes when it registers */
		if (device.isCut) return
		this.#ask(pinger, now)
		this.#context.deadlines.after(pinger.next, now, this.#intervalOf(device))
	}

	/** Out of its turn. A ping that waits for its pong is repeated as it is: the pong to either copy counts. */
	#askNow(device: Device, now: number): void {
		const pinger = this.#pingers.get(device.id)
		if (pinger === undefined) return
		if (!pinger.waiting) this.#ask(pinger, now)
		else if (!this.#context.isReliable(device.flow)) this.#send(pinger)
	}

	#ask(pinger: Pinger, now: number): void {
		pinger.sequence++
		pinger.waiting = true
		pinger.device.awaitWord()
		this.#send(pinger)
		this.#context.deadlines.after(pinger.timeout, now, this.#context.settings.pingTimeoutMs)
	}

	#send(pinger: Pinger): void {
		this.#context.counters.pingsSent++
		this.#context.send(pinger.device.flow, this.#options(pinger))
	}

	/** @internal */
	missed(pinger: Pinger, now: number): void {
		if (!pinger.waiting || this.#devices.device(pinger.device.id) !== pinger.device) return
		pinger.waiting = false
		if (++pinger.missed < this.#context.settings.pingMisses || pinger.device.reach === 'background') return
		this.asleep(pinger.device)
		if (this.#rooms.wakeable(pinger.device))
			this.#context.deadlines.after(pinger.next, now, this.#intervalOf(pinger.device))
	}

	#intervalOf(device: Device): number {
		const { pingIntervalMs } = this.#context.settings
		const isSlow = device.reach === 'background' && this.#rooms.wakeable(device)
		return isSlow ? pingIntervalMs * BACKGROUND_SLOWDOWN : pingIntervalMs
	}

	#options({ device, sequence }: Pinger): Uint8Array {
		const host = this.#context.host(device.flow.listener)
		const id = device.id.toString(36)
		return request({
			method: 'OPTIONS',
			uri: device.target,
			via: viaValue(this.#context, device.flow.listener, `${PING_BRANCH}${id}.${sequence.toString(36)}`),
			from: `<sip:gateway@${host}>;tag=${id}`,
			to: `<${device.agent.aor}>`,
			callId: `ping-${device.routeToken}`,
			cseq: sequence,
			rows: [['User-Agent', this.#context.settings.userAgent]],
		})
	}
}
