/** A phone on IPv6, and a PBX that has IPv4 alone. */
import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { Line } from '../../src/demo/line.ts'
import { Header } from '../../src/sip/headers.ts'
import { because, binaryAbsent, until } from './binary.ts'
import { portsOf } from './gateway.ts'
import { now, type Speaker } from './party.ts'
import { Scene, STREAM_KINDS } from './scene.ts'
import { StreamLine } from './stream-line.ts'

/** Bounded by the waits in it; this is for a busy machine. */
setDefaultTimeout(20_000)

let scene: Scene<Speaker>

afterEach(() => scene?.close())

async function openAt(kind: (typeof KINDS)[number], test: number): Promise<void> {
	const { own } = portsOf(test)
	const line = kind === 'udp' ? await Line.open('::1') : new StreamLine(kind, '::1', { address: '::1', port: own })
	scene = await Scene.by<Speaker>(line, `${kind}:[::1]:${own}`, test)
}

/** Of the first INVITE that came to the phone or went out from it. */
const invite = (direction: 'in' | 'out') =>
	scene.anna.phone.recorded.find((entry) => entry.direction === direction && entry.message.method === 'INVITE')!.message

const KINDS = ['udp', ...STREAM_KINDS] as const

describe.skipIf(binaryAbsent !== undefined)(`a phone on IPv6${because(binaryAbsent)}`, () => {
	for (const [i, kind] of KINDS.entries()) {
		test(`${kind}: is called by a PBX on IPv4 and calls it, each side sees its own family, and both hang up`, async () => {
			await openAt(kind, 130 + i)
			const { anna, exchange, world } = scene
			exchange.call('1001')
			await scene.answered()
			await scene.hungUp('pbx')
			const [own, far] = invite('in').list(Header.RecordRoute)
			expect(own).toInclude(`@[::1]:${world.ports.own};`)
			expect(far).toInclude(`@127.0.0.1:${world.ports.sip};`)
			expect(invite('in').first(Header.Via)).toStartWith(`SIP/2.0/${kind.toUpperCase()} [::1]:${world.ports.own};`)
			exchange.call('1001')
			await scene.answered()
			await scene.hungUp('phone')
			anna.phone.call('600', now())
			const { call } = await exchange.next('incoming')
			exchange.pbx.answer(call, now())
			await Promise.all([anna.next('answered'), exchange.next('answered')])
			anna.phone.hangup(now())
			await until('the PBX has the BYE', () => call.state === 'ended')
			expect(call.invite.list(Header.RecordRoute)[0]).toInclude(`@127.0.0.1:${world.ports.sip};`)
			expect(exchange.pbx.history[0]!.contact).toBe(`sip:1001@127.0.0.1:${world.ports.sip}`)
			expect((await world.status()).agents[0]!.devices[0]!.address).toBe('::1')
		})
	}

	test('a push wakes it, and it comes back by another connection', async () => {
		await openAt('tls', 130 + KINDS.length)
		const { anna, exchange, world } = scene
		anna.phone.sleep()
		await world.sees('it sleeps', ({ gauges }) => gauges.devicesBackground === 1)
		exchange.call('1001')
		await until('the push is out', () => world.pushes.length === 1)
		await anna.wake('::1')
		await scene.answered()
		await scene.hungUp('phone')
		expect(anna.count('in', 'INVITE')).toBe(1)
	})
})
