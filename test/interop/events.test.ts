import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createHmac } from 'node:crypto'
import { because, binaryAbsent, until } from './binary.ts'
import { Party } from './party.ts'

/** Bounded by the waits in it; this is for a busy machine. */
setDefaultTimeout(20_000)

const SECRET = 'known-to-both-sides'

/** A contact centre that checks every signature. */
function receiver() {
	const events: Record<string, unknown>[] = []
	const server = Bun.serve({
		hostname: '127.0.0.1',
		port: 0,
		async fetch(request) {
			const body = await request.text()
			const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(request.headers.get('x-push-gateway-signature') ?? '') ?? []
			if (createHmac('sha256', SECRET).update(`${t}.${body}`).digest('hex') !== v1)
				return new Response('', { status: 403 })
			events.push(JSON.parse(body))
			return new Response('', { status: 204 })
		},
	})
	return { events, server, url: `${server.url}hook` }
}

let party: Party
let centre: ReturnType<typeof receiver>

afterEach(async () => {
	await party?.close()
	await centre?.server.stop(true)
})

describe.skipIf(binaryAbsent !== undefined)(`the binary tells the contact centre${because(binaryAbsent)}`, () => {
	test('of a refused push and an agent out of reach, then that the agent is back; the next call is 480 at once', async () => {
		centre = receiver()
		party = await Party.open(55, '--events', centre.url, '--events-secret', SECRET)
		const { anna, exchange, world } = party
		world.apns.next({ kind: 'answer', status: 410, reason: 'Unregistered', timestampMs: Date.now() })
		await party.annaSleeps()
		exchange.call('1001')
		expect((await exchange.next('failed')).status).toBe(480)
		await until('both events are there', () => centre.events.length === 2)
		const agent = 'sip:1001@pbx.example'
		expect(centre.events).toMatchObject([
			{ type: 'push-refused', agent, status: 410, reason: 'Unregistered' },
			{ type: 'agent-unreachable', agent, reason: 'token-dead' },
		])
		const pushes = world.pushes.length
		exchange.call('1001')
		expect((await exchange.next('failed')).status).toBe(480)
		expect(world.pushes.length).toBe(pushes)
		await anna.wake('127.0.0.22')
		await until('the agent is back', () => centre.events.at(-1)?.['type'] === 'agent-back')
	})
})
