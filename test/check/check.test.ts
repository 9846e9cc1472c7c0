import { describe, expect, test } from 'bun:test'
import {
	CLOCK_FLOOR_MS,
	checkExitCode,
	type Finding,
	type PbxMachine,
	type Probes,
	runCheck,
	sayFindings,
} from '../../src/check/check.ts'
import { sidesOf } from '../../src/config/listeners.ts'
import { parseCommandLine } from '../../src/config/parse.ts'

const KEY = ['--apns-key=/k.p8', '--apns-key-id=ABC123DEFG', '--apns-team=TEAM123456', '--apns-topic=a.b.voip']
const FLAGS = ['check', '--pbx=pbx.example', '--domain=pbx.example', '--listen=udp:192.0.2.1:5060', ...KEY]

const machine = (name: string, address: string, port = 5060, transport: PbxMachine['transport'] = 'udp') => ({
	...{ transport, domain: name, name, address, port },
})

/** A world in which all is well. */
const WELL: Probes = {
	now: () => CLOCK_FLOOR_MS,
	readFile: async () => ({ ok: true, text: 'PEM', isShared: false }),
	isP256Key: async () => true,
	readFcmKey: () => ({ ok: true, projectId: 'demo-1', tokenUrl: 'https://oauth2.googleapis.com/token' }),
	locatePbx: async ({ host, port = 5060 }) => ({
		ok: true,
		targets: [machine(host, '192.0.2.9', port)],
		skipped: [],
	}),
	askPbx: async () => ({ ok: true, statusLine: 'SIP/2.0 200 OK', tookMs: 12 }),
	readCertificates: () => [{ names: ['gw.example'], validUntil: CLOCK_FLOOR_MS + 60 * 86_400_000 }],
	bindUdp: async () => undefined,
	bindTcp: async () => undefined,
	tryStore: () => undefined,
	connectTcp: async () => undefined,
	connectTls: async () => undefined,
	localAddresses: () => ['192.0.2.1'],
	lookUp: async (host) => [host],
}

async function check(world: Partial<Probes>, ...flags: string[]): Promise<Finding[]> {
	const line = parseCommandLine([...FLAGS, ...flags], {}, () => undefined)
	if (!line.ok || line.command !== 'check') throw new Error(JSON.stringify(line))
	return runCheck(line.config, sidesOf(line.config), line.warnings, { ...WELL, ...world })
}

function notRight(findings: readonly Finding[]): string[] {
	return findings.filter(({ grade }) => grade !== 'ok').map(({ grade, sentence }) => `${grade}: ${sentence}`)
}

/** What each fault of the world gives rise to; every other finding stays ok. */
const FAULTS: readonly (readonly [string, Partial<Probes>, string, ...string[]])[] = [
	['a clock of 1970', { now: () => 0 }, 'failed: The clock says 1970-01-01T00:00:00.000Z, which cannot be.'],
	[
		'a busy UDP port',
		{ bindUdp: async () => 'the port is in use' },
		'failed: UDP 192.0.2.1:5060 cannot be opened: the port is in use.',
	],
	[
		'a busy HTTP port',
		{ bindTcp: async () => 'the port is in use' },
		'failed: TCP 127.0.0.1:8080 cannot be opened for the status page: the port is in use.',
	],
	[
		'a silent PBX',
		{ askPbx: async () => ({ ok: false, reason: 'no answer' }) },
		'failed: The PBX at 192.0.2.9:5060 (pbx.example) does not answer: no answer.',
	],
	[
		'a PBX that DNS does not know',
		{ locatePbx: async () => ({ ok: false, sentence: 'The name pbx.example has no address.', hint: 'Check it.' }) },
		'failed: The name pbx.example has no address.',
	],
	[
		'a missing key',
		{ readFile: async () => ({ ok: false, reason: 'there is no such file' }) },
		'failed: The APNs key /k.p8 cannot be read: there is no such file.',
	],
	['a key of another kind', { isP256Key: async () => false }, 'failed: /k.p8 is no P-256 private key in PKCS#8 PEM.'],
	[
		'a key others may read',
		{ readFile: async () => ({ ok: true, text: '', isShared: true }) },
		'warning: Other users of this machine may read /k.p8.',
	],
	[
		'a key of a listener that others may read',
		{ readFile: async (path) => ({ ok: true, text: '', isShared: path === '/gw.key' }) },
		'warning: Other users of this machine may read /gw.key.',
		...['--listen=tls:192.0.2.1:5061', '--tls-cert=/gw.pem', '--tls-key=/gw.key'],
	],
	[
		'a key for the PBX that others may read',
		{ readFile: async (path) => ({ ok: true, text: '', isShared: path === '/pbx.key' }) },
		'warning: Other users of this machine may read /pbx.key.',
		...['--pbx-cert=/pbx.pem', '--pbx-key=/pbx.key'],
	],
	[
		'APNs out of reach',
		{ connectTls: async () => 'nobody listens there' },
		'warning: APNs at api.push.apple.com:443 cannot be reached: nobody listens there.',
	],
	[
		'a key of FCM that is none',
		{ readFcmKey: () => ({ ok: false, wrong: 'is no JSON object', hint: 'Make one.' }) },
		'failed: The FCM key /k.json is no JSON object.',
		'--fcm-key=/k.json',
	],
	[
		'FCM out of reach',
		{ connectTls: async (host) => (host === 'fcm.googleapis.com' ? 'nobody listens there' : undefined) },
		'warning: FCM at fcm.googleapis.com:443 cannot be reached: nobody listens there.',
		'--fcm-key=/k.json',
	],
	[
		'the access tokens of FCM out of reach',
		{ connectTls: async (host) => (host === 'oauth2.googleapis.com' ? 'nobody listens there' : undefined) },
		'warning: The access tokens of FCM at oauth2.googleapis.com:443 cannot be reached: nobody listens there.',
		'--fcm-key=/k.json',
	],
	[
		'a receiver of events out of reach',
		{ connectTcp: async () => 'nobody listens there' },
		'warning: The receiver of events at desk.example:8443 cannot be reached: nobody listens there.',
		'--events=https://desk.example:8443/hook?key=0123456789',
		'--events-secret=0123456789abcdef',
	],
	[
		'a database of no use',
		{ tryStore: () => ({ sentence: 'It is corrupt.', hint: 'Mend it.' }) },
		'failed: It is corrupt.',
	],
	[
		'an address of another machine',
		{ localAddresses: () => [] },
		'warning: The advertised address 192.0.2.1:5060 is none of this machine.',
	],
	[
		'an advertised name without address',
		{ lookUp: async () => [] },
		'failed: The advertised address 192.0.2.1:5060 is not known to DNS.',
	],
]

describe('check', () => {
	test('where all is well every finding is ok and the exit code is 0', async () => {
		const findings = await check({})
		expect(notRight(findings)).toEqual([])
		expect(findings).toHaveLength(9)
		expect(checkExitCode(findings)).toBe(0)
		expect(sayFindings(findings)).toEndWith('\nThe gateway can start.\n')
	})

	for (const [name, world, wanted, ...flags] of FAULTS) {
		test(`${name} is told, with a hint what to do`, async () => {
			const findings = await check(world, ...flags)
			expect(notRight(findings)).toEqual([wanted])
			expect(findings.find(({ grade }) => grade !== 'ok')?.hint).not.toBe('')
			expect(checkExitCode(findings)).toBe(wanted.startsWith('failed') ? 1 : 0)
		})
	}

	test("a push service that cannot be reached is told with the flag for a certificate of one's own", async () => {
		const world = { connectTls: async () => 'its certificate is of an authority that is not trusted' }
		const hints = (await check(world, '--fcm-key=/k.json')).map(({ hint }) => hint)
		expect(hints.filter((hint) => hint.endsWith('--apns-ca and --apns-url say what is right.'))).toHaveLength(1)
		expect(hints.filter((hint) => hint.endsWith('--fcm-ca and --fcm-url say what is right.'))).toHaveLength(2)
	})

	test('the hint stands below its sentence, and the closing line counts what failed', async () => {
		const text = sayFindings(await check({ now: () => 0, bindUdp: async () => 'busy' }))
		expect(text).toContain('failed  UDP 192.0.2.1:5060 cannot be opened: busy.\n        → If the gateway')
		expect(text).toEndWith('\n2 to mend before the gateway can do its work.\n')
	})

	test('the listener is looked at, by the address that is advertised for it', async () => {
		const asked: string[] = []
		const findings = await check(
			{ bindUdp: async (...where) => void asked.push(where.join()) },
			'--advertise=gw.example',
		)
		expect(asked).toEqual(['192.0.2.1,5060'])
		expect(notRight(findings)).toEqual(['warning: The advertised address gw.example:5060 is none of this machine.'])
	})

	test('each listener is tried on its own kind of socket, and its certificates are read', async () => {
		const bound: string[] = []
		const flags = ['--listen=tls:192.0.2.1:5061', '--pbx-listen=udp:192.0.2.1:5080', '--tls-cert=c', '--tls-key=k']
		const world = {
			bindUdp: async (...where: unknown[]) => void bound.push(`udp ${where}`),
			bindTcp: async (...where: unknown[]) => void bound.push(`tcp ${where}`),
		}
		const good = await check(world, ...flags, '--http=off')
		expect(bound).toEqual(['udp 192.0.2.1,5060', 'tcp 192.0.2.1,5061', 'udp 192.0.2.1,5080'])
		expect(good.map(({ sentence }) => sentence)).toContain('The certificate of gw.example is good until 2026-03-02.')
		const until = (days: number) => () => [{ names: ['gw.example'], validUntil: CLOCK_FLOOR_MS + days * 86_400_000 }]
		expect(notRight(await check({ readCertificates: until(5) }, ...flags))[0]).toStartWith('warning: The certificate')
		expect(notRight(await check({ readCertificates: until(-1) }, ...flags))[0]).toStartWith('failed: The certificate')
		expect(notRight(await check({ readCertificates: () => 'c is no file.' }, ...flags))).toEqual([
			'failed: c is no file.',
		])
	})

	test('the key of FCM is told with its project, and both places it needs are tried, HTTP/2 or not', async () => {
		const asked: unknown[] = []
		const connectTls = async (...where: unknown[]) => void asked.push(where)
		const findings = await check(
			{ connectTls },
			'--fcm-key=/k.json',
			'--fcm-url=https://fcm.example:8443',
			'--fcm-ca=/ca.pem',
		)
		expect(findings.map(({ sentence }) => sentence)).toContain(
			'The FCM key /k.json is that of a service account of the project demo-1.',
		)
		expect(asked.slice(1)).toEqual([
			['oauth2.googleapis.com', 443, 'PEM', false],
			['fcm.example', 8443, 'PEM', false],
		])
	})

	test('the server of --apns-url is tried with the authority of --apns-ca', async () => {
		const asked: unknown[] = []
		const connectTls = async (...where: unknown[]) => void asked.push(where)
		await check({ connectTls }, '--apns-url=https://[::1]:2197', '--apns-ca=/ca.pem')
		await check({ connectTls }, '--apns-environment=sandbox')
		expect(asked).toEqual([
			['::1', 2197, 'PEM', true],
			['api.sandbox.push.apple.com', 443, undefined, true],
		])
	})

	test('warnings of the command line are findings', async () => {
		const findings = await check({}, '--apns-ca=/ca.pem')
		expect(notRight(findings)[0]).toStartWith('warning: --apns-ca is given without --apns-url')
	})

	test('the listener for apps is looked at as that of the status page is', async () => {
		const flags = ['--public-url=https://gw.example', '--public-http=127.0.0.1:8081']
		const bindTcp: Probes['bindTcp'] = async (_, port) => (port === 8081 ? 'the port is in use' : undefined)
		expect(notRight(await check({ bindTcp }, ...flags))).toEqual([
			'failed: TCP 127.0.0.1:8081 cannot be opened for apps: the port is in use.',
		])
	})

	test('without a status page and without a key nothing is asked about them', async () => {
		const line = parseCommandLine([...FLAGS.slice(0, 4), '--http=off'], {}, () => undefined)
		if (!line.ok || line.command !== 'check') throw new Error(JSON.stringify(line))
		const never = async () => 'asked'
		const findings = await runCheck(line.config, sidesOf(line.config), [], {
			...WELL,
			bindTcp: never,
			connectTls: never,
		})
		expect(notRight(findings)).toEqual([])
	})
})

describe('a PBX of several machines', () => {
	const PAIR = ['--pbx=two.example']
	const answersAt = (address: string): Partial<Probes> => ({
		locatePbx: async ({ host }) => ({
			ok: true,
			targets: [machine(host, host === 'two.example' ? '192.0.2.2' : '192.0.2.1')],
			skipped: host === 'two.example' ? ['two.example offers SIP+D2T.'] : [],
		}),
		askPbx: async (_listen, asked) =>
			asked.address === address
				? { ok: true, statusLine: 'SIP/2.0 200 OK', tookMs: 3 }
				: { ok: false, reason: 'nobody listens there' },
	})

	test('each is asked and told by itself; one that is down is a warning while another one answers', async () => {
		const findings = await check(answersAt('192.0.2.1'), ...PAIR)
		expect(notRight(findings)).toEqual([
			'warning: The PBX at 192.0.2.2:5060 (two.example) does not answer: nobody listens there.',
			'warning: two.example offers SIP+D2T.',
		])
		expect(findings.map(({ sentence }) => sentence)).toContain(
			'The PBX at 192.0.2.1:5060 (pbx.example) answers OPTIONS with "SIP/2.0 200 OK" after 3 ms.',
		)
	})

	test('where none answers each has failed', async () => {
		const findings = await check(answersAt('nowhere'), ...PAIR)
		expect(findings.filter(({ grade }) => grade === 'failed')).toHaveLength(2)
	})
})
