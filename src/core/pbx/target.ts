/** One machine of the PBX. */
import { Deadline } from '../../lib/deadlines.ts'
import type { Destination, Due, Timed } from '../../transaction/transactions.ts'
import type { PbxTarget } from '../inputs.ts'
import { hashOf } from './draw.ts'
import type { PbxTransport } from './sides.ts'
import type { TargetState } from './target-state.ts'

export class Target {
	readonly transport: PbxTransport
	readonly address: string
	readonly port: number
	/** The host name it was found by, or its address. */
	name: string
	rank: number
	weight: number
	state: TargetState = 'up'
	/** When it came into its state, ms since the epoch. */
	since: number
	/** When anything last came from it; undefined: never. */
	heardAt: number | undefined = undefined
	/** Its last answer to OPTIONS; 0: none yet. */
	lastStatus = 0
	/** Why it took no connection, the last time. */
	refusal = ''
	/** Why it was told to be down; undefined while it was not. */
	downBecause: string | undefined = undefined
	/** Of one that rests: until when, ms since the epoch. */
	restsUntil = 0
	/** Its part in every draw. */
	readonly salt: number
	readonly rest: Deadline<Due>
	/** Where to send what is for it. */
	readonly to: Destination
	/** Its port for requests too large for UDP; undefined where it has none, as far as is known. */
	tcpPort: number | undefined
	/** None listened there: what is large goes by UDP until then, ms since the epoch. */
	tcpRefusedUntil = 0

	/** @param sender by which it is sent to */
	constructor(
		{ transport, address, port, tcpPort, name, rank, weight }: PbxTarget,
		sender: number,
		owner: Timed,
		now: number,
	) {
		this.transport = transport
		this.tcpPort = tcpPort
		this.address = address
		this.port = port
		this.name = name
		this.rank = rank
		this.weight = weight
		this.since = now
		this.salt = hashOf(`${address}|${port}`)
		this.rest = new Deadline<Due>({ owner, event: targetKey(this) })
		this.to = { listener: sender, address, port }
	}

	get usable(): boolean {
		return this.state === 'up' || this.state === 'suspect'
	}
}

type Place = Pick<PbxTarget, 'transport' | 'address' | 'port'>

export function targetKey({ transport, address, port }: Place): string {
	return `${transport}|${address}|${port}`
}
