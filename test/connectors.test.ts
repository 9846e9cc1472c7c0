/** The connections to the PBX as the flags say: over which transports, and what a certificate has to be for. */
import { afterEach, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import type { Config } from '../src/config/options.ts'
import { parseCommandLine } from '../src/config/parse.ts'
import { askOverStream, Connectors, readPbxTls } from '../src/connectors.ts'
import type { Input } from '../src/core/inputs.ts'
import { targetOf } from './core/target.ts'
import { holds } from './transport/loopback.ts'
import { certificateFiles, closeAfterTest, closeAll, FOLDER, listenStream, octets, sip } from './transport/streams.ts'

afterEach(closeAll)

const pbx = certificateFiles('pbx', ['pbx.example'])
const CERTIFICATE = ['--tls-cert', pbx.certFile, '--tls-key', pbx.keyFile]
const LISTEN = ['udp:127.0.0.1:5060', 'tcp:127.0.0.1:5060', 'tls:127.0.0.1:5061'].flatMap((at) => ['--listen', at])

function configOf(...flags: readonly string[]): Config {
	const all = [...LISTEN, ...CERTIFICATE, '--domain', 'a.example', '--pbx', 'pbx.example', ...flags]
	const line = parseCommandLine(all, {}, () => undefined)
	if (!line.ok || line.command !== 'run') throw new Error(JSON.stringify(line))
	return line.config
}

function connectorsOf(...flags: readonly string[]) {
	const inputs: Input[] = []
	const connectors = new Connectors(configOf(...flags), { input: (input) => void inputs.push(input), failed: () => {} })
	expect(connectors.open()).toBeUndefined()
	closeAfterTest(connectors)
	const types = () => inputs.map(({ type }) => type)
	return { connectors, inputs, types }
}

/** Behind the three listeners. */
const TCP = 3
const TLS = 4

describe('the connections to the PBX', () => {
	test('there is a connector for each transport it may have, behind the listeners', () => {
		const { connectors } = connectorsOf()
		expect([2, TCP, TLS, 5].map((index) => connectors.at(index) !== undefined)).toEqual([false, true, true, false])
	})

	test('each machine is connected to over its own transport, and its certificate is for the host in --pbx', async () => {
		const tcp = await listenStream('tcp')
		const tls = await listenStream('tls', { tls: { certificates: [pbx] } })
		const { connectors, types } = connectorsOf('--pbx-ca', pbx.certFile)
		const at = (port: number) => ({ address: '127.0.0.1', port })
		connectors.keep([
			targetOf(at(5099)),
			targetOf(at(tcp.listener.port), { transport: 'tcp' }),
			targetOf(at(tls.listener.port), { transport: 'tls', name: 'one.example', domain: 'pbx.example' }),
		])
		expect(await holds(() => types().length === 2)).toBe(true)
		expect(types()).toEqual(['pbx-connected', 'pbx-connected'])
		/* one that DNS names no more still has calls, and proves the same name */
		connectors.keep([])
		const { key } = tls.ear.opened[0]!.flow
		tls.listener.send(key, octets(sip('a')))
		tls.listener.close(key)
		expect(await holds(() => types().includes('flow-closed'))).toBe(true)
		connectors.at(TLS)!.send('127.0.0.1', tls.listener.port, octets(sip('b')))
		expect(await holds(() => tls.ear.messages.length === 1)).toBe(true)
	})

	test('a certificate for another host than the one in --pbx is told, and nothing is said to that machine', async () => {
		const { listener, ear } = await listenStream('tls', { tls: { certificates: [pbx] } })
		const { connectors, inputs } = connectorsOf('--pbx-ca', pbx.certFile)
		const place = { address: '127.0.0.1', port: listener.port }
		connectors.keep([targetOf(place, { transport: 'tls', name: 'pbx.example', domain: 'other.example' })])
		connectors.at(TLS)!.send(place.address, place.port, octets(sip('a')))
		expect(await holds(() => inputs.length === 1)).toBe(true)
		const reason = 'its certificate is for another name'
		expect(inputs).toEqual([{ type: 'pbx-unreachable', listener: TLS, ...place, reason }])
		expect(ear.messages).toEqual([])
	})

	test('a file that cannot be read is named with its flag, also where one was read before', () => {
		const missing = join(FOLDER, 'none.pem')
		const sentence = `--pbx-ca: ${missing} cannot be read: give the path of a PEM file, and let this user read it.`
		expect(readPbxTls(configOf('--pbx-ca', missing))).toBe(sentence)
		const connectors = new Connectors(configOf('--pbx-ca', missing), { input: () => {}, failed: () => {} })
		expect([connectors.open(), connectors.reload()]).toEqual([sentence, sentence])
		const read = readPbxTls(configOf('--pbx-ca', pbx.certFile, '--pbx-cert', pbx.certFile, '--pbx-key', pbx.keyFile))
		expect(read).toEqual({ ca: pbx.certPem, cert: pbx.certPem, key: pbx.keyPem })
	})
})

describe('push-gateway check', () => {
	const machineAt = (port: number, transport: 'tcp' | 'tls') =>
		({ transport, domain: 'pbx.example', name: 'pbx.example', address: '127.0.0.1', port }) as const
	const nothing = configOf()

	test('a PBX that closes the connection, or says nothing, has not answered', async () => {
		const { listener, ear } = await listenStream('tcp')
		ear.reaction = ({ key }) => listener.close(key)
		const closed = await askOverStream('127.0.0.1', machineAt(listener.port, 'tcp'), nothing)
		expect(closed).toEqual({ ok: false, reason: 'it closed the connection' })
		ear.reaction = () => {}
		const silent = await askOverStream('127.0.0.1', machineAt(listener.port, 'tcp'), nothing)
		expect(silent).toEqual({ ok: false, reason: 'no answer to OPTIONS over TCP within 2 s' })
		expect(ear.texts[0]).toStartWith(
			`OPTIONS sip:127.0.0.1:${listener.port};transport=tcp SIP/2.0\r\nVia: SIP/2.0/TCP `,
		)
	})

	test('over TLS any SIP answer of who proves the name is one', async () => {
		const { listener, ear } = await listenStream('tls', { tls: { certificates: [pbx] } })
		ear.reaction = ({ key }) => void listener.send(key, octets('SIP/2.0 404 Not Found\r\nContent-Length: 0\r\n\r\n'))
		const machine = machineAt(listener.port, 'tls')
		const answer = await askOverStream('127.0.0.1', machine, configOf('--pbx-ca', pbx.certFile))
		expect(answer).toMatchObject({ ok: true, statusLine: 'SIP/2.0 404 Not Found' })
		const other = { ...machine, domain: 'other.example' }
		expect(await askOverStream('127.0.0.1', other, configOf('--pbx-ca', pbx.certFile))).toEqual({
			ok: false,
			reason: 'its certificate is for another name',
		})
		const unread = await askOverStream('127.0.0.1', machine, configOf('--pbx-ca', join(FOLDER, 'none.pem')))
		expect(unread).toMatchObject({ ok: false, reason: expect.stringContaining('cannot be read') })
	})
})
