/** By which listeners and connections the PBX is spoken to. */
import type { PbxSide, Settings } from '../settings.ts'

export type PbxTransport = PbxSide['transport']

/** What comes by a listener or a connector. */
export interface Way {
	readonly transport: PbxTransport
	/** The gateway has opened it, to a machine of the PBX. */
	readonly isOurs: boolean
}

export class PbxSides {
	/** By index of the listener or connector. */
	readonly #ways: (Way | undefined)[] = []
	readonly #senders = new Map<PbxTransport, number>()
	/** Where nothing says by which transport. */
	readonly usual: number

	constructor({ pbxSides }: Pick<Settings, 'pbxSides'>) {
		for (const { transport, listener, sender } of pbxSides) {
			this.#ways[sender] = { transport, isOurs: sender !== listener }
			this.#ways[listener] = { transport, isOurs: false }
			this.#senders.set(transport, sender)
		}
		this.usual = pbxSides[0]?.sender ?? 0
	}

	/** undefined: the PBX is not there. */
	at(listener: number): Way | undefined {
		return this.#ways[listener]
	}

	/** What is sent by over this transport; undefined where the gateway does not speak it to the PBX. */
	sender(transport: PbxTransport | undefined): number | undefined {
		return transport === undefined ? undefined : this.#senders.get(transport)
	}
}

/** RFC 3261 §19.1.2. */
export function defaultPort(transport: PbxTransport | undefined): number {
	return transport === 'tls' ? 5061 : 5060
}
