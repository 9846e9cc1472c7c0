/** The probes of the check on the real world. Every one is bounded in time and leaves nothing open. */
import { lookup } from 'node:dns/promises'
import { readFile, stat } from 'node:fs/promises'
import { connect as connectPlain, isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { connect } from 'node:tls'
import type { AskPbx, Fault, FileReading, LocatePbx, Probes, ReadCertificates, ReadFcmKey, TryStore } from './check.ts'
import { askPbx } from './options-ping.ts'
import { reasonOf } from './reason.ts'

/** A TCP handshake is one round trip, and its first retransmission comes after a second. */
export const TCP_CONNECT_MS = 5000

/** A TLS handshake is two round trips and some arithmetic. */
export const TLS_CONNECT_MS = 5000

/** A .p8 file has about 260 octets, a bundle of authorities may have 250 kB; more is the wrong file. */
export const KEY_FILE_MAX_BYTES = 1_048_576

/** Mode bits that let the group or others read. */
const SHARED_MODE = 0o044

/** The parameters are of other rooms. */
export function realProbes(
	tryStore: TryStore,
	locatePbx: LocatePbx,
	readCertificates: ReadCertificates,
	readFcmKey: ReadFcmKey,
	askOverStream: AskPbx,
): Probes {
	return {
		now: Date.now,
		readFile: readKeyFile,
		isP256Key,
		locatePbx,
		readCertificates,
		readFcmKey,
		askPbx: (listen, machine) =>
			machine.transport === 'udp' ? askPbx(listen, machine.address, machine.port) : askOverStream(listen, machine),
		bindUdp,
		bindTcp,
		tryStore,
		connectTcp,
		connectTls,
		localAddresses: () => Object.values(networkInterfaces()).flatMap((card) => (card ?? []).map((one) => one.address)),
		lookUp,
	}
}

async function readKeyFile(path: string): Promise<FileReading> {
	try {
		const { mode, size } = await stat(path)
		if (size > KEY_FILE_MAX_BYTES) return { ok: false, reason: `it has ${size} octets, which no key has` }
		return { ok: true, text: await readFile(path, 'utf8'), isShared: (mode & SHARED_MODE) !== 0 }
	} catch (error) {
		return { ok: false, reason: reasonOf(error) }
	}
}

async function isP256Key(pem: string): Promise<boolean> {
	const body = /^\s*-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----\s*$/.exec(pem)?.[1]
	if (body === undefined) return false
	try {
		const der = Uint8Array.fromBase64(body)
		await crypto.subtle.importKey('pkcs8', der, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
		return true
	} catch {
		return false
	}
}

async function lookUp(host: string): Promise<string[]> {
	try {
		return (await lookup(host, { all: true })).map(({ address }) => address)
	} catch {
		return []
	}
}

async function bindUdp(address: string, port: number): Promise<Fault> {
	try {
		const socket = await Bun.udpSocket({ hostname: address, port })
		socket.close()
		return undefined
	} catch (error) {
		return reasonOf(error)
	}
}

async function bindTcp(address: string, port: number): Promise<Fault> {
	try {
		Bun.listen({ hostname: address, port, socket: { data() {} } }).stop(true)
		return undefined
	} catch (error) {
		return reasonOf(error)
	}
}

function connectTcp(host: string, port: number): Promise<Fault> {
	const { promise, resolve } = Promise.withResolvers<Fault>()
	const socket = connectPlain({ host, port })
	const giveUp = setTimeout(() => resolve(`no connection within ${TCP_CONNECT_MS / 1000} s`), TCP_CONNECT_MS)
	socket.once('connect', () => resolve(undefined))
	socket.on('error', (error) => resolve(reasonOf(error)))
	return promise.finally(() => {
		clearTimeout(giveUp)
		socket.destroy()
	})
}

function connectTls(host: string, port: number, ca: string | undefined, isHttp2: boolean): Promise<Fault> {
	const { promise, resolve } = Promise.withResolvers<Fault>()
	const trusted = ca === undefined ? {} : { ca }
	// A server name is a DNS name, never an address (RFC 6066 §3).
	const named = isIP(host) === 0 ? { servername: host } : {}
	const ALPNProtocols = [isHttp2 ? 'h2' : 'http/1.1']
	const socket = connect({ host, port, ALPNProtocols, rejectUnauthorized: true, ...named, ...trusted })
	const giveUp = setTimeout(() => resolve(`no TLS within ${TLS_CONNECT_MS / 1000} s`), TLS_CONNECT_MS)
	socket.once('secureConnect', () =>
		resolve(!isHttp2 || socket.alpnProtocol === 'h2' ? undefined : 'it does not speak HTTP/2'),
	)
	socket.once('close', () => resolve('the connection was closed'))
	socket.on('error', (error) => resolve(reasonOf(error)))
	return promise.finally(() => {
		clearTimeout(giveUp)
		socket.destroy()
	})
}
