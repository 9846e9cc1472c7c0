/** The listeners of the running gateway: opens them, and finds the one that something goes out by. */
import type { ListenAddress } from './config/kinds.ts'
import { listenersOf, pbxSidesOf } from './config/listeners.ts'
import type { Config } from './config/options.ts'
import { Connectors } from './connectors.ts'
import type { CloseEffect, SendEffect, SettleEffect } from './core/effects.ts'
import type { Input, PbxTarget } from './core/inputs.ts'
import type { ListenerView } from './status/view.ts'
import { type CertificateRow, Certificates, type TlsFiles } from './transport/certificates.ts'
import { watchFiles } from './transport/file-watch.ts'
import { openFilesLimit } from './transport/libc.ts'
import { Population } from './transport/population.ts'
import { openStreamListener, type StreamKind, type StreamListener, type StreamOptions } from './transport/stream.ts'
import type { StreamLimits } from './transport/stream-limits.ts'
import { openUdpListener, type UdpListener } from './transport/udp.ts'

export interface ListenersOwner {
	input(input: Input): void
	/** Is this datagram of a source not heard from lately worth keeping anything of it? */
	admits(listener: number, address: string, port: number, bytes: Uint8Array): boolean
	/** A listener has a fault, in a sentence. */
	failed(listener: number, sentence: string): void
	/** The certificates were read anew, `fault` says why not. */
	reloaded(fault: string | undefined): void
}

/** Open files that are no phone's: the database, the page, APNs, and three for each UDP socket. */
export const RESERVED_FILES = 256

/** As many connections as there can be: out of files, the gateway could neither take a call's push to APNs nor answer its page. */
export function mostConnections(maxConnections: number, openFiles = openFilesLimit()): number {
	return openFiles === undefined ? maxConnections : Math.max(0, Math.min(maxConnections, openFiles - RESERVED_FILES))
}

/** What to tell of open files, in sentences. */
export function scarceFiles(config: Config, openFiles = openFilesLimit()): string[] {
	const { maxConnections } = config
	const most = mostConnections(maxConnections, openFiles)
	if (most === maxConnections || listenersOf(config).every(({ transport }) => transport === 'udp')) return []
	return [
		`--max-connections is ${maxConnections}, but this process may open ${openFiles} files: there will be at most ${most} connections. Raise the limit (LimitNOFILE) to ${maxConnections + RESERVED_FILES}, or lower --max-connections.`,
	]
}

/** As {@link Listeners} reads them; or what is wrong, in a sentence. */
export function readCertificates(config: TlsConfig): readonly CertificateRow[] | string {
	const certificates = Certificates.read(tlsFilesOf(config))
	return typeof certificates === 'string' ? certificates : certificates.rows
}

type TlsConfig = Pick<Config, 'tlsCert' | 'tlsKey' | 'tlsClientCa'>

function tlsFilesOf({ tlsCert, tlsKey, tlsClientCa }: TlsConfig): TlsFiles {
	const certificates = tlsCert.map((certFile, i) => ({ certFile, keyFile: tlsKey[i]! }))
	return { certificates, ...(tlsClientCa !== undefined && { clientCaFile: tlsClientCa }) }
}

/** Those of the limits that have a flag for each listener. */
export function streamLimitsOf({ maxHandshakes, idleMs, maxQueue, maxMessage }: Config): Partial<StreamLimits> {
	return { handshakes: maxHandshakes, idleMs, queuedBytes: maxQueue, messageBytes: maxMessage }
}

/** As the metrics name the reasons. */
function endedOf(stats: StreamListener['stats']): Readonly<Record<string, number>> {
	const { refused, setupFailed, timedOut, slowReaders, crowdedOut, faults } = stats
	return {
		...{ refused, setup: setupFailed, time: timedOut, 'slow-reader': slowReaders },
		...{ memory: crowdedOut, framing: faults },
	}
}

type Listener =
	| { readonly kind: 'udp'; readonly udp: UdpListener }
	| { readonly kind: StreamKind; readonly stream: StreamListener }

export class Listeners {
	readonly #config: Config
	readonly #owner: ListenersOwner
	readonly #limits: Partial<StreamLimits>
	readonly #all: Listener[] = []
	readonly #population: Population
	readonly #connectors: Connectors
	#watch: { stop(): void } | undefined

	/** `limits`: where they are to be others than {@link STREAM_LIMITS}, and no option says so. */
	constructor(config: Config, owner: ListenersOwner, limits: Partial<StreamLimits> = {}) {
		this.#config = config
		this.#owner = owner
		this.#limits = limits
		this.#connectors = new Connectors(config, owner)
		this.#population = new Population(mostConnections(config.maxConnections), config.maxPerSource)
	}

	/** All of them; or why one cannot be opened, in a sentence. */
	async open(): Promise<string | undefined> {
		for (const [index, where] of listenersOf(this.#config).entries()) {
			const listener = await this.#open(index, where)
			if (typeof listener === 'string') return listener
			this.#all.push(listener)
		}
		const fault = this.#connectors.open()
		if (fault !== undefined) return fault
		const files = this.#tlsFiles
		if (files.length > 0) this.#watch = watchFiles(files, () => this.reload())
		return undefined
	}

	get #tlsFiles(): readonly string[] {
		const { tlsCert, tlsKey, tlsClientCa, pbxCa, pbxCert, pbxKey } = this.#config
		return [...tlsCert, ...tlsKey, ...[tlsClientCa, pbxCa, pbxCert, pbxKey].filter((path) => path !== undefined)]
	}

	send({ listener, key, address, port, bytes }: SendEffect): void {
		const at = this.#all[listener]
		if (at === undefined) this.#sendToPbx(listener, key, address, port, bytes)
		else if (at.kind === 'udp') at.udp.send(address, port, bytes)
		else if (key !== undefined) at.stream.send(key, bytes)
	}

	/** On the connection that is named, which may be closed by now, or on the one there is. */
	#sendToPbx(index: number, key: string | undefined, address: string, port: number, bytes: Uint8Array): void {
		const peers = this.#connectors.at(index)
		if (key === undefined) peers?.send(address, port, bytes)
		else peers?.sendOn(key, bytes)
	}

	close({ listener, key }: CloseEffect): void {
		const at = this.#all[listener]
		if (at === undefined) this.#connectors.at(listener)?.close(key)
		else if (at.kind !== 'udp') at.stream.close(key)
	}

	settle({ listener, key }: SettleEffect): void {
		const at = this.#all[listener]
		if (at !== undefined && at.kind !== 'udp') at.stream.settle(key)
	}

	/** The machines of the PBX. */
	connectPeers(targets: readonly PbxTarget[]): void {
		this.#connectors.keep(targets)
		for (const { listener } of pbxSidesOf(this.#config)) {
			const at = this.#all[listener]
			if (at?.kind === 'udp') void at.udp.connectPeers(targets.filter(({ transport }) => transport === 'udp'))
		}
	}

	/** Reads the certificates anew. Connections stay, and where they are bad so do the old ones. */
	reload(): void {
		let fault = this.#connectors.reload()
		for (const at of this.#all) if (at.kind !== 'udp') fault ??= at.stream.reload()
		if (this.#tlsFiles.length > 0) this.#owner.reloaded(fault)
	}

	get views(): readonly ListenerView[] {
		return this.#all.map((at) => {
			const isUdp = at.kind === 'udp'
			const { address, port } = isUdp ? at.udp : at.stream
			const until = isUdp ? [] : at.stream.certificates.map(({ validUntil }) => validUntil)
			return {
				name: `${at.kind}:${address.includes(':') ? `[${address}]` : address}:${port}`,
				connections: isUdp ? undefined : at.stream.connections,
				ended: isUdp ? undefined : endedOf(at.stream.stats),
				certificateUntil: until.length === 0 ? undefined : Math.min(...until),
			}
		})
	}

	/** Datagrams the kernel threw away. */
	get kernelDrops(): number {
		return this.#all.reduce((sum, at) => sum + (at.kind === 'udp' ? (at.udp.kernelDrops() ?? 0) : 0), 0)
	}

	stop(): void {
		this.#watch?.stop()
		this.#connectors.stop()
		for (const at of this.#all) {
			if (at.kind === 'udp') at.udp.close()
			else at.stream.stop()
		}
	}

	async #open(index: number, where: ListenAddress): Promise<Listener | string> {
		const { transport } = where
		if (transport !== 'udp') {
			const stream = await openStreamListener(this.#streamOptions(index, transport, where))
			return typeof stream === 'string' ? stream : { kind: transport, stream }
		}
		const { address, port } = where
		const udp = await openUdpListener({
			index,
			address,
			port,
			admit: (from, fromPort, bytes) => this.#owner.admits(index, from, fromPort, bytes),
			onDatagram: (flow, bytes) => this.#owner.input({ type: 'datagram', flow, bytes }),
			onError: (sentence) => this.#owner.failed(index, sentence),
		})
		return typeof udp === 'string' ? udp : { kind: 'udp', udp }
	}

	#streamOptions(index: number, kind: StreamKind, { address, port }: ListenAddress): StreamOptions {
		const { tlsClientCa, proxyProtocol } = this.#config
		const owner = this.#owner
		const isSecure = kind === 'tls' || kind === 'wss'
		return {
			...{ index, kind, address, port, proxyProtocol, population: this.#population },
			limits: { ...this.#limits, ...streamLimitsOf(this.#config) },
			...(isSecure && { tls: tlsFilesOf(this.#config) }),
			onOpen: ({ key, listener }, isAuthorized) => {
				if (isSecure && tlsClientCa !== undefined && !isAuthorized) this.close({ type: 'close', listener, key })
			},
			onMessage: (flow, bytes) => owner.input({ type: 'datagram', flow, bytes }),
			onFault: (flow, code, head) => owner.input({ type: 'stream-fault', flow, code, head }),
			onClose: (flow) => owner.input({ type: 'flow-closed', flow }),
			onError: (sentence) => owner.failed(index, sentence),
		}
	}
}
