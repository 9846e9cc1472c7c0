/**
 * The kinds of value an option can have: how the text is read and what is said when it cannot be. Reading never
 * throws; `wrong` completes the sentence `<flag>: <text> …`.
 */
import ipaddr from 'ipaddr.js'
import { Secret } from '../lib/secret.ts'

export type Reading<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly wrong: string }

/** What limits a value beyond its kind; the units are those of the value. */
export interface Bounds {
	readonly min?: number
	readonly max?: number
	/** Allows 0 besides [min, max], and says what it means: `no pings`. */
	readonly zero?: string
	readonly choices?: readonly string[]
}

export const TRANSPORTS = ['udp', 'tcp', 'tls', 'ws', 'wss'] as const

/** What a PBX may be spoken to over, the first before the others where nobody says. */
export const PBX_TRANSPORTS = ['udp', 'tcp', 'tls'] as const
export type PbxTransport = (typeof PBX_TRANSPORTS)[number]

export interface ListenAddress {
	readonly transport: (typeof TRANSPORTS)[number]
	/** An IP address, IPv6 without brackets. */
	readonly address: string
	readonly port: number
}

export interface HostPort {
	/** A name in lower case or an IP address, IPv6 without brackets. */
	readonly host: string
	/** undefined: not said. */
	readonly port: number | undefined
}

/** Where the PBX is: what RFC 3263 starts from. */
export interface PbxLocation extends HostPort {
	/** Said by what stands before the host, or by `;transport=`; undefined where DNS may choose. */
	readonly transport: PbxTransport | undefined
}

export interface HttpAddress {
	readonly address: string
	readonly port: number
}

/** The value of each kind. Durations are milliseconds. */
export interface KindValue {
	readonly listen: ListenAddress
	readonly hostPort: HostPort
	readonly pbx: PbxLocation
	readonly http: HttpAddress | 'off'
	readonly duration: number
	readonly count: number
	readonly boolean: boolean
	readonly choice: string
	readonly path: string
	readonly cidr: string
	readonly domain: string
	readonly url: string
	readonly webhook: string
	readonly header: string
	readonly appleId: string
	readonly topic: string
	readonly secret: Secret
}

export type Kind = keyof KindValue

interface KindRule<T> {
	/** Stands for the value in the help. */
	readonly metavar: string
	/** A value that is right, for sentences about a missing one. */
	readonly example: string
	readonly read: (text: string, bounds: Bounds) => Reading<T>
}

export const KINDS: { readonly [K in Kind]: KindRule<KindValue[K]> } = {
	listen: { metavar: 'TRANSPORT:ADDRESS:PORT', example: 'udp:203.0.113.5:5060', read: readListen },
	hostPort: { metavar: 'HOST[:PORT]', example: 'pbx.example.com:5060', read: readHostPort },
	pbx: { metavar: '[TRANSPORT:]HOST[:PORT]', example: 'pbx.example.com', read: readPbx },
	http: { metavar: 'ADDRESS:PORT', example: '127.0.0.1:8080', read: readHttp },
	duration: { metavar: 'TIME', example: '5s', read: readDuration },
	count: { metavar: 'N', example: '2', read: readCount },
	boolean: { metavar: '', example: 'yes', read: readBoolean },
	choice: { metavar: 'WORD', example: '', read: readChoice },
	path: { metavar: 'FILE', example: '/etc/push-gateway/key.p8', read: (text) => right(text) },
	cidr: { metavar: 'CIDR', example: '192.0.2.0/24', read: readCidr },
	domain: { metavar: 'DOMAIN', example: 'pbx.example.com', read: readDomain },
	url: { metavar: 'URL', example: 'https://api.push.apple.com', read: readUrl },
	webhook: { metavar: 'URL', example: 'https://desk.example.com/push-events', read: readWebhook },
	header: { metavar: 'NAME', example: 'X-Client-Address', read: readHeader },
	appleId: { metavar: 'ID', example: 'ABC123DEFG', read: readAppleId },
	topic: { metavar: 'TOPIC', example: 'com.example.app.voip', read: readTopic },
	secret: { metavar: 'SECRET', example: '@/etc/push-gateway/token', read: readSecret },
}

/**
 * A bearer token shorter than this can be guessed over a network: 16 characters of base64 are 96 bits, of hex 64.
 */
export const SECRET_MIN_LENGTH = 16

/** RFC 1035 §2.3.4: a name has at most 255 octets on the wire, 253 in text. */
export const HOST_MAX_LENGTH = 253

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/
/** Longer ones are read by nobody. */
const OWN_HEADER = /^X-[A-Za-z0-9-]{1,61}$/i
const APPLE_ID = /^[A-Za-z0-9]{10}$/
const VOIP_TOPIC = /^[A-Za-z0-9.-]+\.voip$/
const UNIT_MS: ReadonlyMap<string, number> = new Map([
	['', 1000],
	['ms', 1],
	['s', 1000],
	['m', 60_000],
	['h', 3_600_000],
])
const TRUTH: ReadonlyMap<string, boolean> = new Map([
	['yes', true],
	['true', true],
	['on', true],
	['1', true],
	['no', false],
	['false', false],
	['off', false],
	['0', false],
])

/** An IP address as it is compared everywhere, IPv6 without brackets in RFC 5952 form; undefined if it is none. */
export function ipAddress(text: string): string | undefined {
	if (ipaddr.IPv4.isValidFourPartDecimal(text)) return text
	const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
	if (!bare.includes(':') || !ipaddr.IPv6.isValid(bare)) return undefined
	return ipaddr.IPv6.parse(bare).toRFC5952String()
}

/** Is it an address and no name? */
export function literal(host: string): boolean {
	return ipAddress(host) !== undefined
}

/** Is it an address that stands for all of this machine's: `0.0.0.0`, `::`? */
export function isWildcard(address: string): boolean {
	return ipAddress(address) !== undefined && ipaddr.parse(address).range() === 'unspecified'
}

export function isLoopback(address: string): boolean {
	return ipAddress(address) !== undefined && ipaddr.process(address).range() === 'loopback'
}

/** A time as it would be written on the command line: `5s`, `1.5s`, `250ms`, `10m`. */
export function sayDuration(ms: number): string {
	if (ms < 1000) return ms === 0 ? '0' : `${ms}ms`
	if (ms % 3_600_000 === 0) return `${ms / 3_600_000}h`
	return ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1000}s`
}

/** `from 500ms to 5m, or 0: no pings`; '' where anything goes. */
export function sayBounds(kind: Kind, bounds: Bounds): string {
	if (bounds.choices) return bounds.choices.join(', ')
	if (bounds.min === undefined || bounds.max === undefined) return ''
	const say = kind === 'duration' ? sayDuration : String
	return `from ${say(bounds.min)} to ${say(bounds.max)}${bounds.zero ? `, or 0: ${bounds.zero}` : ''}`
}

function right<T>(value: T): Reading<T> {
	return { ok: true, value }
}

function wrong(sentence: string): { readonly ok: false; readonly wrong: string } {
	return { ok: false, wrong: sentence }
}

function hostName(text: string): string | undefined {
	const lower = text.toLowerCase()
	if (lower.length > HOST_MAX_LENGTH) return undefined
	const labels = (lower.endsWith('.') ? lower.slice(0, -1) : lower).split('.')
	// A last label of digits only is a mistyped IPv4 address (RFC 3696 §2).
	if (/^\d*$/.test(labels.at(-1)!)) return undefined
	return labels.every((label) => LABEL.test(label)) ? labels.join('.') : undefined
}

function port(text: string): number | undefined {
	const value = /^\d{1,5}$/.test(text) ? Number(text) : 0
	return value >= 1 && value <= 65_535 ? value : undefined
}

/** `host:port`, `[v6]:port`, and a bare IPv6 address as host alone. */
function splitHostPort(text: string): { readonly host: string; readonly port: string | undefined } {
	const colon = text.lastIndexOf(':')
	const inBrackets = text.startsWith('[')
	const isHostAlone = colon < 0 || (inBrackets ? text.endsWith(']') : text.indexOf(':') !== colon)
	return isHostAlone ? { host: text, port: undefined } : { host: text.slice(0, colon), port: text.slice(colon + 1) }
}

function readListen(text: string): Reading<ListenAddress> {
	const lower = text.toLowerCase()
	const transport = TRANSPORTS.find((one) => lower.startsWith(`${one}:`))
	if (transport === undefined)
		return wrong('must begin with udp:, tcp:, tls:, ws: or wss:, such as udp:203.0.113.5:5060')
	const split = splitHostPort(lower.slice(transport.length + 1))
	const address = ipAddress(split.host)
	const number = port(split.port ?? '')
	if (address === undefined) return wrong('needs an IP address of this machine, such as udp:203.0.113.5:5060')
	if (number === undefined) return wrong('needs a port from 1 to 65535 after the address, such as udp:203.0.113.5:5060')
	return right({ transport, address, port: number })
}

function readHostPort(text: string): Reading<HostPort> {
	const split = splitHostPort(text)
	const host = ipAddress(split.host) ?? hostName(split.host)
	if (host === undefined) return wrong('is no host name or IP address')
	if (split.port === undefined) return right({ host, port: undefined })
	const number = port(split.port)
	return number === undefined ? wrong('needs a port from 1 to 65535 behind the host') : right({ host, port: number })
}

/** What `tcp:`, `sips:` and the like say of the transport. */
const PBX_PREFIXES: ReadonlyMap<string, PbxTransport | undefined> = new Map([
	['udp:', 'udp'],
	['tcp:', 'tcp'],
	['tls:', 'tls'],
	['sips:', 'tls'],
	['sip:', undefined],
])

const NO_PREFIX = 'must be HOST or HOST:PORT, perhaps with udp:, tcp: or tls: before it'

/** `host`, `host:port`, `[v6]:port`, with a transport before it; and as a SIP URI, `sip:host;transport=tcp`. */
function readPbx(text: string): Reading<PbxLocation> {
	const [place, ...params] = text.toLowerCase().split(';')
	const prefix = /^[a-z]+:/.exec(place!)?.[0] ?? ''
	const isPrefix = PBX_PREFIXES.has(prefix)
	const read = readHostPort(isPrefix ? place!.slice(prefix.length) : place!)
	if (!read.ok) return isPrefix || prefix === '' ? read : wrong(NO_PREFIX)
	const before = PBX_PREFIXES.get(prefix)
	const [param = '', ...more] = params
	if (param === '' && more.length === 0) return right({ ...read.value, transport: before })
	const behind = PBX_TRANSPORTS.find((one) => param === `transport=${one}`)
	if (behind === undefined || more.length > 0)
		return wrong('may have one parameter, ";transport=udp", "=tcp" or "=tls"')
	return before === undefined || before === behind
		? right({ ...read.value, transport: behind })
		: wrong(`says ${prefix} and transport=${behind}: say one`)
}

function readHttp(text: string): Reading<HttpAddress | 'off'> {
	if (text.toLowerCase() === 'off') return right('off')
	const split = splitHostPort(text.toLowerCase())
	const address = split.host === 'localhost' ? '127.0.0.1' : ipAddress(split.host)
	const number = port(split.port ?? '')
	if (address === undefined || number === undefined)
		return wrong('must be ADDRESS:PORT, such as 127.0.0.1:8080, or "off"')
	return right({ address, port: number })
}

function readDuration(text: string, bounds: Bounds): Reading<number> {
	const match = /^(\d{1,9}(?:\.\d{1,3})?) ?(ms|s|m|h|)$/.exec(text.toLowerCase())
	if (!match) return wrong('is no time: write seconds, or a number with ms, s, m or h, such as 5, 1.5, 1500ms, 10m')
	return within('duration', Math.round(Number(match[1]) * UNIT_MS.get(match[2]!)!), bounds)
}

function readCount(text: string, bounds: Bounds): Reading<number> {
	if (/^\d{1,9}$/.test(text)) return within('count', Number(text), bounds)
	const said = sayBounds('count', bounds)
	return wrong(`is no whole number${said && `: choose ${said}`}`)
}

function within(kind: Kind, value: number, bounds: Bounds): Reading<number> {
	if (value === 0 && bounds.zero !== undefined) return right(value)
	const isInside = value >= (bounds.min ?? 0) && value <= (bounds.max ?? Number.MAX_SAFE_INTEGER)
	return isInside ? right(value) : wrong(`is out of range: choose ${sayBounds(kind, bounds)}`)
}

function readBoolean(text: string): Reading<boolean> {
	const value = TRUTH.get(text.toLowerCase())
	return value === undefined ? wrong('must be yes or no') : right(value)
}

function readChoice(text: string, bounds: Bounds): Reading<string> {
	const choices = bounds.choices ?? []
	return choices.includes(text) ? right(text) : wrong(`must be one of ${choices.join(', ')}`)
}

function readCidr(text: string): Reading<string> {
	const [address, bits, ...more] = text.split('/')
	const ip = ipAddress(address!)
	const width = ip?.includes(':') ? 128 : 32
	const length = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : width + 1
	if (ip === undefined || length > width || more.length > 0)
		return wrong('must be an address or a network, such as 192.0.2.0/24')
	// A whole-internet network would make every stranger the PBX.
	if (length === 0) return wrong('would trust every address there is: name the networks of the PBX')
	const family = width === 32 ? ipaddr.IPv4 : ipaddr.IPv6
	return right(`${family.networkAddressFromCIDR(`${ip}/${length}`).toString()}/${length}`)
}

function readDomain(text: string): Reading<string> {
	const domain = ipAddress(text) ?? hostName(text)
	return domain === undefined
		? wrong('is no domain: write what stands after the @ of sip:1001@pbx.example.com')
		: right(domain)
}

function readUrl(text: string): Reading<string> {
	const match = /^https:\/\/([^/?#@\s]+)\/?$/i.exec(text)
	const host = match ? readHostPort(match[1]!) : undefined
	return host?.ok ? right(`https://${match![1]!.toLowerCase()}`) : wrong('must be https://HOST or https://HOST:PORT')
}

/** http too, unlike {@link readUrl}: the receiver may be on this machine, or behind a tunnel. */
function readWebhook(text: string): Reading<string> {
	const match = /^(https?):\/\/([^/?#@\s]+)([/?][\x21\x22\x24-\x7e]*)?$/i.exec(text)
	const host = match ? readHostPort(match[2]!) : undefined
	if (!match || !host?.ok) return wrong('must be http:// or https:// with a host and perhaps a path, without user or #')
	return right(`${match[1]!.toLowerCase()}://${match[2]!.toLowerCase()}${match[3] ?? '/'}`)
}

/** Any other name may mean something in SIP, and would be taken away from those who use it. */
function readHeader(text: string): Reading<string> {
	return OWN_HEADER.test(text)
		? right(text)
		: wrong('must begin with X- and go on with letters, digits and hyphens, such as X-Client-Address')
}

function readAppleId(text: string): Reading<string> {
	return APPLE_ID.test(text) ? right(text) : wrong('must be the ten letters and digits that Apple shows for it')
}

function readTopic(text: string): Reading<string> {
	return VOIP_TOPIC.test(text)
		? right(text)
		: wrong('must be the bundle id with ".voip" behind it, such as com.example.app.voip')
}

function readSecret(text: string): Reading<Secret> {
	if (text.length < SECRET_MIN_LENGTH) return wrong(`is too short: use at least ${SECRET_MIN_LENGTH} characters`)
	return /^[\x21-\x7e]+$/.test(text) ? right(new Secret(text)) : wrong('must be printable ASCII without spaces')
}
