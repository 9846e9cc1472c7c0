/** Who takes part in the demo: a PBX, two agents' apps, a stand-in for APNs, and the gateway between them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Reach } from '../core/model.ts'
import { type ApnsStandIn, generateP8, type ReceivedPush, startApnsStandIn } from './apns.ts'
import { Gateway } from './gateway.ts'
import { inWords, type Journal } from './journal.ts'
import { Line } from './line.ts'
import type { UaEvent } from './party.ts'
import { Pbx } from './pbx.ts'
import { Phone, type PushDialect } from './phone.ts'
import type { Recorded } from './transactions.ts'

export const DOMAIN = 'pbx.example'
export const TOPIC = 'com.example.softphone.voip'
const TEAM = 'DEMOTEAM01'
const KEY_ID = 'DEMOKEY001'
const PBX_ADDRESS = '127.0.0.10'
const POLL_MS = 5

interface Agent {
	readonly name: string
	readonly user: string
	readonly password: string
	readonly address: string
	readonly instance: string
	/** Its device token at APNs. */
	readonly token: string
	readonly push: PushDialect
}

const ANNA_TOKEN = 'a11a'.repeat(16)
const BRUNO_TOKEN = 'b0b0'.repeat(16)

/** One agent's app speaks RFC 8599, the other's the older dialect. */
const ANNA: Agent = {
	name: 'Anna',
	user: '1001',
	password: 'anna-secret',
	address: '127.0.0.21',
	instance: 'urn:uuid:0b2ea0f6-9a3c-4a3e-8f0e-6f6d0c7a1001',
	token: ANNA_TOKEN,
	push: { dialect: 'rfc8599', provider: 'apns', param: `${TEAM}.${TOPIC}`, prid: `${ANNA_TOKEN}:voip` },
}
const BRUNO: Agent = {
	name: 'Bruno',
	user: '1002',
	password: 'bruno-secret',
	address: '127.0.0.31',
	instance: 'urn:uuid:0b2ea0f6-9a3c-4a3e-8f0e-6f6d0c7a1002',
	token: BRUNO_TOKEN,
	push: { dialect: 'legacy', type: 'apple', appId: TOPIC, token: BRUNO_TOKEN },
}

/** One participant's events, taken one after the other. */
export class Feed {
	readonly #events: UaEvent[] = []
	#taken = 0

	readonly add = (event: UaEvent): void => {
		this.#events.push(event)
	}

	/** The next event of that type; those before it are passed over. */
	take<T extends UaEvent['type']>(type: T): Extract<UaEvent, { type: T }> | undefined {
		const index = this.#events.findIndex((event, i) => i >= this.#taken && event.type === type)
		if (index < 0) return undefined
		this.#taken = index + 1
		return this.#events[index] as Extract<UaEvent, { type: T }>
	}

	/** Forgets what nobody took. */
	skip(): void {
		this.#taken = this.#events.length
	}
}

export interface Handset {
	readonly name: string
	readonly user: string
	/** Its device token at APNs. */
	readonly token: string
	readonly phone: Phone
	readonly line: Line
	readonly feed: Feed
}

/** A step that did not come in time; its message is the sentence that does not hold. */
export class Missed extends Error {}

export class Stage {
	readonly journal: Journal
	readonly now: () => number
	readonly pushes: ReceivedPush[] = []
	readonly pbxFeed = new Feed()
	pbx!: Pbx
	anna!: Handset
	bruno!: Handset
	gateway!: Gateway
	apns!: ApnsStandIn
	readonly #folder = mkdtempSync(join(tmpdir(), 'push-gateway-demo-'))
	readonly #closing: (() => void)[] = []
	readonly #over = new AbortController()

	constructor(journal: Journal, now: () => number) {
		this.journal = journal
		this.now = now
	}

	/** Rejects with a sentence. */
	async open(gatewayCommand: readonly string[]): Promise<void> {
		const { p8, publicKey } = generateP8()
		const onPush = (push: ReceivedPush) => this.#onPush(push)
		this.apns = await startApnsStandIn({ key: publicKey, keyId: KEY_ID, teamId: TEAM, topic: TOPIC, onPush })
		this.#closing.push(() => this.apns.close())
		const pbxLine = await this.#line(PBX_ADDRESS)
		const apns = { url: this.apns.url, caPem: this.apns.caPem, p8, keyId: KEY_ID, teamId: TEAM }
		this.pbx = this.#pbx(pbxLine)
		const common = { command: gatewayCommand, folder: this.#folder, signal: this.#over.signal, domain: DOMAIN, apns }
		this.gateway = await Gateway.start({ ...common, pbx: pbxLine.endpoint })
		this.anna = await this.#handset(ANNA)
		this.bruno = await this.#handset(BRUNO)
	}

	/** Ends the gateway, if it runs, and everything else. */
	async close(): Promise<void> {
		await this.gateway?.stop()
		this.#over.abort()
		for (const close of this.#closing.reverse()) close()
		rmSync(this.#folder, { recursive: true, force: true })
	}

	/** Waits until `look` finds something. */
	async until<T>(
		sentence: string,
		look: () => T | undefined | false | Promise<T | undefined | false>,
		limitMs: number,
	): Promise<T> {
		const until = this.now() + limitMs
		for (;;) {
			const found = await look()
			if (found !== undefined && found !== false) return found
			if (this.now() >= until) throw new Missed(`${sentence} within ${limitMs} ms`)
			await Bun.sleep(POLL_MS)
		}
	}

	/** What the gateway thinks of an agent's only device. */
	async reach(handset: Handset): Promise<Reach | undefined> {
		const { agents } = await this.gateway.status()
		return agents.find(({ agent }) => agent === `sip:${handset.user}@${DOMAIN}`)?.devices[0]?.reach
	}

	async #line(address: string): Promise<Line> {
		const line = await Line.open(address)
		this.#closing.push(() => line.close())
		return line
	}

	#pbx(line: Line): Pbx {
		const pbx = new Pbx({
			self: line.endpoint,
			product: 'Demo PBX',
			random: Math.random,
			send: line.send,
			onEvent: this.pbxFeed.add,
			onMessage: (entry) => this.#show('PBX', entry),
			domain: DOMAIN,
			agents: new Map([ANNA, BRUNO].map(({ user, password }) => [user, password])),
			algorithms: ['SHA-256', 'MD5'],
		})
		line.connect(pbx, this.now)
		return pbx
	}

	async #handset(agent: Agent): Promise<Handset> {
		const line = await this.#line(agent.address)
		const feed = new Feed()
		const phone = new Phone({
			...{ agent: agent.user, password: agent.password, instance: agent.instance, push: agent.push },
			self: line.endpoint,
			product: 'Demo softphone',
			random: Math.random,
			send: line.send,
			onEvent: feed.add,
			onMessage: (entry) => this.#show(`${agent.name}'s app`, entry),
			domain: DOMAIN,
			gateway: this.gateway.sip,
			expiresSec: 600,
		})
		line.connect(phone, this.now)
		return { name: agent.name, user: agent.user, token: agent.token, phone, line, feed }
	}

	#show(who: string, { direction, message }: Recorded): void {
		const words = inWords(message)
		if (words === undefined) return
		if (direction === 'in') this.journal.step('gateway', who, words)
		else this.journal.step(who, 'gateway', words)
	}

	#onPush(push: ReceivedPush): void {
		this.pushes.push(push)
		const { callerName, callerNumber } = push.payload as { callerName?: string; callerNumber?: string }
		const caller = `${callerName} ${callerNumber}`
		this.journal.step('gateway', 'APNs', `VoIP push for device ${push.token.slice(0, 4)}…: ${caller} calls`)
	}
}
