/**
 * The provider token of APNs: a JWT signed with the operator's .p8 key (ES256). Apple, "Establishing a token-based
 * connection to APNs": a new one no more often than every 20 minutes, and none older than an hour.
 */
import { createPublicKey } from 'node:crypto'
import { compactVerify, decodeJwt, decodeProtectedHeader, importPKCS8, SignJWT } from 'jose'
import { Secret } from '../lib/secret.ts'

/** A fresh one is signed in the background from this age: well before the hour, whatever the clocks say. */
export const REFRESH_AFTER_MS = 45 * 60_000
/** Apple's floor; signing more often is punished by TooManyProviderTokenUpdates, for every push. */
export const MINT_FLOOR_MS = 20 * 60_000
/** Not used from this age: two minutes before the hour, for a clock that is a little late. */
export const UNUSABLE_AFTER_MS = 58 * 60_000
/** A token from further in the future than this was signed by a clock that has been set right since: it counts for nothing. */
const FUTURE_MS = 60_000

/** A signed token and when it was signed, ms since the epoch. */
export interface IssuedToken {
	readonly token: Secret
	readonly issuedAt: number
}

/** Keeps the token across restarts, so that a gateway in a crash loop does not sign one at each start. */
export interface TokenStore {
	/** The token last saved; undefined where there is none or it cannot be read. Never throws. */
	load(): IssuedToken | undefined
	/** Never throws: a token that could not be saved is still good. */
	save(issued: IssuedToken): void
}

export interface ProviderTokenOptions {
	/** The text of the .p8 file: PKCS#8 PEM, P-256. */
	readonly key: Secret
	/** Ten characters, `kid`. */
	readonly keyId: string
	/** Ten characters, `iss`. */
	readonly teamId: string
	readonly tokens: TokenStore
	/** ms since the epoch. */
	readonly now: () => number
}

export class ProviderToken {
	readonly #options: ProviderTokenOptions
	#issued: IssuedToken | undefined
	#bearer = ''
	/** The one signing under way; everybody who needs a token waits for the same. */
	#minting: Promise<void> | undefined
	#loaded = false

	constructor(options: ProviderTokenOptions) {
		this.#options = options
	}

	/**
	 * The value of the `authorization` header; undefined where {@link prepare} must be awaited first.
	 * From {@link REFRESH_AFTER_MS} on it starts a new signing and goes on giving the old token meanwhile.
	 */
	authorization(): string | undefined {
		const age = this.#age()
		if (age === undefined || age >= UNUSABLE_AFTER_MS) return undefined
		if (age >= REFRESH_AFTER_MS) this.prepare().catch(() => {})
		return this.#bearer
	}

	/** Loads or signs a token; any number of callers share one signing. Rejects where the key cannot be used. */
	prepare(): Promise<void> {
		this.#minting ??= this.#obtain().finally(() => {
			this.#minting = undefined
		})
		return this.#minting
	}

	/**
	 * APNs called the token in `authorization` expired. Resolves to whether there is another one now: one signed
	 * since by somebody else, or a new one where the floor allows it. Never rejects.
	 */
	async replace(authorization: string): Promise<boolean> {
		if (this.#bearer !== authorization) return true
		const age = this.#age()
		if (age !== undefined && age < MINT_FLOOR_MS) return false
		await this.prepare().catch(() => {})
		return this.#bearer !== authorization
	}

	/** Since the token was signed, ms; undefined where there is none that counts. */
	#age(): number | undefined {
		if (this.#issued === undefined) return undefined
		const age = this.#options.now() - this.#issued.issuedAt
		return age < -FUTURE_MS ? undefined : age
	}

	async #obtain(): Promise<void> {
		if (!this.#loaded) {
			this.#loaded = true
			await this.#load()
			const age = this.#age()
			if (age !== undefined && age < REFRESH_AFTER_MS) return
		}
		await this.#mint()
	}

	async #load(): Promise<void> {
		const stored = this.#options.tokens.load()
		if (stored !== undefined && (await this.#isOurs(stored))) this.#use(stored)
	}

	/** Signed with this very key, for this key id and team? The operator may have changed any of them. */
	async #isOurs(stored: IssuedToken): Promise<boolean> {
		const { key, keyId, teamId } = this.#options
		try {
			const token = stored.token.reveal()
			await compactVerify(token, createPublicKey(key.reveal()), { algorithms: ['ES256'] })
			return decodeProtectedHeader(token).kid === keyId && decodeJwt(token).iss === teamId
		} catch {
			return false
		}
	}

	async #mint(): Promise<void> {
		const { key, keyId, teamId, now, tokens } = this.#options
		const issuedAtSec = Math.floor(now() / 1000)
		const jwt = await new SignJWT({ iss: teamId, iat: issuedAtSec })
			.setProtectedHeader({ alg: 'ES256', kid: keyId })
			.sign(await importPKCS8(key.reveal(), 'ES256'))
		const issued = { token: new Secret(jwt), issuedAt: issuedAtSec * 1000 }
		this.#use(issued)
		tokens.save(issued)
	}

	#use(issued: IssuedToken): void {
		this.#issued = issued
		this.#bearer = `bearer ${issued.token.reveal()}`
	}
}
