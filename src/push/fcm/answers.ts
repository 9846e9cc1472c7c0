/**
 * What each answer of FCM means and what is done about it. Sources: Google, "FCM error codes" and "Scale FCM"; what
 * to do is ours. The table is the whole policy: src/push/fcm/fcm.ts only carries it out.
 */
import type { PushOutcome } from '../../core/inputs.ts'
import { CERTIFICATE_FAULTS } from '../reasons.ts'

/** What may still save the push; each is tried at most once for a push. */
export type Remedy =
	/** The same message after {@link AGAIN_MS}. */
	| 'again'
	/** The same, for a call alone: FCM asks all others to keep off for longer than they are worth waiting for. */
	| 'again-for-call'
	/** The same with the minimal data. */
	| 'minimal-request'
	/** A new access token. */
	| 'new-token'

/** Google: no retry sooner than this would help; a call cannot wait for longer. */
export const AGAIN_MS = 300

export interface Rule {
	readonly remedy?: Remedy
	/** What it comes to where there is no remedy or it did not help. */
	readonly kind: Exclude<PushOutcome['kind'], 'accepted' | 'withdrawn'>
	/** For `misconfigured`: what to do, a sentence. */
	readonly hint?: string
	/** It speaks against the key, so every other push would be refused too (src/push/breaker.ts). */
	readonly blamesKey?: true
	/**
	 * Not the token is to blame but the key, until FCM has taken a push by it: a key of the wrong project must not cost
	 * every phone its token. The sentence says what to do.
	 */
	readonly unproven?: string
}

const OUR_BUG: Rule = {
	remedy: 'minimal-request',
	kind: 'misconfigured',
	hint: 'FCM did not understand the request: please report this with the reason.',
}
const REFUSED_KEY: Rule = {
	kind: 'misconfigured',
	hint: 'Let the account of --fcm-key send messages: enable the Firebase Cloud Messaging API (V1) in its project, and see that it has the role Firebase Cloud Messaging API Admin.',
	blamesKey: true,
}
const UNKNOWN_PLACE: Rule = {
	kind: 'misconfigured',
	hint: 'FCM does not know the project of --fcm-key, or --fcm-url does not lead to FCM.',
	blamesKey: true,
}
const BUSY: Rule = { remedy: 'again-for-call', kind: 'failed' }

/** Every code FCM is known to give, under `<status> <code>`. */
export const RULES = {
	'400 INVALID_ARGUMENT': OUR_BUG,
	/* the code is ours: FCM says INVALID_ARGUMENT, and that it means the token */
	'400 INVALID_TOKEN': { kind: 'bad-token' },
	'401 UNAUTHENTICATED': {
		remedy: 'new-token',
		kind: 'misconfigured',
		hint: 'FCM refuses a fresh access token: check that --fcm-url leads to FCM, and the clock of this machine (timedatectl).',
		blamesKey: true,
	},
	'401 THIRD_PARTY_AUTH_ERROR': {
		kind: 'misconfigured',
		hint: 'The token is that of an iPhone or a browser: let such an app register with its APNs token.',
	},
	'403 PERMISSION_DENIED': REFUSED_KEY,
	'403 SENDER_ID_MISMATCH': {
		kind: 'bad-token',
		unproven: 'The token belongs to another Firebase project than --fcm-key: give the key of the app’s own project.',
	},
	'404 NOT_FOUND': UNKNOWN_PLACE,
	'404 UNREGISTERED': { kind: 'gone' },
	'429 QUOTA_EXCEEDED': { kind: 'throttled' },
	'500 INTERNAL': BUSY,
	'503 UNAVAILABLE': BUSY,
} as const satisfies Record<string, Rule>

/** Codes Google adds later go by their status. A 404 that does not name the token says nothing against it. */
const BY_STATUS: Readonly<Record<number, Rule>> = {
	401: RULES['401 UNAUTHENTICATED'],
	403: REFUSED_KEY,
	404: UNKNOWN_PLACE,
	429: RULES['429 QUOTA_EXCEEDED'],
}

const KNOWN: ReadonlyMap<string, Rule> = new Map(Object.entries(RULES))

/** The rule for an answer other than 200. Total: any status and any code has one. */
export function ruleFor(status: number, code: string): Rule {
	const known = KNOWN.get(`${status} ${code}`) ?? BY_STATUS[status]
	if (known !== undefined) return known
	return status >= 400 && status < 500 ? OUR_BUG : BUSY
}

const SILENCE: Rule = { remedy: 'again', kind: 'failed' }

const UNTRUSTED: Rule = {
	kind: 'misconfigured',
	hint: 'The certificate of Google cannot be trusted: check --fcm-ca, --fcm-url, the clock, and that nothing intercepts TLS.',
}

/** The rule where there was no answer; `reason` is the code of what happened instead. */
export function ruleForSilence(reason: string): Rule {
	return CERTIFICATE_FAULTS.has(reason) ? UNTRUSTED : SILENCE
}

/** A code is a word in capitals; anything else is not from FCM and must not get into the log. */
const CODE_SHAPE = /^[A-Z][A-Z_]{0,63}$/

interface Detail {
	readonly '@type'?: unknown
	readonly errorCode?: unknown
	readonly fieldViolations?: unknown
}

/** Reads `{"error":{"status","message","details"}}`; never throws. Without a code it is `HTTP <status>`. */
export function readCode(status: number, body: string): string {
	const error = errorOf(body)
	const details = Array.isArray(error.details) ? (error.details as (Detail | null)[]) : []
	if (status === 400 && isAboutToken(error.message, details)) return 'INVALID_TOKEN'
	const ofFcm = details.find((detail) => `${detail?.['@type']}`.endsWith('.FcmError'))?.errorCode
	const code = [ofFcm, error.status].find((word) => typeof word === 'string' && CODE_SHAPE.test(word))
	return typeof code === 'string' ? code : `HTTP ${status}`
}

/** FCM names the field, or says so in a sentence that others rely on, too. A message that is wrong otherwise says nothing of the token. */
function isAboutToken(message: unknown, details: readonly (Detail | null)[]): boolean {
	const fields = details.flatMap((detail) => (Array.isArray(detail?.fieldViolations) ? detail.fieldViolations : []))
	if (fields.length > 0) return fields.every((violation) => violation?.field === 'message.token')
	return typeof message === 'string' && /^The registration token is not a valid FCM registration token/.test(message)
}

function errorOf(text: string): { readonly status?: unknown; readonly message?: unknown; readonly details?: unknown } {
	try {
		const value = JSON.parse(text) as { error?: unknown } | null
		const error = value?.error
		return typeof error === 'object' && error !== null ? error : {}
	} catch {
		return {}
	}
}

/** The outcome by its rule. `deadSince`: when the push went out, ms since the epoch; FCM gives no time. */
export function outcomeOf(
	rule: Rule,
	status: number,
	reason: string,
	isProven: boolean,
	deadSince: number,
): PushOutcome {
	if (rule.unproven !== undefined && !isProven) return { kind: 'misconfigured', status, reason, hint: rule.unproven }
	if (rule.kind === 'misconfigured') return { kind: rule.kind, status, reason, hint: rule.hint ?? '' }
	/* a phone that has registered since may have brought another token */
	if (rule.kind === 'gone') return { kind: rule.kind, status, reason, timestampMs: deadSince }
	return { kind: rule.kind, status, reason }
}
