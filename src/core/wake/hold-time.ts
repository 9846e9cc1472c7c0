/** Until when a call waits for sleeping devices. All times in ms since the epoch. */
import { Header } from '../../sip/headers.ts'
import type { SipMessage } from '../../sip/message.ts'

export class HoldTime {
	until: number
	/** The longest that a call waits for anybody who does not ring: `--hold`. */
	readonly patientUntil: number
	/** What the caller's Expires leaves (RFC 3261 §13.2.1). */
	readonly #expiresAt: number

	constructor(invite: SipMessage, receivedAt: number, holdMs: number, until: number) {
		this.until = until
		this.patientUntil = receivedAt + holdMs
		const expiresSec = Number.parseInt(invite.first(Header.Expires) ?? '', 10)
		this.#expiresAt = Number.isNaN(expiresSec) ? Infinity : receivedAt + expiresSec * 1000
	}

	/** Another device is to be waited for. */
	extend(ms: number, now: number): void {
		this.until = Math.max(this.until, Math.min(now + ms, this.patientUntil, this.#expiresAt))
	}

	/** It ends because the caller would not wait longer: that says nothing of the devices. */
	get isCutShort(): boolean {
		return this.until >= this.#expiresAt
	}
}
