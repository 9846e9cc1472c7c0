/** The listeners there are to be, in the order of their indices, and those by which the PBX is spoken to. */
import { type ListenAddress, literal, PBX_TRANSPORTS, type PbxTransport } from './kinds.ts'
import type { Config } from './options.ts'

type Listening = Pick<Config, 'listen' | 'pbxListen'>

/** Those of `--listen`, and those of `--pbx-listen` behind them. */
export function listenersOf({ listen, pbxListen }: Listening): readonly ListenAddress[] {
	return [...listen, ...pbxListen]
}

/** One transport by which the PBX is spoken to. */
export interface PbxSide {
	readonly transport: PbxTransport
	/** Where the PBX reaches us: the address we tell it, and one of the family of its own. */
	readonly at: ListenAddress
	/** Index of that listener. */
	readonly listener: number
	/** What we send by: the same for UDP, else a connector, which has an index behind those of all listeners. */
	readonly sender: number
}

/**
 * UDP, wherever there is a listener for it; TCP and TLS where `--pbx-listen` says so, or a `--pbx` may lead to it. Of `--listen` it is
 * the first of its transport.
 */
export function pbxSidesOf(config: Listening & Pick<Config, 'pbx'>): readonly PbxSide[] {
	const { listen, pbxListen } = config
	const listeners = listenersOf(config)
	const from = pbxListen.length > 0 ? listen.length : 0
	let sender = listeners.length
	return PBX_TRANSPORTS.flatMap((transport): PbxSide[] => {
		const listener = listeners.findIndex((one, i) => i >= from && one.transport === transport)
		const isWanted = transport === 'udp' || from > 0 || config.pbx.some((pbx) => mayBeOver(pbx, transport))
		if (listener < 0 || !isWanted) return []
		return [{ transport, at: listeners[listener]!, listener, sender: transport === 'udp' ? listener : sender++ }]
	})
}

/** RFC 3263 §4.1: a name alone may lead to any transport, an address or a port to UDP. */
export function mayBeOver({ host, port, transport }: Config['pbx'][number], wanted: PbxTransport): boolean {
	if (transport !== undefined) return transport === wanted
	return wanted === 'udp' || (port === undefined && !literal(host))
}

/** One for each listener: what `--advertise` says of it, else its own address. IPv6 without brackets. */
export function advertisedOf(
	config: Pick<Config, 'listen' | 'pbxListen' | 'advertise'>,
): readonly { readonly host: string; readonly port: number }[] {
	const { listen, advertise } = config
	const isForAll = advertise.length === 1
	return listenersOf(config).map(({ address, port }, i) => {
		const said = isForAll && i < listen.length ? advertise[0] : advertise[i]
		return { host: said?.host ?? address, port: said?.port ?? port }
	})
}

/** All that is listened on, and the sides of the PBX. */
export interface Sides {
	readonly listeners: readonly (ListenAddress & {
		readonly advertised: { readonly host: string; readonly port: number }
	})[]
	readonly pbx: readonly ListenAddress[]
}

export function sidesOf(config: Pick<Config, 'listen' | 'pbxListen' | 'advertise' | 'pbx'>): Sides {
	const advertised = advertisedOf(config)
	const listeners = listenersOf(config).map((listener, i) => ({ ...listener, advertised: advertised[i]! }))
	return { listeners, pbx: pbxSidesOf(config).map(({ at }) => at) }
}
