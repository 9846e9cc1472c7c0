/**
 * A stand-in for Google: a real HTTPS server that verifies what Google verifies (the signed assertion, the access token, the
 * message) and otherwise answers what it is told to.
 */
import { generateKeyPairSync } from 'node:crypto'
import { importSPKI, jwtVerify } from 'jose'
import { makeCertificate } from '../../../src/demo/certificate.ts'

const { privateKey, publicKey } = generateKeyPairSync('rsa', {
	modulusLength: 2048,
	privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
	publicKeyEncoding: { type: 'spki', format: 'pem' },
})

export const PROJECT = 'call-centre-1'
export const EMAIL = `gateway@${PROJECT}.iam.gserviceaccount.com`
export const KEY_ID = '0f1e2d3c4b5a'
const CERTIFICATE = makeCertificate(Date.now())

/** The text of the key file. */
export function keyFile(tokenUri: string, changes: Readonly<Record<string, unknown>> = {}): string {
	return JSON.stringify({
		type: 'service_account',
		project_id: PROJECT,
		private_key_id: KEY_ID,
		private_key: privateKey,
		client_email: EMAIL,
		token_uri: tokenUri,
		...changes,
	})
}

export interface Message {
	readonly token: string
	readonly android: { readonly priority: string; readonly ttl: string; readonly direct_boot_ok?: boolean }
	readonly data: Readonly<Record<string, string>>
}

export interface Received {
	readonly message: Message
	readonly authorization: string
	readonly at: number
	/** Of the connection it came by. */
	readonly port: number
}

/** What to do with a request that passed all checks: undefined takes it; `stall` never answers. */
export type Answer = Response | 'stall' | undefined

/** As Google words it; `code` is FCM's own, in the details. */
export function error(
	status: number,
	word: string,
	code?: string,
	more: Readonly<Record<string, unknown>> = {},
): Response {
	const details =
		code === undefined ? [] : [{ '@type': 'type.googleapis.com/google.firebase.fcm.v1.FcmError', errorCode: code }]
	return Response.json({ error: { code: status, message: 'As told.', status: word, details, ...more } }, { status })
}

const RESERVED = /^(?:from|message_type|collapse_key|(?:google|gcm)(?:\..*)?)$/

export class GoogleStandIn {
	readonly ca = CERTIFICATE.certPem
	readonly url: string
	readonly messages: Received[] = []
	/** Claims of every assertion that was exchanged. */
	readonly assertions: Readonly<Record<string, unknown>>[] = []
	/** What is wrong with a request that FCM would not take; a test expects none. */
	readonly faults: string[] = []
	/** Access tokens that are good now. */
	readonly granted = new Set<string>()
	onToken: () => Answer = () => undefined
	onMessage: (message: Message, nth: number) => Answer = () => undefined
	lifeSec = 3600
	/** Its clock, ms since the epoch. */
	now: () => number = Date.now
	readonly #server: Bun.Server<undefined>

	constructor() {
		this.#server = Bun.serve({
			hostname: '127.0.0.1',
			port: 0,
			tls: { key: CERTIFICATE.keyPem, cert: CERTIFICATE.certPem },
			idleTimeout: 30,
			fetch: (request, server) => this.#fetch(request, server.requestIP(request)?.port ?? 0),
		})
		this.url = `https://127.0.0.1:${this.#server.port}`
	}

	get tokenUri(): string {
		return `${this.url}/token`
	}

	stop(): Promise<void> {
		return this.#server.stop(true)
	}

	async #fetch(request: Request, port: number): Promise<Response> {
		const { pathname } = new URL(request.url)
		const answer = pathname === '/token' ? await this.#token(request) : await this.#message(request, pathname, port)
		return answer === 'stall' ? new Promise(() => {}) : answer
	}

	async #token(request: Request): Promise<Response | 'stall'> {
		const form = new URLSearchParams(await request.text())
		if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
			return Response.json({ error: 'unsupported_grant_type' }, { status: 400 })
		try {
			const { payload, protectedHeader } = await jwtVerify(
				form.get('assertion') ?? '',
				await importSPKI(publicKey, 'RS256'),
				{
					algorithms: ['RS256'],
					issuer: EMAIL,
					audience: this.tokenUri,
					maxTokenAge: '1h',
					clockTolerance: 5,
					currentDate: new Date(this.now()),
				},
			)
			if (protectedHeader.kid !== KEY_ID) throw new Error('another key')
			this.assertions.push(payload)
		} catch (fault) {
			this.faults.push(`assertion: ${fault}`)
			return Response.json({ error: 'invalid_grant' }, { status: 400 })
		}
		const told = this.onToken()
		if (told !== undefined) return told
		const token = `ya29.${this.assertions.length}-${crypto.randomUUID()}`
		this.granted.add(token)
		return Response.json({ access_token: token, expires_in: this.lifeSec, token_type: 'Bearer' })
	}

	async #message(request: Request, path: string, port: number): Promise<Response | 'stall'> {
		const authorization = request.headers.get('authorization') ?? ''
		const bytes = await request.text()
		if (path !== `/v1/projects/${PROJECT}/messages:send`) return new Response('<html>', { status: 404 })
		if (!this.granted.has(authorization.replace(/^Bearer /, ''))) return error(401, 'UNAUTHENTICATED')
		const { message } = JSON.parse(bytes) as { message: Message }
		this.messages.push({ message, authorization, at: performance.now(), port })
		this.faults.push(...faultsOf(message))
		return this.onMessage(message, this.messages.length) ?? Response.json({ name: `projects/${PROJECT}/messages/1` })
	}
}

function faultsOf(message: Message): string[] {
	const { data, android, token } = message
	const faults = Object.keys(data).filter((key) => RESERVED.test(key))
	for (const [key, value] of Object.entries(data)) if (typeof value !== 'string') faults.push(`${key} is no string`)
	if (Object.keys(message).sort().join() !== 'android,data,token') faults.push(`it has ${Object.keys(message)}`)
	if (new TextEncoder().encode(JSON.stringify(data)).length > 4096) faults.push('too long')
	if (!/^\d+s$/.test(android.ttl) || token === '') faults.push('ttl or token')
	return faults
}
