/** Does a SIP server answer? The question, and over UDP the whole of it. */
import { isIPv6 } from 'node:net'
import type { PbxAnswer, PbxMachine } from './check.ts'
import { reasonOf } from './reason.ts'

/** Two seconds are five round trips round the world; a PBX that needs more cannot carry calls. */
export const PBX_ANSWER_MS = 2000

/** One lost packet is no fault: the question is put again (T1 of RFC 3261 §17.1.2.1). */
const AGAIN_MS = 500

const STATUS_LINE = /^(SIP\/2\.0 \d{3} [^\r\n]{0,80})/

/** undefined where it is no SIP answer. */
export function statusLineOf(text: string): string | undefined {
	return STATUS_LINE.exec(text)?.[1]
}

/**
 * Sends OPTIONS to `address`, from the listener's address but a port of its own: a running gateway
 * may have the listener's. Any SIP answer will do.
 */
export async function askPbx(listen: string, address: string, port: number): Promise<PbxAnswer> {
	const local = isIPv6(listen) === isIPv6(address) ? listen : isIPv6(address) ? '::' : '0.0.0.0'
	const { promise, resolve } = Promise.withResolvers<PbxAnswer>()
	try {
		const socket = await openSocket(local, performance.now(), resolve)
		const ask = asker(socket, address, port)
		const again = setInterval(ask, AGAIN_MS)
		const silence = `no answer to OPTIONS over UDP within ${PBX_ANSWER_MS / 1000} s`
		const giveUp = setTimeout(() => resolve({ ok: false, reason: silence }), PBX_ANSWER_MS)
		ask()
		return await promise.finally(() => {
			clearInterval(again)
			clearTimeout(giveUp)
			socket.close()
		})
	} catch (error) {
		return { ok: false, reason: reasonOf(error) }
	}
}

function openSocket(local: string, startedAt: number, resolve: (answer: PbxAnswer) => void) {
	return Bun.udpSocket({
		hostname: local,
		socket: {
			data(_socket, bytes) {
				const statusLine = statusLineOf(bytes.toString('latin1'))
				if (statusLine) resolve({ ok: true, statusLine, tookMs: Math.round(performance.now() - startedAt) })
			},
			// An ICMP error: nobody listens there at this moment. The next try may still be answered.
			error() {},
		},
	})
}

function asker(socket: Bun.udp.Socket<'buffer'>, address: string, port: number): () => void {
	const question = optionsRequest('udp', socket.address.address, socket.port, address, port)
	return () => {
		try {
			socket.send(question, port, address)
		} catch {
			// A pending ICMP error is told by the next send, which then sends nothing; the next try follows anyway.
		}
	}
}

/** RFC 3261 §11.1, with rport so that the answer comes back to this socket (RFC 3581). */
export function optionsRequest(
	transport: PbxMachine['transport'],
	local: string,
	localPort: number,
	host: string,
	port: number,
): string {
	const id = crypto.randomUUID()
	const params = transport === 'udp' ? '' : `;transport=${transport}`
	const to = `sip:${isIPv6(host) ? `[${host}]` : host}:${port}${params}`
	const from = `${isIPv6(local) ? `[${local}]` : local}:${localPort}`
	return [
		`OPTIONS ${to} SIP/2.0`,
		`Via: SIP/2.0/${transport.toUpperCase()} ${from};branch=z9hG4bK${id};rport`,
		'Max-Forwards: 70',
		`From: <sip:check@${from}>;tag=${id.slice(0, 8)}`,
		`To: <${to}>`,
		`Call-ID: ${id}`,
		'CSeq: 1 OPTIONS',
		`Contact: <sip:check@${from}>`,
		'Content-Length: 0',
		'\r\n',
	].join('\r\n')
}
