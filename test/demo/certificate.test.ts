import { expect, test } from 'bun:test'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { makeCertificate } from '../../src/demo/certificate.ts'

const NOW = Date.UTC(2026, 1, 3, 4, 5, 6)
const { certPem, keyPem } = makeCertificate(NOW)
const certificate = new X509Certificate(certPem)

test('it is for localhost and 127.0.0.1', () => {
	expect(certificate.checkHost('localhost')).toBe('localhost')
	expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1')
	expect(certificate.checkHost('example.com')).toBeUndefined()
})

test('it is signed by its own key, and may sign', () => {
	expect(certificate.verify(certificate.publicKey)).toBe(true)
	expect(certificate.checkPrivateKey(createPrivateKey(keyPem))).toBe(true)
	expect(certificate.ca).toBe(true)
})

test('it is valid from a day before to a day after', () => {
	expect(Date.parse(certificate.validFrom)).toBe(NOW - 24 * 3600_000)
	expect(Date.parse(certificate.validTo)).toBe(NOW + 24 * 3600_000)
})

test('no two are alike', () => {
	const other = new X509Certificate(makeCertificate(NOW).certPem)
	expect(other.serialNumber).not.toBe(certificate.serialNumber)
	expect(other.verify(certificate.publicKey)).toBe(false)
})
