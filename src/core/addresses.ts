/** How we call ourselves in what we send, for each listener: made once, for every message has it. */
import type { Advertised, Settings, Transport } from './settings.ts'

/** RFC 3261 §19.1.2, RFC 7118 §5.2 and §5.3. */
const DEFAULT_PORTS: Readonly<Record<Transport, number>> = { UDP: 5060, TCP: 5060, TLS: 5061, WS: 80, WSS: 443 }

/** What the URI of a Record-Route says of it (RFC 5658 §5.2). `tls` is RFC 2543's word that phones still go by; `ws` is both (RFC 7118 §5.3). */
const URI_PARAMS: Readonly<Record<Transport, string>> = {
	UDP: '',
	TCP: ';transport=tcp',
	TLS: ';transport=tls',
	WS: ';transport=ws',
	WSS: ';transport=ws',
}

export interface OwnAddress {
	readonly transport: Transport
	/** `host:port`. */
	readonly hostPort: string
	/** In lower case and without brackets. */
	readonly host: string
	readonly port: number
	/** Meant by a URI or a Via that names none. */
	readonly defaultPort: number
	/** A Via of ours up to the branch. */
	readonly viaStart: string
	/** A Contact of ours behind the user. */
	readonly contactEnd: string
	/** A Record-Route of ours behind the token. */
	readonly routeEnd: string
	/** RFC 3261 §17: nothing is lost or comes twice, so nothing is sent again. */
	readonly isReliable: boolean
}

export function ownAddresses({ advertised }: Settings): readonly OwnAddress[] {
	return advertised.map(ownAddress)
}

function ownAddress({ host, port, transport }: Advertised): OwnAddress {
	const hostPort = `${host}:${port}`
	return {
		transport,
		hostPort,
		host: (host.startsWith('[') ? host.slice(1, -1) : host).toLowerCase(),
		port,
		defaultPort: DEFAULT_PORTS[transport],
		viaStart: `SIP/2.0/${transport} ${hostPort};branch=`,
		contactEnd: `@${hostPort}${URI_PARAMS[transport]}`,
		routeEnd: `@${hostPort}${URI_PARAMS[transport]};lr>`,
		isReliable: transport !== 'UDP',
	}
}
