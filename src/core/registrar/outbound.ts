/**
 * RFC 5626: who gets `outbound`. The Contact at the PBX is the gateway's, so that it is first hop and registrar in one: what
 * a registrar would learn from Path (`ob`, the flow token) it knows by itself, and the PBX needs to know nothing of it.
 */

import { headerParam } from '../../sip/address.ts'
import type { Edit } from '../../sip/edit.ts'
import { Header } from '../../sip/headers.ts'
import { detached } from '../../sip/latin1.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { Context } from '../context.ts'
import type { Flow } from '../model.ts'
import type { Asked } from './contact.ts'

export const OUTBOUND = 'outbound'

/** The most that RFC 5626 §4.4.1 has a phone by itself leave between two keep-alives, and what carriers' NATs are built for. */
export const FLOW_TIMER_SEC = 120

/** RFC 5626 §5.4: the flow is given up later than that: twice as much, so that one keep-alive may be lost. */
export function flowTimerSec(idleMs: number): number {
	return Math.min(FLOW_TIMER_SEC, Math.floor(idleMs / 2_000))
}

/**
 * The `reg-id` of a REGISTER that gets `outbound` (RFC 5626 §6): it names its instance and the flow, says that it knows
 * `outbound`, and no other hop is between. Over UDP it would keep its flow alive by STUN (§4.4.2), which is not answered here.
 */
export function outboundRegId(context: Context, request: SipMessage, flow: Flow, asked: Asked): string | undefined {
	if (!context.isReliable(flow) || asked.kind !== 'bindings') return undefined
	const [contact, another] = asked.contacts
	if (contact === undefined || another !== undefined || !contact.deviceKey.startsWith('i:')) return undefined
	const regId = headerParam(contact.value.params, 'reg-id')
	const knowsIt = hasTag(request, Header.Supported) || hasTag(request, Header.Require)
	return isRegId(regId) && knowsIt && request.list(Header.Via).length === 1 ? detached(regId) : undefined
}

/** What is asked of a registrar is done here, and not asked of the PBX as well. */
export function removeOutbound(edit: Edit, request: SipMessage): void {
	if (!hasTag(request, Header.Require)) return
	const others = request.list(Header.Require).filter((tag) => tag.toLowerCase() !== OUTBOUND)
	if (others.length === 0) edit.remove(Header.Require)
	else edit.set(Header.Require, others.join(', '))
}

/** §4.1: 1 to 2^31-1. */
function isRegId(text: string | null | undefined): text is string {
	return /^\d{1,10}$/.test(text ?? '') && Number(text) >= 1 && Number(text) < 2 ** 31
}

function hasTag(request: SipMessage, header: typeof Header.Supported | typeof Header.Require): boolean {
	return request.find(header) >= 0 && request.list(header).some((tag) => tag.toLowerCase() === OUTBOUND)
}
