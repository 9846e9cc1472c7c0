/** Configuration → what the core needs of it. */
import type { Settings, Transport } from '../core/settings.ts'
import { advertisedOf, listenersOf, pbxListenerOf } from './listeners.ts'
import type { Config } from './options.ts'

/** @param version goes into Server and User-Agent. */
export function settingsOf(config: Config, version: string): Settings {
	return {
		domain: config.domain,
		advertised: ownNamesOf(config),
		pbxListener: pbxListenerOf(config),
		pbxPingMs: config.pbxPingMs,
		clientAddressHeader: config.clientAddressHeader ?? '',
		trust: config.trust,
		pingIntervalMs: config.pingIntervalMs,
		pingTimeoutMs: config.pingTimeoutMs,
		pingMisses: config.pingMisses,
		idleMs: config.idleMs,
		freshMs: config.freshMs,
		holdMs: config.holdMs,
		pbxExpiresSec: Math.round(config.pbxExpiresMs / 1000),
		minExpiresSec: Math.ceil(config.minExpiresMs / 1000),
		publicUrl: config.publicUrl ?? '',
		ringingOnPush: config.ringingOnPush,
		suspectAfter: config.suspectAfter,
		wakeSlowMs: config.wakeSlowMs,
		strangers: config.strangers,
		registerRate: config.registerRate,
		banAfter: config.banAfter,
		banMs: config.banMs,
		apnsTopic: config.apnsTopic ?? '',
		apnsEnvironment: config.apnsEnvironment,
		providers: providersOf(config),
		userAgent: `xcally-push-gateway/${version}`,
	}
}

function providersOf({ apnsKey, fcmKey }: Config): Settings['providers'] {
	const apns: Settings['providers'] = apnsKey === undefined ? [] : ['apns']
	return fcmKey === undefined ? apns : [...apns, 'fcm']
}

/** IPv6 in brackets, as SIP writes it. */
function ownNamesOf(config: Config): Settings['advertised'] {
	const listeners = listenersOf(config)
	return advertisedOf(config).map(({ host, port }, i) => ({
		host: host.includes(':') ? `[${host}]` : host,
		port,
		transport: listeners[i]!.transport.toUpperCase() as Transport,
	}))
}
