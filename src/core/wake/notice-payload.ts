/** What a push says that is no call's. */
import type { SipMessage } from '../../sip/message.ts'
import type { PushProvider } from '../model.ts'
import { callerOf, MAX_CALL_ID_LENGTH } from './payload.ts'

/** The whole text of an alert: what the message says is nobody's business on a locked screen, nor that of a push service. */
export const ALERT_BODY = 'New message'

export interface Payloads {
	readonly payload: string
	readonly minimalPayload: string
}

interface Said {
	/** Where it is short. */
	readonly callId?: string
	readonly senderName: string
	readonly senderNumber: string
	readonly agent: string
}

/** Nothing to show: the app registers. */
export const COME_BACK: Readonly<Record<PushProvider, Payloads>> = {
	apns: same(JSON.stringify({ aps: { 'content-available': 1 } })),
	fcm: same(JSON.stringify({ event: 'wake' })),
}

/** Who wrote, and nothing of what. */
export function alertPayloads(provider: PushProvider, agent: string, message: SipMessage): Payloads {
	const { name, number } = callerOf(message)
	const callId = message.callId.length <= MAX_CALL_ID_LENGTH ? { callId: message.callId } : {}
	const said: Said = { ...callId, senderName: name, senderNumber: number, agent }
	return provider === 'apns' ? alertOfApns(said) : alertOfFcm(said)
}

/** `content-available` and `mutable-content`: the app may come for it before anybody taps. */
function alertOfApns(said: Said): Payloads {
	const alert = { title: said.senderName, body: ALERT_BODY }
	const aps = { alert, sound: 'default', 'content-available': 1, 'mutable-content': 1 }
	return {
		payload: JSON.stringify({ aps, ...said }),
		minimalPayload: JSON.stringify({ aps: { alert: { body: ALERT_BODY } } }),
	}
}

/** Data alone: with a `notification` Android would show it by itself, and the app would not be started. */
function alertOfFcm(said: Said): Payloads {
	const event = { event: 'message' }
	return { payload: JSON.stringify({ ...event, ...said }), minimalPayload: JSON.stringify(event) }
}

function same(payload: string): Payloads {
	return { payload, minimalPayload: payload }
}
