import { describe, expect, test } from 'bun:test'
import { help, maskedView, optionsMarkdown } from '../../src/config/describe.ts'
import { type Config, envName, OPTION_LIST } from '../../src/config/options.ts'
import { parseCommandLine } from '../../src/config/parse.ts'
import { settingsOf } from '../../src/config/settings.ts'

const TOKEN = 'a-token-that-nobody-may-see-0123456789'

function configOf(...flags: string[]): Config {
	const line = parseCommandLine(['--pbx=pbx.example', '--domain=pbx.example', ...flags], {}, () => undefined)
	if (!line.ok || line.command !== 'run') throw new Error(JSON.stringify(line))
	return line.config
}

function shown(config: Config): Map<string, string> {
	return new Map(maskedView(config).map(({ flag, value }) => [flag, value]))
}

describe('the table in words', () => {
	test('help names every flag and fits a terminal', () => {
		const text = help()
		for (const { flag, help } of OPTION_LIST) for (const said of [flag, help]) expect(text).toContain(said)
		for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(120)
	})

	test('docs/options.md is what the table says: `bun run docs` writes it anew', async () => {
		expect(await Bun.file(new URL('../../docs/options.md', import.meta.url)).text()).toBe(optionsMarkdown())
	})

	test('docs/options.md has every flag with its variable', () => {
		const text = optionsMarkdown()
		for (const { flag } of OPTION_LIST) expect(text).toContain(`\`${envName(flag)}\``)
	})
})

describe('the configuration for the status page', () => {
	const config = configOf(
		'--listen=udp:[2001:db8::1]:5060',
		'--trust=192.0.2.0/24',
		'--trust=192.0.2.9',
		`--http-token=${TOKEN}`,
		`--events=https://desk.example:8443/hooks/${TOKEN}?key=${TOKEN}`,
		`--events-secret=${TOKEN}`,
	)

	test('has every option in its group, as it could be typed', () => {
		const values = shown(config)
		expect(values.size).toBe(OPTION_LIST.length)
		expect(values.get('--listen')).toBe('udp:[2001:db8::1]:5060')
		expect(values.get('--trust')).toBe('192.0.2.0/24, 192.0.2.9/32')
		expect(values.get('--ping-timeout')).toBe('1.5s')
		expect(values.get('--http')).toBe('127.0.0.1:8080')
		expect(values.get('--ringing-on-push')).toBe('no')
		expect(values.get('--apns-key')).toBe('')
	})

	test('shows no secret whole', () => {
		expect(JSON.stringify(maskedView(config))).not.toContain(TOKEN)
		expect(shown(config).get('--http-token')).toBe('a-to…89')
		expect(shown(config).get('--events')).toBe('https://desk.example:8443/…')
		expect(shown(config).get('--events-secret')).toBe('a-to…89')
		expect(shown(configOf('--listen=udp:192.0.2.1:5060')).get('--http-token')).toBe('')
	})
})

describe('settings of the core', () => {
	test('an advertised address goes before the listener, and IPv6 stands in brackets', () => {
		const advertised = (...flags: string[]) => settingsOf(configOf(...flags), '1.0.0').advertised
		expect(advertised('--listen=udp:0.0.0.0:5062', '--advertise=gw.example')).toEqual([
			{ host: 'gw.example', port: 5062, transport: 'UDP' },
		])
		expect(advertised('--listen=udp:[::]:5060', '--advertise=[2001:db8::1]:6060')).toEqual([
			{ host: '[2001:db8::1]', port: 6060, transport: 'UDP' },
		])
		const own = configOf('--listen=udp:[2001:db8::2]:5060')
		expect(settingsOf(own, '1.0.0').advertised).toEqual([{ host: '[2001:db8::2]', port: 5060, transport: 'UDP' }])
	})

	test('one address stands for every listener; else each has its own, that of the PBX side last', () => {
		const advertised = (...flags: string[]) => settingsOf(configOf('--listen=udp:192.0.2.1:5060', ...flags), '1.0.0')
		const tls = ['--listen=tls:192.0.2.1:5061', '--tls-cert=c.pem', '--tls-key=k.pem']
		const told = advertised(...tls, '--pbx-listen=udp:10.0.0.1:5080', '--advertise=gw.example')
		expect(told.advertised).toEqual([
			{ host: 'gw.example', port: 5060, transport: 'UDP' },
			{ host: 'gw.example', port: 5061, transport: 'TLS' },
			{ host: '10.0.0.1', port: 5080, transport: 'UDP' },
		])
		expect(told.pbxSides).toEqual([{ transport: 'udp', listener: 2, sender: 2 }])
		const each = advertised(...tls, '--advertise=a.example', '--advertise=b.example:443')
		expect(each.advertised.map(({ host, port }) => `${host}:${port}`)).toEqual([
			...['a.example:5060', 'b.example:443'],
			/* the connector to a PBX that DNS may have over TLS */
			'b.example:443',
		])
		expect(each.pbxSides).toEqual([
			{ transport: 'udp', listener: 0, sender: 0 },
			{ transport: 'tls', listener: 1, sender: 2 },
		])
	})

	test('units are those that the core asks for', () => {
		const settings = settingsOf(configOf('--listen=udp:192.0.2.1:5060', '--pbx-expires=1h'), '1.2.3')
		expect(settings).toMatchObject({ pbxExpiresSec: 3600, holdMs: 20_000, providers: [], apnsTopic: '' })
		expect(settings.userAgent).toBe('xcally-push-gateway/1.2.3')
	})
})
