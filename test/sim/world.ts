/** One run of the simulated world: everything follows from the seed. */
import type { Core } from '../../src/core/core.ts'
import type { PushEffect } from '../../src/core/effects.ts'
import { targetOf } from '../core/target.ts'
import { Agenda } from './agenda.ts'
import { SimApns } from './apns.ts'
import { Chance } from './chance.ts'
import { type CallPlan, Exchange } from './exchange.ts'
import { SimGateway } from './gateway.ts'
import { Handset } from './handset.ts'
import { Links } from './links.ts'
import { CALM, Network } from './network.ts'
import { Queue } from './queue.ts'
import { Record, SWITCHED_OFF } from './record.ts'
import { DOMAIN, GATEWAY, PBX, type Scenario, scenarioOf } from './scenario.ts'
import { Strangers } from './strangers.ts'
import { Streams } from './streams.ts'
import { Watch } from './watch.ts'

/** 2026-01-01T00:00:00Z. */
const BEGIN = 1_767_225_600_000

/** Phones register one after the other within this time. */
const ARRIVAL_MS = 3_000

/** After the eventful part nothing new begins, and what was begun has this long to end: a ghost and its transactions. */
const SETTLE_MS = 110_000

/**
 * Then phones are off, and the gateway forgets all that it need not keep: timer C of a call that its caller or a kill forgot, then
 * a ghost, and twice 64*T1.
 */
const FORGET_MS = 210_000

/** A caller gives up before the hold is even stored, or after a while. */
const AT_ONCE_MS = [5, 60] as const
const LATER_MS = [60, 15_000] as const

/** What comes between while a call is under way, and when. */
const MEANWHILE = [
	...Array.from({ length: 19 }, () => 'nothing' as const),
	...(['kill', 'restart the PBX', 'move', 'move', 'move', 'register', 'full disk', 'usurp'] as const),
]
const MEANWHILE_MS = 6_000

/** A restart of the PBX; once in a while it is away for longer than a REGISTER waits. */
const PBX_DOWN_MS = [0, 0, 300, 300, 4_000, 40_000] as const

/** Addresses a scanner has, and the time it takes for them all. */
const SCANNED = 150
const SCAN_MS = 3_000

export class World {
	readonly seed: number
	readonly agenda = new Agenda(BEGIN)
	readonly chance: Chance
	readonly record = new Record()
	readonly scenario: Scenario
	readonly network: Network
	readonly streams: Streams
	readonly gateway: SimGateway
	readonly exchange: Exchange
	readonly handsets: Handset[]
	readonly watch: Watch
	readonly begin = BEGIN
	readonly #apns: SimApns
	readonly #links: Links
	readonly #strangers: Strangers
	/** Who sends messages, when, and to whom. */
	readonly #writer: Chance
	#strangersSeen = 0
	#scanned = 0

	constructor(seed: number, change: (scenario: Scenario) => Scenario = (scenario) => scenario) {
		this.seed = seed
		const seeds = new Chance(seed)
		/* each part of the world has its own: what the core draws changes no weather, and a new knob no scenario */
		const [scenarios, weather, chance] = [seeds.fork(), seeds.fork(), seeds.fork()]
		this.chance = chance
		const { agenda } = this
		const scenario = change(scenarioOf(scenarios))
		this.scenario = scenario
		this.network = new Network(agenda, weather, PBX.address, scenario.lan, scenario.wan)
		const { network } = this
		this.streams = new Streams(agenda)
		const note = (who: string, text: string) => this.record.begin(agenda.now, { kind: 'note', who, text })
		const answer = (result: Parameters<SimGateway['pushResult']>[0], life: number) =>
			this.gateway.pushResult(result, life)
		/* said within a turn of the gateway, which goes on */
		const aside = (who: string, text: string) => this.record.add(agenda.now, { kind: 'note', who, text })
		const apns = { agenda, chance: seeds.fork(), mood: scenario.mood, answer, note: aside }
		this.#apns = new SimApns({ ...apns, deliver: (push) => this.#deliver(push) })
		this.gateway = this.#makeGateway(seeds.fork())
		this.#links = new Links(agenda, this.gateway)
		this.exchange = new Exchange({ ...scenario.pbx, self: PBX, domain: DOMAIN }, agenda, seeds.fork(), network, note)
		this.handsets = scenario.handsets.map(
			(plan) => new Handset(plan, agenda, seeds.fork(), network, this.streams, note),
		)
		this.watch = new Watch(this.record, this.gateway.store, this.handsets)
		this.#strangers = new Strangers(seeds.fork(), network, {
			gateway: GATEWAY,
			pbx: PBX,
			domain: DOMAIN,
			agents: [...scenario.pbx.agents.keys()],
			instances: scenario.handsets.flatMap(({ instance }) => instance ?? []),
		})
		this.#writer = seeds.fork()
		this.streams.begin(seeds.fork(), this.gateway, () => network.wan)
	}

	run(): void {
		const { agenda, scenario } = this
		this.gateway.start()
		for (const handset of this.handsets) agenda.after(this.chance.between(50, ARRIVAL_MS), () => handset.register())
		this.#plan()
		agenda.runUntil(BEGIN + scenario.lengthMs)
		this.#calmDown()
		agenda.runUntil(agenda.now + SETTLE_MS)
		this.#switchOff()
		agenda.runUntil(agenda.now + FORGET_MS)
	}

	get settledAt(): number {
		return BEGIN + this.scenario.lengthMs + SETTLE_MS
	}

	#makeGateway(chance: Chance): SimGateway {
		const { agenda, network, record, scenario } = this
		return new SimGateway({
			streams: this.streams,
			...{
				agenda,
				chance,
				network,
				record,
				settings: scenario.settings,
				self: GATEWAY,
				pbx: [targetOf(PBX)],
				disk: scenario.disk,
			},
			onPush: (push, life) => this.#apns.send(push, life),
			onPushCancel: (pushId) => this.#apns.cancel(pushId),
			onTurn: (core: Core) => this.watch.look(core, agenda.now),
			onDown: () => agenda.after(chance.one([5, 200, 3_000]), () => this.gateway.start()),
		})
	}

	#deliver(push: PushEffect): void {
		const token = push.token.reveal()
		const handset = this.handsets.find(({ plan }) => [plan.token, plan.ordinary].includes(token))
		if (handset === undefined) return
		this.#links.delivered(push, handset.plan)
		handset.pushed(push.pushId)
	}

	#plan(): void {
		const { events } = this.scenario
		const handset = () => this.chance.one(this.handsets)
		this.#times(events.calls, () => this.#call())
		this.#times(events.queues, () => this.#queue())
		this.#times(events.pbxRestarts, () => this.#restartPbx())
		this.#times(events.scans, () => this.#scan())
		this.#times(events.sleeps, () => handset().sleep())
		this.#times(events.wakes, () => handset().wake('in-place'))
		this.#times(events.moves, () => handset().wake('elsewhere'))
		this.#times(events.rebinds, () => handset().rebind())
		this.#times(events.unregisters, () => handset().unregister())
		this.#times(events.outgoing, () => this.#callOut(handset()))
		this.#times(events.kills, () => this.gateway.kill())
		this.#times(events.stops, () => this.gateway.stop())
		this.#times(events.fullDisks, () => this.#fillDisk())
		this.#times(events.knocks, () => this.#knock())
		this.#times(events.usurpations, () => this.#usurp(handset()))
		this.#times(events.qualifies, () => this.exchange.qualify(handset().plan.agent))
		this.#planMessages()
	}

	#planMessages(): void {
		const { agenda, scenario } = this
		const writer = this.#writer
		for (let i = 0; i < scenario.messages; i++)
			agenda.after(writer.between(1_000, scenario.lengthMs), () =>
				this.exchange.message(writer.one(this.handsets).plan.agent),
			)
	}

	#times(count: number, what: () => void): void {
		for (let i = 0; i < count; i++) this.agenda.after(this.chance.between(1_000, this.scenario.lengthMs), what)
	}

	/** Something may happen in the very time a call is under way. */
	#call(): void {
		const { chance, agenda } = this
		const plan = this.#callPlan()
		this.exchange.call(plan)
		const meanwhile = chance.one(MEANWHILE)
		agenda.after(this.#momentOf(plan), () => this.#disturb(meanwhile, plan.agent))
		if (this.scenario.hasStreams && chance.is(0.2))
			agenda.after(this.#momentOf(plan), () => this.#loseConnections(plan.agent))
	}

	/** Some time in the call, or about when the caller gives up. */
	#momentOf({ cancelAfterMs }: CallPlan): number {
		const { chance } = this
		if (cancelAfterMs === undefined || chance.is(0.5)) return chance.between(0, MEANWHILE_MS)
		return Math.max(0, cancelAfterMs + chance.between(-chance.one([300, 2_000]), 100))
	}

	#disturb(how: (typeof MEANWHILE)[number], agent: string): void {
		const handsets = this.handsets.filter(({ plan }) => plan.agent === agent)
		if (this.gateway.immortal) return
		switch (how) {
			case 'nothing':
				return
			case 'kill':
				return this.gateway.kill()
			case 'restart the PBX':
				return this.#restartPbx()
			case 'move':
				for (const handset of handsets) handset.wake('elsewhere')
				return
			case 'register':
				for (const handset of handsets) handset.register()
				return
			case 'full disk':
				return this.#fillDisk()
			case 'usurp':
				for (const handset of handsets) this.#usurp(handset)
		}
	}

	#loseConnections(agent: string): void {
		for (const handset of this.handsets) if (handset.plan.agent === agent) handset.rebind()
	}

	#queue(): void {
		const { chance } = this
		const agents = [...this.scenario.pbx.agents.keys()].slice(0, chance.between(1, 3))
		this.record.begin(this.agenda.now, { kind: 'note', who: 'queue', text: `rings ${agents.join(', ')}` })
		const times = {
			againMs: chance.one([0, 30, 1_000]),
			ringMs: chance.between(2_000, 15_000),
			talkMs: chance.between(500, 8_000),
		}
		new Queue({ agents, ...times }, this.exchange, this.agenda).begin()
	}

	#restartPbx(): void {
		this.exchange.restart(this.chance.one(PBX_DOWN_MS))
	}

	/** A scanner that has many addresses. */
	#scan(): void {
		this.record.begin(this.agenda.now, { kind: 'note', who: 'scanner', text: 'scans' })
		for (let left = SCANNED; left > 0; left--)
			this.agenda.after(this.chance.between(0, SCAN_MS), () => {
				const number = this.#scanned++
				const from = { address: `100.64.${number >> 8}.${number & 255}`, port: 5_060 }
				this.#strangers.scan(from)
			})
	}

	#callPlan(): CallPlan {
		const { chance } = this
		const [least, most] = chance.one([AT_ONCE_MS, LATER_MS])
		return {
			agent: chance.one([...this.scenario.pbx.agents.keys()]),
			cancelAfterMs: chance.is(0.4) ? chance.between(least, most) : undefined,
			reason: chance.one(['', 'SIP;cause=200;text="Call completed elsewhere"', 'Q.850;cause=16']),
			talkMs: chance.between(500, 8_000),
			says: chance.one([undefined, 'INFO', 'UPDATE', 'INVITE']),
		}
	}

	#callOut(handset: Handset): void {
		if (handset.phone.asleep) return
		handset.act('calls 600', (phone, now) => phone.call('600', now))
		if (this.scenario.hasStreams && this.chance.is(0.6))
			this.agenda.after(this.chance.between(200, 2_500), () => handset.drop())
		if (this.chance.is(0.4))
			this.agenda.after(this.chance.between(50, 5_000), () =>
				handset.act('hangs up', (phone, now) => phone.hangup(now)),
			)
	}

	#fillDisk(): void {
		const { store } = this.gateway
		store.fault = 'The disk is full. Make room.'
		this.record.begin(this.agenda.now, { kind: 'note', who: 'disk', text: 'is full' })
		this.agenda.after(this.chance.between(100, 8_000), () => this.#emptyDisk())
	}

	#emptyDisk(): void {
		this.gateway.store.fault = undefined
		this.record.begin(this.agenda.now, { kind: 'note', who: 'disk', text: 'has room again' })
	}

	/** From far away, or from behind the NAT of a phone. */
	#knock(): void {
		const number = this.#strangersSeen++
		const nat = this.chance.is(0.5) ? `203.0.113.${this.chance.between(1, 3)}` : undefined
		if (this.scenario.hasStreams && this.chance.is(0.5))
			return this.#strangers.connect(this.streams, nat ?? `192.0.2.${number % 250}`)
		const endpoint = { address: `192.0.2.${number % 250}`, port: 5_000 + number }
		this.network.attach(endpoint, () => {}, nat)
		this.#strangers.knock(endpoint)
	}

	#usurp(handset: Handset): void {
		const others = [...this.scenario.pbx.agents.keys(), 'boss'].filter((agent) => agent !== handset.plan.agent)
		const other = this.chance.one(others)
		const dialog = handset.phone.calls.current?.dialog
		if (dialog === undefined) handset.say(this.#strangers.usurp(handset.endpoint, handset.plan.agent, other))
		else if (other !== 'boss') handset.say(this.#strangers.usurpDialog(handset.endpoint, dialog, other))
	}

	#calmDown(): void {
		this.network.lan = CALM
		this.network.wan = CALM
		this.streams.isCalm = true
		this.gateway.store.fault = undefined
		this.gateway.immortal = true
		this.record.begin(this.agenda.now, { kind: 'note', who: 'world', text: 'calms down' })
		/* a phone whose NAT gave it another port finds out some time */
		for (const handset of this.handsets) handset.register()
		const retireMs = this.scenario.settings.holdMs + 10_000
		this.agenda.after(retireMs, () => {
			this.exchange.retire()
			for (const handset of this.handsets) handset.retire()
		})
	}

	#switchOff(): void {
		this.record.begin(this.agenda.now, { kind: 'note', who: 'world', text: SWITCHED_OFF })
		for (const handset of this.handsets) handset.phone.sleep()
	}
}
