/** The PBX and phones of the demo on real sockets, round a gateway that lives and dies under the test's hand. */
import { Line } from '../../src/demo/line.ts'
import type { UaEvent } from '../../src/demo/party.ts'
import { Pbx } from '../../src/demo/pbx.ts'
import { Phone, type PushDialect } from '../../src/demo/phone.ts'
import { Feed } from '../../src/demo/stage.ts'
import { until } from './binary.ts'
import { DOMAIN, portsOf, TEAM, TOPIC, World } from './gateway.ts'

export const CUSTOMER = { name: 'Maria Rossi', number: '+390612345678' }
const PASSWORDS = new Map([
	['1001', 'anna-secret'],
	['1002', 'bruno-secret'],
])

export const now = (): number => performance.now()

/** What somebody speaks by: {@link Line}, or another of its shape. */
export type Speaker = Pick<Line, 'endpoint' | 'connect' | 'move' | 'send' | 'close'>

class Hearer {
	readonly line: Speaker
	readonly feed = new Feed()

	constructor(line: Speaker) {
		this.line = line
	}

	/** The next event of that type, within some seconds. */
	next<T extends UaEvent['type']>(type: T, limitMs?: number): Promise<Extract<UaEvent, { type: T }>> {
		return until(`"${type}" is heard`, () => this.feed.take(type), limitMs)
	}
}

export class Handset extends Hearer {
	readonly user: string
	readonly phone: Phone
	readonly token: string

	constructor(user: string, gatewayPort: number, line: Speaker, gatewayAddress = '127.0.0.1', push?: PushDialect) {
		super(line)
		this.user = user
		this.token = user.repeat(16)
		this.phone = new Phone({
			...{ agent: user, password: PASSWORDS.get(user)!, domain: DOMAIN, instance: `urn:uuid:${user}`, expiresSec: 600 },
			...{ self: line.endpoint, product: 'Test softphone', random: Math.random, send: line.send },
			onEvent: this.feed.add,
			gateway: { address: gatewayAddress, port: gatewayPort },
			push: push ?? { dialect: 'rfc8599', provider: 'apns', param: `${TEAM}.${TOPIC}`, prid: `${this.token}:voip` },
		})
		line.connect(this.phone, now)
	}

	/** How many of its requests with that method came or went. */
	count(direction: 'in' | 'out', method: string): number {
		return this.phone.recorded.filter((entry) => entry.direction === direction && entry.message.method === method)
			.length
	}

	/** The push starts the app again, on another network. */
	async wake(address: string): Promise<void> {
		this.phone.wake(now(), await this.line.move(address), true)
	}
}

export class Exchange extends Hearer {
	readonly pbx: Pbx

	/** `Kind`: {@link Pbx}, or one that differs from it. */
	constructor(line: Speaker, Kind: typeof Pbx = Pbx) {
		super(line)
		this.pbx = new Kind({
			...{ self: line.endpoint, product: 'Test PBX', random: Math.random, send: line.send, onEvent: this.feed.add },
			...{ domain: DOMAIN, agents: PASSWORDS },
		})
		line.connect(this.pbx, now)
	}

	call(agent: string) {
		const call = this.pbx.call(agent, CUSTOMER, now())
		if (call === undefined) throw new Error(`${agent} is not registered at the PBX`)
		return call
	}
}

export class Party {
	readonly world: World
	readonly exchange: Exchange
	readonly anna: Handset
	readonly bruno: Handset

	private constructor(world: World, exchange: Exchange, anna: Handset, bruno: Handset) {
		this.world = world
		this.exchange = exchange
		this.anna = anna
		this.bruno = bruno
	}

	/** Both agents are registered and awake. */
	static async open(test: number, ...flags: readonly string[]): Promise<Party> {
		const exchange = new Exchange(await Line.open('127.0.0.10'))
		const world = await World.open({ ...portsOf(test), pbx: exchange.line.endpoint.port }, ...flags)
		const anna = new Handset('1001', world.ports.sip, await Line.open('127.0.0.21'))
		const bruno = new Handset('1002', world.ports.sip, await Line.open('127.0.0.31'))
		for (const { phone } of [anna, bruno]) phone.register(now())
		await Promise.all([anna.next('registered'), bruno.next('registered')])
		return new Party(world, exchange, anna, bruno)
	}

	/** Anna's app falls asleep, and the gateway notices. */
	async annaSleeps(): Promise<void> {
		this.anna.phone.sleep()
		await this.world.sees("Anna's app is background", ({ gauges }) => gauges.devicesBackground === 1)
	}

	/** A call that waits for Anna, its push taken. */
	async heldForAnna() {
		const call = this.exchange.call('1001')
		await this.world.sees('the push is accepted', ({ pushes }) => pushes[0]?.callId === call.id)
		return call
	}

	async close(): Promise<void> {
		for (const { line } of [this.exchange, this.anna, this.bruno]) line.close()
		await this.world.close()
	}
}
