/**
 * A stand-in for APNs: a real HTTP/2 server over TLS that verifies what APNs verifies (provider token, headers,
 * payload) and otherwise answers what it is told to. For the demo, the tests and the bench.
 */
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import {
	constants,
	createSecureServer,
	type IncomingHttpHeaders,
	type ServerHttp2Session,
	type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { type CryptoKey, importSPKI, jwtVerify } from 'jose'
import { MAX_PAYLOAD_BYTES } from '../core/effects.ts'
import { makeCertificate } from './certificate.ts'

/** As of APNs (Apple, "Establishing a token-based connection to APNs"). */
const TOKEN_MAX_AGE_MS = 60 * 60_000
const TOKEN_UPDATE_FLOOR_MS = 20 * 60_000
/** Tokens from further in the future come from a wrong clock. */
const TOKEN_FUTURE_MS = 5 * 60_000
/** How many pushes are remembered: a bench sends millions. */
const PUSHES_KEPT = 1000
/** As of APNs once a session is authenticated. */
const MAX_STREAMS = 1000

/** A push that passed all checks. */
export interface ReceivedPush {
	/** Device token, lower-case hex. */
	readonly token: string
	/** The request's, or a fresh one where it gave none. */
	readonly apnsId: string
	readonly topic: string
	/** Seconds since the epoch; 0 where the request gave none. */
	readonly expirationSec: number
	/** The parsed JSON. */
	readonly payload: unknown
	/** 1 for the first session, 2 for the next. */
	readonly session: number
	readonly headers: IncomingHttpHeaders
}

/** What to do with a push that passed all checks. */
export type StandInAnswer =
	| { readonly kind: 'answer'; readonly status: number; readonly reason?: string; readonly timestampMs?: number }
	/** Never answer. */
	| { readonly kind: 'stall' }
	/** RST_STREAM with this code. */
	| { readonly kind: 'reset'; readonly code: number }
	/** GOAWAY with this reason; the push itself is accepted, or left unprocessed. */
	| { readonly kind: 'goaway'; readonly reason: string; readonly accept: boolean }
	/** Close the TCP connection without a word. */
	| { readonly kind: 'kill' }

export interface ApnsStandInOptions {
	/** 0 or undefined: any free port. */
	readonly port?: number
	/** 127.0.0.1 unless told; the certificate is for that and `localhost`. */
	readonly host?: string
	/** SPKI PEM of the provider's key; undefined: any bearer token will do. */
	readonly key: string | undefined
	readonly keyId: string
	readonly teamId: string
	/** The only topic allowed; undefined: any. */
	readonly topic: string | undefined
	/** Called for each push that passed all checks, before it is answered. */
	readonly onPush?: (push: ReceivedPush) => void
	/** What to answer where {@link ApnsStandIn.next} has nothing queued; undefined: 200. */
	readonly behaviour?: (push: ReceivedPush) => StandInAnswer | undefined
	/** The stand-in's clock, ms since the epoch; also its `date` header. */
	readonly now?: () => number
}

export interface ApnsStandIn {
	/** `https://127.0.0.1:<port>`, for `--apns-url`. */
	readonly url: string
	/** For `--apns-ca`. */
	readonly caPem: string
	readonly port: number
	/** The last {@link PUSHES_KEPT} that passed all checks, oldest first. */
	readonly pushes: readonly ReceivedPush[]
	/** `<status> <reason>` of the last requests that did not. */
	readonly refusals: readonly string[]
	/** Sessions opened so far. */
	readonly sessions: number
	/** Answers the next pushes so, in this order, before `behaviour` is asked. */
	next(...answers: readonly StandInAnswer[]): void
	/** GOAWAY on every session. */
	goAway(reason: string): void
	/** Closes every TCP connection without a word. */
	kill(): void
	close(): void
}

/** A fresh provider key: `p8` is what Apple's .p8 file holds (PKCS#8 PEM, P-256), `publicKey` its SPKI PEM. */
export function generateP8(): { readonly p8: string; readonly publicKey: string } {
	const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
	return {
		p8: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
		publicKey: keys.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
	}
}

/** Listens; rejects where the port is taken or `key` is no public key. */
export async function startApnsStandIn(options: ApnsStandInOptions): Promise<ApnsStandIn> {
	const tokens = new TokenCheck(options, options.key === undefined ? undefined : await importSPKI(options.key, 'ES256'))
	const server = new StandInServer(options, tokens)
	await server.listen()
	return server
}

class Refused extends Error {
	readonly status: number
	readonly reason: string

	constructor(status: number, reason: string) {
		super(`${status} ${reason}`)
		this.status = status
		this.reason = reason
	}
}

/** The provider tokens, as APNs looks at them. */
class TokenCheck {
	readonly #options: ApnsStandInOptions
	readonly #key: CryptoKey | undefined
	/** The last good one: verified once, then compared. */
	#current: { readonly authorization: string; readonly issuedAt: number } | undefined

	constructor(options: ApnsStandInOptions, key: CryptoKey | undefined) {
		this.#options = options
		this.#key = key
	}

	/** Throws {@link Refused}. `now`: ms since the epoch. */
	async check(authorization: string | undefined, now: number): Promise<void> {
		if (!authorization?.startsWith('bearer ')) throw new Refused(403, 'MissingProviderToken')
		if (this.#key === undefined) return
		if (authorization !== this.#current?.authorization) {
			const issuedAt = await this.#verify(authorization.slice('bearer '.length), this.#key, now)
			this.#adopt(authorization, issuedAt)
		} else if (now - this.#current.issuedAt > TOKEN_MAX_AGE_MS) throw new Refused(403, 'ExpiredProviderToken')
	}

	/** Another request with the same token may have been verified meanwhile: that is no update. */
	#adopt(authorization: string, issuedAt: number): void {
		if (authorization === this.#current?.authorization) return
		if (this.#current !== undefined && issuedAt - this.#current.issuedAt < TOKEN_UPDATE_FLOOR_MS) {
			throw new Refused(429, 'TooManyProviderTokenUpdates')
		}
		this.#current = { authorization, issuedAt }
	}

	async #verify(jwt: string, key: CryptoKey, now: number): Promise<number> {
		const { teamId, keyId } = this.#options
		const verified = await jwtVerify(jwt, key, {
			issuer: teamId,
			algorithms: ['ES256'],
			requiredClaims: ['iat'],
			currentDate: new Date(now),
		}).catch(() => undefined)
		const issuedAt = (verified?.payload.iat ?? 0) * 1000
		if (verified?.protectedHeader.kid !== keyId) throw new Refused(403, 'InvalidProviderToken')
		if (issuedAt - now > TOKEN_FUTURE_MS) throw new Refused(403, 'InvalidProviderToken')
		if (now - issuedAt > TOKEN_MAX_AGE_MS) throw new Refused(403, 'ExpiredProviderToken')
		return issuedAt
	}
}

class StandInServer implements ApnsStandIn {
	readonly pushes: ReceivedPush[] = []
	readonly refusals: string[] = []
	readonly caPem: string
	sessions = 0
	port = 0
	readonly #options: ApnsStandInOptions
	readonly #tokens: TokenCheck
	readonly #now: () => number
	readonly #server: ReturnType<typeof createSecureServer>
	readonly #script: StandInAnswer[] = []
	/** The open sessions and their numbers. */
	readonly #open = new Map<ServerHttp2Session, number>()
	/** By the far port: a session does not let its socket be destroyed. */
	readonly #sockets = new Map<number | undefined, Socket>()

	constructor(options: ApnsStandInOptions, tokens: TokenCheck) {
		this.#options = options
		this.#tokens = tokens
		this.#now = options.now ?? Date.now
		const certificate = makeCertificate(Date.now())
		this.caPem = certificate.certPem
		this.#server = createSecureServer({
			key: certificate.keyPem,
			cert: certificate.certPem,
			settings: { maxConcurrentStreams: MAX_STREAMS },
		})
		this.#server.on('secureConnection', (socket) => this.#connected(socket))
		this.#server.on('session', (session) => this.#opened(session))
		this.#server.on('stream', (stream, headers) => this.#receive(stream as ServerHttp2Stream, headers))
		this.#server.on('sessionError', () => {})
	}

	get url(): string {
		return `https://${this.#options.host ?? '127.0.0.1'}:${this.port}`
	}

	listen(): Promise<void> {
		return new Promise((resolve, reject) => {
			this.#server.once('error', reject)
			this.#server.listen(this.#options.port ?? 0, this.#options.host ?? '127.0.0.1', () => {
				this.port = (this.#server.address() as AddressInfo).port
				resolve()
			})
		})
	}

	next(...answers: readonly StandInAnswer[]): void {
		this.#script.push(...answers)
	}

	goAway(reason: string): void {
		for (const session of this.#open.keys()) goAway(session, reason)
	}

	kill(): void {
		for (const socket of this.#sockets.values()) socket.destroy()
	}

	close(): void {
		this.kill()
		this.#server.close()
	}

	#connected(socket: Socket): void {
		const { remotePort } = socket
		this.#sockets.set(remotePort, socket)
		socket.on('close', () => this.#sockets.delete(remotePort))
	}

	#opened(session: ServerHttp2Session): void {
		this.#open.set(session, ++this.sessions)
		session.on('close', () => this.#open.delete(session))
		session.on('error', () => {})
	}

	#receive(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
		const chunks: Uint8Array[] = []
		stream.on('error', () => {})
		stream.on('data', (chunk: Uint8Array) => chunks.push(chunk))
		stream.on('end', () => {
			this.#check(stream, headers, Buffer.concat(chunks)).then(
				(push) => this.#take(stream, push),
				(error: unknown) => this.#refuse(stream, error),
			)
		})
	}

	/** What APNs checks, in about its order. Throws {@link Refused}. */
	async #check(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, body: Buffer): Promise<ReceivedPush> {
		if (headers[':method'] !== 'POST') throw new Refused(405, 'MethodNotAllowed')
		const token = /^\/3\/device\/(.*)$/.exec(String(headers[':path']))?.[1]
		if (token === undefined) throw new Refused(404, 'BadPath')
		if (token === '') throw new Refused(400, 'MissingDeviceToken')
		if (!/^(?:[0-9a-f]{2})+$/i.test(token)) throw new Refused(400, 'BadDeviceToken')
		const topic = checkHeaders(headers, this.#options.topic)
		await this.#tokens.check(headers.authorization, this.#now())
		return {
			token: token.toLowerCase(),
			apnsId: one(headers['apns-id']) ?? randomUUID(),
			topic,
			expirationSec: Number(one(headers['apns-expiration']) ?? 0),
			payload: parsePayload(body),
			session: this.#open.get(stream.session as ServerHttp2Session) ?? 0,
			headers,
		}
	}

	#take(stream: ServerHttp2Stream, push: ReceivedPush): void {
		this.pushes.push(push)
		if (this.pushes.length > PUSHES_KEPT) this.pushes.shift()
		this.#options.onPush?.(push)
		const answer = this.#script.shift() ?? this.#options.behaviour?.(push) ?? { kind: 'answer', status: 200 }
		if (!stream.destroyed) this.#perform(stream, push.apnsId, answer)
	}

	#perform(stream: ServerHttp2Stream, apnsId: string, answer: StandInAnswer): void {
		const session = stream.session as ServerHttp2Session
		switch (answer.kind) {
			case 'answer':
				this.#respond(stream, apnsId, answer.status, answer)
				return
			case 'stall':
				return
			case 'reset':
				stream.close(answer.code)
				return
			case 'goaway':
				goAway(session, answer.reason)
				if (answer.accept) this.#respond(stream, apnsId, 200, {})
				else stream.close(constants.NGHTTP2_REFUSED_STREAM)
				return
			case 'kill':
				this.#sockets.get(session.socket.remotePort)?.destroy()
				return
		}
	}

	#refuse(stream: ServerHttp2Stream, error: unknown): void {
		const refused = error instanceof Refused ? error : new Refused(500, 'InternalServerError')
		this.refusals.push(refused.message)
		if (this.refusals.length > PUSHES_KEPT) this.refusals.shift()
		if (!stream.destroyed) this.#respond(stream, randomUUID(), refused.status, { reason: refused.reason })
	}

	#respond(
		stream: ServerHttp2Stream,
		apnsId: string,
		status: number,
		refusal: { readonly reason?: string; readonly timestampMs?: number },
	): void {
		stream.respond({ ':status': status, 'apns-id': apnsId, date: new Date(this.#now()).toUTCString() })
		const { reason, timestampMs } = refusal
		if (reason === undefined) stream.end()
		else stream.end(JSON.stringify({ reason, ...(timestampMs === undefined ? {} : { timestamp: timestampMs }) }))
	}
}

/** APNs' GOAWAY carries the same JSON as a refusal. */
function goAway(session: ServerHttp2Session, reason: string): void {
	session.goaway(constants.NGHTTP2_NO_ERROR, 0x7fffffff, Buffer.from(JSON.stringify({ reason })))
}

/** The headers of a push of one of the three kinds; gives the topic. Throws {@link Refused}. */
function checkHeaders(headers: IncomingHttpHeaders, allowedTopic: string | undefined): string {
	const kind = one(headers['apns-push-type'])
	if (kind !== 'voip' && kind !== 'alert' && kind !== 'background') throw new Refused(400, 'InvalidPushType')
	const topic = one(headers['apns-topic'])
	if (topic === undefined || topic === '') throw new Refused(400, 'MissingTopic')
	if (topic.endsWith('.voip') !== (kind === 'voip')) throw new Refused(400, 'BadTopic')
	const allowed = kind === 'voip' ? allowedTopic : allowedTopic?.replace(/\.voip$/, '')
	if (allowed !== undefined && topic !== allowed) throw new Refused(400, 'TopicDisallowed')
	if (kind === 'background' && one(headers['apns-priority']) !== '5') throw new Refused(400, 'BadPriority')
	checkShape(headers['apns-id'], /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, 'BadMessageId')
	checkShape(headers['apns-expiration'], /^\d{1,10}$/, 'BadExpirationDate')
	checkShape(headers['apns-priority'], /^(?:1|5|10)$/, 'BadPriority')
	return topic
}

/** A header that may be absent but not wrong. */
function checkShape(value: string | string[] | undefined, shape: RegExp, reason: string): void {
	if (Array.isArray(value)) throw new Refused(400, 'DuplicateHeaders')
	if (value !== undefined && !shape.test(value)) throw new Refused(400, reason)
}

function parsePayload(body: Buffer): unknown {
	if (body.length === 0) throw new Refused(400, 'PayloadEmpty')
	if (body.length > MAX_PAYLOAD_BYTES) throw new Refused(413, 'PayloadTooLarge')
	try {
		return JSON.parse(body.toString('utf8'))
	} catch {
		throw new Refused(400, 'PayloadEmpty')
	}
}

function one(value: string | string[] | undefined): string | undefined {
	return Array.isArray(value) ? value[0] : value
}
