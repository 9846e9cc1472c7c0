import { expect, test } from 'bun:test'
import { decodeJwt, decodeProtectedHeader, importSPKI, jwtVerify } from 'jose'
import { generateP8 } from '../../src/demo/apns.ts'
import { Secret } from '../../src/lib/secret.ts'
import { MINT_FLOOR_MS, ProviderToken, REFRESH_AFTER_MS, UNUSABLE_AFTER_MS } from '../../src/push/token.ts'
import { KEY_ID, memoryTokens, oneHost, P8, rig, standIn, TEAM_ID } from './rig.ts'

const START = 1_800_000_000_000

function make(options: { tokens?: ReturnType<typeof memoryTokens>; key?: string; teamId?: string } = {}) {
	const clock = { now: START }
	const tokens = options.tokens ?? memoryTokens()
	const token = new ProviderToken({
		key: new Secret(options.key ?? P8.p8),
		keyId: KEY_ID,
		teamId: options.teamId ?? TEAM_ID,
		tokens,
		now: () => clock.now,
	})
	return { clock, tokens, token }
}

test('the token is an ES256 JWT of the team, with the key id, signed now', async () => {
	const { token } = make()
	expect(token.authorization()).toBeUndefined()
	await token.prepare()
	const jwt = token.authorization()!.slice('bearer '.length)
	expect(decodeProtectedHeader(jwt)).toEqual({ alg: 'ES256', kid: KEY_ID })
	expect(decodeJwt(jwt)).toEqual({ iss: TEAM_ID, iat: START / 1000 })
	await jwtVerify(jwt, await importSPKI(P8.publicKey, 'ES256'), { currentDate: new Date(START) })
})

test('however many ask at once, one token is signed', async () => {
	const { token, tokens } = make()
	await Promise.all(Array.from({ length: 50 }, () => token.prepare()))
	expect(tokens.saved.length).toBe(1)
})

test('it is refreshed in the background at 45 minutes from signing, and the old one serves meanwhile', async () => {
	const { token, tokens, clock } = make()
	await token.prepare()
	const old = token.authorization()
	clock.now += REFRESH_AFTER_MS - 1
	expect(token.authorization()).toBe(old)
	expect(tokens.saved.length).toBe(1)
	clock.now += 1
	for (let i = 0; i < 10; i++) expect(token.authorization()).toBe(old)
	await token.prepare()
	expect(tokens.saved.length).toBe(2)
	expect(token.authorization()).not.toBe(old)
})

test('one that nobody asked for until it was an hour old is not used', async () => {
	const { token, clock } = make()
	await token.prepare()
	clock.now += UNUSABLE_AFTER_MS
	expect(token.authorization()).toBeUndefined()
	await token.prepare()
	expect(decodeJwt(token.authorization()!.slice(7)).iat).toBe(clock.now / 1000)
})

test('an expired token is replaced no sooner than 20 minutes after it was signed', async () => {
	const { token, tokens, clock } = make()
	await token.prepare()
	const first = token.authorization()!
	clock.now += MINT_FLOOR_MS - 1
	expect(await token.replace(first)).toBe(false)
	expect(tokens.saved.length).toBe(1)
	clock.now += 1
	expect(await Promise.all([token.replace(first), token.replace(first)])).toEqual([true, true])
	expect(tokens.saved.length).toBe(2)
})

test('whoever complains of a token that has been replaced since gets the new one, and none is signed', async () => {
	const { token, tokens, clock } = make()
	await token.prepare()
	const first = token.authorization()!
	clock.now += MINT_FLOOR_MS
	await token.replace(first)
	expect(await token.replace(first)).toBe(true)
	expect(tokens.saved.length).toBe(2)
})

test('a restart takes up the saved token, so that a crash loop signs none', async () => {
	const { token, tokens } = make()
	await token.prepare()
	const again = make({ tokens })
	again.clock.now += MINT_FLOOR_MS / 2
	await again.token.prepare()
	expect(again.token.authorization()).toBe(token.authorization())
	expect(tokens.saved.length).toBe(1)
	expect(await again.token.replace(again.token.authorization()!)).toBe(false)
})

test('a saved token of another key, team or time is not taken up', async () => {
	const { token, tokens } = make()
	await token.prepare()
	const saved = tokens.saved[0]!
	const others = [
		make({ tokens: memoryTokens(saved), key: generateP8().p8 }),
		make({ tokens: memoryTokens(saved), teamId: 'ANOTHER123' }),
		make({ tokens: memoryTokens({ ...saved, token: new Secret('a.b.c') }) }),
		make({ tokens: memoryTokens(saved) }),
		make({ tokens: memoryTokens(saved) }),
	]
	others[3]!.clock.now += REFRESH_AFTER_MS
	others[4]!.clock.now -= 24 * 3600_000
	for (const other of others) {
		await other.token.prepare()
		expect(other.tokens.saved.length).toBe(2)
		expect(other.token.authorization()).not.toBe(token.authorization())
	}
})

test('a key that cannot sign makes prepare reject, and replace say no', async () => {
	const { token } = make({ key: 'not a key' })
	expect(token.prepare()).rejects.toThrow()
	expect(await token.replace('')).toBe(false)
	expect(token.authorization()).toBeUndefined()
})

test('APNs sees the new token after 45 minutes, and no push is refused on the way', async () => {
	const clock = { now: Date.now() }
	const apns = await standIn({ now: () => clock.now })
	const tokens = memoryTokens()
	const { client, send } = rig(oneHost(apns.url), apns.caPem, { tokens, now: () => clock.now })
	for (let minutes = 0; minutes < 180; minutes += 15) {
		expect((await send()).outcome.kind).toBe('accepted')
		clock.now += 15 * 60_000
	}
	client.close()
	apns.close()
	expect(apns.refusals).toEqual([])
	expect(new Set(apns.pushes.map((push) => push.headers.authorization)).size).toBe(tokens.saved.length)
	expect(tokens.saved.length).toBeWithin(4, 6)
})

test('ExpiredProviderToken from a clock that ran ahead: a new token once the floor allows it saves the push', async () => {
	const clock = { now: Date.now() }
	const apns = await standIn({ now: () => clock.now })
	const { client, send } = rig(oneHost(apns.url), apns.caPem, { now: () => clock.now })
	await send()
	apns.next({ kind: 'answer', status: 403, reason: 'ExpiredProviderToken' })
	expect((await send()).outcome).toMatchObject({ kind: 'misconfigured', reason: 'ExpiredProviderToken' })
	clock.now += MINT_FLOOR_MS
	apns.next({ kind: 'answer', status: 403, reason: 'ExpiredProviderToken' })
	expect((await send()).outcome.kind).toBe('accepted')
	expect(new Set(apns.pushes.map((push) => push.headers.authorization)).size).toBe(2)
	client.close()
	apns.close()
})

test('a second signer of the key is met with a new session and the old token, never with a third', async () => {
	const apns = await standIn()
	const tokens = memoryTokens()
	const { client, send } = rig(oneHost(apns.url), apns.caPem, { tokens })
	await send()
	apns.next({ kind: 'answer', status: 429, reason: 'TooManyProviderTokenUpdates' })
	expect((await send()).outcome.kind).toBe('accepted')
	expect(tokens.saved.length).toBe(1)
	expect(apns.sessions).toBe(2)
	client.close()
	apns.close()
})
