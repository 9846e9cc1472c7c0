/** What must hold between options. One function a rule; each gives sentences saying what to do. */
import {
	type HttpAddress,
	isLoopback,
	isWildcard,
	type ListenAddress,
	literal,
	PBX_TRANSPORTS,
	type PbxLocation,
	type PbxTransport,
	sayDuration,
} from './kinds.ts'
import { listenersOf, mayBeOver, pbxSidesOf } from './listeners.ts'
import { type Config, OPTIONS } from './options.ts'

/** RFC 3261 §19.1.2: that of a SIP URI without one. */
const SIP_PORT = 5060
/** RFC 3261 §19.1.2, over TLS. */
const SIPS_PORT = 5061

/** Reasons not to start. */
export function conflicts(config: Config): string[] {
	return [
		...listenRules(config),
		...placeRules(config),
		...tlsRules(config),
		...advertiseRules(config),
		...pbxRules(config),
		...pingRules(config),
		...apnsRules(config),
		...httpRules(config),
		...publicRules(config),
	]
}

/** What works, but perhaps not as wished. */
export function warnings(config: Config): string[] {
	const said: string[] = []
	if (config.apnsKey === undefined && config.fcmKey === undefined) {
		said.push(
			'Neither --apns-key nor --fcm-key is given: calls reach awake devices only, and no sleeping one is woken.',
		)
	}
	const { apnsKey, apnsUrl, apnsCa, fcmKey, fcmUrl, fcmCa } = config
	said.push(...idleOptions('--apns-key', apnsKey, { '--apns-url': apnsUrl, '--apns-ca': apnsCa }))
	said.push(...idleOptions('--fcm-key', fcmKey, { '--fcm-url': fcmUrl, '--fcm-ca': fcmCa }))
	if (config.apnsKey !== undefined && config.apnsTopic === undefined) {
		said.push('No --apns-topic is given: only phones that name their topic in pn-param can be woken.')
	}
	if (config.apnsKey !== undefined && config.apnsCa !== undefined && config.apnsUrl === undefined) {
		said.push("--apns-ca is given without --apns-url: Apple's own servers will be checked against that authority.")
	}
	if (config.pbxCa !== undefined && !pbxSidesOf(config).some(({ transport }) => transport === 'tls')) {
		said.push('--pbx-ca is given without a PBX over TLS: nothing is checked against it.')
	}
	if (config.tlsCert.length > 0 && !listenersOf(config).some(isSecure)) {
		said.push('--tls-cert is given without a tls or wss listener: nobody will see the certificate.')
	}
	if (config.tlsClientCa !== undefined && !listenersOf(config).some(isSecure)) {
		said.push('--tls-client-ca is given without a tls or wss listener: nobody is asked for a certificate.')
	}
	if (config.events !== undefined && config.eventsSecret === undefined) {
		said.push('No --events-secret is given: events are posted unsigned, and the receiver cannot tell who made them.')
	}
	if (config.events === undefined && config.eventsSecret !== undefined) {
		said.push('--events-secret is given without --events: nothing is posted.')
	}
	return said
}

/** What is given for a key that is not. */
function idleOptions(
	flag: string,
	key: string | undefined,
	others: Readonly<Record<string, string | undefined>>,
): string[] {
	if (key !== undefined) return []
	const idle = Object.keys(others).filter((other) => others[other] !== undefined)
	return idle.length === 0
		? []
		: [`${idle.join(' and ')} ${idle.length === 1 ? 'is' : 'are'} given without ${flag}: nothing is pushed there.`]
}

function listenRules(config: Config): string[] {
	const { pbxListen } = config
	const strange = pbxListen.find(({ transport }) => !isPbxTransport(transport))
	if (strange !== undefined)
		return [`--pbx-listen ${strange.transport}: must begin with udp:, tcp: or tls:, which a PBX can be spoken to over.`]
	const twice = pbxListen.find(({ transport }, i) => pbxListen.findIndex((one) => one.transport === transport) < i)
	if (twice !== undefined) return [`--pbx-listen is given twice for ${twice.transport}: give one for each transport.`]
	const sides = pbxSidesOf(config).map(({ transport }) => transport)
	return config.pbx.flatMap((pbx) => {
		const wanted = PBX_TRANSPORTS.filter((one) => mayBeOver(pbx, one))
		return wanted.some((one) => sides.includes(one)) ? [] : [noSide(pbx, wanted[0]!)]
	})
}

/** The system would say that another program has the port. */
function placeRules(config: Config): string[] {
	const places = listenersOf(config).map(sayPlace)
	const twice = new Set(places.filter((place, i) => places.indexOf(place) < i))
	return [...twice].map((place) => `Two listeners are on ${place}: give each a port of its own, or leave one out.`)
}

/** All but UDP are connections, which share the ports of TCP. */
function sayPlace({ transport, address, port }: ListenAddress): string {
	return `${transport === 'udp' ? 'UDP' : 'TCP'} ${address.includes(':') ? `[${address}]` : address}:${port}`
}

const isPbxTransport = (transport: string): boolean => PBX_TRANSPORTS.some((one) => one === transport)

function noSide({ host }: PbxLocation, transport: PbxTransport): string {
	const where = `${transport}:ADDRESS:PORT`
	return `--pbx ${host} is spoken to over ${transport.toUpperCase()}, and no listener has it: add --listen ${where}, or --pbx-listen ${where}.`
}

function tlsRules(config: Config): string[] {
	const { listen, tlsCert, tlsKey, pbxCert, pbxKey } = config
	if ((pbxCert === undefined) !== (pbxKey === undefined)) return ['--pbx-cert and --pbx-key go together: give both.']
	if (tlsCert.length !== tlsKey.length)
		return [
			`--tls-cert is given ${times(tlsCert.length)} and --tls-key ${times(tlsKey.length)}: give a key for each certificate.`,
		]
	const at = listenersOf(config).findIndex(isSecure)
	if (at < 0 || tlsCert.length > 0) return []
	const flag = at < listen.length ? '--listen' : '--pbx-listen'
	const { transport } = listenersOf(config)[at]!
	return [`${flag} ${transport}: needs a certificate: add --tls-cert FILE and --tls-key FILE.`]
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`)

const isSecure = ({ transport }: ListenAddress): boolean => transport === 'tls' || transport === 'wss'

function advertiseRules(config: Config): string[] {
	const { advertise, listen } = config
	const listeners = listenersOf(config)
	if (advertise.some(({ host }) => isWildcard(host))) return ['--advertise needs an address that phones can reach.']
	if (advertise.length > 1 && advertise.length !== listeners.length)
		return [
			`--advertise is given ${times(advertise.length)} for ${listeners.length} listener${listeners.length === 1 ? '' : 's'}: give it once, or once for each in their order.`,
		]
	if (advertise.length === 1 && advertise[0]!.port !== undefined && listen.length > 1)
		return ['--advertise has a port and stands for several listeners: leave the port out, or give one for each.']
	const told = advertise.length === 1 ? listen.length : advertise.length
	const wildcard = listeners.find(({ address }, i) => i >= told && isWildcard(address))
	if (wildcard === undefined) return []
	return [
		`A listener is on ${wildcard.address}, every address of this machine, and phones and the PBX must be told one: add --advertise HOST.`,
	]
}

function pbxRules(config: Config): string[] {
	return config.pbx.flatMap((pbx) => [...ownListener(pbx, config), ...familyRule(pbx, config)])
}

/** What goes to itself comes back until Max-Forwards is used up. */
function ownListener(pbx: PbxLocation, config: Config): string[] {
	const { advertise } = config
	const isOwn = listenersOf(config).some(
		({ transport, address, port }) =>
			isPbxTransport(transport) &&
			mayBeOver(pbx, transport as PbxTransport) &&
			(leadsTo(pbx, address, port) ||
				(isWildcard(address) && isLoopback(pbx.host) && (pbx.port ?? defaultPort(pbx)) === port) ||
				advertise.some((one) => leadsTo(pbx, one.host, one.port ?? port))),
	)
	return isOwn ? [`--pbx ${pbx.host} is where the gateway itself listens: give the address of the PBX.`] : []
}

/** A name without a port may lead anywhere: SRV says. */
function leadsTo(pbx: PbxLocation, host: string, port: number): boolean {
	if (pbx.host !== host) return false
	return pbx.port === undefined ? literal(host) && port === defaultPort(pbx) : pbx.port === port
}

const defaultPort = ({ transport }: PbxLocation): number => (transport === 'tls' ? SIPS_PORT : SIP_PORT)

function familyRule(pbx: PbxLocation, config: Config): string[] {
	const { host } = pbx
	const sides = pbxSidesOf(config).filter(({ transport }) => mayBeOver(pbx, transport))
	const isSix = host.includes(':')
	if (!literal(host) || sides.length === 0 || sides.some(({ at }) => at.address.includes(':') === isSix)) return []
	const [theirs, ours] = isSix ? ['IPv6', 'IPv4'] : ['IPv4', 'IPv6']
	return [
		`--pbx ${host} is an ${theirs} address, and --listen has ${ours} alone: give --listen an address of the same family.`,
	]
}

function pingRules({ pingIntervalMs, pingTimeoutMs }: Config): string[] {
	if (pingIntervalMs === 0 || pingTimeoutMs <= pingIntervalMs) return []
	const timeout = sayDuration(pingTimeoutMs)
	const said = timeout === OPTIONS.pingTimeoutMs.default ? `${timeout} by default` : timeout
	return [
		`--ping-timeout (${said}) is longer than --ping-interval (${sayDuration(pingIntervalMs)}): make it shorter, so that a pong is never taken for the next one.`,
	]
}

function apnsRules({ apnsKey, apnsKeyId, apnsTeam }: Config): string[] {
	const given = { '--apns-key': apnsKey, '--apns-key-id': apnsKeyId, '--apns-team': apnsTeam }
	const missing = Object.entries(given).flatMap(([flag, value]) => (value === undefined ? [flag] : []))
	if (missing.length === 0 || missing.length === 3) return []
	return [
		`${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} missing: APNs needs the key, its id and the team together.`,
	]
}

function httpRules({ http, httpToken }: Config): string[] {
	if (http === 'off' || httpToken !== undefined || isLoopback(http.address)) return []
	return [`--http is on ${http.address}, where others can reach it: add --http-token @FILE, or use 127.0.0.1.`]
}

function publicRules({ publicUrl, publicHttp, http }: Config): string[] {
	if (publicUrl === undefined)
		return publicHttp === 'off' ? [] : ['--public-http is given without --public-url: say where apps reach it.']
	if (publicHttp === 'off')
		return http === 'off'
			? ['--public-url is given, and nothing listens for it: add --public-http 127.0.0.1:8081 or --http.']
			: []
	if (http === 'off' || !overlap(http, publicHttp)) return []
	return ['--public-http and --http are the same: give them two ports, or leave --public-http out.']
}

function overlap(a: HttpAddress, b: HttpAddress): boolean {
	return a.port === b.port && (a.address === b.address || isWildcard(a.address) || isWildcard(b.address))
}
