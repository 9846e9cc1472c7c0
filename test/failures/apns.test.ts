/** The cases about APNs, some against a stand-in that speaks HTTP/2. Numbers as in docs/failure-cases.md. */
import { afterEach, expect, test } from 'bun:test'
import type { ApnsStandIn } from '../../src/demo/apns.ts'
import { Secret } from '../../src/lib/secret.ts'
import { BREAKER_REFUSALS } from '../../src/push/breaker.ts'
import { ACCEPTED, BAD_TOKEN, bind, boundPhone, fallAsleep, requestText } from '../core/peers.ts'
import { PBX } from '../core/rig.ts'
import { memoryTokens, oneHost, standIn, rig as toApns } from '../push/rig.ts'
import { asleep, calls, verdicts, wakes } from './calling.ts'

let closing: { close(): void }[] = []

afterEach(() => {
	for (const one of closing.splice(0)) one.close()
})

async function opened(
	options: Parameters<typeof toApns>[2] = {},
): Promise<{ apns: ApnsStandIn } & ReturnType<typeof toApns>> {
	const apns = await standIn()
	const there = toApns(oneHost(apns.url), apns.caPem, options)
	closing = [apns, there.client]
	return { apns, ...there }
}

const authorizations = (apns: ApnsStandIn): number =>
	new Set(apns.pushes.map(({ headers }) => headers.authorization)).size

test('6: a VoIP push goes out for an INVITE and for nothing else', () => {
	const { rig } = asleep()
	for (const method of ['OPTIONS', 'NOTIFY', 'MESSAGE', 'SUBSCRIBE', 'INFO', 'REFER', 'FOO'])
		rig.from(PBX, requestText(method, { callId: method, contact: '' }))
	rig.advance(3_600_000)
	expect(rig.pushes).toEqual([])
	bind(rig, boundPhone(rig))
	fallAsleep(rig)
	calls(rig)
	expect(rig.pushes.length).toBe(1)
})

test('6: the push has all that CallKit must show at once: call, name and number', () => {
	const { rig } = asleep()
	calls(rig)
	expect(JSON.parse(rig.pushes[0]!.payload)).toMatchObject({
		uuid: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/),
		callerName: 'Caller',
		callerNumber: '5551234',
	})
})

test('6: pushes that wake nobody make the device suspect: it is shown, told, and the queue passes over the agent', () => {
	const { rig, phone } = asleep()
	for (let i = 0; i < rig.settings.suspectAfter; i++) {
		rig.from(PBX, requestText('INVITE', { callId: `call-${i}`, branch: `z9hG4bK${i}` }))
		rig.pushed(ACCEPTED)
		rig.advance(120_000)
	}
	expect(rig.eventNames()).toContain('device-suspect')
	rig.clear()
	rig.from(PBX, requestText('OPTIONS'))
	expect(rig.words(PBX)).toEqual(['480 OPTIONS'])
	wakes(rig, phone)
	rig.from(PBX, requestText('OPTIONS'))
	expect(rig.words(PBX).at(-1)).toBe('200 OPTIONS')
})

test('13: a GOAWAY costs no push: each goes out, on a session that is not the old one', async () => {
	const { apns, send } = await opened()
	for (let round = 0; round < 3; round++) {
		apns.next({ kind: 'goaway', reason: 'Shutdown', accept: round % 2 === 0 })
		const results = await Promise.all([send(), send(), send()])
		expect(results.map(({ outcome }) => outcome.kind)).toEqual(['accepted', 'accepted', 'accepted'])
	}
	expect(apns.sessions).toBeGreaterThan(1)
})

test('14: one provider token for all topics and for all that ask at once, and a crash loop signs no other', async () => {
	const tokens = memoryTokens()
	const { apns, send, client } = await opened({ tokens })
	await Promise.all(Array.from({ length: 20 }, () => send()))
	client.close()
	for (let life = 0; life < 3; life++) {
		const next = toApns(oneHost(apns.url), apns.caPem, { tokens })
		expect((await next.send()).outcome.kind).toBe('accepted')
		next.client.close()
	}
	expect([tokens.saved.length, authorizations(apns)]).toEqual([1, 1])
})

test('14: TooManyProviderTokenUpdates is no reason to sign yet another token', async () => {
	const tokens = memoryTokens()
	const { apns, send } = await opened({ tokens })
	for (let i = 0; i < 3; i++) {
		apns.next({ kind: 'answer', status: 429, reason: 'TooManyProviderTokenUpdates' })
		await send()
	}
	expect([tokens.saved.length, authorizations(apns)]).toEqual([1, 1])
})

test('14: a wrong clock is told to the operator in words', async () => {
	const { send, events } = await opened({ now: () => Date.now() + 20 * 60_000 })
	await send()
	expect(events.map(({ name }) => name)).toContain('apns-clock-drift')
})

test('15: a token of the sandbox at the production host is tried at the other one, once, and the winner is remembered', () => {
	const { rig, phone } = asleep()
	calls(rig)
	rig.pushed({ ...ACCEPTED, environment: 'sandbox' })
	wakes(rig, phone)
	rig.advance(120_000)
	fallAsleep(rig)
	rig.from(PBX, requestText('INVITE', { callId: 'next', branch: 'z9hG4bKnext' }))
	expect(rig.pushes.map(({ environment }) => environment)).toEqual(['sandbox'])
})

test('15: the other environment gets the same push, and only one more', async () => {
	const production = await standIn()
	const sandbox = await standIn()
	const urls = { production: production.url, sandbox: sandbox.url }
	const { send, client } = toApns(urls, `${production.caPem}\n${sandbox.caPem}`)
	closing = [production, sandbox, client]
	production.next({ kind: 'answer', status: 400, reason: 'BadDeviceToken' })
	expect((await send()).outcome).toMatchObject({ kind: 'accepted', environment: 'sandbox' })
	expect([production.pushes.length, sandbox.pushes.length]).toEqual([1, 1])
})

test('15: one wrong setting kills no tokens: a refused key says nothing of the devices', async () => {
	const { rig } = asleep()
	calls(rig)
	rig.pushed({ kind: 'misconfigured', status: 403, reason: 'InvalidProviderToken', hint: 'Look at the key.' })
	expect([...rig.core.devices.all].map(({ tokenDead }) => tokenDead)).toEqual([false])
	const { apns, send } = await opened()
	for (let i = 0; i < BREAKER_REFUSALS + 3; i++) {
		apns.next({ kind: 'answer', status: 403, reason: 'InvalidProviderToken' })
		expect((await send({ token: new Secret(`${i}${'a'.repeat(63)}`) })).outcome.kind).toBe('misconfigured')
	}
	expect(apns.pushes.length).toBe(BREAKER_REFUSALS)
})

test('16: accepted by APNs is not delivered: only the REGISTER after it makes a wake', () => {
	const { rig, phone } = asleep()
	calls(rig)
	rig.pushed(ACCEPTED)
	const wakeMs = () => [...rig.tables.pushes.values()].map((push) => push.wakeMs)
	expect([wakeMs(), rig.core.context.counters.wakes]).toEqual([[undefined], 0])
	rig.advance(2_500)
	wakes(rig, phone)
	expect([wakeMs(), rig.core.context.counters.wakes]).toEqual([[2_500], 1])
})

test('16: 410 kills a token only where the phone has not registered since', () => {
	for (const [timestampMs, dead] of [
		[-1, false],
		[+1, true],
	] as const) {
		const { rig } = asleep()
		const { registeredAt } = [...rig.core.devices.all][0]!
		calls(rig)
		rig.pushed({ kind: 'gone', status: 410, reason: 'Unregistered', timestampMs: registeredAt + timestampMs })
		expect(verdicts(rig)).toEqual(['100 INVITE', '480 INVITE'])
		expect([...rig.core.devices.all].map(({ tokenDead }) => tokenDead)).toEqual([dead])
	}
})

test('16: a REGISTER of the phone brings a dead token back to life', () => {
	const { rig, phone } = asleep()
	calls(rig)
	rig.pushed(BAD_TOKEN)
	wakes(rig, phone)
	fallAsleep(rig)
	rig.from(PBX, requestText('INVITE', { callId: 'next', branch: 'z9hG4bKnext' }))
	expect(rig.pushes.length).toBe(1)
})
