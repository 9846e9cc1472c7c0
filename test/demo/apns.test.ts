import { afterAll, beforeAll, expect, test } from 'bun:test'
import { type ClientHttp2Session, connect } from 'node:http2'
import { importPKCS8, SignJWT } from 'jose'
import { type ApnsStandIn, generateP8, startApnsStandIn } from '../../src/demo/apns.ts'

const keys = generateP8()
const PATH = `/3/device/${'ab'.repeat(32)}`
const seen: string[] = []
let apns: ApnsStandIn
let session: ClientHttp2Session
let good: Record<string, string>

beforeAll(async () => {
	apns = await startApnsStandIn({
		key: keys.publicKey,
		keyId: 'KEYKEYKEY1',
		teamId: 'TEAMTEAM12',
		topic: 'com.example.app.voip',
		onPush: (push) => seen.push(push.token),
	})
	session = connect(apns.url, { ca: apns.caPem })
	const authorization = await bearer(keys.p8, 'KEYKEYKEY1', 'TEAMTEAM12', Date.now())
	good = { authorization, 'apns-push-type': 'voip', 'apns-topic': 'com.example.app.voip' }
})
afterAll(() => {
	session.destroy()
	apns.close()
})

test('a right push is accepted, shown and kept', async () => {
	expect(await post(good, '{"aps":{}}')).toBe('200')
	expect(seen).toEqual(['ab'.repeat(32)])
	expect(apns.pushes[0]).toMatchObject({
		payload: { aps: {} },
		topic: 'com.example.app.voip',
		expirationSec: 0,
		session: 1,
	})
})

test.each([
	['400 InvalidPushType', { 'apns-push-type': 'complication' }],
	['400 MissingTopic', { 'apns-topic': '' }],
	['400 BadTopic', { 'apns-topic': 'com.example.app' }],
	['400 TopicDisallowed', { 'apns-topic': 'com.example.other.voip' }],
	['400 BadMessageId', { 'apns-id': '17' }],
	['400 BadExpirationDate', { 'apns-expiration': 'soon' }],
	['400 BadPriority', { 'apns-priority': '11' }],
	['400 BadTopic', { 'apns-push-type': 'alert' }],
	['400 TopicDisallowed', { 'apns-push-type': 'alert', 'apns-topic': 'com.example.other' }],
	['400 BadPriority', { 'apns-push-type': 'background', 'apns-topic': 'com.example.app', 'apns-priority': '10' }],
	['403 MissingProviderToken', { authorization: '' }],
	['403 InvalidProviderToken', { authorization: 'bearer abc' }],
	['404 BadPath', { ':path': '/2/device/ab' }],
	['400 MissingDeviceToken', { ':path': '/3/device/' }],
	['400 BadDeviceToken', { ':path': '/3/device/xyz' }],
	['405 MethodNotAllowed', { ':method': 'PUT' }],
])('%s for %p', async (refusal, fields) => {
	expect(await post({ ...good, ...fields }, '{}')).toBe(refusal)
	expect(apns.refusals.at(-1)).toBe(refusal)
})

test.each([
	['400 PayloadEmpty', ''],
	['400 PayloadEmpty', '{"aps":'],
	['413 PayloadTooLarge', JSON.stringify({ x: 'x'.repeat(5120) })],
])('%s for a payload that is none', async (refusal, body) => {
	expect(await post(good, body)).toBe(refusal)
})

test('a provider token is verified: key, key id, team, age, and how often it changes', async () => {
	const sign = async (...args: Parameters<typeof bearer>) =>
		post({ ...good, authorization: await bearer(...args) }, '{}')
	const now = Date.now()
	expect(await sign(generateP8().p8, 'KEYKEYKEY1', 'TEAMTEAM12', now)).toBe('403 InvalidProviderToken')
	expect(await sign(keys.p8, 'KEYKEYKEY2', 'TEAMTEAM12', now)).toBe('403 InvalidProviderToken')
	expect(await sign(keys.p8, 'KEYKEYKEY1', 'TEAMTEAM13', now)).toBe('403 InvalidProviderToken')
	expect(await sign(keys.p8, 'KEYKEYKEY1', 'TEAMTEAM12', now - 3_700_000)).toBe('403 ExpiredProviderToken')
	expect(await sign(keys.p8, 'KEYKEYKEY1', 'TEAMTEAM12', now + 400_000)).toBe('403 InvalidProviderToken')
	expect(await sign(keys.p8, 'KEYKEYKEY1', 'TEAMTEAM12', now + 2000)).toBe('429 TooManyProviderTokenUpdates')
	expect(await post(good, '{}')).toBe('200')
})

async function bearer(p8: string, keyId: string, teamId: string, nowMs: number): Promise<string> {
	const jwt = new SignJWT({ iss: teamId, iat: Math.floor(nowMs / 1000) }).setProtectedHeader({
		alg: 'ES256',
		kid: keyId,
	})
	return `bearer ${await jwt.sign(await importPKCS8(p8, 'ES256'))}`
}

/** `<status>` or `<status> <reason>`. */
async function post(headers: Record<string, string>, body: string): Promise<string> {
	const stream = session.request({ ':method': 'POST', ':path': PATH, ...headers })
	stream.end(body)
	let status = 0
	stream.on('response', (response) => {
		status = response[':status'] ?? 0
	})
	stream.setEncoding('utf8')
	let text = ''
	for await (const chunk of stream) text += chunk
	return text === '' ? String(status) : `${status} ${(JSON.parse(text) as { reason: string }).reason}`
}
