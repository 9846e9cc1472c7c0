/** RFC 3261 §16.5 and §16.6 for what an agent's phone asks: it goes to the PBX, and nowhere else. */
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import { hostPort, parseUri, type SipUri, uriParam, withoutParams } from '../../sip/uri.ts'
import type { Destination } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Filter, Name } from '../filter/filter.ts'
import type { PbxAddress } from '../inputs.ts'
import type { Flow } from '../model.ts'
import type { PbxRequests } from '../pbx/hops.ts'
import { defaultPort, type PbxTransport } from '../pbx/sides.ts'
import type { Target } from '../pbx/target.ts'
import type { Agent, BoundFlow, Device } from '../registrar/devices.ts'
import type { CallView } from '../snapshot.ts'
import type { Calls } from '../wake/calls.ts'
import { callerOf } from '../wake/payload.ts'
import {
	addRecordRoute,
	forwardEdit,
	masqueradeContact,
	needsRecordRoute,
	newBranch,
	stripPushParams,
	tellClient,
} from './forward.ts'
import { endingOf, type PassObserver } from './pass.ts'
import { type Passes, RETRY_SOON } from './passes.ts'
import { nextRoute, type OwnAddresses, type OwnRoute, removeOwnRoute, targetOf } from './route.ts'

export class ToPbx {
	readonly #context: Context
	readonly #filter: Filter
	readonly #calls: Calls
	readonly #own: OwnAddresses
	readonly #passes: Passes
	readonly #pbx: PbxRequests

	constructor(context: Context, filter: Filter, calls: Calls, own: OwnAddresses, passes: Passes, pbx: PbxRequests) {
		this.#context = context
		this.#filter = filter
		this.#calls = calls
		this.#own = own
		this.#passes = passes
		this.#pbx = pbx
	}

	/** Outside any dialog. */
	start(request: SipMessage, bound: BoundFlow, route: OwnRoute, now: number): void {
		const name = this.#filter.ownName(request, bound)
		if (name === undefined) return this.#ownNameViolation(request, bound, now)
		const device = bound.devices.get(name.aor)!
		const uri = targetOf(request, route)
		if (uri !== undefined && uri.user === undefined && this.#own.includes(uri)) {
			return this.#passes.refuse(request, bound.flow, request.method === 'OPTIONS' ? 200 : 404, now)
		}
		if (request.method === 'INVITE') {
			if (this.#context.draining) return this.#passes.refuse(request, bound.flow, 503, now, RETRY_SOON)
			this.#context.counters.callsFromAgents++
		}
		this.#forward(request, bound, device, route, this.#observe(request, name), now)
	}

	/** Within a dialog. */
	within(request: SipMessage, bound: BoundFlow, device: Device, route: OwnRoute, now: number): void {
		if (!bound.devices.has(device.agent.aor) || this.#isForeign(request, bound, device))
			return this.#ownNameViolation(request, bound, now)
		if (request.method !== 'ACK' && this.#passes.refused(request, bound.flow, now, route.strictUri)) return
		this.#forward(request, bound, bound.devices.get(device.agent.aor)!, route, endingOf(this.#calls, request), now)
	}

	#forward(
		request: SipMessage,
		bound: BoundFlow,
		device: Device,
		route: OwnRoute,
		observer: PassObserver | undefined,
		now: number,
	): void {
		const peer = request.toTag === '' ? undefined : this.#dialogPeer(request, route, device.agent)
		const machine = peer === undefined ? this.#machineFor(device.agent) : undefined
		const to = peer ?? machine?.to
		if (to === undefined) return this.#passes.refuse(request, bound.flow, 503, now)
		const branch = newBranch(this.#context, request)
		const asked: Asked = {
			request,
			flow: bound.flow,
			device,
			route,
			isWish: this.#filter.prefersAnother(request, bound),
		}
		if (request.method === 'ACK') return this.#context.send(to, this.#bytes(asked, to.listener, branch))
		const { aor } = device.agent
		/* a dialog lives in one machine, and nowhere else (RFC 3261 §12) */
		if (machine === undefined || request.toTag !== '') {
			const pass = this.#passes.pass(request, bound.flow, true, { stableContact: undefined, observer, aor })
			return pass.forward(branch, this.#bytes(asked, to.listener, branch), to, now, this.#pbx)
		}
		const bytesFor = (one: Target, own: string) => this.#bytes(asked, one.to.listener, own)
		const pass = this.#passes.pass(request, bound.flow, true, { stableContact: undefined, observer, aor, bytesFor })
		pass.ask(this.#pbx, branch, machine, now)
	}

	/** RFC 3261 §16.6 for a machine that is sent to by this listener or connector. */
	#bytes({ request, flow, device, route, isWish }: Asked, listener: number, branch: string): Uint8Array {
		const edit = forwardEdit(this.#context, request, flow, listener, branch)
		edit.uri(this.#pbxUri(route.strictUri ?? request.uri))
		removeOwnRoute(edit, request, route)
		if (needsRecordRoute(request.method))
			addRecordRoute(this.#context, edit, flow.listener, listener, device.routeToken)
		masqueradeContact(edit, request, this.#calls.stableContact(device.agent.aor, listener))
		/* RFC 3325 §6: identity asserted by a phone is no assertion */
		edit.remove(Header.PAssertedIdentity).remove(Header.RemotePartyId)
		if (isWish) edit.remove(Header.PPreferredIdentity)
		stripPushParams(edit, request)
		tellClient(this.#context, edit, flow)
		return edit.finish()
	}

	/** The one that has the agent's registration, while it lives; else the one that would get its REGISTER now. */
	#machineFor({ aor, home }: Agent): Target | undefined {
		return home?.usable ? home : this.#pbx.targets.pick(aor)
	}

	/** No open relay: the next hop the dialog names (RFC 3261 §16.6 step 6), where that one is of the PBX. */
	#dialogPeer(request: SipMessage, route: OwnRoute, agent: Agent): Destination | undefined {
		const made = this.#calls.liveAt(request.callId, agent.aor) ?? agent.home
		const hop = nextRoute(request, route)
		const named = hop === undefined ? undefined : this.#pbxAt(hop, made)
		return named ?? this.#pbxAt(route.strictUri ?? request.uri, made)
	}

	/** `made`: the machine of the dialog, where it is known, as several may share one name. */
	#pbxAt(text: string, made: PbxAddress | undefined): Destination | undefined {
		const uri = parseUri(text)
		if (uri === undefined) return undefined
		const { pbx } = this.#context
		const { targets } = this.#pbx
		const transport = transportOf(uri)
		const port = uri.port || defaultPort(transport)
		const way = targets.wayTo(uri.host, port, transport) ?? targets.named(uri.host, uri.port, made)?.to
		if (way !== undefined) return way
		if (this.#filter.isTrustedAddress(uri.host, port))
			return { listener: pbx.sender(transport) ?? pbx.sender('udp') ?? pbx.usual, address: uri.host, port }
		return targets.connectedAt(uri.host)?.to
	}

	/** A phone that dials `sip:600@gateway` means the domain. */
	#pbxUri(target: string): string {
		const uri = parseUri(target)
		if (uri?.user === undefined || !this.#own.includes(uri)) return target
		const password = uri.password === undefined ? '' : `:${uri.password}`
		const meant = `${uri.scheme}:${uri.user}${password}@${hostPort(this.#context.settings.domain, 0)}${uri.params}`
		/* RFC 3261 §16.4: a maddr that names us has brought it here, and leads nowhere else */
		return withoutParams(meant, (name) => name === 'maddr')
	}

	/** A made-up dialog must not carry another's name; in a live one From is whatever the PBX called. */
	#isForeign(request: SipMessage, bound: BoundFlow, device: Device): boolean {
		const foreign = this.#filter.foreignName(request, bound)
		return foreign === 'agent' || (foreign === 'name' && !this.#calls.isLive(request.callId, device.agent.aor))
	}

	#ownNameViolation(request: SipMessage, bound: BoundFlow, now: number): void {
		const { address, port } = bound.flow
		this.#context.tell(
			'own-name-violation',
			{
				address,
				port,
				method: request.method,
				from: request.first(Header.From)?.slice(0, 100),
			},
			now,
		)
		if (request.method !== 'ACK') this.#passes.refuse(request, bound.flow, 403, now)
	}

	/** A call the agent makes is shown as live once it is answered. */
	#observe(request: SipMessage, name: Name): PassObserver | undefined {
		if (request.method !== 'INVITE') return undefined
		return {
			answered: (status, _answer, now, machine) => {
				if (status >= 300 || machine === undefined) return
				const id = request.callId
				const view: CallView = {
					id,
					agent: name.aor,
					direction: 'from-agent',
					state: 'live',
					caller: callerOf(request).number,
					since: now,
					holdUntil: undefined,
				}
				this.#calls.enterLive(view, machine)
			},
		}
	}
}

/** A request of a phone that goes to the PBX, or to several of its machines one after the other. */
interface Asked {
	readonly request: SipMessage
	readonly flow: Flow
	readonly device: Device
	readonly route: OwnRoute
	/** It wishes for the name of another agent. */
	readonly isWish: boolean
}

/** RFC 3261 §19.1.4: what a URI says of it; undefined where it says nothing that the PBX is spoken to over. */
function transportOf({ scheme, params }: SipUri): PbxTransport | undefined {
	if (scheme === 'sips') return 'tls'
	const said = uriParam(params, 'transport')?.toLowerCase()
	return said === 'udp' || said === 'tcp' || said === 'tls' ? said : undefined
}
