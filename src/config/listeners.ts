/** The listeners there are to be, in the order of their indices. */
import type { ListenAddress } from './kinds.ts'
import type { Config } from './options.ts'

/** Those of `--listen`, and that of `--pbx-listen` behind them. */
export function listenersOf({ listen, pbxListen }: Pick<Config, 'listen' | 'pbxListen'>): readonly ListenAddress[] {
	return pbxListen === undefined ? listen : [...listen, pbxListen]
}

/** Index of the one by which the PBX is spoken to. */
export function pbxListenerOf({ listen, pbxListen }: Pick<Config, 'listen' | 'pbxListen'>): number {
	return pbxListen === undefined ? listen.findIndex(({ transport }) => transport === 'udp') : listen.length
}

/** Of that listener: the address families the PBX can be reached by are its own. */
export function pbxSideOf(config: Pick<Config, 'listen' | 'pbxListen'>): readonly ListenAddress[] {
	const side = listenersOf(config)[pbxListenerOf(config)]
	return side === undefined ? [] : [side]
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

/** All that is listened on, and the side of the PBX. */
export interface Sides {
	readonly listeners: readonly (ListenAddress & {
		readonly advertised: { readonly host: string; readonly port: number }
	})[]
	readonly pbx: readonly ListenAddress[]
}

export function sidesOf(config: Pick<Config, 'listen' | 'pbxListen' | 'advertise'>): Sides {
	const advertised = advertisedOf(config)
	const listeners = listenersOf(config).map((listener, i) => ({ ...listener, advertised: advertised[i]! }))
	return { listeners, pbx: pbxSideOf(config) }
}
