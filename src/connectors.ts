/** The connections that the gateway opens to its PBX: over which transports, and as whom over TLS. */
import { readFileSync } from 'node:fs'
import type { PbxAnswer, PbxMachine } from './check/check.ts'
import { optionsRequest, PBX_ANSWER_MS, statusLineOf } from './check/options-ping.ts'
import { type PbxSide, pbxSidesOf } from './config/listeners.ts'
import type { Config } from './config/options.ts'
import type { Input, PbxTarget } from './core/inputs.ts'
import type { Flow } from './core/model.ts'
import { openStreamConnector, type StreamTarget } from './transport/connect.ts'
import { MAX_PEERS, Peers } from './transport/peers.ts'

/** PEM of `--pbx-ca`, `--pbx-cert` and `--pbx-key`. */
export interface PbxTls {
	readonly ca?: string
	readonly cert?: string
	readonly key?: string
}

type TlsConfig = Pick<Config, 'pbxCa' | 'pbxCert' | 'pbxKey'>

/** What these files hold; or which cannot be read, in a sentence. */
export function readPbxTls({ pbxCa, pbxCert, pbxKey }: TlsConfig): PbxTls | string {
	const read: { ca?: string; cert?: string; key?: string } = {}
	for (const [name, path] of [
		['ca', pbxCa],
		['cert', pbxCert],
		['key', pbxKey],
	] as const) {
		if (path === undefined) continue
		try {
			read[name] = readFileSync(path, 'utf8')
		} catch {
			return `--pbx-${name}: ${path} cannot be read: give the path of a PEM file, and let this user read it.`
		}
	}
	return read
}

export interface ConnectorsOwner {
	input(input: Input): void
	/** A connector has a fault, in a sentence. */
	failed(index: number, sentence: string): void
}

export interface Connector {
	readonly transport: PbxSide['transport']
	readonly peers: Peers
}

export class Connectors {
	readonly #config: Config
	readonly #owner: ConnectorsOwner
	/** By index. */
	readonly #all = new Map<number, Connector>()
	/** What a certificate has to be for, by address and port; also of machines that calls are with, and DNS names no more. */
	readonly #domains = new Map<string, string>()
	#tls: PbxTls = {}

	constructor(config: Config, owner: ConnectorsOwner) {
		this.#config = config
		this.#owner = owner
	}

	/** Why it cannot be, in a sentence. */
	open(): string | undefined {
		const fault = this.reload()
		if (fault !== undefined) return fault
		for (const { transport, listener, sender } of pbxSidesOf(this.#config))
			if (sender !== listener) this.#all.set(sender, { transport, peers: this.#peers(transport, sender) })
		return undefined
	}

	/** Reads the files anew, for connections that are opened from now on; where they are bad the old ones stay. */
	reload(): string | undefined {
		const tls = readPbxTls(this.#config)
		if (typeof tls === 'string') return tls
		this.#tls = tls
		return undefined
	}

	at(index: number): Peers | undefined {
		return this.#all.get(index)?.peers
	}

	/** The machines of the PBX: those of its transport each connector is connected to from now on. */
	keep(targets: readonly PbxTarget[]): void {
		for (const { transport, address, port, domain } of targets) {
			if (transport !== 'tls' || domain === undefined) continue
			const key = `${address}|${port}`
			this.#domains.delete(key)
			this.#domains.set(key, domain)
		}
		for (const key of this.#domains.keys()) if (this.#domains.size > MAX_PEERS) this.#domains.delete(key)
		for (const { transport, peers } of this.#all.values())
			peers.keep(targets.filter((target) => target.transport === transport))
	}

	stop(): void {
		for (const { peers } of this.#all.values()) peers.stop()
	}

	#peers(transport: PbxSide['transport'], index: number): Peers {
		const owner = this.#owner
		return new Peers({
			index,
			limits: { idleMs: this.#config.idleMs },
			target: (address, port) => this.#target(transport, address, port),
			onConnected: (flow: Flow) => owner.input({ type: 'pbx-connected', flow }),
			onMessage: (flow, bytes) => owner.input({ type: 'datagram', flow, bytes }),
			onFault: (flow, code, head) => owner.input({ type: 'stream-fault', flow, code, head }),
			onClose: (flow) => owner.input({ type: 'flow-closed', flow }),
			onUnreachable: (address, port, reason) =>
				owner.input({ type: 'pbx-unreachable', listener: index, address, port, reason }),
			onError: (sentence) => owner.failed(index, sentence),
		})
	}

	#target(transport: PbxSide['transport'], address: string, port: number): StreamTarget {
		const domain = this.#domains.get(`${address}|${port}`) ?? address
		return streamTarget({ transport, address, port, domain }, this.#tls)
	}
}

type Place = Pick<PbxMachine, 'transport' | 'address' | 'port' | 'domain'>

function streamTarget({ transport, address, port, domain }: Place, tls: PbxTls): StreamTarget {
	return { address, port, ...(transport === 'tls' && { tls: { serverName: domain, ...tls } }) }
}

/** `push-gateway check`: OPTIONS to a machine over TCP or TLS, as the gateway would connect to it. */
export async function askOverStream(listen: string, machine: PbxMachine, config: TlsConfig): Promise<PbxAnswer> {
	const tls = readPbxTls(config)
	if (typeof tls === 'string') return { ok: false, reason: tls.replace(/\.$/, '') }
	const { promise, resolve } = Promise.withResolvers<PbxAnswer>()
	const startedAt = performance.now()
	const connector = openStreamConnector({
		index: 0,
		onMessage: (_flow, bytes) => {
			const statusLine = statusLineOf(Buffer.from(bytes).toString('latin1'))
			if (statusLine) resolve({ ok: true, statusLine, tookMs: Math.round(performance.now() - startedAt) })
		},
		onClose: () => resolve({ ok: false, reason: 'it closed the connection' }),
		onError: () => {},
	})
	const { transport, address, port } = machine
	const flow = await connector.connect(streamTarget(machine, tls))
	if (typeof flow === 'string') resolve({ ok: false, reason: flow })
	else connector.send(flow.key, Buffer.from(optionsRequest(transport, listen, SIP_PORT, address, port), 'latin1'))
	const silence = `no answer to OPTIONS over ${transport.toUpperCase()} within ${PBX_ANSWER_MS / 1000} s`
	const giveUp = setTimeout(() => resolve({ ok: false, reason: silence }), PBX_ANSWER_MS)
	return await promise.finally(() => {
		clearTimeout(giveUp)
		connector.stop()
	})
}

/** Of a Via that nobody follows: the answer comes back on the connection. */
const SIP_PORT = 5060
