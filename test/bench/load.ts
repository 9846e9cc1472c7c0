/**
 * W1 to W3 as a closed loop: so many items at a time, and the next begins when one ends. PBX and phones in one process.
 * An agent has one item at a time, so arrays by agent number hold all there is to know.
 */
import { type Job, PHONE_SOCKETS, PORTS } from './job.ts'
import { Line } from './line.ts'
import {
	agentIn,
	answered,
	GATEWAY,
	inDialog,
	invite,
	itemIn,
	ok,
	register,
	registered,
	ringing,
	sequenceIn,
	userOf,
} from './messages.ts'

/** RFC 3261 §17.1.1.2 T1. */
const RESEND_MS = 500
/** A saturated gateway answers in tens of milliseconds. */
const GIVE_UP_MS = 5000
const SWEEP_MS = 100
/** So many items begin in a millisecond at the start: all at once would only fill receive buffers. */
const RAMP = 16
/** From the push to the REGISTER of the phone it woke. */
const WAKE_MS = 20
const TICK_MS = 5
/** So many register at a time at the start. */
const BINDING = 64

export type Kind = 'register' | 'call' | 'push'

/** None: no push yet. Pushed: it wakes up. Registering: its REGISTER is out. Registered: and answered. */
const Wake = { None: 0, Pushed: 1, Registering: 2, Registered: 3 } as const

const Phase = { Idle: 0, Registering: 1, Inviting: 2, Proceeding: 3, Ending: 4 } as const

/** First letters of what comes in. */
const S = 0x53
const I = 0x49
const A = 0x41
const B = 0x42
const R = 0x52

export class Load {
	done = 0
	resent = 0
	readonly faults = new Map<string, number>()
	readonly #job: Job
	#kind: Kind = 'register'
	#lines: Line[] = []
	#pbx!: Line
	#open = 0
	#limit = 0
	/** Items still to begin. */
	#left = 0
	#nextAgent = 0
	#nextItem = 1
	readonly #phase: Uint8Array
	/** Number of the agent's item, which tells late packets from good ones. */
	readonly #item: Uint32Array
	readonly #startedAt: Float64Array
	readonly #sentAt: Float64Array
	readonly #acknowledged: Uint8Array
	/** What its push led to, see {@link Wake}. */
	readonly #wake: Uint8Array
	/** Index of the line the phone is at. */
	readonly #flow: Uint8Array
	/** The request that waits for an answer. */
	readonly #request: string[]
	/** The REGISTER of the phone that woke. */
	readonly #wakeRequest: string[]
	/** What the PBX calls. */
	readonly #target: string[]
	readonly #waking: { readonly agent: number; readonly at: number }[] = []
	#timers: ReturnType<typeof setInterval>[] = []

	constructor(job: Job) {
		this.#job = job
		const { agents } = job
		this.#phase = new Uint8Array(agents)
		this.#item = new Uint32Array(agents)
		this.#startedAt = new Float64Array(agents)
		this.#sentAt = new Float64Array(agents)
		this.#acknowledged = new Uint8Array(agents)
		this.#wake = new Uint8Array(agents)
		this.#wakeRequest = new Array<string>(agents).fill('')
		this.#flow = Uint8Array.from({ length: agents }, (_, agent) => agent % PHONE_SOCKETS)
		this.#request = new Array<string>(agents).fill('')
		this.#target = Array.from({ length: agents }, (_, agent) =>
			job.target === 'agent' ? `sip:${userOf(agent)}@${GATEWAY}` : '',
		)
	}

	async open(): Promise<void> {
		this.#pbx = await Line.open('127.0.0.1', PORTS.pbx, this.#onPbx)
		for (let i = 0; i < PHONE_SOCKETS; i++)
			this.#lines.push(await Line.open('127.0.0.1', PORTS.phones + i, (text) => this.#onPhone(text, i)))
		this.#timers = [
			setInterval(() => this.#sweep(), SWEEP_MS),
			setInterval(() => this.#wakeDue(), TICK_MS),
			setInterval(() => this.#fill(RAMP), 1),
		]
	}

	close(): void {
		for (const timer of this.#timers) clearInterval(timer)
		for (const line of [this.#pbx, ...this.#lines]) line.close()
	}

	/** Every agent once; resolves when all are bound, rejects where some are not. */
	async bindAll(): Promise<void> {
		const { agents, inFlight } = this.#job
		this.begin('register', Math.min(inFlight, BINDING), agents)
		await this.settled()
		if (this.done < agents)
			throw new Error(`${agents - this.done} of ${agents} agents could not register: ${this.said()}`)
	}

	/** From now on begins so many more items (Infinity: without end), at most `limit` of them open. */
	begin(kind: Kind, limit: number, items: number): void {
		this.#kind = kind
		this.#limit = limit
		this.#left = items
	}

	/** Resolves when all items that were to begin have ended. */
	async settled(): Promise<void> {
		while (this.#open > 0 || this.#left > 0) await Bun.sleep(10)
	}

	get failed(): number {
		let sum = 0
		for (const count of this.faults.values()) sum += count
		return sum
	}

	/** Faults and their counts, most frequent first. */
	said(): string[] {
		return [...this.faults].sort((a, b) => b[1] - a[1]).map(([fault, count]) => `${count} × ${fault}`)
	}

	/** A push for this agent was taken. */
	wake(agent: number): void {
		if (this.#kind !== 'push' || this.#phase[agent] === Phase.Idle || this.#wake[agent] !== Wake.None) return
		this.#wake[agent] = Wake.Pushed
		this.#waking.push({ agent, at: performance.now() + WAKE_MS })
	}

	/** Begins up to so many items. */
	#fill(most: number): void {
		for (let n = 0; n < most && this.#open < this.#limit && this.#left > 0; n++) {
			const agent = this.#idleAgent()
			if (agent < 0) return
			this.#left--
			this.#open++
			this.#start(agent)
		}
	}

	#idleAgent(): number {
		for (let n = 0; n < this.#job.agents; n++) {
			const agent = this.#nextAgent
			this.#nextAgent = (agent + 1) % this.#job.agents
			if (this.#phase[agent] === Phase.Idle) return agent
		}
		return -1
	}

	#start(agent: number): void {
		const item = this.#nextItem++
		this.#item[agent] = item
		this.#startedAt[agent] = performance.now()
		this.#acknowledged[agent] = 0
		this.#wake[agent] = Wake.None
		if (this.#kind === 'register') this.#ask(agent, Phase.Registering, this.#register(agent, item))
		else this.#ask(agent, Phase.Inviting, invite(agent, item, this.#target[agent]!))
	}

	#register(agent: number, item: number): string {
		return register(agent, item, this.#lines[this.#flow[agent]!]!.port, this.#job.work !== 'W2')
	}

	#ask(agent: number, phase: number, request: string): void {
		this.#phase[agent] = phase
		this.#request[agent] = request
		this.#sentAt[agent] = performance.now()
		this.#lineOf(agent).send(request, PORTS.gateway)
	}

	#lineOf(agent: number): Line {
		return this.#phase[agent] === Phase.Registering ? this.#lines[this.#flow[agent]!]! : this.#pbx
	}

	#end(agent: number, fault?: string): void {
		if (fault === undefined) this.done++
		else this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1)
		this.#phase[agent] = Phase.Idle
		this.#open--
		this.#fill(1)
	}

	// — what comes in —

	readonly #onPbx = (text: string): void => {
		const letter = text.charCodeAt(0)
		if (letter === R) {
			const agent = agentIn(text)
			if (this.#target[agent] === '') this.#target[agent] = contactIn(text)
			this.#pbx.send(registered(text), PORTS.gateway)
		} else if (letter === S) this.#onAnswerToPbx(text)
	}

	#onAnswerToPbx(text: string): void {
		const agent = agentIn(text)
		if (this.#item[agent] !== itemIn(text)) return
		const phase = this.#phase[agent]!
		const status = Number(text.slice(8, 11))
		if (sequenceIn(text) === '2') {
			if (phase !== Phase.Ending) return
			if (status !== 200) this.#end(agent, `${status} to BYE`)
			else this.#end(agent, this.#acknowledged[agent] === 1 ? undefined : 'no ACK came through')
		} else if (phase !== Phase.Inviting && phase !== Phase.Proceeding) return
		else if (status < 200) this.#phase[agent] = Phase.Proceeding
		else if (status > 299) this.#end(agent, `${status} to INVITE`)
		else {
			this.#pbx.send(inDialog('ACK', text), PORTS.gateway)
			this.#ask(agent, Phase.Ending, inDialog('BYE', text))
		}
	}

	#onPhone(text: string, line: number): void {
		const letter = text.charCodeAt(0)
		if (letter === I) this.#onInvite(text, line)
		else if (letter === B) this.#lines[line]!.send(ok(text), PORTS.gateway)
		else if (letter === A) this.#onAck(text)
		else if (letter === S) this.#onRegistered(text)
	}

	#onInvite(text: string, line: number): void {
		const agent = agentIn(text)
		if (this.#item[agent] !== itemIn(text) || this.#phase[agent] === Phase.Idle) return
		if (line !== this.#flow[agent]) return this.#end(agent, 'INVITE at the wrong flow')
		if (this.#kind === 'push' && this.#wake[agent] === Wake.None) return this.#end(agent, 'INVITE without a push')
		const phone = this.#lines[line]!
		const contact = `sip:${userOf(agent)}@127.0.0.1:${phone.port}`
		phone.send(ringing(text, contact), PORTS.gateway)
		phone.send(answered(text, contact), PORTS.gateway)
	}

	#onAck(text: string): void {
		const agent = agentIn(text)
		if (this.#item[agent] === itemIn(text)) this.#acknowledged[agent] = 1
	}

	#onRegistered(text: string): void {
		const agent = agentIn(text)
		const status = Number(text.slice(8, 11))
		const phase = this.#phase[agent]!
		if (status < 200 || phase === Phase.Idle) return
		if (phase !== Phase.Registering) this.#wake[agent] = Wake.Registered
		else if (this.#item[agent] === itemIn(text)) this.#end(agent, status === 200 ? undefined : `${status} to REGISTER`)
	}

	// — as time goes by —

	#wakeDue(): void {
		const now = performance.now()
		for (let first = this.#waking[0]; first !== undefined && first.at <= now; first = this.#waking[0]) {
			this.#waking.shift()
			const { agent } = first
			/* odd agents come back from another network */
			if (agent % 2 === 1) this.#flow[agent] = (this.#flow[agent]! + 2) % PHONE_SOCKETS
			this.#wakeRequest[agent] = this.#register(agent, this.#nextItem++)
			this.#sendWake(agent, now)
		}
	}

	#sendWake(agent: number, now: number): void {
		this.#wake[agent] = Wake.Registering
		this.#sentAt[agent] = now
		this.#lines[this.#flow[agent]!]!.send(this.#wakeRequest[agent]!, PORTS.gateway)
	}

	#sweep(): void {
		const now = performance.now()
		for (let agent = 0; agent < this.#job.agents; agent++) {
			const phase = this.#phase[agent]!
			if (phase === Phase.Idle) continue
			if (now - this.#startedAt[agent]! > GIVE_UP_MS) this.#end(agent, `no answer while ${nameOf(phase)}`)
			else if (now - this.#sentAt[agent]! > RESEND_MS) this.#resend(agent, phase, now)
		}
	}

	#resend(agent: number, phase: number, now: number): void {
		if (phase !== Phase.Proceeding) this.#ask(agent, phase, this.#request[agent]!)
		else if (this.#wake[agent] === Wake.Registering) this.#sendWake(agent, now)
		else return
		this.resent++
	}
}

function nameOf(phase: number): string {
	return (
		Object.entries(Phase)
			.find(([, number]) => number === phase)?.[0]
			.toLowerCase() ?? 'nothing'
	)
}

function contactIn(text: string): string {
	const at = text.indexOf('\r\nContact: <') + '\r\nContact: <'.length
	return text.slice(at, text.indexOf('>', at))
}
