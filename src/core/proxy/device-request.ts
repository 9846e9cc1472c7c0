/** One request for one device: until it is answered it follows the device to its newest flow. */
import { Deadline } from '../../lib/deadlines.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { Due, Timed } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Flow } from '../model.ts'
import type { Device } from '../registrar/devices.ts'
import type { Pass, PassObserver } from './pass.ts'
import type { OwnRoute } from './route.ts'

/**
 * How long a request in a dialog waits for a sleeping device, where `--hold` is not shorter. The one who asks waits 32 s
 * (RFC 3261 §17.1.2.2, timer F), and the phone needs some of them to answer.
 */
export const DIALOG_HOLD_MS = 20_000

/** In a dialog RFC 8599 §6 asks for a status that ends the transaction alone; RFC 5057 §5.1 counts 480 among those that end more. */
const ASLEEP = { status: 500, reason: 'Device Asleep' } as const

export interface DeviceRequests {
	readonly context: Context
	/** The request as it goes to the device where it is now. */
	bytesFor(asked: DeviceRequest, device: Device): Uint8Array
	ended(asked: DeviceRequest, now: number): void
}

export class DeviceRequest implements PassObserver, Timed {
	readonly request: SipMessage
	readonly source: Flow
	readonly route: OwnRoute
	readonly branch: string
	readonly deviceId: number
	readonly #requests: DeviceRequests
	#pass: Pass | undefined = undefined
	#flowKey = ''
	#patience: Deadline<Due> | undefined = undefined

	constructor(
		requests: DeviceRequests,
		request: SipMessage,
		source: Flow,
		route: OwnRoute,
		branch: string,
		deviceId: number,
	) {
		this.#requests = requests
		this.request = request
		this.source = source
		this.route = route
		this.branch = branch
		this.deviceId = deviceId
	}

	send(pass: Pass, device: Device, now: number): void {
		this.#pass = pass
		this.#flowKey = device.flow.key
		pass.forward(this.branch, this.#requests.bytesFor(this, device), device.flow, now)
	}

	/** It waits for its device to come back. */
	get isHeld(): boolean {
		return this.#patience !== undefined
	}

	/** In a dialog, where the device sleeps: it has this long to come back. */
	holdFor(ms: number, now: number): void {
		this.#requests.context.counters.requestsHeld++
		if (this.#pass !== undefined) this.#pass.isHeld = true
		this.#patience = new Deadline<Due>({ owner: this, event: 'asleep' })
		this.#requests.context.deadlines.after(this.#patience, now, ms)
	}

	/** The device's REGISTER was accepted and stored. */
	registered(device: Device, now: number): void {
		/* a refresh where it is: what was sent there is under way */
		if (this.#patience === undefined && device.flow.key === this.#flowKey) return
		this.#flowKey = device.flow.key
		this.#disarm()
		this.#pass?.follow(this.#requests.bytesFor(this, device), device.flow, now)
	}

	answered(_status: number, _answer: SipMessage | undefined, now: number): void {
		this.#disarm()
		this.#requests.ended(this, now)
	}

	due(_event: string, now: number): void {
		this.#patience = undefined
		this.#pass?.giveUp(ASLEEP.status, ASLEEP.reason, now)
	}

	#disarm(): void {
		if (this.#patience !== undefined) this.#requests.context.deadlines.disarm(this.#patience)
		this.#patience = undefined
	}
}
