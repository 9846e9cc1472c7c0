/** The binary with a PBX over TCP and TLS. */
import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeCertificate } from '../../src/demo/certificate.ts'
import { Line } from '../../src/demo/line.ts'
import { BINARY, because, binaryAbsent, until } from './binary.ts'
import { cleanEnvironment, DOMAIN, portsOf, World } from './gateway.ts'
import { Caller, Machine } from './pair.ts'
import { Exchange, Handset, now } from './party.ts'
import { ServerLine } from './server-line.ts'

/** Bounded by the waits in it; this is for a busy machine. */
setDefaultTimeout(30_000)

const KINDS = ['tcp', 'tls'] as const
type Kind = (typeof KINDS)[number]

/** The authority of both sides, which is each one's own certificate. */
const certificate = makeCertificate(Date.now(), ['localhost'])
const NOBODY_ELSE = ['--trust', '192.0.2.1/32']

const closing: { close(): unknown }[] = []
afterEach(async () => {
	for (const one of closing.splice(0).reverse()) await one.close()
})

function closeAfter<T extends { close(): unknown }>(one: T): T {
	closing.push(one)
	return one
}

function temporary(): string {
	const folder = mkdtempSync(join(tmpdir(), 'push-gateway-pbx-'))
	closeAfter({ close: () => rmSync(folder, { recursive: true, force: true }) })
	return folder
}

function tlsFlags(folder: string): string[] {
	writeFileSync(join(folder, 'tls.pem'), certificate.certPem)
	writeFileSync(join(folder, 'tls.key'), certificate.keyPem)
	const [cert, key] = [join(folder, 'tls.pem'), join(folder, 'tls.key')]
	return ['--tls-cert', cert, '--tls-key', key, '--pbx-cert', cert, '--pbx-key', key, '--pbx-ca', cert]
}

const machine = (kind: Kind, port: number, address = '127.0.0.1') =>
	ServerLine.open({ kind, address, port, certificate }).then(closeAfter)

/** A PBX at 127.0.0.1, and perhaps a second machine; Anna's phone is on UDP, and registered. */
async function scene(kind: Kind, number: number, ...flags: readonly string[]) {
	const ports = portsOf(number)
	const line = await machine(kind, ports.own)
	const exchange = new Exchange(line)
	const world = closeAfter(
		await World.open(ports, (folder) => [
			...['--listen', `udp:127.0.0.1:${ports.sip}`, '--listen', `${kind}:127.0.0.1:${ports.own + 1}`],
			...['--pbx', `${kind}:127.0.0.1:${ports.own}`, ...NOBODY_ELSE, '--client-address-header', 'X-Client-Address'],
			...(kind === 'tls' ? tlsFlags(folder) : []),
			...flags,
		]),
	)
	const anna = new Handset('1001', ports.sip, closeAfter(await Line.open('127.0.0.21')))
	anna.phone.register(now())
	await anna.next('registered')
	return { ports, line, exchange, world, anna }
}

type Scene = Awaited<ReturnType<typeof scene>>

/** The PBX calls Anna, who answers. */
async function calledIn({ exchange, anna }: Scene): Promise<void> {
	exchange.call('1001')
	await anna.next('incoming')
	anna.phone.answer(now())
	await Promise.all([anna.next('answered'), exchange.next('answered')])
}

async function calledOut({ anna }: Scene, at: Exchange): Promise<void> {
	anna.phone.call('600', now())
	await at.next('incoming')
	at.pbx.answer(at.pbx.calls.current!, now())
	await Promise.all([anna.next('answered'), at.next('answered')])
}

async function hungUpByAnna({ anna }: Scene, at: Exchange): Promise<void> {
	anna.phone.hangup(now())
	await at.next('ended')
}

const pbxState = (state: string) => (status: { pbx: { targets: readonly { state: string }[] } }) =>
	status.pbx.targets[0]?.state === state

describe.skipIf(binaryAbsent !== undefined)(`a PBX on connections${because(binaryAbsent)}`, () => {
	test.each([...KINDS])('%s: calls go both ways, and either side hangs up', async (kind) => {
		const all = await scene(kind, 150 + KINDS.indexOf(kind))
		const { ports, line, exchange, anna, world } = all
		await calledIn(all)
		exchange.pbx.hangup(exchange.pbx.calls.current!, now())
		await anna.next('ended')
		await calledIn(all)
		await hungUpByAnna(all, exchange)
		await calledOut(all, exchange)
		await hungUpByAnna(all, exchange)
		const { contact } = exchange.pbx.history[0]!
		expect(contact).toBe(`sip:1001@127.0.0.1:${ports.own + 1};transport=${kind}`)
		/* the gateway has one connection to it, and it one to the gateway's listener, as the Contact says */
		expect([line.accepted, line.dialled]).toEqual([1, 1])
		const register = exchange.pbx.recorded.find(({ message }) => message.method === 'REGISTER')!.message
		expect(register.text).toMatch(/^X-Client-Address: 127\.0\.0\.21:\d+;transport=udp\r$/m)
		expect(world.pushes).toEqual([])
	})

	test.each([...KINDS])('%s: a call to a sleeping phone is held, and the phone woken', async (kind) => {
		const all = await scene(kind, 152 + KINDS.indexOf(kind))
		const { anna, exchange, world } = all
		anna.phone.sleep()
		await world.sees("Anna's app is background", ({ gauges }) => gauges.devicesBackground === 1)
		exchange.call('1001')
		await until('the push is out', () => world.pushes.length === 1)
		await anna.wake('127.0.0.22')
		await anna.next('incoming')
		anna.phone.answer(now())
		await Promise.all([anna.next('answered'), exchange.next('answered')])
		await hungUpByAnna(all, exchange)
	})

	test.each([...KINDS])('%s: the PBX dies and comes back, and so do calls', async (kind) => {
		const all = await scene(kind, 154 + KINDS.indexOf(kind), '--pbx-ping', '1s')
		const { line, world, exchange, anna } = all
		line.die()
		await world.sees('the PBX is down', pbxState('down'))
		anna.phone.call('600', now())
		expect(await anna.next('failed')).toMatchObject({ status: 503 })
		await line.start()
		await world.sees('the PBX is up', pbxState('up'), 8_000)
		await calledIn(all)
		await hungUpByAnna(all, exchange)
		await calledOut(all, exchange)
		await hungUpByAnna(all, exchange)
		const told = world.log.flatMap((text) => /pbx-(?:down|up)/.exec(text) ?? [])
		expect(told).toEqual(['pbx-down', 'pbx-up'])
	})

	test('a PBX whose process hangs is down within seconds, and up again when it goes on', async () => {
		const all = await scene('tcp', 163, '--pbx-ping', '1s')
		const { line, world, exchange } = all
		line.hangs = true
		await world.sees('the PBX is down', pbxState('down'), 7_000)
		line.hangs = false
		await world.sees('the PBX is up', pbxState('up'), 4_000)
		expect(line.accepted).toBe(2)
		await calledOut(all, exchange)
		await hungUpByAnna(all, exchange)
	})

	test('over IPv6, on a side of its own', async () => {
		const ports = portsOf(162)
		const line = await machine('tcp', ports.own, '::1')
		const exchange = new Exchange(line)
		const world = closeAfter(
			await World.open(
				ports,
				...['--listen', `udp:127.0.0.1:${ports.sip}`, '--pbx-listen', `tcp:[::1]:${ports.own + 1}`],
				...['--pbx', `tcp:[::1]:${ports.own}`, ...NOBODY_ELSE],
			),
		)
		const anna = new Handset('1001', ports.sip, closeAfter(await Line.open('127.0.0.21')))
		anna.phone.register(now())
		await anna.next('registered')
		const all = { ports, line, exchange, world, anna }
		await calledIn(all)
		await hungUpByAnna(all, exchange)
		await calledOut(all, exchange)
		exchange.pbx.hangup(exchange.pbx.calls.current!, now())
		await anna.next('ended')
	})

	test('a connection that breaks while a phone rings costs no call: the answer goes by another one', async () => {
		const all = await scene('tcp', 156)
		const { line, exchange, anna } = all
		exchange.call('1001')
		await anna.next('incoming')
		line.breakConnections()
		anna.phone.answer(now())
		await Promise.all([anna.next('answered'), exchange.next('answered')])
		await hungUpByAnna(all, exchange)
	})

	test('a machine on TCP dies: calls go to the second one on TLS at once, and back', async () => {
		const second = await machine('tls', portsOf(157).own + 2)
		const other = new Exchange(second)
		const all = await scene(
			...(['tcp', 157, '--pbx', `tls:127.0.0.1:${portsOf(157).own + 2}`, '--pbx-ping', '1s'] as const),
			...[
				'--pbx-listen',
				`tcp:127.0.0.1:${portsOf(157).own + 3}`,
				'--pbx-listen',
				`tls:127.0.0.1:${portsOf(157).own + 4}`,
			],
			...tlsFlags(temporary()),
		)
		const { line, exchange, world } = all
		await calledOut(all, exchange)
		await hungUpByAnna(all, exchange)
		line.die()
		await calledOut(all, other)
		await hungUpByAnna(all, other)
		await line.start()
		await world.sees('the first one is up', pbxState('up'), 8_000)
		await calledOut(all, exchange)
		await hungUpByAnna(all, exchange)
	})

	test('a large request goes by TCP where the machine of UDP has it, and by UDP where nothing listens there', async () => {
		const ports = portsOf(158)
		const pbx = new Machine('127.0.0.11', ports.own)
		await pbx.start()
		closeAfter({ close: () => pbx.die() })
		const line = await machine('tcp', ports.own, '127.0.0.11')
		/* it asks for credentials, so that each says who has answered */
		new Exchange(line)
		const places = ['--pbx', `127.0.0.11:${ports.own}`, '--pbx', `tcp:127.0.0.11:${ports.own}`]
		const listen = ['--listen', `udp:127.0.0.1:${ports.sip}`, '--listen', `tcp:127.0.0.1:${ports.sip}`]
		closeAfter(await World.open(ports, ...listen, ...places, ...NOBODY_ELSE))
		const caller = closeAfter(await Caller.open('127.0.0.31', { address: '127.0.0.1', port: ports.sip }))
		caller.register()
		await until('the phone is registered', () => caller.registered)
		const much = [`X-Much: ${'x'.repeat(2_000)}`]
		const [small, large] = [caller.call(), caller.call(much)]
		await until('both are answered', () => caller.calls.get(small) !== 0 && caller.calls.get(large) !== 0)
		expect([caller.calls.get(small), caller.calls.get(large)]).toEqual([200, 401])
		line.die()
		const later = caller.call(much)
		await until('it is answered over UDP', () => caller.calls.get(later) === 200)
	})

	test.each([...KINDS])('%s: check asks the PBX, and says what is wrong', async (kind) => {
		const ports = portsOf(160 + KINDS.indexOf(kind))
		const line = await machine(kind, ports.own)
		new Exchange(line)
		const folder = temporary()
		const run = async (...flags: readonly string[]) => {
			const listen = ['--listen', `udp:127.0.0.1:${ports.sip}`, '--listen', `${kind}:127.0.0.1:${ports.sip}`]
			const all = ['check', ...listen, '--domain', DOMAIN, '--http', 'off', '--db', join(folder, 'check.db'), ...flags]
			const child = Bun.spawn([BINARY, ...all], { env: cleanEnvironment(), stdout: 'pipe', stderr: 'pipe' })
			return await child.stdout.text()
		}
		const tls = kind === 'tls' ? tlsFlags(folder) : []
		const name = kind.toUpperCase()
		const at = `${name} 127.0.0.1:${ports.own}`
		expect(await run('--pbx', `${kind}:127.0.0.1:${ports.own}`, ...tls)).toContain(
			`The PBX at ${at} answers OPTIONS with "SIP/2.0 200`,
		)
		line.die()
		expect(await run('--pbx', `${kind}:127.0.0.1:${ports.own}`, ...tls)).toContain(
			`The PBX at ${at} does not answer: nothing listens there.`,
		)
		if (kind === 'tcp') return
		await line.start()
		const without = tls.slice(0, -2)
		expect(await run('--pbx', `tls:127.0.0.1:${ports.own}`, ...without)).toContain(
			'does not answer: its certificate is signed by itself and not trusted.',
		)
	})
})
