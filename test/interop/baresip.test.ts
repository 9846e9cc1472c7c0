import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Line } from '../../src/demo/line.ts'
import { because, binaryAbsent } from './binary.ts'
import { portsOf, World } from './gateway.ts'
import { Exchange, now } from './party.ts'

/** Bounded by the waits in it; this is for a busy machine. */
setDefaultTimeout(20_000)

const MODULES = '/usr/lib/baresip/modules'
const baresipAbsent =
	Bun.which('baresip') === null || !existsSync(MODULES)
		? 'baresip is not installed (Debian package baresip-core)'
		: undefined
const absent = binaryAbsent ?? baresipAbsent

const ports = portsOf(50)
let folder = ''
let world: World
let exchange: Exchange
let phone: ReturnType<typeof Bun.spawn>

afterEach(async () => {
	phone?.kill('SIGKILL')
	exchange?.line.close()
	await world?.close()
	rmSync(folder, { recursive: true, force: true })
})

/** A phone without a sound card that answers by itself. */
function startPhone(): void {
	folder = mkdtempSync(join(tmpdir(), 'push-gateway-baresip-'))
	const lines = [
		...[`sip_listen 127.0.0.41:${ports.own}`, `rtp_ports ${ports.own + 1}-${ports.own + 6}`, `module_path ${MODULES}`],
		...['module account.so', 'module g711.so', 'module aubridge.so', 'module_app menu.so'],
		...['audio_source aubridge,nil', 'audio_player aubridge,nil'],
	]
	const outbound = `outbound="sip:127.0.0.1:${ports.sip};transport=udp"`
	const account = `<sip:1001@pbx.example;transport=udp>;auth_user=1001;auth_pass=anna-secret;${outbound};regint=600;answermode=auto`
	writeFileSync(join(folder, 'config'), `${lines.join('\n')}\n`)
	writeFileSync(join(folder, 'accounts'), `${account}\n`)
	phone = Bun.spawn(['baresip', '-f', folder], { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' })
}

describe.skipIf(absent !== undefined)(`baresip behind the binary${because(absent)}`, () => {
	test('it registers, answers pings, takes a call, hears the BYE, and unregisters as it goes', async () => {
		exchange = new Exchange(await Line.open('127.0.0.10'))
		world = await World.open({ ...ports, pbx: exchange.line.endpoint.port })
		startPhone()
		const bound = await exchange.next('bound')
		expect(bound.contact).toBe(`sip:1001@127.0.0.1:${ports.sip}`)
		await world.sees('it answers pings', ({ counters }) => counters.pongs >= 2)
		const call = exchange.call('1001')
		await exchange.next('answered')
		exchange.pbx.hangup(call, now())
		await world.sees('the BYE is answered', ({ gauges }) => gauges.callsLive === 0)
		phone.kill('SIGTERM')
		expect(await exchange.next('bound')).toMatchObject({ expiresSec: 0 })
		await world.sees('it is gone', ({ agents }) => agents.length === 0)
		expect(world.pushes).toEqual([])
	})
})
