/** Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760) of the demo's phones and PBX: MD5 and SHA-256, qop=auth. */
import { createHash } from 'node:crypto'
import type { HeaderRow } from '../sip/build.ts'
import { Header } from '../sip/headers.ts'
import type { SipMessage } from '../sip/message.ts'

export type DigestAlgorithm = 'MD5' | 'SHA-256'

/** One WWW-Authenticate or Proxy-Authenticate row a user agent can answer. */
export interface Challenge {
	readonly realm: string
	readonly nonce: string
	readonly opaque: string | undefined
	readonly algorithm: DigestAlgorithm
	/** False: a server of RFC 2069 days, to be answered without cnonce and nc. */
	readonly qop: boolean
	readonly stale: boolean
}

/** What a user agent answers a challenge with. `uri` is the Request-URI; `nonceCount` starts at 1 for each nonce. */
export interface Answer {
	readonly username: string
	readonly password: string
	readonly method: string
	readonly uri: string
	readonly nonceCount: number
	readonly cnonce: string
}

const HASHES = { MD5: 'md5', 'SHA-256': 'sha256' } as const satisfies Record<DigestAlgorithm, string>

/** The parameters of a `Digest …` value by lower-case name, quotes taken off; undefined for another scheme. */
export function parseDigest(value: string): Map<string, string> | undefined {
	if (!/^digest /i.test(value)) return undefined
	const parameters = new Map<string, string>()
	for (const [, name, raw] of value.slice(7).matchAll(/([a-z0-9_-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]+)/gi)) {
		parameters.set(name!.toLowerCase(), raw!.startsWith('"') ? raw!.slice(1, -1).replace(/\\(.)/g, '$1') : raw!)
	}
	return parameters
}

/** The first row the user agent can answer: the server lists them by preference (RFC 8760 §2.4). */
export function chooseChallenge(rows: readonly string[]): Challenge | undefined {
	for (const row of rows) {
		const parameters = parseDigest(row)
		const algorithm = digestAlgorithm(parameters?.get('algorithm'))
		const nonce = parameters?.get('nonce')
		if (parameters === undefined || algorithm === undefined || nonce === undefined) continue
		const qops = parameters
			.get('qop')
			?.split(',')
			.map((qop) => qop.trim().toLowerCase())
		if (qops !== undefined && !qops.includes('auth')) continue
		const stale = parameters.get('stale')?.toLowerCase() === 'true'
		const { realm, opaque } = { realm: parameters.get('realm') ?? '', opaque: parameters.get('opaque') }
		return { realm, nonce, opaque, algorithm, qop: qops !== undefined, stale }
	}
	return undefined
}

/** The value of an Authorization or Proxy-Authorization row. */
export function authorization(challenge: Challenge, answer: Answer): string {
	const nc = answer.nonceCount.toString(16).padStart(8, '0')
	const parameters = new Map([
		['nc', nc],
		['cnonce', answer.cnonce],
		['uri', answer.uri],
		['username', answer.username],
		['realm', challenge.realm],
		['nonce', challenge.nonce],
	])
	if (challenge.qop) parameters.set('qop', 'auth')
	const response = digestResponse(challenge.algorithm, parameters, answer.method, answer.password)
	const opaque = challenge.opaque === undefined ? '' : `, opaque="${challenge.opaque}"`
	const counted = challenge.qop ? `, qop=auth, nc=${nc}, cnonce="${answer.cnonce}"` : ''
	return (
		`Digest username="${answer.username}", realm="${challenge.realm}", nonce="${challenge.nonce}", ` +
		`uri="${answer.uri}", algorithm=${challenge.algorithm}, response="${response}"${counted}${opaque}`
	)
}

/** True where `parameters` (of {@link parseDigest}) were made with this password. Nonce and user are the caller's to check. */
export function verifyDigest(parameters: ReadonlyMap<string, string>, method: string, password: string): boolean {
	const algorithm = digestAlgorithm(parameters.get('algorithm'))
	if (algorithm === undefined) return false
	return digestResponse(algorithm, parameters, method, password) === parameters.get('response')?.toLowerCase()
}

/** Attempts at one request: as it is, with an answer to the challenge, and once more where that nonce had gone stale. */
const MAX_ATTEMPTS = 3

/** A user's credentials towards one server: remembers its last challenge and counts the uses of its nonce. */
export class Authenticator {
	readonly #username: string
	readonly #password: string
	readonly #token: (digits: number) => string
	#challenge: Challenge | undefined
	#uses = 0

	constructor(username: string, password: string, token: (digits: number) => string) {
		this.#username = username
		this.#password = password
		this.#token = token
	}

	/**
	 * Takes the challenge of a 401 or 407 to attempt number `attempt` (1 the first). False where it is no use to try
	 * again: it cannot be answered, or a right answer to it has just been refused.
	 */
	learn(response: SipMessage, attempt: number): boolean {
		if (response.status !== 401 && response.status !== 407) return false
		const header = response.status === 407 ? Header.ProxyAuthenticate : Header.WwwAuthenticate
		const challenge = chooseChallenge(response.rows(header))
		if (challenge === undefined || attempt >= MAX_ATTEMPTS || (attempt > 1 && !challenge.stale)) return false
		this.#challenge = challenge
		this.#uses = 0
		return true
	}

	/** Credentials by the challenge last learnt; none before the first. */
	rows(method: string, uri: string, proxy = false): HeaderRow[] {
		if (this.#challenge === undefined) return []
		this.#uses += 1
		const who = { username: this.#username, password: this.#password, method, uri }
		const value = authorization(this.#challenge, { ...who, nonceCount: this.#uses, cnonce: this.#token(16) })
		return [[proxy ? 'Proxy-Authorization' : 'Authorization', value]]
	}

	/** As after a restart of the app. */
	forget(): void {
		this.#challenge = undefined
	}
}

/** RFC 7616 §3.4.1; without qop that of RFC 2069. */
function digestResponse(algorithm: DigestAlgorithm, p: ReadonlyMap<string, string>, method: string, password: string) {
	const hash = (text: string) => createHash(HASHES[algorithm]).update(text, 'latin1').digest('hex')
	const ha1 = hash(`${p.get('username')}:${p.get('realm')}:${password}`)
	const ha2 = hash(`${method}:${p.get('uri')}`)
	if (!p.has('qop')) return hash(`${ha1}:${p.get('nonce')}:${ha2}`)
	return hash(`${ha1}:${p.get('nonce')}:${p.get('nc')}:${p.get('cnonce')}:${p.get('qop')}:${ha2}`)
}

function digestAlgorithm(name = 'MD5'): DigestAlgorithm | undefined {
	const upper = name.toUpperCase()
	return upper === 'MD5' || upper === 'SHA-256' ? upper : undefined
}
