/** RFC 3261 §16.6 and §16.7: how a message is changed on its way through, one step a function. */
import { headerParam, parseNameAddr, setHeaderParam, splitList } from '../../sip/address.ts'
import { Edit } from '../../sip/edit.ts'
import { Header, type HeaderId } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import { hostPort } from '../../sip/uri.ts'
import type { Destination } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Flow } from '../model.ts'
import { withoutPushParams } from '../registrar/push-params.ts'

/** RFC 3261 §16.6 step 3. */
const DEFAULT_MAX_FORWARDS = 70

/** Headers whose URIs may carry somebody's push parameters. */
const URI_HEADERS: readonly HeaderId[] = [
	Header.ReferTo,
	Header.From,
	Header.To,
	Header.PAssertedIdentity,
	Header.PPreferredIdentity,
	Header.RemotePartyId,
]

/** §16.6 steps 1, 3 and 8: a copy with Max-Forwards counted down, the sender stamped, and our Via on top. */
export function forwardEdit(
	context: Context,
	request: SipMessage,
	source: Flow,
	listener: number,
	branch: string,
): Edit {
	const edit = new Edit(request).stampVia(source.address, source.port).pushVia(viaValue(context, listener, branch))
	if (context.ownAt(listener).isReliable) edit.addLength()
	edit.set(Header.MaxForwards, request.maxForwards < 0 ? `${DEFAULT_MAX_FORWARDS}` : `${request.maxForwards - 1}`)
	return edit
}

/** `--client-address-header`: where a phone is, in what it asks of the PBX; one of its own making goes. */
export function tellClient(context: Context, edit: Edit, { listener, address, port }: Flow): void {
	const { clientAddressHeader: name } = context.settings
	if (name === '') return
	const transport = context.ownAt(listener).transport.toLowerCase()
	edit.removeNamed(name.toLowerCase()).append(name, `${hostPort(address, port)};transport=${transport}`)
}

/** Nobody but the gateway says where a phone is, and to nobody but the PBX. */
export function hideClient(context: Context, edit: Edit): void {
	const { clientAddressHeader: name } = context.settings
	if (name !== '') edit.removeNamed(name.toLowerCase())
}

/** §16.7 step 9: an answer of the PBX on its way to a phone. */
export function answerEdit(context: Context, answer: SipMessage, to: Destination): Edit {
	const edit = new Edit(answer).popVia()
	hideClient(context, edit)
	return context.isReliable(to) ? edit.addLength() : edit
}

export function viaValue(context: Context, listener: number, branch: string): string {
	return `${context.ownAt(listener).viaStart}${branch};rport`
}

/**
 * §16.6 step 4: a loose-routing URI that names the device, so that its dialogs follow it wherever it goes. Two of them where
 * the two sides do not reach us at the same address (RFC 5658 §5.2): each side finds its own on top.
 */
export function addRecordRoute(context: Context, edit: Edit, from: number, to: number, routeToken: string): void {
	const own = context.ownAt(to).routeEnd
	const other = context.ownAt(from).routeEnd
	if (other !== own) edit.push(Header.RecordRoute, `<sip:${routeToken}${other}`)
	edit.push(Header.RecordRoute, `<sip:${routeToken}${own}`)
}

/** §16.6 step 8: unique, and with what RFC 5393 §4.2.1 needs to tell a loop from a spiral. */
export function newBranch(context: Context, request: SipMessage): string {
	return `z9hG4bK${context.id()}.${loopHash(request)}`
}

/** Methods that neither make a dialog nor refresh its target (RFC 3261 §12, RFC 3262, 3428, 3903, 6086). */
const WITHOUT_DIALOG: ReadonlySet<string> = new Set([
	'BYE',
	'OPTIONS',
	'PRACK',
	'INFO',
	'MESSAGE',
	'PUBLISH',
	'REGISTER',
])

/** RFC 3261 §16.6 step 4: who must stay in the path records its route in methods it does not know as well. */
export function needsRecordRoute(method: string): boolean {
	return !WITHOUT_DIALOG.has(method)
}

/**
 * RFC 5393 §4.2.1: a hash over what decides where a request goes. Coming back with the same one in a Via of ours is a
 * loop; with another it is a spiral, which is allowed.
 */
export function loopHash(request: SipMessage): string {
	let hash = 0x811c9dc5
	hash = fnv1a(hash, request.uri)
	hash = fnv1a(hash, request.fromTag)
	hash = fnv1a(hash, request.toTag)
	hash = fnv1a(hash, request.callId)
	hash = Math.imul(hash ^ request.cseq, 0x01000193)
	const route = request.first(Header.Route)
	if (route !== undefined) hash = fnv1a(hash, route)
	return (hash >>> 0).toString(36)
}

function fnv1a(hash: number, text: string): number {
	for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
	return hash
}

/**
 * What an agent's phone says to the PBX: its own Contact becomes the gateway's for the agent, the same in every
 * message of every dialog, and no push parameter leaves (RFC 8599 §13).
 */
export function masqueradeContact(edit: Edit, message: SipMessage, stableContact: string): void {
	const at = message.find(Header.Contact)
	if (at < 0) return
	const status = message.status
	/* a 3xx names other targets, not the phone itself */
	if (status >= 300 && status < 400) return stripContacts(edit, message)
	const own = parseNameAddr(message.value(at))
	edit.set(Header.Contact, `<${stableContact}>${foreignParams(own?.params ?? '')}`)
}

function stripContacts(edit: Edit, message: SipMessage): void {
	edit.set(Header.Contact, message.list(Header.Contact).map(withoutPush).join(', '))
}

/** Header parameters of a Contact less those that tell of the registration. */
function foreignParams(params: string): string {
	if (params === '') return params
	for (const name of ['expires', '+sip.instance', 'reg-id']) {
		if (headerParam(params, name) !== undefined) params = setHeaderParam(params, name, undefined)
	}
	return params
}

/** Any dialect's, in any case. */
const PUSH_PARAM = /;(?:pn-|app-id)/i

/** Takes push parameters out of every URI left in the head: the rare case, so it is looked for first. */
export function stripPushParams(edit: Edit, message: SipMessage): void {
	for (let i = 0; i < message.headerCount; i++) {
		const id = message.id(i)
		if (!URI_HEADERS.includes(id)) continue
		const value = message.value(i)
		if (PUSH_PARAM.test(value)) edit.row(i, splitList(value).map(withoutPush).join(', '))
	}
}

function withoutPush(value: string): string {
	const uri = parseNameAddr(value)?.uri
	return uri === undefined ? value : value.replace(uri, () => withoutPushParams(uri))
}

/** §16.7 step 6: one 503 does not mean that the whole service is down. */
export function upstreamStatus(status: number): number {
	return status === 503 ? 500 : status
}
