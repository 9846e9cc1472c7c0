/** A gateway whose PBX is on UDP and IPv4, and a phone on whatever a test is about. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeCertificate } from '../../src/demo/certificate.ts'
import { Line } from '../../src/demo/line.ts'
import { portsOf, World } from './gateway.ts'
import { Exchange, Handset, now, type Speaker } from './party.ts'
import { type StreamKind, StreamLine } from './stream-line.ts'

export const STREAM_KINDS: readonly StreamKind[] = ['tcp', 'tls', 'ws', 'wss']

/** Makes a certificate that is good for these names, before the gateway starts, which wants to read it. */
export function certificateFlags(folder: string, days = 0, name = 'gw.example'): string[] {
	const { certPem, keyPem } = makeCertificate(Date.now() + days * 3_600_000, [name])
	writeFileSync(join(folder, `${name}.pem`), certPem)
	writeFileSync(join(folder, `${name}.key`), keyPem)
	return ['--tls-cert', join(folder, `${name}.pem`), '--tls-key', join(folder, `${name}.key`)]
}

export class Scene<L extends Speaker = StreamLine> {
	readonly world: World
	readonly exchange: Exchange
	readonly anna: Handset
	readonly line: L
	/** Where the phone connects. */
	readonly phonePort: number

	private constructor(world: World, exchange: Exchange, line: L, anna: Handset) {
		this.world = world
		this.exchange = exchange
		this.line = line
		this.anna = anna
		this.phonePort = world.ports.own
	}

	/** Anna's phone is registered by a connection. */
	static open(kind: StreamKind, test: number, ...flags: readonly string[]): Promise<Scene> {
		const { own } = portsOf(test)
		const line = new StreamLine(kind, '127.0.0.21', { address: '127.0.0.1', port: own })
		return Scene.by(line, `${kind}:127.0.0.1:${own}`, test, ...flags)
	}

	/** Anna's phone speaks by `line` to the listener `listen`, which is at the first of the test's own ports, and is registered. */
	static async by<L extends Speaker>(
		line: L,
		listen: string,
		test: number,
		...flags: readonly string[]
	): Promise<Scene<L>> {
		const exchange = new Exchange(await Line.open('127.0.0.10'))
		const ports = { ...portsOf(test), pbx: exchange.line.endpoint.port }
		const world = await World.open(ports, (folder) => [
			...['--listen', `udp:127.0.0.1:${ports.sip}`, '--listen', listen],
			...(flags.includes('--tls-cert') ? [] : certificateFlags(folder)),
			...flags,
		])
		const address = listen.includes('[') ? '::1' : '127.0.0.1'
		const scene = new Scene(world, exchange, line, new Handset('1001', ports.own, line, address))
		await scene.registers()
		return scene
	}

	async registers(): Promise<void> {
		this.anna.phone.register(now())
		await this.anna.next('registered')
	}

	async answered(): Promise<void> {
		await this.anna.next('incoming')
		this.anna.phone.answer(now())
		await Promise.all([this.anna.next('answered'), this.exchange.next('answered')])
	}

	/** Either side may. */
	async hungUp(by: 'phone' | 'pbx'): Promise<void> {
		if (by === 'phone') this.anna.phone.hangup(now())
		else this.exchange.pbx.hangup(this.exchange.pbx.calls.current!, now())
		await (by === 'phone' ? this.exchange : this.anna).next('ended')
	}

	/** What must go well whatever strangers do: a REGISTER, and a call from its beginning to its end. */
	async works(): Promise<void> {
		await this.registers()
		this.exchange.call('1001')
		await this.answered()
		await this.hungUp('pbx')
	}

	async close(): Promise<void> {
		for (const { line } of [this.exchange, this.anna]) line.close()
		await this.world.close()
	}
}
