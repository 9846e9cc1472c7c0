/** RFC 3261 §16.3: may this request be forwarded at all? Its syntax was looked at by the parser (step 1, 2). */
import type { HeaderRow } from '../../sip/build.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { Context } from '../context.ts'
import { loopHash } from './forward.ts'

export interface Refusal {
	readonly status: number
	readonly rows: readonly HeaderRow[]
}

export function refusal(context: Context, request: SipMessage): Refusal | undefined {
	return maxForwards(request) ?? loop(context, request) ?? proxyRequire(request)
}

/** Step 3. */
function maxForwards(request: SipMessage): Refusal | undefined {
	return request.maxForwards === 0 ? { status: 483, rows: [] } : undefined
}

/** Step 4, as RFC 5393 §4.2 has it: only a Via of ours with the same hash is a loop. */
function loop(context: Context, request: SipMessage): Refusal | undefined {
	if (request.find(Header.Via, request.find(Header.Via) + 1) < 0 && !request.first(Header.Via)?.includes(','))
		return undefined
	let hash = ''
	for (const via of request.list(Header.Via)) {
		if (!context.own.some(({ hostPort }) => via.includes(hostPort))) continue
		hash = hash || loopHash(request)
		if (new RegExp(`;\\s*branch=z9hG4bK[0-9a-f]{16}\\.${hash}(?:[;\\s]|$)`).test(via)) return { status: 482, rows: [] }
	}
	return undefined
}

/** Step 5: this proxy has no extensions that need its understanding. */
function proxyRequire(request: SipMessage): Refusal | undefined {
	const unsupported = request.find(Header.ProxyRequire) < 0 ? [] : request.list(Header.ProxyRequire)
	return unsupported.length === 0 ? undefined : { status: 420, rows: [['Unsupported', unsupported.join(', ')]] }
}
