/**
 * The token in the `status` address of a push payload: by it the app asks whether its call still rings, and declines it,
 * before its SIP stack is awake. It names one call and one device, lasts for minutes, and nobody can make one up.
 */
import type { Context } from '../context.ts'

export interface CallTicket {
	/** The gateway's id of the call. */
	readonly callId: string
	readonly deviceId: number
}

/** Hex digits of the HMAC: 128 bits. */
const SIGNATURE_LENGTH = 32

const SHAPE = /^([0-9a-f]{16})\.([0-9a-z]{1,8})\.([0-9a-z]{1,8})\.([0-9a-f]{32})$/

/** @param expiresAt ms since the epoch; counted in whole seconds */
export function callToken(context: Context, { callId, deviceId }: CallTicket, expiresAt: number): string {
	const body = `${callId}.${deviceId.toString(36)}.${Math.ceil(expiresAt / 1000).toString(36)}`
	return `${body}.${signatureOf(context, body)}`
}

/** What it names; undefined where it is forged or its time is up. */
export function readCallToken(context: Context, token: string, now: number): CallTicket | undefined {
	const [, callId, device, expires, signature] = SHAPE.exec(token) ?? []
	if (callId === undefined || device === undefined || expires === undefined || signature === undefined) return undefined
	if (!isSame(signature, signatureOf(context, `${callId}.${device}.${expires}`))) return undefined
	if (now >= Number.parseInt(expires, 36) * 1000) return undefined
	return { callId, deviceId: Number.parseInt(device, 36) }
}

function signatureOf(context: Context, body: string): string {
	return context.hmac(`status|${body}`).slice(0, SIGNATURE_LENGTH)
}

/** Takes as long for a guess that is nearly right as for any other of that length. */
function isSame(a: string, b: string): boolean {
	let difference = a.length ^ b.length
	for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i)
	return difference === 0
}
