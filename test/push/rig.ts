/** What the push tests share: a client against stand-ins, and a wire between them that can be cut. */
import { connect, createServer, type Socket } from 'node:net'
import type { EventName, EventValue, PushEffect } from '../../src/core/effects.ts'
import type { PushResultInput } from '../../src/core/inputs.ts'
import { type ApnsStandIn, type ApnsStandInOptions, generateP8, startApnsStandIn } from '../../src/demo/apns.ts'
import { Secret } from '../../src/lib/secret.ts'
import { ApnsClient, type ApnsOptions } from '../../src/push/apns.ts'
import type { IssuedToken, TokenStore } from '../../src/push/token.ts'

export const KEY_ID = 'ABC123DEFG'
export const TEAM_ID = 'DEF123GHIJ'
export const TOPIC = 'com.example.app.voip'
export const P8 = generateP8()
export const DEVICE_TOKEN = 'a1b2c3d4'.repeat(8)

export function standIn(options: Partial<ApnsStandInOptions> = {}): Promise<ApnsStandIn> {
	return startApnsStandIn({ key: P8.publicKey, keyId: KEY_ID, teamId: TEAM_ID, topic: TOPIC, ...options })
}

export function memoryTokens(saved?: IssuedToken): TokenStore & { readonly saved: IssuedToken[] } {
	const all: IssuedToken[] = saved === undefined ? [] : [saved]
	return { saved: all, load: () => all.at(-1), save: (issued) => void all.push(issued) }
}

let serial = 0

export function push(fields: Partial<PushEffect> = {}): PushEffect {
	const pushId = `00000000-0000-4000-8000-${(++serial).toString(16).padStart(12, '0')}`
	return {
		type: 'push',
		kind: 'voip',
		pushId,
		provider: 'apns',
		environment: 'production',
		topic: TOPIC,
		token: new Secret(DEVICE_TOKEN),
		payload: '{"aps":{},"caller":"Ada Lovelace"}',
		minimalPayload: '{"aps":{}}',
		expiresAt: Date.now() + 20_000,
		...fields,
	}
}

export interface Rig<C = ApnsClient> {
	readonly client: C
	readonly events: { readonly name: EventName; readonly fields: Readonly<Record<string, EventValue>> }[]
	readonly results: PushResultInput[]
	/** Sends one push and gives its result. */
	send(fields?: Partial<PushEffect>): Promise<PushResultInput>
}

/** What a client of either push service tells. */
interface Told {
	log(name: EventName, fields: Readonly<Record<string, EventValue>>): void
	done(result: PushResultInput): void
}

/** The client that `open` makes, each of its results beside the push it is of. */
export function rigOf<C extends { send(effect: PushEffect): void }>(
	open: (told: Told) => C,
	effectOf: (fields?: Partial<PushEffect>) => PushEffect,
): Rig<C> {
	const events: Rig['events'] = []
	const results: PushResultInput[] = []
	const waiting = new Map<string, (result: PushResultInput) => void>()
	const client = open({
		log: (name, fields) => void events.push({ name, fields }),
		done: (result) => {
			results.push(result)
			waiting.get(result.pushId)?.(result)
		},
	})
	const send = (fields?: Partial<PushEffect>): Promise<PushResultInput> => {
		const effect = effectOf(fields)
		const { promise, resolve } = Promise.withResolvers<PushResultInput>()
		waiting.set(effect.pushId, resolve)
		client.send(effect)
		return promise
	}
	return { client, events, results, send }
}

export function rig(urls: ApnsOptions['urls'], ca: string | undefined, options: Partial<ApnsOptions> = {}): Rig {
	return rigOf(({ log, done }) => {
		const key = { key: new Secret(P8.p8), keyId: KEY_ID, teamId: TEAM_ID }
		const fixed = { urls, ca, environment: 'production', tokens: memoryTokens(), now: Date.now, log } as const
		return new ApnsClient({ ...key, ...fixed, ...options }, done)
	}, push)
}

/** Both environments at one host, as with `--apns-url`. */
export function oneHost(url: string): ApnsOptions['urls'] {
	return { production: url, sandbox: url }
}

export async function until(condition: () => boolean, limitMs = 3000): Promise<void> {
	const deadline = performance.now() + limitMs
	while (!condition()) {
		if (performance.now() > deadline) throw new Error('it did not happen in time')
		await Bun.sleep(5)
	}
}

/** A TCP relay in front of `port` that can go silent: `cut` lets no octet through any more on what is connected now. */
export async function startRelay(port: number, listenPort = 0): Promise<{ url: string; cut(): void; close(): void }> {
	const pairs: Socket[] = []
	const server = createServer((near) => {
		const far = connect(port, '127.0.0.1')
		pairs.push(near, far)
		for (const [from, to] of [
			[near, far],
			[far, near],
		] as const) {
			from.on('error', () => {})
			from.on('data', (chunk) => to.write(chunk))
			from.on('close', () => to.destroy())
		}
	})
	await new Promise<void>((resolve) => server.listen(listenPort, '127.0.0.1', resolve))
	return {
		url: `https://127.0.0.1:${(server.address() as { port: number }).port}`,
		cut: () => {
			for (const socket of pairs) socket.removeAllListeners('data').resume()
		},
		close: () => {
			for (const socket of pairs) socket.destroy()
			server.close()
		},
	}
}
