/** A PBX of two machines in a world of its own: one dies and comes back while agents register and call. */
import { CANCEL_WAIT_MS, TIMER_C_MS } from '../../src/core/proxy/pass.ts'
import type { Settings } from '../../src/core/settings.ts'
import type { Endpoint } from '../../src/demo/dialog.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { SETTINGS } from '../core/rig.ts'
import { targetOf } from '../core/target.ts'
import { Agenda } from './agenda.ts'
import { Chance } from './chance.ts'
import { Exchange } from './exchange.ts'
import { SimGateway } from './gateway.ts'
import { Handset, type HandsetPlan } from './handset.ts'
import { Network, type Weather } from './network.ts'
import { Record } from './record.ts'
import { DOMAIN, GATEWAY, PBX } from './scenario.ts'
import { Streams } from './streams.ts'

const BEGIN = 1_767_225_600_000

export const FIRST: Endpoint = PBX
/** On the same side of the network. */
export const SECOND: Endpoint = { address: PBX.address, port: 5062 }

const AGENTS = ['1001', '1002', '1003', '1004', '1005', '1006']
const EXPIRES_SEC = 60
/** Everybody has registered by then. */
const DIES_MS = [8_000, 30_000] as const
const DOWN_MS = [15_000, 60_000] as const
/** From the last event on nothing new begins. */
const AFTERMATH_MS = 90_000
const SETTLE_MS = 40_000
/** Then nobody says anything, and all lapses: last of it calls that rang at the machine that died (timer C). */
const FORGET_MS = TIMER_C_MS + 2 * CANCEL_WAIT_MS + 5_000

const CLEAR: Weather = { loss: 0, duplicate: 0, delayMs: 1, jitterMs: 4, straggler: 0 }

/** What became of one call of an agent. */
export interface Outcome {
	readonly callId: string
	readonly begunAt: number
	/** The last final status the phone got; 0: none. */
	readonly status: number
	/** Machines that said anything but a challenge to its last INVITE, at the time of the first such word. */
	readonly heardFrom: ReadonlyMap<Endpoint, number>
	/** Machines its last INVITE was sent to. */
	readonly sentTo: ReadonlySet<Endpoint>
}

export class PairWorld {
	readonly agenda = new Agenda(BEGIN)
	readonly chance: Chance
	readonly record = new Record()
	readonly gateway: SimGateway
	readonly first: Exchange
	readonly second: Exchange
	readonly handsets: Handset[]
	readonly diesAt: number
	readonly backAt: number
	readonly begin = BEGIN
	readonly #network: Network
	readonly #note = (who: string, text: string) => this.record.begin(this.agenda.now, { kind: 'note', who, text })

	constructor(seed: number, lan: Weather = CLEAR) {
		const chance = new Chance(seed)
		this.chance = chance
		const { agenda, record } = this
		this.#network = new Network(agenda, chance.fork(), PBX.address, lan, CLEAR)
		this.diesAt = BEGIN + chance.between(...DIES_MS)
		this.backAt = this.diesAt + chance.between(...DOWN_MS)
		const streams = new Streams(agenda)
		this.gateway = new SimGateway({
			streams,
			...{ agenda, chance: chance.fork(), network: this.#network, record, settings: settingsOf(), self: GATEWAY },
			pbx: [targetOf(FIRST), targetOf(SECOND, { rank: 1 })],
			disk: { slowMs: 2, killAtCommit: 0, killMidTurn: 0 },
			onPush() {},
			onPushCancel() {},
			onTurn() {},
			onDown() {},
		})
		this.first = this.#exchange(FIRST)
		this.second = this.#exchange(SECOND)
		this.handsets = AGENTS.map(
			(agent, n) => new Handset(planOf(agent, n), agenda, chance.fork(), this.#network, streams, this.#note),
		)
	}

	run(): void {
		const { agenda, chance } = this
		this.gateway.start()
		for (const handset of this.handsets) agenda.after(chance.between(600, 4_000), () => handset.register())
		const quietAt = this.backAt + AFTERMATH_MS
		agenda.at(this.diesAt, () => this.first.restart(this.backAt - this.diesAt))
		for (let at = BEGIN + 6_000; at < quietAt; at += chance.between(200, 1_500)) agenda.at(at, () => this.#callOut())
		agenda.runUntil(quietAt)
		for (const handset of this.handsets) handset.retire()
		agenda.runUntil(quietAt + SETTLE_MS)
		for (const { phone } of this.handsets) phone.sleep()
		agenda.runUntil(agenda.now + FORGET_MS)
	}

	/** Of all calls agents made. */
	outcomes(): Outcome[] {
		const calls = new Map<string, Call>()
		for (const entry of this.record.entries) {
			if (entry.kind !== 'in' && entry.kind !== 'out') continue
			const { message, peer } = entry
			if (message.cseqMethod !== 'INVITE') continue
			const machine = machineAt(peer)
			const isPhones = entry.kind === 'in' && machine === undefined && message.method === 'INVITE'
			if (isPhones) begin(calls, message, entry.at)
			const call = calls.get(message.callId)
			if (call === undefined || call.cseq !== message.cseq) continue
			if (machine === undefined) endOf(call, entry.kind, message)
			else if (entry.kind === 'out' && message.method === 'INVITE') call.sentTo.add(machine)
			else if (entry.kind === 'in' && message.status >= 100 && !call.heardFrom.has(machine))
				call.heardFrom.set(machine, entry.at)
		}
		return [...calls.values()]
	}

	#callOut(): void {
		const handset = this.chance.one(this.handsets)
		handset.act('calls 600', (phone, now) => phone.call('600', now))
	}

	#exchange(self: Endpoint): Exchange {
		const agents = new Map(AGENTS.map((agent) => [agent, `secret-of-${agent}`]))
		const options = {
			self,
			domain: DOMAIN,
			agents,
			minExpiresSec: 20,
			maxExpiresSec: 600,
			inviteChallenge: 407 as const,
		}
		return new Exchange(options, this.agenda, this.chance.fork(), this.#network, this.#note)
	}
}

interface Call extends Outcome {
	cseq: number
	status: number
	readonly heardFrom: Map<Endpoint, number>
	readonly sentTo: Set<Endpoint>
}

/** With credentials it begins anew. */
function begin(calls: Map<string, Call>, { callId, cseq }: SipMessage, at: number): void {
	const known = calls.get(callId)
	if (known !== undefined && known.cseq >= cseq) return
	calls.set(callId, { callId, cseq, begunAt: known?.begunAt ?? at, status: 0, heardFrom: new Map(), sentTo: new Set() })
}

function endOf(call: Call, kind: 'in' | 'out', { status }: SipMessage): void {
	if (kind === 'out' && status >= 200) call.status = status
}

export function machineAt({ address, port }: Endpoint): Endpoint | undefined {
	return [FIRST, SECOND].find((one) => one.address === address && one.port === port)
}

function settingsOf(): Settings {
	return {
		...SETTINGS,
		domain: DOMAIN,
		advertised: [{ host: GATEWAY.address, port: GATEWAY.port, transport: 'UDP' }],
		pbxSides: [{ transport: 'udp', listener: 0, sender: 0 }],
		clientAddressHeader: '',
		pbxPingMs: 5_000,
		providers: [],
		registerRate: 0,
	}
}

function planOf(agent: string, n: number): HandsetPlan {
	return {
		...{
			name: agent,
			agent,
			domain: DOMAIN,
			password: `secret-of-${agent}`,
			gateway: GATEWAY,
			nat: undefined,
			transport: 'UDP' as const,
		},
		self: { address: `203.0.113.${10 + n}`, port: 5_060 },
		instance: `urn:uuid:${agent}`,
		...{ token: '', ordinary: '', push: { dialect: 'none' }, expiresSec: EXPIRES_SEC, expiresIn: 'header', links: [] },
		wakings: ['in-place'],
		manners: [{ kind: 'answer', afterMs: 500, talkMs: 2_000 }],
		saysTrying: false,
	}
}
