/** What the core needs of the configuration: numbers and names, already validated (src/config makes it). */
import type { PushProvider } from './model.ts'

/** As it stands in a Via (RFC 3261 §20.42, RFC 7118 §5.2). */
export type Transport = 'UDP' | 'TCP' | 'TLS' | 'WS' | 'WSS'

/** What stands of a listener in our Via, Record-Route and Contact. */
export interface Advertised {
	/** IPv6 in brackets. */
	readonly host: string
	readonly port: number
	readonly transport: Transport
}

export interface PbxSide {
	readonly transport: 'udp' | 'tcp' | 'tls'
	/** Index of the listener that the PBX reaches. */
	readonly listener: number
	/** Index of what the gateway sends by: the same for UDP, else that of connections it opens. */
	readonly sender: number
}

export interface Settings {
	/** The one domain agents register at, lower case. */
	readonly domain: string
	/** One for each listener, and one for each connector behind them. */
	readonly advertised: readonly Advertised[]
	/** By which the PBX is spoken to, one for each transport. Nobody is taken for the PBX elsewhere. */
	readonly pbxSides: readonly PbxSide[]
	/** How long a machine of the PBX may say nothing before it is asked; 0: it is never asked. */
	readonly pbxPingMs: number
	/** The header that tells the PBX where a phone is; '' for none. Nobody else may send it, either way. */
	readonly clientAddressHeader: string
	/** CIDRs trusted as the PBX besides `--pbx` itself. */
	readonly trust: readonly string[]
	/** 0: no pings. */
	readonly pingIntervalMs: number
	readonly pingTimeoutMs: number
	readonly pingMisses: number
	/** A connection without an octet for so long is closed by the transport. */
	readonly idleMs: number
	/** Header rows of one message that comes in. */
	readonly maxHeaders: number
	/** A device heard of within this is called without a probe. */
	readonly freshMs: number
	readonly holdMs: number
	/** 0: ask the PBX for what the phone asked. */
	readonly pbxExpiresSec: number
	/** A phone that can be pushed to must ask for this much; 0: for anything. */
	readonly minExpiresSec: number
	/** `https://gw.example`, where apps ask for their calls; '' where they cannot. */
	readonly publicUrl: string
	readonly ringingOnPush: boolean
	/** Accepted pushes in a row without a wake that make a device suspect; 0: never. */
	readonly suspectAfter: number
	/** A wake that takes longer is told; 0: none is. */
	readonly wakeSlowMs: number
	readonly strangers: 'drop' | 'reject'
	/** REGISTERs a second that a source without a binding may have unanswered by a 2xx. */
	readonly registerRate: number
	/** Failed authentications in a row before a source is banned. */
	readonly banAfter: number
	readonly banMs: number
	/** '' where the phones' own parameters must name it. */
	readonly apnsTopic: string
	/** The environment of tokens whose `pn-provider` does not say (`apns`, legacy). */
	readonly apnsEnvironment: 'production' | 'sandbox'
	/** Those a key is configured for, in the order they are named to phones. Without any nobody can be woken. */
	readonly providers: readonly PushProvider[]
	/** Server/User-Agent of what the gateway says itself. */
	readonly userAgent: string
}
