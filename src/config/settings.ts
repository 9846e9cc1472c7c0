/** Configuration → what the core needs of it. */
import type { Advertised, Settings, Transport } from '../core/settings.ts'
import { advertisedOf, listenersOf, pbxSidesOf } from './listeners.ts'
import type { Config } from './options.ts'

/** @param version goes into Server and User-Agent. */
export function settingsOf(config: Config, version: string): Settings {
	return {
		domain: config.domain,
		advertised: ownNamesOf(config),
		pbxSides: pbxSidesOf(config).map(({ transport, listener, sender }) => ({ transport, listener, sender })),
		pbxPingMs: config.pbxPingMs,
		clientAddressHeader: config.clientAddressHeader ?? '',
		trust: config.trust,
		pingIntervalMs: config.pingIntervalMs,
		pingTimeoutMs: config.pingTimeoutMs,
		pingMisses: config.pingMisses,
		idleMs: config.idleMs,
		maxHeaders: config.maxHeaders,
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

/** IPv6 in brackets, as SIP writes it. A connector goes by the name of the listener that the PBX calls back. */
function ownNamesOf(config: Config): readonly Advertised[] {
	const listeners = listenersOf(config)
	const names = advertisedOf(config).map(({ host, port }, i) => ({
		host: host.includes(':') ? `[${host}]` : host,
		port,
		transport: listeners[i]!.transport.toUpperCase() as Transport,
	}))
	const connectors = pbxSidesOf(config).filter(({ listener, sender }) => sender !== listener)
	return [...names, ...connectors.map(({ listener }) => names[listener]!)]
}
