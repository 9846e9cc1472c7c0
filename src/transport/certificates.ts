/** The certificates of a TLS listener, read out of files: one for each name, the first for all others. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'

export interface TlsFiles {
	/** At least one. PEM: the certificate and its chain, and its key. certbot calls them fullchain.pem and privkey.pem. */
	readonly certificates: readonly { readonly certFile: string; readonly keyFile: string }[]
	/** PEM. With it clients are asked for a certificate, and told apart; none is refused for it. */
	readonly clientCaFile?: string
}

export interface CertificateRow {
	/** In lower case; `*.` at most in front. */
	readonly names: readonly string[]
	/** ms since the epoch. */
	readonly validUntil: number
}

interface Entry extends CertificateRow {
	readonly context: unknown
}

export class Certificates {
	readonly #byName = new Map<string, Entry>()
	readonly #entries: readonly Entry[]
	readonly asksClients: boolean

	private constructor(entries: readonly Entry[], asksClients: boolean) {
		this.#entries = entries
		this.asksClients = asksClients
		for (const entry of entries)
			for (const name of entry.names) if (!this.#byName.has(name)) this.#byName.set(name, entry)
	}

	/** Or a sentence that says what is wrong with which file. */
	static read(files: TlsFiles): Certificates | string {
		try {
			const ca = files.clientCaFile === undefined ? undefined : readFile(files.clientCaFile)
			return new Certificates(
				files.certificates.map(({ certFile, keyFile }) => readEntry(certFile, keyFile, ca)),
				ca !== undefined,
			)
		} catch (error) {
			return (error as Error).message
		}
	}

	get rows(): readonly CertificateRow[] {
		return this.#entries.map(({ names, validUntil }) => ({ names, validUntil }))
	}

	/** The runtime's TLS context for a client that asks for `name` (RFC 6125 §6.4.3: a wildcard is one label). */
	contextFor(name: string | undefined): unknown {
		if (name === undefined) return this.#entries[0]!.context
		const entry = this.#byName.get(name) ?? this.#byName.get(`*${name.slice(Math.max(0, name.indexOf('.')))}`)
		return (entry ?? this.#entries[0]!).context
	}
}

/** @throws a sentence */
function readEntry(certFile: string, keyFile: string, ca: string | undefined): Entry {
	const cert = readFile(certFile)
	const key = readFile(keyFile)
	const x509 = attempt(`${certFile} holds no certificate in PEM`, () => new X509Certificate(cert))
	const privateKey = attempt(`${keyFile} holds no private key in PEM`, () => createPrivateKey(key))
	if (!x509.checkPrivateKey(privateKey))
		throw new Error(`The key in ${keyFile} does not belong to the certificate in ${certFile}.`)
	const context = attempt(`TLS cannot use ${certFile}`, () =>
		createSecureContext({ cert, key, minVersion: 'TLSv1.2', ...(ca !== undefined && { ca }) }),
	)
	return {
		names: namesOf(x509),
		validUntil: Date.parse(x509.validTo),
		context: (context as { context: unknown }).context,
	}
}

function readFile(path: string): string {
	return attempt(`Cannot read ${path}`, () => readFileSync(path, 'latin1'))
}

/** @throws the sentence, with what the error says */
function attempt<T>(sentence: string, what: () => T): T {
	try {
		return what()
	} catch (error) {
		throw new Error(`${sentence}: ${(error as Error).message}.`)
	}
}

/** DNS names; without any the common name, which is what old authorities used. */
function namesOf(x509: X509Certificate): string[] {
	const names = (x509.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('DNS:'))
	const common = /^CN=(.+)$/m.exec(x509.subject)?.[1]
	const all = names.length > 0 ? names.map((name) => name.slice(4)) : common === undefined ? [] : [common]
	return all.map((name) => name.toLowerCase())
}
