import { describe, expect, test } from 'bun:test'
import { HOST_MAX_LENGTH, isLoopback, isWildcard, KINDS, type Kind, sayDuration } from '../../src/config/kinds.ts'
import { nearest } from '../../src/config/nearest.ts'
import { OPTION_LIST } from '../../src/config/options.ts'

/** Enough for a value of any kind. */
const ANY = { min: 0, max: 1e12, choices: ['one', 'two'] }

function value(kind: Kind, text: string): unknown {
	const reading = KINDS[kind].read(text, ANY)
	return reading.ok ? reading.value : 'REFUSED'
}

const RIGHT: readonly (readonly [Kind, string, unknown])[] = [
	['duration', '5', 5000],
	['duration', '1.5', 1500],
	['duration', '1500ms', 1500],
	['duration', '5s', 5000],
	['duration', '5 s', 5000],
	['duration', '10m', 600_000],
	['duration', '1h', 3_600_000],
	['duration', '0', 0],
	['count', '20', 20],
	['boolean', 'ON', true],
	['boolean', '0', false],
	['choice', 'two', 'two'],
	['listen', 'udp:192.0.2.1:5060', { transport: 'udp', address: '192.0.2.1', port: 5060 }],
	['listen', 'UDP:[2001:DB8::1]:5060', { transport: 'udp', address: '2001:db8::1', port: 5060 }],
	['listen', 'WSS:[2001:DB8::1]:443', { transport: 'wss', address: '2001:db8::1', port: 443 }],
	['hostPort', 'PBX.Example.com', { host: 'pbx.example.com', port: undefined }],
	['hostPort', 'pbx.example.com.:5070', { host: 'pbx.example.com', port: 5070 }],
	['hostPort', '192.0.2.1:5060', { host: '192.0.2.1', port: 5060 }],
	['hostPort', '[2001:db8::1]:5060', { host: '2001:db8::1', port: 5060 }],
	['hostPort', '[2001:db8::1]', { host: '2001:db8::1', port: undefined }],
	['hostPort', '2001:db8:0:0::1', { host: '2001:db8::1', port: undefined }],
	['http', 'localhost:8080', { address: '127.0.0.1', port: 8080 }],
	['http', '[::1]:8080', { address: '::1', port: 8080 }],
	['http', 'off', 'off'],
	['cidr', '192.0.2.77/24', '192.0.2.0/24'],
	['cidr', '2001:db8::1', '2001:db8::1/128'],
	['pbx', 'PBX.example.com', { host: 'pbx.example.com', port: undefined, transport: undefined }],
	['pbx', '[2001:DB8::1]:5070', { host: '2001:db8::1', port: 5070, transport: undefined }],
	['pbx', 'sip:pbx.example;transport=UDP', { host: 'pbx.example', port: undefined, transport: 'udp' }],
	['pbx', 'TCP:pbx.example:5070', { host: 'pbx.example', port: 5070, transport: 'tcp' }],
	['pbx', 'tls:[2001:db8::1]', { host: '2001:db8::1', port: undefined, transport: 'tls' }],
	['pbx', 'sips:pbx.example', { host: 'pbx.example', port: undefined, transport: 'tls' }],
	['pbx', 'sip:pbx.example;transport=tcp', { host: 'pbx.example', port: undefined, transport: 'tcp' }],
	['domain', 'PBX.example', 'pbx.example'],
	['domain', '192.0.2.1', '192.0.2.1'],
	['url', 'HTTPS://Apns.Example:2197/', 'https://apns.example:2197'],
	['webhook', 'HTTP://Desk.Example:81', 'http://desk.example:81/'],
	['webhook', 'https://[2001:db8::1]/Hook?k=A&b', 'https://[2001:db8::1]/Hook?k=A&b'],
	['webhook', 'https://desk.example?k=A', 'https://desk.example?k=A'],
	['header', 'x-Client-Address', 'x-Client-Address'],
	['appleId', 'ABC123DEFG', 'ABC123DEFG'],
	['topic', 'com.example.app.voip', 'com.example.app.voip'],
]

const WRONG: readonly (readonly [Kind, string])[] = [
	['duration', ''],
	['header', 'Contact'],
	['header', 'X-'],
	['header', 'X-A: b'],
	['header', `X-${'a'.repeat(62)}`],
	['duration', '-1'],
	['duration', '5d'],
	['duration', '1e3'],
	['duration', '1.2345'],
	['duration', 'NaN'],
	['count', '1.5'],
	['count', '-1'],
	['count', '9999999999'],
	['choice', 'three'],
	['listen', 'sctp:192.0.2.1:5060'],
	['listen', 'udp:pbx.example.com:5060'],
	['listen', 'udp:192.0.2.1'],
	['listen', 'udp:192.0.2.1:0'],
	['listen', 'udp:192.0.2.1:65536'],
	['listen', 'udp:192.0.2.256:5060'],
	['hostPort', ''],
	['hostPort', 'a b'],
	['hostPort', '-a.example'],
	['hostPort', 'a..example'],
	['hostPort', '192.0.2'],
	['hostPort', '192.0.2.256'],
	['hostPort', 'host:'],
	['hostPort', 'host:http'],
	['hostPort', 'user@host'],
	['hostPort', 'sip:host'],
	['hostPort', `${'a.'.repeat(HOST_MAX_LENGTH / 2)}abc`],
	['http', '8080'],
	['http', 'page.example:8080'],
	['cidr', '192.0.2.0/33'],
	['cidr', '192.0.2.0/x'],
	['cidr', '192.0.2.0/24/1'],
	['cidr', '0.0.0.0/0'],
	['cidr', '::/0'],
	['cidr', 'pbx.example.com'],
	['pbx', 'sip:pbx.example;transport=ws'],
	['pbx', 'tcp:pbx.example;transport=tls'],
	['pbx', 'ws:pbx.example'],
	['pbx', 'tcp:'],
	['pbx', 'sip:pbx.example;lr'],
	['pbx', 'sip:pbx.example;transport=udp;lr'],
	['pbx', 'pbx.example:0'],
	['domain', 'sip:pbx.example'],
	['domain', 'pbx.example:5060'],
	['url', 'http://apns.example'],
	['url', 'https://apns.example/path'],
	['url', 'https://user:pass@apns.example'],
	['webhook', 'desk.example/hook'],
	['webhook', 'ftp://desk.example/'],
	['webhook', 'https://user:pass@desk.example/'],
	['webhook', 'https://desk.example:99999/'],
	['webhook', 'https://desk.example/a b'],
	['webhook', 'https://desk.example/#a'],
	['appleId', 'ABC123DEF'],
	['topic', 'com.example.app'],
]

describe('values', () => {
	for (const [kind, text, wanted] of RIGHT) {
		test(`${kind} reads ${JSON.stringify(text)}`, () => expect(value(kind, text)).toEqual(wanted))
	}

	for (const [kind, text] of WRONG) {
		const shown = JSON.stringify(text.slice(0, 40))
		test(`${kind} refuses ${shown}`, () => expect(value(kind, text)).toBe('REFUSED'))
	}

	test('the example of every kind is right', () => {
		for (const [kind, rule] of Object.entries(KINDS)) {
			if (rule.example !== '') expect(value(kind as Kind, rule.example.replace('@', ''))).not.toBe('REFUSED')
		}
	})

	test('a number is taken at its bounds, refused beyond them, and 0 is taken where it has a meaning', () => {
		for (const option of OPTION_LIST) {
			if (option.min === undefined || option.max === undefined) continue
			const unit = option.kind === 'duration' ? 'ms' : ''
			const read = (n: number) => KINDS[option.kind].read(`${n}${unit}`, option).ok
			expect([read(option.min), read(option.max)]).toEqual([true, true])
			expect([read(option.min - 1), read(option.max + 1)]).toEqual([option.min === 1 && !!option.zero, false])
			expect(read(0)).toBe(option.zero !== undefined)
		}
	})

	test('every number has bounds, and every default is within them', () => {
		for (const option of OPTION_LIST) {
			if (option.kind === 'duration' || option.kind === 'count') expect(option.max).toBeNumber()
			if (option.kind === 'choice') expect(option.choices?.length).toBeGreaterThan(1)
			if (option.default !== undefined)
				expect(KINDS[option.kind].read(option.default, option)).toMatchObject({ ok: true })
		}
	})
})

describe('words', () => {
	test('a duration is said as it could be typed', () => {
		expect([0, 250, 1500, 5000, 60_000, 90_000, 600_000, 7_200_000].map(sayDuration)).toEqual([
			...['0', '250ms', '1.5s', '5s', '1m', '90s', '10m', '2h'],
		])
		for (const ms of [0, 250, 1500, 90_000, 604_800_000]) expect(value('duration', sayDuration(ms))).toBe(ms)
	})

	test('addresses that stand for all, and those that others cannot reach, are known in both families', () => {
		expect(['0.0.0.0', '::', '127.0.0.1', 'host'].map(isWildcard)).toEqual([true, true, false, false])
		expect(['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1', '::', 'localhost'].map(isLoopback)).toEqual([
			...[true, true, true, true, false, false],
		])
	})

	test('the nearest word is offered only when it is near', () => {
		expect(nearest('--hodl', ['--hold', '--http'])).toBe('--hold')
		expect(nearest('--ping', ['--ping-interval'])).toBeUndefined()
		expect(nearest('x'.repeat(100_000), ['--hold'])).toBeUndefined()
	})
})
