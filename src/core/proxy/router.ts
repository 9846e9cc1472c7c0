/** RFC 3261 §16.4: whose request is it, is it new, and which way does it go? */
import type { SipMessage } from '../../sip/message.ts'
import type { Transactions } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Filter } from '../filter/filter.ts'
import type { Flow } from '../model.ts'
import type { PbxRequests } from '../pbx/hops.ts'
import type { BoundFlow, Device, Devices } from '../registrar/devices.ts'
import type { Calls } from '../wake/calls.ts'
import type { Notices } from '../wake/notices.ts'
import { Passes } from './passes.ts'
import { type OwnAddresses, ownRoute } from './route.ts'
import { ToDevice } from './to-device.ts'
import { ToPbx } from './to-pbx.ts'

export class Router {
	readonly #devices: Devices
	readonly #own: OwnAddresses
	readonly #passes: Passes
	readonly #toDevice: ToDevice
	readonly #toPbx: ToPbx

	constructor(
		context: Context,
		transactions: Transactions,
		devices: Devices,
		filter: Filter,
		calls: Calls,
		own: OwnAddresses,
		notices: Notices,
		pbx: PbxRequests,
	) {
		this.#devices = devices
		this.#own = own
		this.#passes = new Passes(context, transactions, filter, calls)
		this.#toDevice = new ToDevice(context, devices, calls, own, this.#passes, notices)
		this.#toPbx = new ToPbx(context, filter, calls, own, this.#passes, pbx)
	}

	/** INVITEs that pass and have no final response yet. */
	get unfinished(): number {
		return this.#passes.unfinished
	}

	get pending(): ToDevice['pending'] {
		return this.#toDevice.pending
	}

	/** The gateway goes. */
	end(now: number): void {
		this.#passes.end(now)
		this.#toDevice.end(now)
	}

	/** A device's REGISTER was accepted and stored. */
	deviceRegistered(device: Device, now: number): void {
		this.#toDevice.deviceRegistered(device, now)
	}

	/** The connection of this device is closed. */
	connectionLost(device: Device, now: number): void {
		this.#toDevice.connectionLost(device, now)
	}

	fromPbx(request: SipMessage, source: Flow, now: number): void {
		if (this.#passes.absorbed(request, now) || this.#passes.cancelled(request, source, false, now)) return
		const route = ownRoute(request, this.#own)
		if (request.method === 'ACK') return this.#toDevice.ack(request, source, route)
		if (this.refuse(request, source, now, route.strictUri)) return
		if (request.toTag !== '') return this.#toDevice.within(request, source, route, now)
		this.#toDevice.start(request, source, now)
	}

	fromAgent(request: SipMessage, bound: BoundFlow, now: number): void {
		if (this.#passes.absorbed(request, now) || this.#passes.cancelled(request, bound.flow, true, now)) return
		const route = ownRoute(request, this.#own)
		const device = route.token === '' ? undefined : this.#devices.byRouteToken(route.token)
		if (request.toTag !== '' && device !== undefined) return this.#toPbx.within(request, bound, device, route, now)
		if (request.method === 'ACK') return
		if (this.refuse(request, bound.flow, now, route.strictUri)) return
		if (request.toTag !== '') return this.#passes.refuse(request, bound.flow, 403, now)
		this.#toPbx.start(request, bound, route, now)
	}

	/** RFC 3261 §16.3: answers what must not be forwarded; true when it did. */
	refuse(request: SipMessage, source: Flow, now: number, strictUri?: string): boolean {
		return this.#passes.refused(request, source, now, strictUri)
	}
}
