/** What the push says: all that the phone needs to show the call before the INVITE is there. */
import { parseNameAddr } from '../../sip/address.ts'
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'
import { parseUri, unescape as unescaped } from '../../sip/uri.ts'
import { MAX_FCM_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES } from '../effects.ts'
import type { PushProvider } from '../model.ts'

/** Longer names are cut: no screen shows more, and the payload has room for nothing else. */
export const MAX_CALLER_NAME_LENGTH = 128

export interface CallerIdentity {
	readonly name: string
	readonly number: string
}

export interface PushCall {
	/** The INVITE's Call-ID: the app finds its call by it. */
	readonly callId: string
	/** CallKit's UUID of the call, the same for every device of the agent. */
	readonly uuid: string
	readonly caller: CallerIdentity
	readonly agent: string
	/** ms since the epoch. */
	readonly time: number
	/** Where the app may ask for the call, and decline it; undefined without `--public-url`. */
	readonly status: string | undefined
}

/** RFC 3261 §20.20: who calls, from From; the number is the user part, or the whole URI where it has none. */
export function callerOf(invite: SipMessage): CallerIdentity {
	const from = parseNameAddr(invite.first(Header.From) ?? '')
	const uri = parseUri(from?.uri ?? '')
	const number = utf8(unescaped(uri?.user ?? from?.uri ?? ''))
	const name = utf8(from?.display ?? '')
	return {
		name: cut(name || number),
		number: cut(number),
	}
}

/** No half of a character is left at the end. */
function cut(name: string): string {
	return name.length <= MAX_CALLER_NAME_LENGTH ? name : [...name].slice(0, MAX_CALLER_NAME_LENGTH).join('')
}

interface Form {
	/** What stands before the rest. APNs demands `aps`; with FCM nothing but the data tells a call from a message. */
	readonly head: Readonly<Record<string, unknown>>
	readonly maxBytes: number
}

const FORMS: Readonly<Record<PushProvider, Form>> = {
	apns: { head: { aps: {} }, maxBytes: MAX_PAYLOAD_BYTES },
	fcm: { head: { event: 'call' }, maxBytes: MAX_FCM_PAYLOAD_BYTES },
}

/** The JSON for the push service, no longer than it takes; every value is a string, but for `aps`. */
export function payloadOf(provider: PushProvider, call: PushCall): string {
	const { head, maxBytes } = FORMS[provider]
	const whole = JSON.stringify({
		...head,
		callId: call.callId,
		uuid: call.uuid,
		callerName: call.caller.name,
		callerNumber: call.caller.number,
		agent: call.agent,
		time: new Date(call.time).toISOString(),
		status: call.status,
	})
	const fits = whole.length * MAX_UTF8_PER_UNIT <= maxBytes || utf8Length(whole) <= maxBytes
	return fits ? whole : minimalPayloadOf(provider, call)
}

/** Only what the phone cannot do without, for when the push service complains of the size or the request. */
export function minimalPayloadOf(provider: PushProvider, call: PushCall): string {
	const callId = call.callId.length <= MAX_CALL_ID_LENGTH ? { callId: call.callId } : {}
	return JSON.stringify({ ...FORMS[provider].head, ...callId, uuid: call.uuid, callerNumber: call.caller.number })
}

/** A Call-ID longer than this would not fit into the payload once it is escaped. */
export const MAX_CALL_ID_LENGTH = 512

/** Octets, one a char, read as UTF-8; left as they are where they are none. */
function utf8(octets: string): string {
	if (!/[\x80-\xff]/.test(octets)) return octets
	try {
		return decodeURIComponent(
			octets.replace(/[^A-Za-z0-9]/g, (c) => `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`),
		)
	} catch {
		return octets
	}
}

/** Octets of UTF-8 that one UTF-16 code unit makes at the most: nearly every payload is far too short to be counted. */
const MAX_UTF8_PER_UNIT = 3

function utf8Length(text: string): number {
	let length = 0
	for (const char of text) {
		const code = char.codePointAt(0)!
		length += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
	}
	return length
}
