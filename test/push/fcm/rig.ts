/** A client of FCM against the stand-in. */
import type { PushEffect } from '../../../src/core/effects.ts'
import { Secret } from '../../../src/lib/secret.ts'
import { FcmClient, type FcmOptions } from '../../../src/push/fcm/fcm.ts'
import { readServiceAccount, type ServiceAccount } from '../../../src/push/fcm/key.ts'
import { type Rig as PushRig, push, rigOf } from '../rig.ts'
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

export type Rig = PushRig<FcmClient>

export function rig(google: GoogleStandIn, options: Partial<FcmOptions> = {}): Rig {
	const { url, ca } = google
	return rigOf(({ log, done }) => {
		const account = accountOf(keyFile(google.tokenUri))
		return new FcmClient({ account, url, ca, now: Date.now, log, ...options }, done)
	}, call)
}
