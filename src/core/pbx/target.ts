/** One machine of the PBX. */
import { Deadline } from '../../lib/deadlines.ts'
import type { Destination, Due, Timed } from '../../transaction/transactions.ts'
import type { PbxTarget } from '../inputs.ts'
import { hashOf } from './draw.ts'
import type { TargetState } from './target-state.ts'

export class Target {
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
	/** Why it was told to be down; undefined while it was not. */
	downBecause: string | undefined = undefined
	/** Of one that rests: until when, ms since the epoch. */
	restsUntil = 0
	/** Its part in every draw. */
	readonly salt: number
	readonly rest: Deadline<Due>
	/** Where to send what is for it. */
	readonly to: Destination

	constructor({ address, port, name, rank, weight }: PbxTarget, listener: number, owner: Timed, now: number) {
		this.address = address
		this.port = port
		this.name = name
		this.rank = rank
		this.weight = weight
		this.since = now
		this.salt = hashOf(`${address}|${port}`)
		this.rest = new Deadline<Due>({ owner, event: targetKey(this) })
		this.to = { listener, address, port }
	}

	get usable(): boolean {
		return this.state === 'up' || this.state === 'suspect'
	}
}

export function targetKey({ address, port }: { readonly address: string; readonly port: number }): string {
	return `${address}|${port}`
}
