/** What a call sends for one device: its copy of the INVITE, and the push that wakes it. */

import { Header } from '../../sip/headers.ts'
import type { PushEffect } from '../effects.ts'
import type { PushParams } from '../model.ts'
import { addRecordRoute, forwardEdit, hideClient, stripPushParams } from '../proxy/forward.ts'
import { removeOwnRoute } from '../proxy/route.ts'
import type { Device } from '../registrar/devices.ts'
import type { AgentCall } from './call.ts'
import { callToken } from './call-token.ts'
import { type Branch, GHOST_MS } from './device-branch.ts'
import { minimalPayloadOf, payloadOf } from './payload.ts'

/** RFC 3261 §16.6 for the flow the device has now. */
export function inviteFor(
	{ calls, invite, source }: AgentCall,
	{ viaBranch, breadth }: Branch,
	device: Device,
): Uint8Array {
	const { context } = calls
	const { listener } = device.flow
	const edit = forwardEdit(context, invite, source, listener, viaBranch).uri(device.target)
	removeOwnRoute(edit, invite, calls.ownRoute(invite))
	edit.set(Header.MaxBreadth, `${breadth}`)
	addRecordRoute(context, edit, source.listener, listener, device.routeToken)
	stripPushParams(edit, invite)
	hideClient(context, edit)
	return edit.finish()
}

export function pushFor(call: AgentCall, deviceId: number, pushId: string, push: PushParams): PushEffect {
	const shown = {
		callId: call.invite.callId,
		uuid: uuidOf(call.id, call.calls.context.hmac(`call|${call.id}`)),
		caller: call.caller.identity,
		agent: call.agent,
		time: call.receivedAt,
		status: statusUrl(call, deviceId),
	}
	const { provider, environment, topic, token } = push
	const payload = payloadOf(provider, shown)
	const minimalPayload = minimalPayloadOf(provider, shown)
	return {
		type: 'push',
		kind: 'voip',
		pushId,
		provider,
		environment,
		topic,
		token,
		payload,
		minimalPayload,
		expiresAt: call.holdUntil,
	}
}

/** It outlives the hold by as long as a phone may wake for a call that is over. */
function statusUrl({ calls, id, holdUntil }: AgentCall, deviceId: number): string | undefined {
	const { context } = calls
	const { publicUrl } = context.settings
	if (publicUrl === '') return undefined
	return `${publicUrl}/c/${callToken(context, { callId: id, deviceId }, holdUntil + GHOST_MS)}`
}

/** The same call has the same UUID before and after a restart. */
function uuidOf(id: string, hmac: string): string {
	const a = id.padStart(16, '0')
	return `${a.slice(0, 8)}-${a.slice(8, 12)}-4${a.slice(13, 16)}-8${hmac.slice(0, 3)}-${hmac.slice(3, 15)}`
}
