/** What must hold between options. One function a rule; each gives sentences saying what to do. */
import { type HttpAddress, ipAddress, isLoopback, isWildcard, type PbxLocation, sayDuration } from './kinds.ts'
import { type Config, OPTIONS } from './options.ts'

/** RFC 3261 §19.1.2: that of a SIP URI without one. */
const SIP_PORT = 5060

/** Reasons not to start. */
export function conflicts(config: Config): string[] {
	return [
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
	if (config.apnsKey === undefined) {
		said.push('No --apns-key is given: calls reach awake devices only, and no sleeping one is woken.')
	}
	if (config.apnsKey === undefined && (config.apnsUrl ?? config.apnsCa) !== undefined) {
		const idle = config.apnsUrl === undefined ? '--apns-ca' : '--apns-url'
		said.push(`${idle} is given without --apns-key: nothing is pushed.`)
	}
	if (config.apnsKey !== undefined && config.apnsTopic === undefined) {
		said.push('No --apns-topic is given: only phones that name their topic in pn-param can be woken.')
	}
	if (config.apnsKey !== undefined && config.apnsCa !== undefined && config.apnsUrl === undefined) {
		said.push("--apns-ca is given without --apns-url: Apple's own servers will be checked against that authority.")
	}
	if (config.events !== undefined && config.eventsSecret === undefined) {
		said.push('No --events-secret is given: events are posted unsigned, and the receiver cannot tell who made them.')
	}
	if (config.events === undefined && config.eventsSecret !== undefined) {
		said.push('--events-secret is given without --events: nothing is posted.')
	}
	return said
}

function advertiseRules({ listen, advertise }: Config): string[] {
	/* the PBX must see one Contact for an agent, whichever way its phones come in */
	if (listen.length > 1)
		return [`--listen is given ${listen.length} times: this version has one listener, so give it once.`]
	if (advertise.length > 1) return [`--advertise is given ${advertise.length} times: give it once, as --listen.`]
	const wildcard = advertise.length === 0 ? listen.find((l) => isWildcard(l.address)) : undefined
	if (!wildcard)
		return advertise.some((a) => isWildcard(a.host)) ? [`--advertise needs an address that phones can reach.`] : []
	return [
		`--listen is on ${wildcard.address}, every address of this machine, and phones and the PBX must be told one: add --advertise HOST.`,
	]
}

function pbxRules(config: Config): string[] {
	return config.pbx.flatMap((pbx) => [...ownListener(pbx, config), ...familyRule(pbx, config)])
}

/** What goes to itself comes back until Max-Forwards is used up. */
function ownListener(pbx: PbxLocation, { listen, advertise }: Config): string[] {
	const isOwn = listen.some(
		({ address, port }) =>
			leadsTo(pbx, address, port) ||
			(isWildcard(address) && isLoopback(pbx.host) && (pbx.port ?? SIP_PORT) === port) ||
			advertise.some((one) => leadsTo(pbx, one.host, one.port ?? port)),
	)
	return isOwn ? [`--pbx ${pbx.host} is where the gateway itself listens: give the address of the PBX.`] : []
}

/** A name without a port may lead anywhere: SRV says. */
function leadsTo(pbx: PbxLocation, host: string, port: number): boolean {
	if (pbx.host !== host) return false
	return pbx.port === undefined ? ipAddress(host) !== undefined && port === SIP_PORT : pbx.port === port
}

function familyRule({ host }: PbxLocation, { listen }: Config): string[] {
	const isSix = host.includes(':')
	if (ipAddress(host) === undefined || listen.some(({ address }) => address.includes(':') === isSix)) return []
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
