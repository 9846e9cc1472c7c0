import { expect, test } from 'bun:test'
import type { EventName } from '../../src/core/effects.ts'
import { Secret } from '../../src/lib/secret.ts'
import { type EventFields, formatLine, MAX_VALUE_CHARS } from '../../src/log/format.ts'

const AT = Date.UTC(2026, 10, 22, 21, 0, 0, 123)
const text = (fields: EventFields, name: EventName = 'call-held') => formatLine('text', AT, name, fields)
const json = (fields: EventFields) => JSON.parse(formatLine('json', AT, 'call-held', fields)) as unknown
const PREFIX = '2026-11-22T21:00:00.123Z info call-held'

test('a line of text is time, level, event and fields in their order', () => {
	const line = text({ agent: 'sip:1001@pbx.example', call: '0123456789abcdef', devices: 2, awake: false })
	expect(line).toBe(`${PREFIX} agent=sip:1001@pbx.example call=0123456789abcdef devices=2 awake=false\n`)
	expect(text({}, 'push-refused')).toBe('2026-11-22T21:00:00.123Z warn push-refused\n')
})

test('a line of JSON says the same', () => {
	expect(json({ agent: 'sip:1001@pbx.example', pushMs: 12.5, awake: true, none: undefined })).toEqual({
		time: '2026-11-22T21:00:00.123Z',
		level: 'info',
		event: 'call-held',
		agent: 'sip:1001@pbx.example',
		pushMs: 12.5,
		awake: true,
	})
})

test('fields that are undefined are left out, and numbers JSON has no word for are text', () => {
	expect(text({ a: undefined, b: 1 })).toBe(`${PREFIX} b=1\n`)
	expect(json({ late: Number.NaN })).toHaveProperty('late', 'NaN')
})

test('a value is quoted where it would be ambiguous', () => {
	expect(text({ a: '' })).toEndWith(' a=""\n')
	expect(text({ a: 'two words' })).toEndWith(' a="two words"\n')
	expect(text({ a: 'x=1' })).toEndWith(' a="x=1"\n')
	expect(text({ a: 'say "é"' })).toEndWith(' a="say \\"é\\""\n')
	expect(text({ a: 'Zoë' })).toEndWith(' a=Zoë\n')
})

test('no value starts a line of its own or commands the terminal', () => {
	const hostile = [
		'\r\nx',
		'\u001b[2J',
		'a\u0000b',
		'\u007f',
		'\u009b31m',
		'\u2028',
		'\u202egpj',
		'\ud800',
		'\u{e0041}',
	]
	for (const value of hostile) {
		for (const format of ['text', 'json'] as const) {
			const line = formatLine(format, AT, 'call-held', { agent: value })
			expect(line.slice(0, -1)).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u)
			expect(line).toEndWith('\n')
		}
		expect(json({ agent: value })).toHaveProperty('agent', value)
	}
})

test('a Secret shows its masked form only', () => {
	const secret = new Secret('0123456789abcdef0123456789abcdef')
	expect(text({ device: secret })).toEndWith(' device=0123…ef\n')
	expect(json({ device: secret, token: secret })).toMatchObject({ device: '0123…ef', token: '0123…ef' })
})

test('text under a name that speaks of a secret is never shown', () => {
	for (const name of ['token', 'remoteToken', 'Authorization', 'proxy-authorization', 'jwt', 'apnsJWT'])
		expect(text({ [name]: 'c0ffee' })).toEndWith(` ${name}=[redacted]\n`)
	expect(text({ tokenDead: true })).toEndWith(' tokenDead=true\n')
})

test('a secret inside a text is cut out, and what stands round it stays', () => {
	const contact = 'sip:1@192.0.2.1;pn-prid=c0ffee;ob'
	expect(json({ contact })).toHaveProperty('contact', 'sip:1@192.0.2.1;pn-prid=[redacted];ob')
	const error = 'header Bearer abc.def.ghi, then'
	expect(json({ error })).toHaveProperty('error', 'header Bearer [redacted], then')
	expect(text({ error: 'got eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJUIn0.c2ln' })).not.toContain('ciOi')
	expect(text({ error: 'Authorization: Digest username="1001"' })).not.toContain('Digest')
})

test('a long value is cut before anything else looks at it', () => {
	expect(text({ a: 'x'.repeat(MAX_VALUE_CHARS + 1) })).toEndWith(`${'x'.repeat(MAX_VALUE_CHARS)}…\n`)
	for (const part of ['eyJ', 'pn-tok=', 'bearer ', '\u202e'])
		expect(text({ a: part.repeat(20_000) }).length).toBeLessThan(10 * MAX_VALUE_CHARS)
})
