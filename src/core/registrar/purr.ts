/**
 * PURR, the reference a phone puts into the Contact of its dialogs so that it is woken for requests within them (RFC 8599 §6).
 *
 * It says which binding, to us alone: `<nonce><id, masked><HMAC>`. Two of one device have nothing in common, nobody
 * can make one, and none is stored. Each REGISTER brings a new one; the old ones hold as long as the device is bound, for
 * dialogs that were begun with them.
 */
import type { Context } from '../context.ts'

const NONCE_DIGITS = 16
const ID_DIGITS = 8
/** 80 bits, as in Record-Route. */
const TAG_DIGITS = 20
const SHAPE = new RegExp(`^[0-9a-f]{${NONCE_DIGITS + ID_DIGITS + TAG_DIGITS}}$`)

export function purrOf(context: Context, deviceId: number): string {
	const nonce = context.id()
	return `${nonce}${masked(context, nonce, deviceId)}${tagOf(context, nonce, deviceId)}`
}

/** The id it was made for; undefined where it was not made here. */
export function deviceOfPurr(context: Context, purr: string): number | undefined {
	if (!SHAPE.test(purr)) return undefined
	const nonce = purr.slice(0, NONCE_DIGITS)
	const id = Number.parseInt(masked(context, nonce, Number.parseInt(purr.slice(NONCE_DIGITS, -TAG_DIGITS), 16)), 16)
	return purr.endsWith(tagOf(context, nonce, id)) ? id : undefined
}

/** Its own inverse. */
function masked(context: Context, nonce: string, id: number): string {
	const mask = Number.parseInt(context.hmac(`purr-mask|${nonce}`).slice(0, ID_DIGITS), 16)
	return ((mask ^ id) >>> 0).toString(16).padStart(ID_DIGITS, '0')
}

function tagOf(context: Context, nonce: string, id: number): string {
	return context.hmac(`purr|${nonce}|${id}`).slice(0, TAG_DIGITS)
}
