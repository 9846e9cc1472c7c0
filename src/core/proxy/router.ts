/** RFC 3261 §16.4 and §16.5: where a request goes that was let in. */
import { response } from '../../sip/build.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import { hostPort, parseUri, type SipUri, uriScheme } from '../../sip/uri.ts'
import {
	answerDestination,
	type Destination,
	type ServerTransaction,
	type Transactions,
} from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Filter, Name } from '../filter/filter.ts'
import type { Flow } from '../model.ts'
import type { BoundFlow, Device, Devices } from '../registrar/devices.ts'
import type { Calls } from '../wake/calls.ts'
import { callerOf } from '../wake/payload.ts'
import {
	addRecordRoute,
	forwardEdit,
	masqueradeContact,
	needsRecordRoute,
	newBranch,
	stripPushParams,
} from './forward.ts'
import { Pass, type PassObserver, type PassOptions, reasonRows } from './pass.ts'
import { type OwnAddresses, type OwnRoute, ownRoute, removeOwnRoute } from './route.ts'
import { refusal } from './validate.ts'

/** What an answer to OPTIONS says the gateway understands. */
const ALLOW = 'INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY, SUBSCRIBE, MESSAGE, REGISTER'

/** RFC 3261 §19.1.2. */
const DEFAULT_PORT = 5060

/** A restart takes a second or two. */
const RETRY_SOON = [['Retry-After', '5']] as const

export class Router {
	readonly #context: Context
	readonly #transactions: Transactions
	readonly #devices: Devices
	readonly #filter: Filter
	readonly #calls: Calls
	readonly #own: OwnAddresses
	readonly #passes = new Map<ServerTransaction, Pass>()

	constructor(
		context: Context,
		transactions: Transactions,
		devices: Devices,
		filter: Filter,
		calls: Calls,
		own: OwnAddresses,
	) {
		this.#context = context
		this.#transactions = transactions
		this.#devices = devices
		this.#filter = filter
		this.#calls = calls
		this.#own = own
	}

	/** INVITEs that pass and have no final response yet. */
	get unfinished(): number {
		return this.#passes.size
	}

	/** The gateway goes. */
	end(now: number): void {
		for (const pass of [...this.#passes.values()]) pass.abandon(now)
	}

	fromPbx(request: SipMessage, source: Flow, now: number): void {
		if (this.#absorbed(request, now) || this.#cancelled(request, source, false, now)) return
		const route = ownRoute(request, this.#own)
		if (request.method === 'ACK') return this.#ackToDevice(request, source, route)
		if (this.refuse(request, source, now, route.strictUri)) return
		if (request.toTag !== '') return this.#inDialogToDevice(request, source, route, now)
		this.#newToAgent(request, source, now)
	}

	fromAgent(request: SipMessage, bound: BoundFlow, now: number): void {
		if (this.#absorbed(request, now) || this.#cancelled(request, bound.flow, true, now)) return
		const route = ownRoute(request, this.#own)
		const device = route.token === '' ? undefined : this.#devices.byRouteToken(route.token)
		if (request.toTag !== '' && device !== undefined) return this.#inDialogToPbx(request, bound, device, route, now)
		if (request.method === 'ACK') return
		if (this.refuse(request, bound.flow, now, route.strictUri)) return
		if (request.toTag !== '') return this.#refuseWith(request, bound.flow, 403, now)
		this.#newFromAgent(request, bound, route, now)
	}

	/** RFC 3261 §16.3: answers what must not be forwarded; true when it did. */
	refuse(request: SipMessage, source: Flow, now: number, strictUri?: string): boolean {
		/* the parser has judged the Request-URI, not what a strict router put into the Route */
		const scheme = strictUri === undefined ? 'sip' : uriScheme(strictUri)
		const reason = scheme === 'sip' || scheme === 'sips' ? refusal(this.#context, request) : { status: 416, rows: [] }
		if (reason === undefined) return false
		this.#refuseWith(request, source, reason.status, now, reason.rows)
		return true
	}

	// — to the agent —

	#newToAgent(request: SipMessage, source: Flow, now: number): void {
		const user = request.requestUri?.user
		if (user === undefined) return this.#refuseWith(request, source, request.method === 'OPTIONS' ? 200 : 404, now)
		const agent = this.#devices.agentByUser(user)
		if (request.method === 'OPTIONS') return this.#qualify(request, source, agent?.devices ?? [], now)
		if (request.method === 'REGISTER') return this.#refuseWith(request, source, 405, now, [['Allow', ALLOW]])
		if (agent === undefined) return this.#refuseWith(request, source, 404, now)
		if (this.#context.draining) return this.#refuseWith(request, source, 503, now, RETRY_SOON)
		if (request.method === 'INVITE') {
			const server = this.#serve(request, source, false)
			server.respond(100, response(request, source, 100), now)
			return this.#calls.offer(server, request, source, agent, now)
		}
		this.#passToAwake(request, source, agent.devices, now)
	}

	/** MESSAGE, NOTIFY and the like: to the device that is awake, or that was last. Nothing is held for them. */
	#passToAwake(request: SipMessage, source: Flow, devices: readonly Device[], now: number): void {
		const awake = devices.filter((device) => !this.#calls.asleep(device))
		if (awake.length === 0) return this.#refuseWith(request, source, 480, now)
		const latest = awake.reduce((best, device) => (seenAt(device) > seenAt(best) ? device : best))
		this.#passToDevice(request, source, latest, ownRoute(request, this.#own), latest.target, now)
	}

	/** The PBX asks whether the agent can be called (Asterisk's qualify): the gateway knows, and wakes nobody for it. */
	#qualify(request: SipMessage, source: Flow, devices: readonly Device[], now: number): void {
		const reachable = devices.some(
			(device) => device.reach === 'foreground' || this.#calls.wakeable(device) || !this.#calls.pingsOn,
		)
		this.#refuseWith(request, source, devices.length === 0 ? 404 : reachable ? 200 : 480, now)
	}

	#inDialogToDevice(request: SipMessage, source: Flow, route: OwnRoute, now: number): void {
		const device = this.#dialogDevice(request, route)
		/* RFC 5626 §5.3: a token that is not ours is refused as such */
		if (device === undefined)
			return this.#refuseWith(request, source, route.token !== '' && !this.#wasOurs(route.token) ? 403 : 481, now)
		this.#passToDevice(request, source, device, route, this.#dialogTarget(request, device, route), now)
	}

	#passToDevice(request: SipMessage, source: Flow, device: Device, route: OwnRoute, target: string, now: number): void {
		const listener = device.flow.listener
		const branch = newBranch(this.#context, request)
		const edit = forwardEdit(this.#context, request, source, listener, branch).uri(target)
		removeOwnRoute(edit, request, route)
		if (needsRecordRoute(request.method)) addRecordRoute(this.#context, edit, listener, device.routeToken)
		stripPushParams(edit, request)
		const stableContact = this.#calls.stableContact(device.agent.aor, source.listener)
		const pass = this.#pass(request, source, false, { stableContact, observer: this.#ending(request) })
		pass.forward(branch, edit.finish(), device.flow, now)
	}

	/** RFC 3261 §13.2.2.4: the ACK to a 2xx is nobody's transaction. */
	#ackToDevice(request: SipMessage, source: Flow, route: OwnRoute): void {
		const device = this.#dialogDevice(request, route)
		if (device === undefined) return
		const listener = device.flow.listener
		const edit = forwardEdit(this.#context, request, source, listener, newBranch(this.#context, request)).uri(
			this.#dialogTarget(request, device, route),
		)
		removeOwnRoute(edit, request, route)
		this.#context.send(device.flow, edit.finish())
	}

	/** By the token; a peer that lost the Route still names the agent. */
	#dialogDevice(request: SipMessage, route: OwnRoute): Device | undefined {
		if (route.token !== '') {
			const device = this.#devices.byRouteToken(route.token)
			if (device !== undefined) return device
			if (route.token.includes('.')) return undefined
		}
		const uri = targetOf(request, route)
		const agent = uri?.user === undefined || !this.#own.includes(uri) ? undefined : this.#devices.agentByUser(uri.user)
		return agent?.devices.reduce((best, device) => (seenAt(device) > seenAt(best) ? device : best))
	}

	/** Our Contact for the agent becomes the device's own; any other Request-URI stays. */
	#dialogTarget(request: SipMessage, device: Device, route: OwnRoute): string {
		const text = route.strictUri ?? request.uri
		const uri = targetOf(request, route)
		return uri !== undefined && this.#own.includes(uri) ? device.target : text
	}

	/** A device that is bound no more leaves tokens behind: its dialogs are gone (481), not forged (403). */
	#wasOurs(token: string): boolean {
		return this.#devices.device(Number.parseInt(token, 36)) === undefined
	}

	// — to the PBX —

	#newFromAgent(request: SipMessage, bound: BoundFlow, route: OwnRoute, now: number): void {
		const name = this.#filter.ownName(request, bound)
		if (name === undefined) return this.#ownNameViolation(request, bound, now)
		const device = bound.devices.get(name.aor)!
		const uri = targetOf(request, route)
		if (uri !== undefined && uri.user === undefined && this.#own.includes(uri)) {
			return this.#refuseWith(request, bound.flow, request.method === 'OPTIONS' ? 200 : 404, now)
		}
		if (request.method === 'INVITE') {
			if (this.#context.draining) return this.#refuseWith(request, bound.flow, 503, now, RETRY_SOON)
			this.#context.counters.callsFromAgents++
		}
		this.#passToPbx(request, bound, device, route, this.#observe(request, name), now)
	}

	#inDialogToPbx(request: SipMessage, bound: BoundFlow, device: Device, route: OwnRoute, now: number): void {
		if (!bound.devices.has(device.agent.aor) || this.#isForeign(request, bound, device))
			return this.#ownNameViolation(request, bound, now)
		if (request.method !== 'ACK' && this.refuse(request, bound.flow, now, route.strictUri)) return
		this.#passToPbx(request, bound, bound.devices.get(device.agent.aor)!, route, this.#ending(request), now)
	}

	#passToPbx(
		request: SipMessage,
		bound: BoundFlow,
		device: Device,
		route: OwnRoute,
		observer: PassObserver | undefined,
		now: number,
	): void {
		const { flow } = bound
		const to = this.#pbxFor(request.toTag === '' ? '' : (route.strictUri ?? request.uri), flow.listener)
		if (to === undefined) return this.#refuseWith(request, flow, 503, now)
		const branch = newBranch(this.#context, request)
		const edit = forwardEdit(this.#context, request, flow, to.listener, branch).uri(
			this.#pbxUri(route.strictUri ?? request.uri),
		)
		removeOwnRoute(edit, request, route)
		if (needsRecordRoute(request.method)) addRecordRoute(this.#context, edit, to.listener, device.routeToken)
		masqueradeContact(edit, request, this.#calls.stableContact(device.agent.aor, to.listener))
		/* RFC 3325 §6: identity asserted by a phone is no assertion */
		edit.remove(Header.PAssertedIdentity).remove(Header.RemotePartyId)
		stripPushParams(edit, request)
		if (request.method === 'ACK') return this.#context.send(to, edit.finish())
		this.#pass(request, flow, true, { stableContact: undefined, observer }).forward(branch, edit.finish(), to, now)
	}

	/** No open relay: to the PBX node the dialog is with where that one is trusted, else to `--pbx`. */
	#pbxFor(target: string, listener: number): Destination | undefined {
		const uri = parseUri(target)
		const port = uri?.port || DEFAULT_PORT
		if (uri !== undefined && this.#filter.isTrustedAddress(uri.host, port)) return { listener, address: uri.host, port }
		const pbx = this.#filter.pbx
		return pbx === undefined ? undefined : { listener, address: pbx.address, port: pbx.port }
	}

	/** A phone that dials `sip:600@gateway` means the domain. */
	#pbxUri(target: string): string {
		const uri = parseUri(target)
		if (uri?.user === undefined || !this.#own.includes(uri)) return target
		const password = uri.password === undefined ? '' : `:${uri.password}`
		return `${uri.scheme}:${uri.user}${password}@${hostPort(this.#context.settings.domain, 0)}${uri.params}`
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
		if (request.method !== 'ACK') this.#refuseWith(request, bound.flow, 403, now)
	}

	// — transactions —

	#absorbed(request: SipMessage, now: number): boolean {
		const known = this.#transactions.findServer(request)
		/* the ACK to a 2xx may share the branch of its INVITE with old peers, and is not that transaction's */
		if (known === undefined || (request.method === 'ACK' && known.state === 'accepted')) return false
		this.#transactions.absorb(known, request, now)
		return true
	}

	#cancelled(cancel: SipMessage, source: Flow, symmetric: boolean, now: number): boolean {
		if (cancel.method !== 'CANCEL') return false
		const server = this.#transactions.cancelled(cancel)
		if (server !== undefined && !isSender(server, source, symmetric)) {
			/* RFC 3261 §22: who did not send the INVITE may not cancel it. Answered without a transaction, which would absorb the right one */
			this.#context.send(source, response(cancel, source, 481, { toTag: this.#context.id() }))
			return true
		}
		const own = this.#serve(cancel, source, symmetric)
		const status = server === undefined ? 481 : 200
		own.respond(status, response(cancel, source, status, { toTag: this.#context.id() }), now)
		if (server === undefined) return true
		const call = this.#calls.find(server)
		if (call !== undefined) call.cancel(cancel.rows(Header.Reason), now)
		else this.#passes.get(server)?.cancel(reasonRows(cancel), now)
		return true
	}

	#serve(request: SipMessage, source: Flow, symmetric: boolean): ServerTransaction {
		return this.#transactions.serve(request, answerDestination(request, source, symmetric))
	}

	#pass(request: SipMessage, source: Flow, symmetric: boolean, options: PassOptions): Pass {
		const server = this.#serve(request, source, symmetric)
		if (!server.invite) return new Pass(this.#context, this.#transactions, server, request, options)
		const pass = new Pass(this.#context, this.#transactions, server, request, {
			...options,
			observer: {
				answered: (status, answer, now) => {
					this.#passes.delete(server)
					options.observer?.answered(status, answer, now)
				},
			},
		})
		this.#passes.set(server, pass)
		server.respond(100, response(request, source, 100), 0)
		return pass
	}

	#refuseWith(
		request: SipMessage,
		source: Flow,
		status: number,
		now: number,
		rows: readonly (readonly [string, string])[] = [],
	): void {
		if (request.method === 'ACK') return
		const server = this.#serve(request, source, !this.#filter.isPbx(source))
		const allow = status === 200 ? ([['Allow', ALLOW]] as const) : []
		server.respond(
			status,
			response(request, source, status, { toTag: this.#context.id(), rows: [...rows, ...allow] }),
			now,
		)
	}

	/** A call the agent makes is shown as live once it is answered. */
	#observe(request: SipMessage, name: Name): PassObserver | undefined {
		if (request.method !== 'INVITE') return undefined
		return {
			answered: (status, _answer, now) => {
				if (status >= 300) return
				const id = request.callId
				this.#calls.enterLive({
					id,
					agent: name.aor,
					direction: 'from-agent',
					state: 'live',
					caller: callerOf(request).number,
					since: now,
					holdUntil: undefined,
				})
			},
		}
	}

	/** A BYE ends the live call, however it is answered. */
	#ending(request: SipMessage): PassObserver | undefined {
		if (request.method !== 'BYE') return undefined
		return { answered: () => this.#calls.leaveLive(request.callId) }
	}
}

function seenAt(device: Device): number {
	return Math.max(device.lastPongAt ?? 0, device.registeredAt)
}

/** The Request-URI, or what a strict router left us instead of it. */
function targetOf(request: SipMessage, route: OwnRoute): SipUri | undefined {
	return route.strictUri === undefined ? request.requestUri : parseUri(route.strictUri)
}

/** Did this transaction's request come from there? Its Via is no secret to the phones it went to. */
function isSender({ answerTo }: ServerTransaction, source: Flow, symmetric: boolean): boolean {
	return answerTo.address === source.address && (!symmetric || answerTo.port === source.port)
}
