/** Which message belongs to which transaction (RFC 3261 §17.1.3, §17.2.3), and where its answers go (§18.2.2). */
import type { SipMessage } from '../sip/message.ts'
import type { Destination } from './transaction.ts'

/** A CANCEL has the branch of its INVITE (RFC 3261 §9.1): this sets the keys of the two apart. */
const CANCEL_MARK = '/cancel'

/** RFC 3261 §17.1.3: the key of a client transaction by its branch and the method in CSeq. */
export function clientKey(branch: string, method: string): string {
	return method === 'CANCEL' ? branch + CANCEL_MARK : branch
}

/** RFC 3261 §17.2.3: the key a request of this transaction has; ACK has the one of its INVITE. */
export function serverKey(m: SipMessage, method: string): string {
	const via = m.via
	if (via.branch.startsWith('z9hG4bK') && via.branch.length > 7)
		return `${via.branch}|${via.host}:${via.port}|${method}`
	/* RFC 2543 matching: the fields of the request itself. The To-tag of an ACK is ours, so it is left out. */
	return `${m.callId}|${m.cseq}|${m.fromTag}|${m.uri}|${via.host}:${via.port};${via.branch}|${method}`
}

/**
 * RFC 3261 §18.2.2 with RFC 3581 §4: where the answers to a request go. A maddr or a name in the Via is not followed:
 * answers go back to the address the request came from, never to a third party.
 */
export function answerDestination(request: SipMessage, source: Destination, symmetric: boolean): Destination {
	if (symmetric || request.via.rport >= 0) return source
	const port = request.via.port === 0 ? DEFAULT_PORT : request.via.port
	return port === source.port ? source : { listener: source.listener, address: source.address, port }
}

/** RFC 3261 §19.1.2. */
const DEFAULT_PORT = 5060
