import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeCertificate } from '../../src/demo/certificate.ts'
import { Line } from '../../src/demo/line.ts'
import { because, binaryAbsent, until } from './binary.ts'
import { browserAbsent } from './browser.ts'
import { portsOf, World } from './gateway.ts'
import { Exchange, now } from './party.ts'
import { WebPbx, WebPhone } from './web-phone.ts'

const absent = binaryAbsent ?? browserAbsent

/** Chromium takes some seconds to start on a busy machine. */
setDefaultTimeout(30_000)

type Kind = 'ws' | 'wss'
const certificate = makeCertificate(Date.now(), ['gw.example'])
let phone: WebPhone
let world: World
let exchange: Exchange
let url: string

/** The PBX is on UDP, the phone comes by WebSocket. */
async function open(kind: Kind, test: number): Promise<void> {
	exchange = new Exchange(await Line.open('127.0.0.10'), WebPbx)
	const ports = { ...portsOf(test), pbx: exchange.line.endpoint.port }
	url = `${kind}://127.0.0.1:${ports.own}/`
	world = await World.open(ports, (folder) => {
		writeFileSync(join(folder, 'tls.pem'), certificate.certPem)
		writeFileSync(join(folder, 'tls.key'), certificate.keyPem)
		const tls = ['--tls-cert', join(folder, 'tls.pem'), '--tls-key', join(folder, 'tls.key')]
		const listen = ['--listen', `udp:127.0.0.1:${ports.sip}`, '--listen', `${kind}:127.0.0.1:${ports.own}`]
		return kind === 'wss' ? [...listen, ...tls] : listen
	})
	await phone.load()
	expect(await phone.register(url)).toBe('registered outbound 120')
}

const background = () => world.sees('the page is background', ({ gauges }) => gauges.devicesBackground === 1)
const pushed = (count: number) => until('the push is out', () => world.pushes.length === count)

/** Ringing → 200 with a session → ACK. */
async function answered(): Promise<void> {
	await phone.sees(/^incoming \+390612345678$/)
	await phone.say('answer')
	await exchange.next('answered', 8_000)
	await phone.sees(/^confirmed$/)
}

describe.skipIf(absent !== undefined)(`a phone in a browser${because(absent)}`, () => {
	beforeAll(async () => {
		phone = await WebPhone.open(certificate.certPem)
	})

	afterEach(async () => {
		exchange?.line.close()
		await world?.close()
	})

	afterAll(() => phone?.close())

	test.each<[Kind, number]>([
		['ws', 90],
		['wss', 91],
	])('%s: JsSIP registers, is called and hung up on, without a push', async (kind, number) => {
		await open(kind, number)
		const call = exchange.call('1001')
		await exchange.next('ringing')
		await answered()
		const ok = exchange.pbx.recorded.findLast(
			({ message }) => message.status === 200 && message.cseqMethod === 'INVITE',
		)
		expect(ok?.message.text).toMatch(/m=audio \d+ UDP\/TLS\/RTP\/SAVPF/)
		exchange.pbx.hangup(call, now())
		await phone.sees(/^ended by remote$/)
		expect(world.pushes).toEqual([])
	})

	test('the tab is closed: a call pushes at once, and the page that comes back has it', async () => {
		await open('ws', 92)
		await phone.leave()
		await background()
		exchange.call('1001')
		await pushed(1)
		await phone.load()
		await phone.register(url)
		await answered()
		await phone.say('hangUp')
		await exchange.next('ended')
	})

	test('the tab is frozen: its socket lives, yet the call is held, and goes to its new one alone', async () => {
		await open('wss', 93)
		await phone.browser.freeze()
		await background()
		const call = exchange.call('1001')
		await pushed(1)
		await phone.browser.thaw()
		await phone.register(url)
		await answered()
		await phone.sees(/^old socket closed$/)
		exchange.pbx.hangup(call, now())
		await phone.sees(/^ended by remote$/)
		expect(await phone.browser.evaluate<string[]>('phone.events')).toEqual([])
	})
})
