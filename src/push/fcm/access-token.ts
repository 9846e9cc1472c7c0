/**
 * The access token of FCM: a JWT signed by the service account (RS256) is exchanged for one that is good for an hour (RFC 7523
 * §2.1; Google, "Using OAuth 2.0 for server to server applications").
 */
import { importPKCS8, SignJWT } from 'jose'
import type { PushOutcome } from '../../core/inputs.ts'
import { ruleForSilence } from './answers.ts'
import type { ServiceAccount } from './key.ts'
import { type Answer, post } from './post.ts'

/** A new one is fetched in the background this long before the old one ends: time for many tries. */
export const REFRESH_BEFORE_MS = 300_000
/** Google's answer takes a tenth of this; a call waits for it. */
export const EXCHANGE_TIMEOUT_MS = 2500
/** Between two tries in the background that failed. */
export const TRY_AGAIN_MS = 5_000
/** As long as Google lets a signature be good for, s. */
const ASSERTION_LIFE_SEC = 3600
/** What Google grants, where it does not say. */
const DEFAULT_LIFE_SEC = 3600

const SCOPE = 'https://www.googleapis.com/auth/firebase.messaging'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

/** What may stand in a header. */
const TOKEN_SHAPE = /^[\x21-\x7e]{1,8192}$/

export interface AccessTokenOptions {
	readonly account: ServiceAccount
	readonly ca: string | undefined
	/** ms since the epoch, never going back. */
	readonly now: () => number
}

export class AccessToken {
	readonly #options: AccessTokenOptions
	#bearer = ''
	/** ms since the epoch. */
	#expiresAt = 0
	#tryAgainAt = 0
	/** The one exchange under way; everybody who needs a token waits for the same. */
	#exchange: Promise<PushOutcome | undefined> | undefined

	constructor(options: AccessTokenOptions) {
		this.#options = options
	}

	/**
	 * The value of the `authorization` header; undefined where {@link prepare} must be awaited first. From {@link REFRESH_BEFORE_MS}
	 * before its end on it starts a new exchange and goes on giving the old one meanwhile.
	 */
	authorization(): string | undefined {
		const now = this.#options.now()
		if (now >= this.#expiresAt) return undefined
		if (now >= this.#expiresAt - REFRESH_BEFORE_MS && now >= this.#tryAgainAt) void this.prepare()
		return this.#bearer
	}

	/** Fetches a token; any number of callers share one exchange. The outcome of a push where there is none. Never rejects. */
	prepare(): Promise<PushOutcome | undefined> {
		this.#exchange ??= this.#obtain().finally(() => {
			this.#exchange = undefined
		})
		return this.#exchange
	}

	/** FCM refused the one in `authorization`. Where nobody has fetched another since, it is not used again. */
	discard(authorization: string): void {
		if (this.#bearer === authorization) this.#expiresAt = 0
	}

	async #obtain(): Promise<PushOutcome | undefined> {
		const { account, ca, now } = this.#options
		const startedAt = now()
		const assertion = await this.#sign(startedAt).catch(() => undefined)
		if (assertion === undefined) return UNUSABLE_KEY
		const answer = await post({
			url: account.tokenUrl,
			headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
			body: new URLSearchParams({ grant_type: JWT_BEARER, assertion }).toString(),
			timeoutMs: EXCHANGE_TIMEOUT_MS,
			ca,
		})
		const granted = answer.kind === 'response' && answer.status === 200 ? readGrant(answer.body) : undefined
		if (granted === undefined) {
			this.#tryAgainAt = now() + TRY_AGAIN_MS
			return refusalOf(answer)
		}
		this.#bearer = `Bearer ${granted.token}`
		this.#expiresAt = startedAt + granted.lifeMs
		return undefined
	}

	async #sign(nowMs: number): Promise<string> {
		const { clientEmail, keyId, privateKey, tokenUrl } = this.#options.account
		const issuedAtSec = Math.floor(nowMs / 1000)
		return new SignJWT({ iss: clientEmail, scope: SCOPE, aud: tokenUrl, iat: issuedAtSec })
			.setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: keyId })
			.setExpirationTime(issuedAtSec + ASSERTION_LIFE_SEC)
			.sign(await importPKCS8(privateKey.reveal(), 'RS256'))
	}
}

function readGrant(body: string): { readonly token: string; readonly lifeMs: number } | undefined {
	const { access_token: token, expires_in: sec } = objectOf(body)
	if (typeof token !== 'string' || !TOKEN_SHAPE.test(token)) return undefined
	const lifeSec = typeof sec === 'number' && sec > 0 ? sec : DEFAULT_LIFE_SEC
	return { token, lifeMs: lifeSec * 1000 }
}

const UNUSABLE_KEY: PushOutcome = {
	kind: 'misconfigured',
	status: 0,
	reason: 'unusable key',
	hint: 'The key cannot sign: take the file of --fcm-key as Google gave it.',
}

const KEY_REFUSED =
	'Google gives no access token for --fcm-key: check that its key was not deleted nor its account disabled, and the clock of this machine (timedatectl).'

/** OAuth's errors are words in small letters (RFC 6749 §5.2); anything else is not one and must not get into the log. */
const ERROR_SHAPE = /^[a-z_]{1,64}$/

function refusalOf(answer: Answer): PushOutcome {
	if (answer.kind === 'none') {
		const rule = ruleForSilence(answer.reason)
		const reason = `no access token: ${answer.reason}`
		return rule.hint === undefined ? failed(0, reason) : { kind: 'misconfigured', status: 0, reason, hint: rule.hint }
	}
	const { status, body } = answer
	const { error } = objectOf(body)
	const said = typeof error === 'string' && ERROR_SHAPE.test(error) ? error : `HTTP ${status}`
	const reason = `no access token: ${said}`
	const isFinal = status >= 400 && status < 500 && status !== 408 && status !== 429
	return isFinal ? { kind: 'misconfigured', status, reason, hint: KEY_REFUSED } : failed(status, reason)
}

function failed(status: number, reason: string): PushOutcome {
	return { kind: 'failed', status, reason }
}

function objectOf(text: string): {
	readonly access_token?: unknown
	readonly expires_in?: unknown
	readonly error?: unknown
} {
	try {
		const value: unknown = JSON.parse(text)
		return typeof value === 'object' && value !== null ? value : {}
	} catch {
		return {}
	}
}
