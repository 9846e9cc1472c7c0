/** The key of a service account, as Google gives it: a JSON file with the project, the account and its private key. */
import { createPrivateKey } from 'node:crypto'
import { Secret } from '../../lib/secret.ts'

export interface ServiceAccount {
	readonly projectId: string
	/** The account, `iss` of what it signs. */
	readonly clientEmail: string
	/** `kid` of what it signs. */
	readonly keyId: string
	/** PKCS#8 PEM, RSA. */
	readonly privateKey: Secret
	/** Where its signature is exchanged for an access token. */
	readonly tokenUrl: string
}

/** `wrong` completes the sentence `<file> …`, without a full stop. */
export type KeyReading =
	| { readonly ok: true; readonly account: ServiceAccount }
	| { readonly ok: false; readonly wrong: string }

/** What to do about a file that is not the right one. */
export const KEY_HINT =
	'Make one in the Firebase console: Project settings, Service accounts, Generate new private key.'

/** RFC 7518 §3.3. */
const RSA_MIN_BITS = 2048

/** Goes into a path. Google's have lower-case letters, digits and hyphens; old ones a domain and a colon in front. */
const PROJECT_SHAPE = /^[a-z0-9][a-z0-9.:-]{0,99}$/

const FIELDS = ['project_id', 'client_email', 'private_key_id', 'private_key', 'token_uri'] as const

/** Reads the text of the file. Never throws, and repeats nothing of the key. */
export function readServiceAccount(text: string): KeyReading {
	const file = objectOf(text)
	if (file === undefined) return wrong('is no JSON object')
	if ('project_info' in file) return wrong('is the google-services.json of an app, which has no key to push with')
	if (file['type'] !== 'service_account') return wrong('is not the key of a service account')
	const missing = FIELDS.filter((field) => typeof file[field] !== 'string' || file[field] === '')
	if (missing.length > 0) return wrong(`lacks ${missing.join(' and ')}`)
	return accountOf(file as Record<(typeof FIELDS)[number], string>)
}

function accountOf(file: Readonly<Record<(typeof FIELDS)[number], string>>): KeyReading {
	if (!PROJECT_SHAPE.test(file.project_id)) return wrong('has a project_id that is none')
	if (!isHttps(file.token_uri)) return wrong('has a token_uri that is no https address')
	if (!isRsaKey(file.private_key)) return wrong('has a private_key that is no RSA key in PKCS#8 PEM')
	const account = {
		projectId: file.project_id,
		clientEmail: file.client_email,
		keyId: file.private_key_id,
		privateKey: new Secret(file.private_key),
		tokenUrl: file.token_uri,
	}
	return { ok: true, account }
}

function wrong(sentence: string): KeyReading {
	return { ok: false, wrong: sentence }
}

function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
	try {
		const value: unknown = JSON.parse(text)
		return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
	} catch {
		return undefined
	}
}

function isHttps(text: string): boolean {
	return URL.parse(text)?.protocol === 'https:'
}

function isRsaKey(pem: string): boolean {
	if (!pem.trimStart().startsWith('-----BEGIN PRIVATE KEY-----')) return false
	try {
		const { asymmetricKeyType, asymmetricKeyDetails } = createPrivateKey(pem)
		return asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) >= RSA_MIN_BITS
	} catch {
		return false
	}
}
