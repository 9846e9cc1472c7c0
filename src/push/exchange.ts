/** One request under way on a session, and the answer it comes to. */
import { type ClientHttp2Stream, constants, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from 'node:http2'
import { type ApnsSession, codeOf } from './session.ts'

/** Of an answer's body; APNs' are under 100 octets. */
const BODY_MAX_LENGTH = 4096

export type Answer =
	| { readonly kind: 'response'; readonly status: number; readonly body: string; readonly date: string | undefined }
	/** The stream or the connection ended without one. */
	| { readonly kind: 'none'; readonly reason: string }

/** Collects the answer and gives it exactly once, whatever the stream does. */
export class Exchange<Errand> {
	readonly errand: Errand
	readonly session: ApnsSession
	/** When to give up, monotonic ms. */
	readonly deadline: number
	readonly #stream: ClientHttp2Stream
	readonly #answered: (exchange: Exchange<Errand>, answer: Answer) => void
	#status = 0
	#date: string | undefined
	#body = ''
	#fault = 'closed'
	#done = false

	constructor(
		errand: Errand,
		session: ApnsSession,
		stream: ClientHttp2Stream,
		deadline: number,
		answered: (exchange: Exchange<Errand>, answer: Answer) => void,
	) {
		this.errand = errand
		this.session = session
		this.deadline = deadline
		this.#stream = stream
		this.#answered = answered
		this.#listen()
	}

	/** Gives up: the answer is what has come so far, else `reason`. */
	abandon(reason: string): void {
		this.#fault = reason
		this.#stream.close(constants.NGHTTP2_CANCEL)
		this.#finish()
	}

	#listen(): void {
		const stream = this.#stream
		stream.on('response', (headers) => this.#began(headers))
		stream.on('error', (error) => {
			this.#fault = codeOf(error)
		})
		/* A connection that breaks can end the stream without error or response: `close` decides. */
		stream.on('close', () => this.#finish())
	}

	/** Reads on only now: a stream that is read from the start costs 6 % more, and acceptances have no body. */
	#began(headers: IncomingHttpHeaders & IncomingHttpStatusHeader): void {
		const stream = this.#stream
		this.#status = headers[':status'] ?? 0
		this.#date = headers.date
		if (this.#status === constants.HTTP_STATUS_OK) {
			stream.resume()
			this.#finish()
			return
		}
		stream.setEncoding('utf8')
		stream.on('data', (chunk: string) => {
			if (this.#body.length < BODY_MAX_LENGTH) this.#body += chunk
		})
		stream.on('end', () => this.#finish())
	}

	#finish(): void {
		if (this.#done) return
		this.#done = true
		this.#answered(
			this,
			this.#status === 0
				? { kind: 'none', reason: this.#fault }
				: { kind: 'response', status: this.#status, body: this.#body, date: this.#date },
		)
	}
}
