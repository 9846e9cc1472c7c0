/** Where a stored call came from, and where its answers go: `--listen` may have changed, and a connection is gone. */
import type { SipMessage } from '../../sip/message.ts'
import { answerDestination, type Destination } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import { closedFlow } from '../departed.ts'
import type { Flow } from '../model.ts'
import { defaultPort } from '../pbx/sides.ts'

export interface SourceAgain {
	readonly source: Flow
	readonly answerTo: Destination
}

/** RFC 3261 §18.2.2: without its connection an answer goes to the address it came from and the port in sent-by. */
export function sourceAgain(context: Context, stored: Flow, invite: SipMessage): SourceAgain {
	const { pbx } = context
	const transport = ({ TCP: 'tcp', TLS: 'tls' } as const)[invite.via.transport]
	const listener = pbx.sender(transport) ?? pbx.sender('udp') ?? pbx.usual
	const source = { ...stored, listener }
	if (!context.isReliable(source)) return { source, answerTo: answerDestination(invite, source, false) }
	const port = invite.via.port || defaultPort(transport)
	return { source: closedFlow(source), answerTo: { listener, address: stored.address, port } }
}
