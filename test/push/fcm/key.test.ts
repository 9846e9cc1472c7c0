import { expect, test } from 'bun:test'
import { generateKeyPairSync } from 'node:crypto'
import { KEY_HINT, readServiceAccount } from '../../../src/push/fcm/key.ts'
import { EMAIL, KEY_ID, keyFile, PROJECT } from './stand-in.ts'

const URI = 'https://oauth2.googleapis.com/token'
const pem = (type: 'ec' | 'rsa', size: number) => {
	const encoding = {
		privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
		publicKeyEncoding: { type: 'spki', format: 'pem' },
	} as const
	if (type === 'ec') return generateKeyPairSync('ec', { namedCurve: 'P-256', ...encoding }).privateKey
	return generateKeyPairSync('rsa', { modulusLength: size, ...encoding }).privateKey
}

test('the file of Google has the project, the account, its key, and where to exchange its signature', () => {
	const key = readServiceAccount(keyFile(URI))
	expect(key).toMatchObject({
		ok: true,
		account: { projectId: PROJECT, clientEmail: EMAIL, keyId: KEY_ID, tokenUrl: URI },
	})
	expect(JSON.stringify(key)).not.toContain('PRIVATE KEY')
})

test.each([
	['no JSON', 'PEM', 'is no JSON object'],
	['a list', '[]', 'is no JSON object'],
	[
		'the file of the app',
		'{"project_info":{},"client":[]}',
		'is the google-services.json of an app, which has no key to push with',
	],
	['a user’s', keyFile(URI, { type: 'authorized_user' }), 'is not the key of a service account'],
	['one without a key', keyFile(URI, { private_key: undefined, token_uri: '' }), 'lacks private_key and token_uri'],
	['a project that is a path', keyFile(URI, { project_id: '../x' }), 'has a project_id that is none'],
	['http', keyFile('http://oauth2.example/token'), 'has a token_uri that is no https address'],
	[
		'a broken key',
		keyFile(URI, { private_key: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n' }),
		'has a private_key that is no RSA key in PKCS#8 PEM',
	],
	['a key of Apple', keyFile(URI, { private_key: pem('ec', 0) }), 'has a private_key that is no RSA key in PKCS#8 PEM'],
	[
		'a short key',
		keyFile(URI, { private_key: pem('rsa', 1024) }),
		'has a private_key that is no RSA key in PKCS#8 PEM',
	],
])('%s is told as such', (_, text, wrong) => {
	expect(readServiceAccount(text)).toEqual({ ok: false, wrong })
	expect(KEY_HINT).toContain('Firebase console')
})
