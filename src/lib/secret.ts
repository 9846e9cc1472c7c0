/**
 * A value that must not be shown: a push token, a key, a bearer token.
 *
 * Every implicit conversion (template string, JSON, console) gives the masked form; the value itself comes only
 * from {@link Secret.reveal}, so that a reviewer can find every place that shows one by that word.
 */
export class Secret {
	readonly #value: string

	constructor(value: string) {
		this.#value = value
	}

	/** The value itself. Call it only where the value is used: sent, signed with, stored. */
	reveal(): string {
		return this.#value
	}

	/** `ab12…9f` for a long value, `…` for one too short to show a part of. */
	masked(): string {
		const v = this.#value
		return v.length < SHOWN_MIN_LENGTH ? '…' : `${v.slice(0, 4)}…${v.slice(-2)}`
	}

	toString(): string {
		return this.masked()
	}

	toJSON(): string {
		return this.masked()
	}
}

/** Below this length six shown characters would be too much of the whole. */
const SHOWN_MIN_LENGTH = 24
