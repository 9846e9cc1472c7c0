import { describe, expect, test } from 'bun:test'
import { SECRET_MIN_LENGTH } from '../../src/config/kinds.ts'
import { type Config, ENV_FILE_SUFFIX, envName, MAX_REPEATS, OPTION_LIST } from '../../src/config/options.ts'
import { type Environment, parseCommandLine } from '../../src/config/parse.ts'

const BASE = ['--pbx', 'pbx.example.com', '--domain', 'pbx.example.com', '--advertise', '203.0.113.5']
const TOKEN = '0123456789abcdef'
const FILES: Readonly<Record<string, string>> = { '/run/token': `${TOKEN}\n`, '/run/short': 'abc\n' }

function parse(flags: readonly string[], env: Environment = {}) {
	return parseCommandLine(flags, env, (path) => FILES[path])
}

function configOf(flags: readonly string[], env: Environment = {}): Config {
	const line = parse([...BASE, ...flags], env)
	if (!line.ok || (line.command !== 'run' && line.command !== 'check')) throw new Error(JSON.stringify(line))
	return line.config
}

function sentencesOf(flags: readonly string[], env: Environment = {}): readonly string[] {
	const line = parse(flags, env)
	if (line.ok) throw new Error(`accepted: ${flags.join(' ')}`)
	return line.sentences
}

function warningsOf(flags: readonly string[], env: Environment = {}): readonly string[] {
	const line = parse([...BASE, ...flags], env)
	return line.ok && line.command === 'run' ? line.warnings : []
}

describe('commands', () => {
	test('without a command the gateway runs', () => {
		expect(parse(BASE)).toMatchObject({ ok: true, command: 'run' })
		expect(parse(['run', ...BASE])).toMatchObject({ ok: true, command: 'run' })
	})

	test('check takes the same flags as run', () => {
		expect(parse(['check', ...BASE])).toMatchObject({ ok: true, command: 'check' })
		expect(sentencesOf(['check', '--nonsense'])[0]).toContain('--nonsense')
	})

	test('help and version need no other flag and go before any fault', () => {
		for (const word of ['help', '--help', '-h']) expect(parse([word])).toEqual({ ok: true, command: 'help' })
		for (const word of ['version', '--version', '-V']) expect(parse([word])).toEqual({ ok: true, command: 'version' })
		expect(parse(['check', '--nonsense', '--help'])).toEqual({ ok: true, command: 'help' })
	})

	test('the demo takes --stay and nothing else', () => {
		expect(parse(['demo'])).toEqual({ ok: true, command: 'demo', stay: false })
		expect(parse(['demo', '--stay'])).toEqual({ ok: true, command: 'demo', stay: true })
		expect(sentencesOf(['demo', '--pbx', 'x'])).toHaveLength(2)
	})

	test('an unknown command is named, with the one most likely meant', () => {
		expect(sentencesOf(['chek'])).toEqual(['"chek" is no command: did you mean check?'])
		expect(sentencesOf(['frobnicate'])).toEqual(['"frobnicate" is no command: see --help.'])
	})
})

describe('flags', () => {
	test('what is not given has the default of the table', () => {
		expect(configOf([])).toMatchObject({
			listen: [{ transport: 'udp', address: '0.0.0.0', port: 5060 }],
			pbx: [{ host: 'pbx.example.com', port: undefined, transport: undefined }],
			pbxPingMs: 5_000,
			trust: [],
			pingIntervalMs: 5000,
			pingTimeoutMs: 1500,
			pingMisses: 2,
			holdMs: 20_000,
			pbxExpiresMs: 0,
			ringingOnPush: false,
			apnsKey: undefined,
			apnsEnvironment: 'production',
			strangers: 'drop',
			registerRate: 20,
			banAfter: 8,
			banMs: 600_000,
			db: 'push-gateway.db',
			http: { address: '127.0.0.1', port: 8080 },
			httpToken: undefined,
			logFormat: 'text',
			logLevel: 'info',
		})
	})

	test('a value may follow the flag or stand behind an equals sign', () => {
		expect(configOf(['--hold', '30']).holdMs).toBe(30_000)
		expect(configOf(['--hold=30']).holdMs).toBe(30_000)
		expect(configOf(['--db=a=b']).db).toBe('a=b')
	})

	test('a switch is --flag, --no-flag or --flag=yes', () => {
		expect(configOf(['--ringing-on-push']).ringingOnPush).toBe(true)
		expect(configOf(['--ringing-on-push=yes']).ringingOnPush).toBe(true)
		expect(configOf(['--no-ringing-on-push']).ringingOnPush).toBe(false)
		expect(sentencesOf([...BASE, '--no-hold'])[0]).toContain('is no flag')
		for (const value of ['yes', 'no', ''])
			expect(sentencesOf([...BASE, `--no-ringing-on-push=${value}`])).toEqual([
				'--no-ringing-on-push takes no value: write --no-ringing-on-push alone, or --ringing-on-push=no.',
			])
		expect(sentencesOf([...BASE, '--ringing-on-push=maybe'])).toEqual(['--ringing-on-push: "maybe" must be yes or no.'])
	})

	test('a flag that may be repeated keeps its values in order', () => {
		const config = configOf(['--trust', '192.0.2.7', '--trust', '10.1.2.3/8', '--trust=2001:db8:0::/32'])
		expect(config.trust).toEqual(['192.0.2.7/32', '10.0.0.0/8', '2001:db8::/32'])
	})

	test('a flag that may not be repeated is refused the second time', () => {
		expect(sentencesOf([...BASE, '--hold', '5', '--hold', '6'])).toEqual(['--hold is given 2 times: give it once.'])
	})

	test(`no flag is taken more than ${MAX_REPEATS} times`, () => {
		const trusts = (count: number) => Array.from({ length: count }, (_, i) => `--trust=192.0.2.${i}`)
		expect(configOf(trusts(MAX_REPEATS)).trust).toHaveLength(MAX_REPEATS)
		expect(sentencesOf([...BASE, ...trusts(MAX_REPEATS + 1)])).toHaveLength(1)
	})

	test('an unknown flag is named, with the one most likely meant, and its value is not taken for a fault of its own', () => {
		expect(sentencesOf([...BASE, '--pnig-interval', '4'])).toEqual([
			'"--pnig-interval" is no flag: did you mean --ping-interval?',
		])
		expect(sentencesOf([...BASE, '--zzz'])).toEqual(['"--zzz" is no flag: see --help.'])
		expect(sentencesOf([...BASE, 'stray'])).toEqual(['"stray" stands alone: a value belongs behind its flag.'])
	})

	test('every bad flag gets one sentence', () => {
		const said = sentencesOf(['--pbx', '--domain', 'a b', '--hold', '1', '--ping-misses=x', '--log-format', 'xml'])
		expect(said).toHaveLength(5)
		for (const flag of ['--pbx', '--domain', '--hold', '--ping-misses', '--log-format']) {
			expect(said.filter((sentence) => sentence.startsWith(flag))).toHaveLength(1)
		}
	})

	test('a flag that is required and absent is asked for with an example', () => {
		expect(sentencesOf(['--domain', 'a.example', '--advertise', '203.0.113.5'])).toEqual([
			'--pbx is missing: the PBX; further ones in the order of preference, such as --pbx pbx.example.com.',
		])
	})

	test('a flag with nothing behind its equals sign is asked for a value', () => {
		expect(sentencesOf([...BASE, '--suspect-after='])).toEqual([
			'--suspect-after needs a value, such as --suspect-after 3.',
		])
	})

	test('a count that is none is told what may be chosen', () => {
		expect(sentencesOf([...BASE, '--suspect-after=x'])).toEqual([
			'--suspect-after: "x" is no whole number: choose from 1 to 100, or 0: never.',
		])
	})

	test('a wrong value is repeated only in part, and control characters of it are escaped', () => {
		const [sentence] = sentencesOf([...BASE, '--hold', `\u001b[2J${'x'.repeat(10_000)}`])
		expect(sentence!.length).toBeLessThan(250)
		expect(sentence).not.toContain('\u001b')
	})
})

describe('environment', () => {
	test('every option can come from its variable', () => {
		const config = configOf([], { PUSH_GATEWAY_HOLD: '7s', PUSH_GATEWAY_RINGING_ON_PUSH: 'on' })
		expect(config.holdMs).toBe(7000)
		expect(config.ringingOnPush).toBe(true)
	})

	test('a flag goes before its variable', () => {
		expect(configOf(['--hold', '9'], { PUSH_GATEWAY_HOLD: '7' }).holdMs).toBe(9000)
	})

	test('values of a repeatable option stand apart by commas or spaces', () => {
		expect(configOf([], { PUSH_GATEWAY_TRUST: '192.0.2.1, 192.0.2.2 192.0.2.3' }).trust).toHaveLength(3)
	})

	test('an empty variable counts as absent', () => {
		expect(configOf([], { PUSH_GATEWAY_HOLD: '' }).holdMs).toBe(20_000)
	})

	test('a bad variable is named as a variable', () => {
		expect(sentencesOf(BASE, { PUSH_GATEWAY_HOLD: 'soon' })[0]).toStartWith('PUSH_GATEWAY_HOLD: "soon" is no time')
	})

	test('a misspelt variable is a warning', () => {
		expect(warningsOf([], { PUSH_GATEWAY_HODL: '5' })[0]).toContain('did you mean PUSH_GATEWAY_HOLD?')
		expect(warningsOf([], { HODL: '5' }).join()).not.toContain('HODL')
	})

	test('names of variables are made of the flags, one each', () => {
		const names = OPTION_LIST.map(({ flag }) => envName(flag))
		expect(new Set(names).size).toBe(names.length)
		for (const name of names) expect(name).toMatch(/^PUSH_GATEWAY_[A-Z]+(_[A-Z]+)*$/)
		expect(names.some((name) => name.endsWith(ENV_FILE_SUFFIX))).toBe(false)
	})
})

describe('secrets', () => {
	test('a secret can come from a file, by flag or by variable', () => {
		expect(configOf(['--http-token', '@/run/token']).httpToken?.reveal()).toBe(TOKEN)
		expect(configOf([], { PUSH_GATEWAY_HTTP_TOKEN_FILE: '/run/token' }).httpToken?.reveal()).toBe(TOKEN)
		expect(configOf([], { PUSH_GATEWAY_HTTP_TOKEN: TOKEN }).httpToken?.reveal()).toBe(TOKEN)
	})

	test('a file that cannot be read is named', () => {
		expect(sentencesOf([...BASE, '--http-token', '@/nowhere'])[0]).toContain('"/nowhere" cannot be read')
	})

	test('both variables of a secret at once are one too many', () => {
		const env = { PUSH_GATEWAY_HTTP_TOKEN: TOKEN, PUSH_GATEWAY_HTTP_TOKEN_FILE: '/run/token' }
		expect(sentencesOf(BASE, env)).toHaveLength(1)
	})

	test(`a secret has at least ${SECRET_MIN_LENGTH} characters, and no sentence repeats it`, () => {
		const [sentence] = sentencesOf([...BASE, '--http-token', 'hunter2'])
		expect(sentence).toContain(`at least ${SECRET_MIN_LENGTH}`)
		expect(sentence).not.toContain('hunter2')
		expect(sentencesOf([...BASE, '--http-token=@/run/short'])[0]).not.toContain('abc')
		expect(sentencesOf([...BASE, '--http-token', 'with a space in it'])).toHaveLength(1)
	})
})

describe('what must hold between options', () => {
	const REQUIRED = ['--pbx', 'pbx.example.com', '--domain', 'pbx.example.com']

	test('a listener on every address needs --advertise', () => {
		expect(sentencesOf(REQUIRED)[0]).toContain('add --advertise HOST')
		expect(sentencesOf([...REQUIRED, '--listen', 'udp:[::]:5060'])[0]).toContain('add --advertise HOST')
		expect(parse([...REQUIRED, '--listen', 'udp:192.0.2.1:5060']).ok).toBe(true)
	})

	test('an advertised address stands for all listeners, or there is one for each, and none is for all addresses', () => {
		const advertised = ['--advertise', '203.0.113.6', '--advertise', '203.0.113.7']
		expect(sentencesOf([...REQUIRED, ...advertised])).toEqual([
			'--advertise is given 2 times for 1 listener: give it once, or once for each in their order.',
		])
		expect(sentencesOf([...REQUIRED, '--advertise', '0.0.0.0'])).toHaveLength(1)
		const two = ['--listen', 'udp:0.0.0.0:5060', '--listen', 'tcp:0.0.0.0:5060']
		expect(parse([...REQUIRED, ...two, '--advertise', '203.0.113.6']).ok).toBe(true)
		expect(parse([...REQUIRED, ...two, ...advertised]).ok).toBe(true)
		expect(sentencesOf([...REQUIRED, ...two, '--advertise', '203.0.113.6:5070'])).toEqual([
			'--advertise has a port and stands for several listeners: leave the port out, or give one for each.',
		])
		const apart = ['--pbx-listen', 'udp:0.0.0.0:5080', '--advertise', '203.0.113.6']
		expect(sentencesOf([...REQUIRED, ...apart])[0]).toContain('A listener is on 0.0.0.0')
	})

	test('a PBX is spoken to over what a listener has, of --pbx-listen where that is given', () => {
		const with_ = (...flags: string[]) => ['--domain', 'pbx.example.com', ...flags]
		const [udp, tcp] = ['udp:192.0.2.1:5060', 'tcp:192.0.2.1:5060'].map((at) => ['--listen', at] as const)
		const refused = (...flags: string[]) => sentencesOf(with_(...flags))
		expect(refused('--pbx', '192.0.2.7', ...tcp!)).toEqual([
			'--pbx 192.0.2.7 is spoken to over UDP, and no listener has it: add --listen udp:ADDRESS:PORT, or --pbx-listen udp:ADDRESS:PORT.',
		])
		expect(refused('--pbx', 'tcp:192.0.2.7', ...udp!)[0]).toStartWith('--pbx 192.0.2.7 is spoken to over TCP')
		expect(refused('--pbx', 'tls:pbx.example', ...udp!, ...tcp!)[0]).toContain('add --listen tls:ADDRESS:PORT')
		expect(refused('--pbx', 'tcp:pbx.example', ...tcp!, '--pbx-listen', 'udp:10.0.0.1:5060')[0]).toContain('over TCP')
		expect(refused('--pbx', 'pbx.example:5060', ...tcp!)[0]).toContain('over UDP')
		for (const flags of [
			['--pbx', 'pbx.example', ...tcp!],
			['--pbx', 'tcp:192.0.2.7', ...tcp!],
			['--pbx', '192.0.2.7', '--pbx', 'tcp:192.0.2.7', ...udp!, ...tcp!],
			['--pbx', '192.0.2.7', ...tcp!, '--pbx-listen', 'udp:10.0.0.1:5060', '--pbx-listen', 'tcp:10.0.0.1:5060'],
		])
			expect(parse(with_(...flags)).ok).toBe(true)
	})

	test('--pbx-listen is given once for a transport, and for one that a PBX speaks', () => {
		const said = (...at: string[]) =>
			sentencesOf([...REQUIRED, '--listen', 'udp:192.0.2.1:5060', ...at.flatMap((one) => ['--pbx-listen', one])])
		expect(said('udp:10.0.0.1:5060', 'udp:10.0.0.2:5060')).toEqual([
			'--pbx-listen is given twice for udp: give one for each transport.',
		])
		expect(said('ws:10.0.0.1:80')[0]).toStartWith('--pbx-listen ws: must begin with udp:, tcp: or tls:')
		expect(said('tls:10.0.0.1:5061')).toContain(
			'--pbx-listen tls: needs a certificate: add --tls-cert FILE and --tls-key FILE.',
		)
	})

	test('two listeners on one place are refused before the system blames another program', () => {
		const base = ['--domain', 'a.b', '--pbx', '192.0.2.7', '--listen', 'udp:192.0.2.1:5060']
		expect(sentencesOf([...base, '--pbx-listen', 'udp:192.0.2.1:5060'])).toEqual([
			'Two listeners are on UDP 192.0.2.1:5060: give each a port of its own, or leave one out.',
		])
		expect(sentencesOf([...base, '--listen', 'tcp:[2001:db8::1]:80', '--listen', 'ws:[2001:db8::1]:80'])).toEqual([
			'Two listeners are on TCP [2001:db8::1]:80: give each a port of its own, or leave one out.',
		])
		expect(parse([...base, '--listen', 'tcp:192.0.2.1:5060', '--listen', 'udp:192.0.2.2:5060']).ok).toBe(true)
	})

	test('a PBX over a transport there is not, is told of those there are', () => {
		for (const pbx of ['sctp:192.0.2.7', 'http://pbx.example'])
			expect(sentencesOf([...BASE, '--pbx', pbx])).toEqual([
				`--pbx: "${pbx}" must be HOST or HOST:PORT, perhaps with udp:, tcp: or tls: before it.`,
			])
	})

	test('an authority for phones that no listener asks for is told', () => {
		expect(warningsOf(['--tls-client-ca', 'ca.pem']).join()).toContain('--tls-client-ca is given without')
	})

	test('the certificate for the PBX goes with its key, and --pbx-ca with a PBX over TLS', () => {
		const listen = ['--domain', 'a.b', '--listen', 'udp:192.0.2.1:5060']
		expect(sentencesOf([...listen, '--pbx', '192.0.2.7', '--pbx-cert', 'a.pem'])).toEqual([
			'--pbx-cert and --pbx-key go together: give both.',
		])
		const warned = warningsOf(['--pbx', '192.0.2.7', '--pbx-ca', 'ca.pem'])
		expect(warned.filter((sentence) => sentence.includes('--pbx-ca'))).toHaveLength(1)
	})

	test('a secure listener needs a certificate, and each certificate a key', () => {
		const wss = ['--listen', 'udp:192.0.2.1:5060', '--listen', 'wss:192.0.2.1:443']
		expect(sentencesOf([...REQUIRED, ...wss])).toEqual([
			'--listen wss: needs a certificate: add --tls-cert FILE and --tls-key FILE.',
		])
		const cert = ['--tls-cert', 'a.pem']
		expect(sentencesOf([...REQUIRED, ...wss, ...cert])).toEqual([
			'--tls-cert is given once and --tls-key 0 times: give a key for each certificate.',
		])
		expect(parse([...REQUIRED, ...wss, ...cert, '--tls-key', 'a.key']).ok).toBe(true)
		const idle = parse([...REQUIRED, '--listen', 'udp:192.0.2.1:5060', ...cert, '--tls-key', 'a.key'])
		expect(idle.ok && 'warnings' in idle && idle.warnings.join()).toContain('nobody will see the certificate')
	})

	test('the status page off loopback needs a token', () => {
		expect(sentencesOf([...BASE, '--http', '0.0.0.0:8080'])[0]).toContain('--http-token')
		expect(sentencesOf([...BASE, '--http', '192.0.2.1:8080'])[0]).toContain('--http-token')
		expect(parse([...BASE, '--http', '0.0.0.0:8080', '--http-token', TOKEN]).ok).toBe(true)
		for (const local of ['127.0.0.1:1', '127.9.9.9:1', '[::1]:1', 'localhost:1', 'off']) {
			expect(parse([...BASE, '--http', local]).ok).toBe(true)
		}
	})

	test('the APNs key, its id and the team come together or not at all', () => {
		const key = ['--apns-key', '/k.p8']
		expect(sentencesOf([...BASE, ...key])[0]).toContain('--apns-key-id and --apns-team are missing')
		const all = [...key, '--apns-key-id', 'ABC123DEFG', '--apns-team', 'TEAM123456']
		expect(parse([...BASE, ...all]).ok).toBe(true)
		expect(sentencesOf([...BASE, ...all.slice(2)])[0]).toContain('--apns-key is missing')
	})

	test('a ping may not outlast the interval between two', () => {
		expect(sentencesOf([...BASE, '--ping-interval', '1'])[0]).toContain('--ping-timeout')
		expect(parse([...BASE, '--ping-interval', '1', '--ping-timeout', '0.5']).ok).toBe(true)
		expect(parse([...BASE, '--ping-interval', '0']).ok).toBe(true)
	})

	test('a timeout that nobody gave is said to be the default', () => {
		expect(sentencesOf([...BASE, '--ping-interval', '500ms'])[0]).toStartWith(
			'--ping-timeout (1.5s by default) is longer than --ping-interval (500ms)',
		)
		expect(sentencesOf([...BASE, '--ping-interval', '500ms', '--ping-timeout', '2'])[0]).toStartWith(
			'--ping-timeout (2s) is longer',
		)
	})

	test('what apps ask needs a listener, and a listener for them needs an address they know', () => {
		const url = ['--public-url', 'https://gw.example']
		expect(parse([...BASE, ...url]).ok).toBe(true)
		expect(sentencesOf([...BASE, ...url, '--http', 'off'])[0]).toContain('nothing listens for it')
		expect(parse([...BASE, ...url, '--http', 'off', '--public-http', '127.0.0.1:8081']).ok).toBe(true)
		expect(sentencesOf([...BASE, '--public-http', '127.0.0.1:8081'])[0]).toContain('without --public-url')
	})

	test('the status page and what apps ask do not share a listener by two flags', () => {
		const at = (publicHttp: string) => [...BASE, '--public-url', 'https://gw.example', '--public-http', publicHttp]
		for (const same of ['127.0.0.1:8080', 'localhost:8080', '0.0.0.0:8080'])
			expect(sentencesOf(at(same))).toEqual([
				'--public-http and --http are the same: give them two ports, or leave --public-http out.',
			])
		for (const other of ['127.0.0.1:8081', '127.0.0.2:8080']) expect(parse(at(other)).ok).toBe(true)
	})

	test('the gateway is not its own PBX', () => {
		const own = (pbx: string, ...listen: string[]) =>
			parse(['--pbx', pbx, '--domain', 'pbx.example.com', ...listen]).ok === false
		const one = ['--listen', 'udp:192.0.2.1:5060']
		for (const pbx of ['192.0.2.1', '192.0.2.1:5060']) expect(own(pbx, ...one)).toBe(true)
		for (const pbx of ['192.0.2.1:5070', '192.0.2.2', 'gw.example']) expect(own(pbx, ...one)).toBe(false)
		const named = [...one, '--advertise', 'gw.example']
		expect([own('gw.example:5060', ...named), own('gw.example:5070', ...named)]).toEqual([true, false])
		expect(own('gw.example', ...named)).toBe(false)
		const every = ['--listen', 'udp:0.0.0.0:5060', '--advertise', '203.0.113.5']
		expect([own('127.0.0.1', ...every), own('127.0.0.1:5070', ...every)]).toEqual([true, false])
		expect(own('203.0.113.5', ...every)).toBe(true)
	})

	test('a PBX of a family that nothing listens for is refused', () => {
		const said = (pbx: string, listen: string) =>
			sentencesOf(['--pbx', pbx, '--domain', 'pbx.example.com', '--listen', listen])
		expect(said('2001:db8::7', 'udp:192.0.2.1:5060')).toEqual([
			'--pbx 2001:db8::7 is an IPv6 address, and --listen has IPv4 alone: give --listen an address of the same family.',
		])
		expect(said('192.0.2.7', 'udp:[2001:db8::1]:5060')[0]).toStartWith('--pbx 192.0.2.7 is an IPv4 address')
		expect(parse(['--pbx', '[2001:db8::7]', '--domain', 'a.b', '--listen', 'udp:[2001:db8::1]:5060']).ok).toBe(true)
	})

	test('events without a secret, and a secret without events, are warnings', () => {
		const said = (...flags: string[]) => warningsOf(flags).filter((sentence) => sentence.includes('--events'))
		const [url, secret] = ['--events=http://127.0.0.1:8090/', '--events-secret=@/run/token']
		expect(said(url)).toEqual([
			'No --events-secret is given: events are posted unsigned, and the receiver cannot tell who made them.',
		])
		expect(said(secret)[0]).toContain('without --events')
		expect(said(url, secret)).toEqual([])
	})

	test('no key, no topic and an authority without a server are warnings', () => {
		expect(warningsOf([])).toEqual([
			'Neither --apns-key nor --fcm-key is given: calls reach awake devices only, and no sleeping one is woken.',
		])
		const key = ['--apns-key', '/k.p8', '--apns-key-id', 'ABC123DEFG', '--apns-team', 'TEAM123456']
		expect(warningsOf(key)[0]).toContain('--apns-topic')
		expect(warningsOf([...key, '--apns-topic', 'a.b.voip'])).toEqual([])
		expect(warningsOf([...key, '--apns-topic', 'a.b.voip', '--apns-ca', '/ca.pem'])[0]).toContain('--apns-url')
		for (const flag of ['--apns-url=https://apns.example', '--apns-ca=/ca.pem'])
			expect(warningsOf([flag]).slice(1)).toEqual([
				`${flag.split('=')[0]} is given without --apns-key: nothing is pushed there.`,
			])
	})

	test('a key for Android alone is enough, and what belongs to it is idle without', () => {
		expect(warningsOf(['--fcm-key', '/k.json'])).toEqual([])
		expect(warningsOf(['--fcm-url=https://fcm.example', '--fcm-ca=/ca.pem']).slice(1)).toEqual([
			'--fcm-url and --fcm-ca are given without --fcm-key: nothing is pushed there.',
		])
	})
})
