/** What kind of world a seed makes: the settings, who lives in it, and how unkind everything is. */
import type { Settings } from '../../src/core/settings.ts'
import type { Endpoint } from '../../src/demo/dialog.ts'
import type { PbxOptions } from '../../src/demo/pbx.ts'
import type { PushDialect } from '../../src/demo/phone.ts'
import type { ApnsMood } from './apns.ts'
import type { Chance } from './chance.ts'
import type { Disk } from './gateway.ts'
import type { HandsetPlan, Manner, Waking } from './handset.ts'
import type { LinkPlan } from './links.ts'
import type { Weather } from './network.ts'
import type { PhoneTransport } from './streams.ts'

export const DOMAIN = 'pbx.example'
export const GATEWAY = { address: '198.51.100.20', port: 5060 }
export const PBX = { address: '198.51.100.10', port: 5060 }
const TOPIC = 'com.example.app.voip'

/** How often each thing is done in the eventful part of a run. */
export interface Events {
	readonly calls: number
	readonly sleeps: number
	readonly wakes: number
	readonly rebinds: number
	readonly moves: number
	readonly unregisters: number
	readonly outgoing: number
	readonly kills: number
	readonly stops: number
	readonly fullDisks: number
	readonly knocks: number
	readonly usurpations: number
	readonly qualifies: number
	readonly queues: number
	readonly pbxRestarts: number
	readonly scans: number
}

export interface Scenario {
	/** The eventful part, ms. */
	readonly lengthMs: number
	readonly settings: Settings
	readonly lan: Weather
	readonly wan: Weather
	readonly disk: Disk
	readonly mood: ApnsMood
	readonly pbx: Pick<
		PbxOptions,
		'algorithms' | 'inviteChallenge' | 'minExpiresSec' | 'maxExpiresSec' | 'nonceLifetimeMs' | 'agents'
	>
	readonly handsets: readonly HandsetPlan[]
	/** Some come by connections. */
	readonly hasStreams: boolean
	readonly events: Events
	/** The PBX sends a MESSAGE this often. */
	readonly messages: number
}

export function isPbx({ address }: Endpoint): boolean {
	return address === PBX.address
}

export function scenarioOf(chance: Chance): Scenario {
	const agents = ['1001', '1002', 'a.b+c'].slice(0, chance.between(1, 3))
	const scenario = {
		lengthMs: chance.between(30_000, 75_000),
		settings: settingsOf(chance),
		lan: lanOf(chance),
		wan: wanOf(chance),
		disk: diskOf(chance),
		mood: moodOf(chance),
		pbx: pbxOf(chance, agents),
		handsets: agents.flatMap((agent, n) => handsetsOf(chance, agent, n)),
		events: eventsOf(chance),
	}
	/* drawn last: what was drawn before stays as it was */
	const noted = {
		...scenario,
		settings: { ...scenario.settings, minExpiresSec: chance.is(0.25) ? 120 : 0 },
		handsets: scenario.handsets.map((plan) => (chance.is(0.3) ? withOrdinary(plan, chance.hex(64)) : plan)),
		messages: chance.is(0.5) ? chance.between(1, 4) : 0,
	}
	const linked = { ...noted, handsets: noted.handsets.map((plan) => ({ ...plan, links: linksOf(chance) })) }
	return withRefusals(chance, withStreams(chance, withAndroid(chance, linked)))
}

/** Worlds in which phones come by connections too. */
const WITH_STREAMS = 0.4

function withStreams(chance: Chance, scenario: Omit<Scenario, 'hasStreams'>): Scenario {
	const hasStreams = chance.is(WITH_STREAMS)
	const handsets = scenario.handsets.map((plan) => ({ ...plan, transport: transportOf(chance, hasStreams) }))
	return { ...scenario, hasStreams, handsets }
}

/** Worlds in which all are phones of Android, most of them by connections, and Google refuses nearly all. */
const WITH_REFUSALS = 0.05

/** What is sent by a connection beside a push that is refused. */
function withRefusals(chance: Chance, scenario: Scenario): Scenario {
	if (!chance.is(WITH_REFUSALS)) return scenario
	const { settings, handsets, mood } = scenario
	return {
		...scenario,
		hasStreams: true,
		settings: { ...settings, providers: ['fcm'], pingIntervalMs: 5_000 },
		mood: { ...mood, accepts: 0.1 },
		handsets: handsets.map((plan) => ({
			...(plan.token === '' ? plan : ofAndroid(plan)),
			transport: transportOf(chance, true),
		})),
	}
}

function transportOf(chance: Chance, hasStreams: boolean): PhoneTransport {
	const transport = chance.one(['TLS', 'TLS', 'WS', 'UDP'] as const)
	return hasStreams ? transport : 'UDP'
}

/** A key for FCM besides, or alone; and some phones that need it, whether it is there or not. */
function withAndroid(chance: Chance, scenario: Omit<Scenario, 'hasStreams'>): Omit<Scenario, 'hasStreams'> {
	const { settings, handsets } = scenario
	const providers = chance.one([settings.providers, [...settings.providers, 'fcm'], ['fcm']] as const)
	return {
		...scenario,
		settings: { ...settings, providers: chance.is(0.5) ? settings.providers : providers },
		handsets: handsets.map((plan) => (plan.token !== '' && chance.is(0.2) ? ofAndroid(plan) : plan)),
	}
}

function ofAndroid(plan: HandsetPlan): HandsetPlan {
	const { push, token } = plan
	const param = '929724111839'
	if (push.dialect === 'legacy') return { ...plan, push: { ...push, type: 'firebase', appId: param } }
	return { ...plan, ordinary: '', push: { dialect: 'rfc8599', provider: 'fcm', param, prid: token } }
}

/** Is it woken by FCM? */
export function isAndroid({ push }: HandsetPlan): boolean {
	return push.dialect === 'legacy' ? push.type === 'firebase' : push.dialect === 'rfc8599' && push.provider === 'fcm'
}

/** As linphone has it: a second token, for all that is no call. */
function withOrdinary(plan: HandsetPlan, ordinary: string): HandsetPlan {
	const { push, token } = plan
	if (push.dialect !== 'rfc8599') return plan
	const prid = `${token}:voip&${ordinary}:remote`
	return { ...plan, ordinary, push: { ...push, prid, param: `${push.param}&remote` } }
}

function settingsOf(chance: Chance): Settings {
	return {
		domain: DOMAIN,
		advertised: [
			{ host: GATEWAY.address, port: GATEWAY.port, transport: 'UDP' },
			{ host: GATEWAY.address, port: 5_061, transport: 'TLS' },
			{ host: GATEWAY.address, port: 80, transport: 'WS' },
		],
		pbxSides: [{ transport: 'udp', listener: 0, sender: 0 }],
		clientAddressHeader: '',
		pbxPingMs: chance.one([0, 5_000]),
		trust: [],
		pingIntervalMs: chance.is(0.25) ? 0 : 5_000,
		pingTimeoutMs: 1_500,
		pingMisses: chance.one([1, 2]),
		idleMs: 960_000,
		maxHeaders: 256,
		freshMs: chance.one([1_000, 3_000]),
		holdMs: chance.one([6_000, 12_000, 20_000]),
		pbxExpiresSec: chance.one([0, 3_600]),
		minExpiresSec: 0,
		publicUrl: 'https://gw.example',
		ringingOnPush: chance.is(0.3),
		suspectAfter: 1,
		wakeSlowMs: 8_000,
		strangers: chance.one(['drop', 'reject']),
		registerRate: chance.one([0, 2, 5]),
		banAfter: chance.one([0, 5]),
		banMs: 60_000,
		apnsTopic: chance.is(0.8) ? TOPIC : '',
		apnsEnvironment: 'production',
		providers: chance.is(0.95) ? ['apns'] : [],
		userAgent: 'Simulated gateway',
	}
}

function diskOf(chance: Chance): Disk {
	return {
		slowMs: chance.one([0, 2, 40, 80]),
		killAtCommit: chance.is(0.15) ? 0.03 : 0,
		killMidTurn: chance.is(0.15) ? 0.005 : 0,
	}
}

function moodOf(chance: Chance): ApnsMood {
	return {
		accepts: chance.one([1, 0.9, 0.6]),
		delivers: chance.one([1, 0.9, 0.5]),
		late: chance.one([0, 0.2]),
		goesAway: chance.one([0, 0.1]),
		queues: chance.one([0, 0.3]),
	}
}

function lanOf(chance: Chance): Weather {
	const loss = chance.is(0.3) ? 0.05 : 0
	return { loss, duplicate: loss / 2, delayMs: 1, jitterMs: chance.one([0, 3, 40]), straggler: 0 }
}

function wanOf(chance: Chance): Weather {
	if (chance.is(0.35)) return { loss: 0, duplicate: 0, delayMs: chance.between(5, 60), jitterMs: 0, straggler: 0 }
	return {
		loss: chance.one([0.01, 0.05, 0.2, 0.35]),
		duplicate: chance.one([0, 0.05]),
		delayMs: chance.between(5, 150),
		jitterMs: chance.between(0, 200),
		straggler: chance.one([0, 0.02]),
	}
}

function pbxOf(chance: Chance, agents: readonly string[]): Scenario['pbx'] {
	return {
		agents: new Map(agents.map((agent) => [agent, `secret-of-${agent}`])),
		algorithms: chance.one([['MD5'], ['SHA-256', 'MD5']] as const),
		inviteChallenge: chance.one([0, 401, 407]),
		minExpiresSec: chance.one([5, 60]),
		maxExpiresSec: chance.one([120, 7_200]),
		nonceLifetimeMs: chance.one([3_000, 30_000]),
	}
}

function handsetsOf(chance: Chance, agent: string, n: number): HandsetPlan[] {
	const count = chance.one([1, 1, 2, 3])
	return Array.from({ length: count }, (_, i) => handsetOf(chance, agent, n, i))
}

function handsetOf(chance: Chance, agent: string, n: number, i: number): HandsetPlan {
	const token = chance.is(0.85) ? chance.hex(64) : ''
	const hasInstance = chance.is(0.7)
	return {
		name: `${agent}/${i + 1}`,
		agent,
		domain: DOMAIN,
		password: chance.is(0.97) ? `secret-of-${agent}` : 'wrong',
		self: { address: `10.0.${n}.${i + 1}`, port: 5_060 },
		nat: chance.is(0.7) ? `203.0.113.${chance.between(1, 3)}` : undefined,
		gateway: GATEWAY,
		transport: 'UDP',
		/* without instance and token a device is its Contact's user, of which an agent has one */
		instance:
			hasInstance || (token === '' && i > 0) ? `urn:uuid:${chance.hex(8)}-0000-4000-8000-${chance.hex(12)}` : undefined,
		token,
		ordinary: '',
		push: dialectOf(chance, token),
		expiresSec: chance.one([20, 60, 600, 3_600]),
		expiresIn: chance.one(['header', 'contact']),
		links: [],
		wakings: Array.from({ length: 4 }, () => wakingOf(chance)),
		manners: Array.from({ length: 4 }, () => mannerOf(chance)),
		saysTrying: chance.is(0.4),
	}
}

function dialectOf(chance: Chance, token: string): PushDialect {
	if (token === '') return { dialect: 'none' }
	if (chance.is(0.3)) return { dialect: 'legacy', type: 'apple', appId: TOPIC, token }
	const provider = chance.one(['apns', 'apns', 'apns.dev'])
	return { dialect: 'rfc8599', provider, param: `ABCDE12345.${TOPIC}`, prid: chance.is(0.5) ? `${token}:voip` : token }
}

function linksOf(chance: Chance): LinkPlan[] {
	if (chance.is(0.6)) return []
	return Array.from({ length: 3 }, () => ({
		kind: chance.one(['unused', 'asks', 'declines', 'declines', 'repeats', 'is forged', "is another's"]),
		afterMs: chance.is(0.8) ? chance.between(50, 4_000) : chance.between(4_000, 100_000),
	}))
}

function wakingOf(chance: Chance): Waking {
	return chance.one(['in-place', 'in-place', 'elsewhere', 'elsewhere', 'relaunched', 'thrice', 'never'])
}

function mannerOf(chance: Chance): Manner {
	const afterMs = chance.between(100, 6_000)
	if (chance.is(0.55)) return { kind: 'answer', afterMs, talkMs: chance.between(500, 8_000) }
	return chance.is(0.6) ? { kind: 'decline', afterMs, status: chance.one([486, 480, 603, 503]) } : { kind: 'ignore' }
}

function eventsOf(chance: Chance): Events {
	const some = (probability: number, most: number) => (chance.is(probability) ? chance.between(1, most) : 0)
	return {
		calls: chance.between(2, 7),
		sleeps: chance.between(1, 5),
		wakes: some(0.5, 3),
		rebinds: some(0.4, 3),
		moves: some(0.4, 3),
		unregisters: some(0.2, 2),
		outgoing: some(0.4, 3),
		kills: some(0.4, 3),
		stops: some(0.15, 1),
		fullDisks: some(0.15, 2),
		knocks: some(0.4, 6),
		usurpations: some(0.3, 3),
		qualifies: some(0.4, 3),
		queues: some(0.4, 2),
		pbxRestarts: some(0.1, 1),
		scans: some(0.15, 1),
	}
}
