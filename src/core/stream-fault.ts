/** RFC 3261 §18.3: the framing of a connection is lost. The transport closes it; its far end hears why. */
import { response } from '../sip/build.ts'
import { fault } from '../sip/faults.ts'
import { parse } from '../sip/parse.ts'
import type { Context } from './context.ts'
import type { StreamFaultInput } from './inputs.ts'

/** A stranger hears nothing of us. */
export function tellFault(
	context: Context,
	{ flow, code, head }: StreamFaultInput,
	isKnown: boolean,
	now: number,
): void {
	context.counters.malformed++
	if (!isKnown) return void context.counters.strangersDropped++
	const { status, sentence } = fault(code, false)
	context.tell('message-rejected', { address: flow.address, code, status, sentence }, now)
	const message = parse(head)
	const isAnswerable = message.method !== '' && message.method !== 'ACK' && message.via.transport !== ''
	if (status === 0 || !isAnswerable) return
	context.send(flow, response(message, flow, status, { toTag: context.toTag(), reason: sentence }))
}
