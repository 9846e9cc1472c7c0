/**
 * A self-signed certificate for the APNs stand-in, made at run time: the demo and the tests need no `openssl`
 * and no key lies in the repository. X.509 v3 (RFC 5280 §4.1) in DER (X.690), ECDSA P-256 with SHA-256 (RFC 5758).
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'

export interface Certificate {
	/** PKCS#8 PEM of the private key. */
	readonly keyPem: string
	/** The certificate; being self-signed it is also the CA to trust. */
	readonly certPem: string
}

/** One day before and after: enough for clocks that disagree and for a demo left running overnight. */
const VALID_MS = 24 * 3600 * 1000

/**
 * Makes a key pair and a certificate for these DNS names and 127.0.0.1, valid from a day before `nowMs` (epoch) to a day
 * after.
 */
export function makeCertificate(nowMs: number, names: readonly string[] = ['localhost']): Certificate {
	const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
	const spki = new Uint8Array(keys.publicKey.export({ type: 'spki', format: 'der' }))
	const tbs = tbsCertificate(spki, nowMs, names)
	const signature = new Uint8Array(sign('sha256', tbs, keys.privateKey))
	const der = sequence(tbs, ECDSA_WITH_SHA256, bitString(signature))
	return {
		keyPem: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
		certPem: pem('CERTIFICATE', der),
	}
}

/** RFC 5280 §4.1.2, its fields in order. */
function tbsCertificate(spki: Uint8Array, nowMs: number, names: readonly string[]): Uint8Array {
	const name = sequence(tlv(SET, sequence(oid(2, 5, 4, 3), tlv(UTF8_STRING, ascii(names[0]!)))))
	return sequence(
		tlv(0xa0, tlv(INTEGER, Uint8Array.of(2))),
		tlv(INTEGER, serialNumber()),
		ECDSA_WITH_SHA256,
		name,
		sequence(utcTime(nowMs - VALID_MS), utcTime(nowMs + VALID_MS)),
		name,
		spki,
		tlv(0xa3, sequence(basicConstraints(), subjectAltName(names))),
	)
}

/** CA:TRUE, critical: the certificate signs itself, so a client that trusts it trusts it as a CA (§4.2.1.9). */
function basicConstraints(): Uint8Array {
	const TRUE = tlv(BOOLEAN, Uint8Array.of(0xff))
	return sequence(oid(2, 5, 29, 19), TRUE, tlv(OCTET_STRING, sequence(TRUE)))
}

/** dNSName [2] and iPAddress [7] (§4.2.1.6). */
function subjectAltName(names: readonly string[]): Uint8Array {
	const dns = names.map((name) => tlv(0x82, ascii(name)))
	const all = sequence(...dns, tlv(0x87, Uint8Array.of(127, 0, 0, 1)))
	return sequence(oid(2, 5, 29, 17), tlv(OCTET_STRING, all))
}

/** A positive integer of 8 octets: the first is kept below 0x80 and above 0. */
function serialNumber(): Uint8Array {
	const bytes = new Uint8Array(randomBytes(8))
	bytes[0] = (bytes[0]! & 0x3f) | 0x40
	return bytes
}

/* DER */

const BOOLEAN = 0x01
const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const OBJECT_IDENTIFIER = 0x06
const UTF8_STRING = 0x0c
const UTC_TIME = 0x17
const SEQUENCE = 0x30
const SET = 0x31

const ECDSA_WITH_SHA256 = sequence(oid(1, 2, 840, 10045, 4, 3, 2))

function tlv(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
	const length = parts.reduce((sum, part) => sum + part.length, 0)
	const head = [tag, ...derLength(length)]
	const out = new Uint8Array(head.length + length)
	out.set(head)
	let at = head.length
	for (const part of parts) {
		out.set(part, at)
		at += part.length
	}
	return out
}

/** X.690 §10.1: the shortest form, or a strict reader refuses it. Nothing here reaches 64 KiB. */
function derLength(length: number): number[] {
	if (length < 0x80) return [length]
	return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
}

function sequence(...parts: readonly Uint8Array[]): Uint8Array {
	return tlv(SEQUENCE, ...parts)
}

function bitString(bytes: Uint8Array): Uint8Array {
	return tlv(BIT_STRING, Uint8Array.of(0), bytes)
}

/** X.690 §8.19: the first two arcs share an octet, the others are base 128, high bit on all but the last octet. */
function oid(first: number, second: number, ...arcs: readonly number[]): Uint8Array {
	return tlv(OBJECT_IDENTIFIER, Uint8Array.from([first * 40 + second, ...arcs.flatMap(base128)]))
}

function base128(arc: number): number[] {
	const out = [arc & 0x7f]
	for (let rest = arc >> 7; rest > 0; rest >>= 7) out.unshift((rest & 0x7f) | 0x80)
	return out
}

/** YYMMDDHHMMSSZ; right until 2049, which is as long as UTCTime may be used (RFC 5280 §4.1.2.5). */
function utcTime(ms: number): Uint8Array {
	return tlv(UTC_TIME, ascii(`${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`))
}

function ascii(text: string): Uint8Array {
	return new TextEncoder().encode(text)
}

function pem(label: string, der: Uint8Array): string {
	const lines = der.toBase64().match(/.{1,64}/g) ?? []
	return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
