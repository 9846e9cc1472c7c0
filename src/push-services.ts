/** The push services there are keys for: opened at the start, and each push goes to its own. */
import { readFileSync } from 'node:fs'
import type { Config } from './config/options.ts'
import type { EventName, EventValue, PushEffect } from './core/effects.ts'
import type { PushResultInput } from './core/inputs.ts'
import { Secret } from './lib/secret.ts'
import { ApnsClient, apnsUrls } from './push/apns.ts'
import { FcmClient } from './push/fcm/fcm.ts'
import { KEY_HINT, readServiceAccount } from './push/fcm/key.ts'
import type { TokenStore } from './push/token.ts'
import type { Store } from './store/store.ts'

export interface PushParts {
	readonly store: Store
	/** ms since the epoch, never going back. */
	readonly now: () => number
	readonly log: (name: EventName, fields: Readonly<Record<string, EventValue>>) => void
	/** Called once for each push, never before `send` has returned. */
	readonly result: (result: PushResultInput) => void
}

export class PushServices {
	readonly #config: Config
	readonly #parts: PushParts
	#apns: ApnsClient | undefined
	#fcm: FcmClient | undefined

	constructor(config: Config, parts: PushParts) {
		this.#config = config
		this.#parts = parts
	}

	/** Why not, in a sentence; then nothing is to be sent, and it is to be closed. */
	open(): string | undefined {
		return this.#openApns() ?? this.#openFcm()
	}

	send(push: PushEffect): void {
		if (push.provider === 'fcm') this.#fcm?.send(push)
		else this.#apns?.send(push)
	}

	cancel(pushId: string): void {
		this.#apns?.cancel(pushId)
		this.#fcm?.cancel(pushId)
	}

	close(): void {
		this.#apns?.close()
		this.#fcm?.close()
	}

	#openApns(): string | undefined {
		const { apnsKey, apnsKeyId, apnsTeam, apnsCa, apnsUrl, apnsEnvironment } = this.#config
		if (apnsKey === undefined || apnsKeyId === undefined || apnsTeam === undefined) return undefined
		const key = readText(apnsKey)
		if (key === undefined)
			return `--apns-key: ${apnsKey} cannot be read: give the path of the .p8 file, and let this user read it.`
		const ca = apnsCa === undefined ? undefined : readText(apnsCa)
		if (apnsCa !== undefined && ca === undefined) return unreadableAuthority('--apns-ca', apnsCa)
		const { now, log, result, store } = this.#parts
		const tokens = tokenStore(store, `apns-token ${apnsTeam} ${apnsKeyId}`)
		const own = { key: new Secret(key), keyId: apnsKeyId, teamId: apnsTeam, urls: apnsUrls(apnsUrl) }
		try {
			this.#apns = new ApnsClient({ ...own, ca, environment: apnsEnvironment, tokens, now, log }, result)
		} catch (error) {
			return `--apns-key: ${apnsKey} holds no usable key (${error instanceof Error ? error.message : error}): download the .p8 file again.`
		}
		return undefined
	}

	#openFcm(): string | undefined {
		const { fcmKey, fcmUrl: url, fcmCa } = this.#config
		if (fcmKey === undefined) return undefined
		const text = readText(fcmKey)
		if (text === undefined)
			return `--fcm-key: ${fcmKey} cannot be read: give the path of the JSON file, and let this user read it.`
		const key = readServiceAccount(text)
		if (!key.ok) return `--fcm-key: ${fcmKey} ${key.wrong}. ${KEY_HINT}`
		const ca = fcmCa === undefined ? undefined : readText(fcmCa)
		if (fcmCa !== undefined && ca === undefined) return unreadableAuthority('--fcm-ca', fcmCa)
		const { now, log, result } = this.#parts
		this.#fcm = new FcmClient({ account: key.account, url, ca, now, log }, result)
		return undefined
	}
}

/** For the check: as the gateway reads it, and nothing of it that is secret. */
export function readFcmKey(text: string) {
	const key = readServiceAccount(text)
	if (!key.ok) return { ...key, hint: KEY_HINT }
	const { projectId, tokenUrl } = key.account
	return { ok: true, projectId, tokenUrl } as const
}

function unreadableAuthority(flag: string, path: string): string {
	return `${flag}: ${path} cannot be read: give the path of a PEM file, and let this user read it.`
}

function readText(path: string): string | undefined {
	try {
		return readFileSync(path, 'utf8')
	} catch {
		return undefined
	}
}

/** The provider token of one key survives a restart, so that a crash loop does not mint one each time. */
function tokenStore(store: Store, name: string): TokenStore {
	return {
		load() {
			const text = store.meta(name)
			const space = text?.indexOf(' ') ?? -1
			if (text === undefined || space < 0) return undefined
			return { issuedAt: Number(text.slice(0, space)), token: new Secret(text.slice(space + 1)) }
		},
		save({ token, issuedAt }) {
			store.setMeta(name, `${issuedAt} ${token.reveal()}`)
		},
	}
}
