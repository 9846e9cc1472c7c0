/**
 * The one table of options. Flags, environment, help, validation, docs/options.md and the configuration on the status
 * page come from it; {@link Config} is its type.
 */
import { CONNECTION_OPTIONS } from './connection-options.ts'
import { FCM_OPTIONS } from './fcm-options.ts'
import type { Kind, KindValue } from './kinds.ts'
import type { Option } from './option.ts'
import { PBX_OPTIONS } from './pbx-options.ts'

/** An address for each network card, and more: each costs a socket of its own. */
export const MAX_REPEATS = 16

export const OPTIONS = {
	listen: {
		flag: 'listen',
		kind: 'listen',
		default: 'udp:0.0.0.0:5060',
		repeatable: true,
		group: 'SIP',
		help: 'where phones and the PBX reach the gateway',
		doc: 'One for each transport (udp, tcp, tls, ws, wss) and address family that phones use. On a machine with several addresses name those that phones and the PBX use: an answer must leave from the address the request came to. The PBX is spoken to by the first listener of its transport (udp, tcp, tls) unless --pbx-listen names another. tls and wss need --tls-cert and --tls-key.',
	},
	advertise: {
		flag: 'advertise',
		kind: 'hostPort',
		repeatable: true,
		group: 'SIP',
		help: 'the address of the gateway as phones and the PBX see it',
		doc: 'Needed behind a NAT and with a listener on 0.0.0.0 or ::. Without a port it is the port of the listener. Given once it stands for every --listen; else give one for each listener in their order, that of --pbx-listen last.',
	},
	...CONNECTION_OPTIONS,
	domain: {
		flag: 'domain',
		kind: 'domain',
		required: true,
		group: 'SIP',
		help: 'the domain agents register at',
		doc: 'What stands after the @ of an agent, sip:1001@DOMAIN. A REGISTER for another domain is dropped.',
	},
	...PBX_OPTIONS,
	pingIntervalMs: {
		flag: 'ping-interval',
		kind: 'duration',
		default: '5s',
		min: 500,
		max: 300_000,
		zero: 'no pings',
		group: 'Ping and pong',
		help: 'time between two pings of an awake device',
		doc: 'Without pings a device with push parameters is woken for every call, and one without is called directly.',
	},
	pingMisses: {
		flag: 'ping-misses',
		kind: 'count',
		default: '2',
		min: 1,
		max: 20,
		group: 'Ping and pong',
		help: 'missed pongs that make a device background',
		doc: 'One is quicker to notice a sleeping phone, and quicker to err on a lossy network.',
	},
	pingTimeoutMs: {
		flag: 'ping-timeout',
		kind: 'duration',
		default: '1.5s',
		min: 100,
		max: 30_000,
		group: 'Ping and pong',
		help: 'a pong later than this is missed',
		doc: 'Not longer than --ping-interval.',
	},
	freshMs: {
		flag: 'fresh',
		kind: 'duration',
		default: '3s',
		min: 100,
		max: 300_000,
		zero: 'every device is asked',
		group: 'Ping and pong',
		help: 'a device heard of within this time is called at once',
		doc: 'One last heard of before that is asked with a ping as the call comes, and woken with a push when 600 ms bring no answer. A device that cannot be woken is called without asking, and so is everyone with --ping-interval 0.',
	},
	holdMs: {
		flag: 'hold',
		kind: 'duration',
		default: '20s',
		min: 2000,
		max: 120_000,
		group: 'Calls',
		help: 'how long a call waits for a sleeping device',
		doc: 'Then the PBX gets 480, and the queue moves on. It is the most: for devices that were quick so far a call waits shorter. Keep it below the ring time of the queue at the PBX.',
	},
	ringingOnPush: {
		flag: 'ringing-on-push',
		kind: 'boolean',
		default: 'no',
		group: 'Calls',
		help: 'send 180 Ringing when the push service has taken the push',
		doc: 'Otherwise the caller hears ringing when the phone itself rings.',
	},
	publicUrl: {
		flag: 'public-url',
		kind: 'url',
		group: 'Calls',
		help: 'where apps reach /c/ of the gateway from outside',
		doc: 'With it a push payload has the field status, an address under this one: GET tells whether the call still rings, POST declines it before the app has registered. Let your HTTPS proxy pass /c/ to --public-http, or to --http without that.',
	},
	publicHttp: {
		flag: 'public-http',
		kind: 'http',
		default: 'off',
		group: 'Calls',
		help: 'a listener for /c/ alone, apart from the status page',
		doc: 'It asks for no token but the one in the address, and only forged ones are limited, to 400 at once and 200 a second. Without it /c/ is served by --http.',
	},
	suspectAfter: {
		flag: 'suspect-after',
		kind: 'count',
		default: '3',
		min: 1,
		max: 100,
		zero: 'never',
		group: 'Calls',
		help: 'accepted pushes in a row without a wake that make a device suspect',
		doc: 'A suspect device is pushed all the same, but OPTIONS of the PBX is answered with 480 unless another device of the agent can be reached. Any REGISTER or pong of the device clears it.',
	},
	wakeSlowMs: {
		flag: 'wake-slow',
		kind: 'duration',
		default: '8s',
		min: 500,
		max: 120_000,
		zero: 'never',
		group: 'Calls',
		help: 'a wake that takes longer is told as the event wake-slow',
		doc: 'From the push to the PBX accepting the REGISTER of the woken device.',
	},
	apnsKey: {
		flag: 'apns-key',
		kind: 'path',
		group: 'APNs',
		help: 'the .p8 key file of Apple',
		doc: 'A PKCS#8 PEM file, readable by the gateway alone (mode 0600). Without a key no iPhone can be woken.',
	},
	apnsKeyId: {
		flag: 'apns-key-id',
		kind: 'appleId',
		group: 'APNs',
		help: 'the id of that key',
		doc: 'Ten characters; Apple puts them into the file name, AuthKey_ABC123DEFG.p8.',
	},
	apnsTeam: {
		flag: 'apns-team',
		kind: 'appleId',
		group: 'APNs',
		help: 'the team id at Apple',
		doc: 'Ten characters, shown on the membership page of the developer account.',
	},
	apnsTopic: {
		flag: 'apns-topic',
		kind: 'topic',
		group: 'APNs',
		help: 'the topic of phones that do not name one',
		doc: 'The bundle id with .voip behind it. A phone names it in pn-param (RFC 8599), and that one goes first.',
	},
	apnsEnvironment: {
		flag: 'apns-environment',
		kind: 'choice',
		choices: ['production', 'sandbox'],
		default: 'production',
		group: 'APNs',
		help: 'where tokens belong that do not say',
		doc: 'A phone with pn-provider=apns.dev belongs to the sandbox, whatever this says.',
	},
	apnsUrl: {
		flag: 'apns-url',
		kind: 'url',
		group: 'APNs',
		help: "another server than Apple's, for both environments",
		doc: 'For tests and for relays.',
	},
	apnsCa: {
		flag: 'apns-ca',
		kind: 'path',
		group: 'APNs',
		help: 'the certificate authority of --apns-url, PEM',
		doc: 'Certificates of that server are then checked against this authority alone.',
	},
	...FCM_OPTIONS,
	events: {
		flag: 'events',
		kind: 'webhook',
		group: 'Events',
		help: 'where events are posted as JSON: agents out of reach, pushes refused',
		doc: 'http or https. docs/operations.md has the events and how they are signed. What stands behind the host is shown nowhere.',
	},
	eventsSecret: {
		flag: 'events-secret',
		kind: 'secret',
		group: 'Events',
		help: 'the key that signs them, or @FILE',
		doc: 'At least 16 characters, known to the receiver too. Keep it off the command line, where every user of the machine can read it.',
	},
	strangers: {
		flag: 'strangers',
		kind: 'choice',
		choices: ['drop', 'reject'],
		default: 'drop',
		group: 'Filter',
		help: 'what a stranger gets for anything but REGISTER',
		doc: 'drop: nothing at all, so that scanners find no SIP server. reject: 403, which helps while phones are set up.',
	},
	registerRate: {
		flag: 'register-rate',
		kind: 'count',
		default: '20',
		min: 1,
		max: 1_000_000,
		group: 'Filter',
		help: 'REGISTERs a second of one unknown source',
		doc: 'One that the PBX accepts does not count, so that many phones may stand behind one NAT.',
	},
	banAfter: {
		flag: 'ban-after',
		kind: 'count',
		default: '8',
		min: 1,
		max: 10_000,
		zero: 'never ban',
		group: 'Filter',
		help: 'failed authentications in a row before a ban',
		doc: 'The PBX judges: 403 or 404 to a REGISTER, or 401 to one that carried credentials. A flow with a binding is never banned.',
	},
	banMs: {
		flag: 'ban-time',
		kind: 'duration',
		default: '10m',
		min: 1000,
		max: 604_800_000,
		group: 'Filter',
		help: 'how long a ban lasts',
		doc: 'What a banned source sends is dropped, but for a REGISTER of a device that is bound already.',
	},
	db: {
		flag: 'db',
		kind: 'path',
		default: 'push-gateway.db',
		group: 'Store',
		help: 'the SQLite file',
		doc: 'Made at the first start, mode 0600: it holds push tokens. Relative to the working directory.',
	},
	http: {
		flag: 'http',
		kind: 'http',
		default: '127.0.0.1:8080',
		group: 'Status page',
		help: 'where the status page is, or "off"',
		doc: 'Anywhere but on loopback it demands --http-token.',
	},
	httpToken: {
		flag: 'http-token',
		kind: 'secret',
		group: 'Status page',
		help: 'the bearer token of the status page, or @FILE',
		doc: 'At least 16 characters. Keep it off the command line, where every user of the machine can read it.',
	},
	logFormat: {
		flag: 'log-format',
		kind: 'choice',
		choices: ['text', 'json'],
		default: 'text',
		group: 'Log',
		help: 'the form of a log line',
		doc: 'Either goes to standard output, a line for an event.',
	},
	logLevel: {
		flag: 'log-level',
		kind: 'choice',
		choices: ['info', 'warn', 'error'],
		default: 'info',
		group: 'Log',
		help: 'the least important events to log',
		doc: 'docs/operations.md names every event and its level.',
	},
} as const satisfies Readonly<Record<string, Option>>

type Table = typeof OPTIONS

export type ConfigName = keyof Table

type Single<O> = O extends { readonly choices: readonly (infer C)[] }
	? C
	: O extends { readonly kind: infer K extends Kind }
		? KindValue[K]
		: never

type ValueOf<O> = O extends { readonly repeatable: true }
	? readonly Single<O>[]
	: O extends { readonly default: string } | { readonly required: true }
		? Single<O>
		: Single<O> | undefined

/** The configuration as the rest of the program sees it: read, within bounds, and consistent. Times in ms. */
export type Config = { readonly [N in ConfigName]: ValueOf<Table[N]> }

/** The table as a list, in the order of the help. */
export const OPTION_LIST: readonly (Option & { readonly name: ConfigName })[] = Object.entries(OPTIONS).map(
	([name, option]) => ({ name: name as ConfigName, ...option }),
)

/** `ping-interval` → `PUSH_GATEWAY_PING_INTERVAL`. */
export function envName(flag: string): string {
	return `${ENV_PREFIX}${flag.toUpperCase().replaceAll('-', '_')}`
}

export const ENV_PREFIX = 'PUSH_GATEWAY_'

/** A secret may come from a file that is named by the variable with this behind it. */
export const ENV_FILE_SUFFIX = '_FILE'
