/** Configuration → what the core needs of it. */
import type { Settings } from '../core/settings.ts'
import type { Config } from './options.ts'

/** @param version goes into Server and User-Agent. */
export function settingsOf(config: Config, version: string): Settings {
	return {
		domain: config.domain,
		advertised: advertisedOf(config),
		pbxPingMs: config.pbxPingMs,
		trust: config.trust,
		pingIntervalMs: config.pingIntervalMs,
		pingTimeoutMs: config.pingTimeoutMs,
		pingMisses: config.pingMisses,
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
		pushEnabled: config.apnsKey !== undefined,
		userAgent: `xcally-push-gateway/${version}`,
	}
}

/** One for each listener: what `--advertise` says, else its own address. IPv6 in brackets, as SIP writes it. */
function advertisedOf({ listen, advertise }: Config): Settings['advertised'] {
	return listen.map((listener, i) => {
		const host = advertise[i]?.host ?? listener.address
		return { host: host.includes(':') ? `[${host}]` : host, port: advertise[i]?.port ?? listener.port }
	})
}
