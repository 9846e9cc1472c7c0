/**
 * What each answer of APNs means and what is done about it. Sources: Apple, "Handling notification responses from
 * APNs"; what to do is ours. The table is the whole policy: src/push/apns.ts only carries it out.
 */
import type { PushOutcome } from '../core/inputs.ts'

/** What may still save the push; each is tried at most once for a push. */
export type Remedy =
	/** Ask the other environment: a sandbox token sent to production looks just like a bad one. */
	| 'other-environment'
	/** The same push with the minimal payload and only the headers it cannot do without. */
	| 'minimal-request'
	/** The same push, with the same apns-id, on another session; this one takes no more. */
	| 'other-session'
	/** Sign a provider token anew, where the last one is old enough. */
	| 'new-token'

export interface Rule {
	readonly remedy?: Remedy
	/** Wait this long before the remedy. */
	readonly delayMs?: number
	/** What it comes to where there is no remedy or it did not help. */
	readonly kind: Exclude<PushOutcome['kind'], 'accepted' | 'withdrawn'>
	/** For `misconfigured`: what to do, a sentence. */
	readonly hint?: string
	/** It speaks against the key or the team, so every other push would be refused too (src/push/breaker.ts). */
	readonly blamesKey?: true
	/** APNs' clock and ours may disagree. */
	readonly suspectsClock?: true
}

const TOPIC_HINT =
	'Check --apns-topic: it is the bundle id of the app with .voip at the end, and the key must be allowed to use it.'
const KEY_HINT =
	'Check that --apns-key, --apns-key-id and --apns-team belong together and that the key has not been revoked.'
const BUG_HINT = 'APNs did not understand the request: please report this with the reason.'
const CERTIFICATE_HINT =
	'APNs asks for a certificate: check that --apns-url leads to APNs and not to something in between.'

const OUR_BUG: Rule = { remedy: 'minimal-request', kind: 'misconfigured', hint: BUG_HINT }
const WRONG_TOPIC: Rule = { kind: 'misconfigured', hint: TOPIC_HINT }
const WRONG_KEY: Rule = { kind: 'misconfigured', hint: KEY_HINT, blamesKey: true }
const WRONG_CREDENTIAL: Rule = { kind: 'misconfigured', hint: CERTIFICATE_HINT, blamesKey: true }
const WRONG_PATH: Rule = {
	kind: 'misconfigured',
	hint: 'Check that --apns-url leads to APNs: it does not know the path of a push.',
}
const TRY_AGAIN: Rule = { remedy: 'other-session', kind: 'failed' }

/** Every reason APNs is known to give, under `<status> <reason>`. */
export const RULES = {
	'400 BadDeviceToken': { remedy: 'other-environment', kind: 'bad-token' },
	'400 DeviceTokenNotForTopic': WRONG_TOPIC,
	'400 BadTopic': WRONG_TOPIC,
	'400 MissingTopic': WRONG_TOPIC,
	'400 TopicDisallowed': WRONG_TOPIC,
	'400 BadCollapseId': OUR_BUG,
	'400 BadExpirationDate': OUR_BUG,
	'400 BadMessageId': OUR_BUG,
	'400 BadPriority': OUR_BUG,
	'400 DuplicateHeaders': OUR_BUG,
	'400 InvalidPushType': OUR_BUG,
	'400 MissingDeviceToken': OUR_BUG,
	'400 PayloadEmpty': OUR_BUG,
	'400 IdleTimeout': TRY_AGAIN,
	'403 ExpiredProviderToken': {
		remedy: 'new-token',
		kind: 'misconfigured',
		hint: 'APNs calls a fresh token expired: check the clock of this machine (timedatectl).',
		blamesKey: true,
		suspectsClock: true,
	},
	'403 InvalidProviderToken': { ...WRONG_KEY, suspectsClock: true },
	'403 MissingProviderToken': WRONG_KEY,
	'403 UnrelatedKeyIdInToken': WRONG_KEY,
	'403 BadEnvironmentKeyIdInToken': {
		kind: 'misconfigured',
		hint: 'The key may be used in one environment only: check --apns-environment, or make a key for both.',
		blamesKey: true,
	},
	'403 BadCertificate': WRONG_CREDENTIAL,
	'403 BadCertificateEnvironment': WRONG_CREDENTIAL,
	'403 Forbidden': WRONG_CREDENTIAL,
	'404 BadPath': WRONG_PATH,
	'405 MethodNotAllowed': WRONG_PATH,
	'410 Unregistered': { kind: 'gone' },
	'410 ExpiredToken': { kind: 'gone' },
	'413 PayloadTooLarge': OUR_BUG,
	'429 TooManyProviderTokenUpdates': {
		remedy: 'other-session',
		kind: 'misconfigured',
		hint: 'Something signs tokens with this key too often: let one gateway alone use the key, or give each a key.',
		suspectsClock: true,
	},
	'429 TooManyRequests': { kind: 'throttled' },
	'500 InternalServerError': { ...TRY_AGAIN, delayMs: 300 },
	'503 ServiceUnavailable': TRY_AGAIN,
	'503 Shutdown': TRY_AGAIN,
} as const satisfies Record<string, Rule>

/** Reasons Apple adds later go by their status. */
const BY_STATUS: Readonly<Record<number, Rule>> = {
	400: OUR_BUG,
	401: WRONG_KEY,
	403: WRONG_KEY,
	404: WRONG_PATH,
	405: WRONG_PATH,
	410: RULES['410 Unregistered'],
	413: RULES['413 PayloadTooLarge'],
	429: RULES['429 TooManyRequests'],
}

/** No answer at all: timeout, RST_STREAM, GOAWAY, a connection that closed. The same goes for any 5xx. */
const NO_ANSWER: Rule = TRY_AGAIN

/** How node:tls says that the other end is not who it should be: dialling again would not help. */
export const CERTIFICATE_FAULTS: ReadonlySet<string> = new Set([
	'CERT_HAS_EXPIRED',
	'CERT_NOT_YET_VALID',
	'CERT_REVOKED',
	'CERT_SIGNATURE_FAILURE',
	'CERT_UNTRUSTED',
	'DEPTH_ZERO_SELF_SIGNED_CERT',
	'ERR_TLS_CERT_ALTNAME_INVALID',
	'SELF_SIGNED_CERT_IN_CHAIN',
	'UNABLE_TO_GET_ISSUER_CERT',
	'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
	'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

const UNTRUSTED: Rule = {
	kind: 'misconfigured',
	hint: 'The certificate of APNs cannot be trusted: check --apns-ca, --apns-url, the clock, and that nothing intercepts TLS.',
}

/** The rule where there was no answer; `reason` is the code of what happened instead. */
export function ruleForSilence(reason: string): Rule {
	return CERTIFICATE_FAULTS.has(reason) ? UNTRUSTED : NO_ANSWER
}

const KNOWN: ReadonlyMap<string, Rule> = new Map(Object.entries(RULES))

/** The rule for an answer other than 200. Total: any status and any reason has one. */
export function ruleFor(status: number, reason: string): Rule {
	const known = KNOWN.get(`${status} ${reason}`) ?? BY_STATUS[status]
	if (known !== undefined) return known
	return status >= 400 && status < 500 ? OUR_BUG : NO_ANSWER
}

/** What the body of a refusal says; ours where it says nothing. */
export interface Refusal {
	readonly reason: string
	/** When APNs last knew the token to be good or found it dead, ms since the epoch; 0 where it does not say. */
	readonly timestampMs: number
}

/** APNs' reasons are single words; anything else is not from APNs and must not get into the log. */
const REASON_SHAPE = /^\w{1,64}$/

/** Reads `{"reason":"…","timestamp":…}`; never throws. Without a reason it is `HTTP <status>`. */
export function readRefusal(status: number, body: string): Refusal {
	const parsed = parseObject(body)
	const { reason, timestamp } = parsed
	return {
		reason: typeof reason === 'string' && REASON_SHAPE.test(reason) ? reason : `HTTP ${status}`,
		timestampMs: typeof timestamp === 'number' && timestamp > 0 ? timestamp : 0,
	}
}

function parseObject(text: string): { reason?: unknown; timestamp?: unknown } {
	try {
		const value: unknown = JSON.parse(text)
		return typeof value === 'object' && value !== null ? value : {}
	} catch {
		return {}
	}
}

/** The outcome of a refusal by its rule. */
export function outcomeOf(rule: Rule, status: number, refusal: Refusal): PushOutcome {
	const { reason, timestampMs } = refusal
	if (rule.kind === 'misconfigured') return { kind: rule.kind, status, reason, hint: rule.hint ?? BUG_HINT }
	if (rule.kind === 'gone') return { kind: rule.kind, status, reason, timestampMs }
	return { kind: rule.kind, status, reason }
}
