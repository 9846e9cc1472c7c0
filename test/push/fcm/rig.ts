/** A client of FCM against the stand-in. */
import type { EventName, EventValue, PushEffect } from '../../../src/core/effects.ts'
import type { PushResultInput } from '../../../src/core/inputs.ts'
import { Secret } from '../../../src/lib/secret.ts'
import { FcmClient, type FcmOptions } from '../../../src/push/fcm/fcm.ts'
import { readServiceAccount, type ServiceAccount } from '../../../src/push/fcm/key.ts'
import { push } from '../rig.ts'
import { type GoogleStandIn, keyFile } from './stand-in.ts'

export const TOKEN = 'dGVzdA-t_1:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx'

export function accountOf(text: string): ServiceAccount {
	const key = readServiceAccount(text)
	if (!key.ok) throw new Error(key.wrong)
	return key.account
}

/** A call's push, unless told otherwise. */
export function call(fields: Partial<PushEffect> = {}): PushEffect {
	return push({
		provider: 'fcm',
		topic: '',
		token: new Secret(TOKEN),
		payload: '{"event":"call","callerName":"Ada Lovelace"}',
		minimalPayload: '{"event":"call"}',
		...fields,
	})
}

export interface Rig {
	readonly client: FcmClient
	readonly results: PushResultInput[]
	readonly events: { readonly name: EventName; readonly fields: Readonly<Record<string, EventValue>> }[]
	/** Sends one push and gives its result. */
	send(fields?: Partial<PushEffect>): Promise<PushResultInput>
}

export function rig(google: GoogleStandIn, options: Partial<FcmOptions> = {}): Rig {
	const events: Rig['events'] = []
	const results: PushResultInput[] = []
	const waiting = new Map<string, (result: PushResultInput) => void>()
	const client = new FcmClient(
		{
			account: accountOf(keyFile(google.tokenUri)),
			url: google.url,
			ca: google.ca,
			now: Date.now,
			log: (name, fields) => void events.push({ name, fields }),
			...options,
		},
		(result) => {
			results.push(result)
			waiting.get(result.pushId)?.(result)
		},
	)
	const send = (fields?: Partial<PushEffect>): Promise<PushResultInput> => {
		const effect = call(fields)
		const { promise, resolve } = Promise.withResolvers<PushResultInput>()
		waiting.set(effect.pushId, resolve)
		client.send(effect)
		return promise
	}
	return { client, results, events, send }
}
