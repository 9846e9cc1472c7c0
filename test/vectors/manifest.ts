/** What each vector of this folder must get from the parser. */
import json from './manifest.json'

export interface Vector {
	readonly name: string
	readonly title: string
	/** Fault code, null where the message is good. */
	readonly fault: string | null
	/** The status asked for; 0 to drop. */
	readonly status: number | null
	/** Octets of the one message in the datagram, where it holds more. */
	readonly bytes?: number
	readonly vias?: number
	readonly maxForwards?: number
}

export const manifest: readonly Vector[] = json.vectors
