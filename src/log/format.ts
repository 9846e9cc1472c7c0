/** One event as one line: no value can end the line, start another or change how a terminal shows it. */
import { EVENTS, type EventName, type EventValue } from '../core/effects.ts'
import { Secret } from '../lib/secret.ts'

export type LogFormat = 'text' | 'json'
export type LogLevel = 'info' | 'warn' | 'error'
export type EventFields = Readonly<Record<string, EventValue>>

/** A User-Agent may fill a datagram; what one needs to read of any value fits in this. */
export const MAX_VALUE_CHARS = 512

/** Second net under {@link Secret}: a field of such a name never shows its text. */
const SECRET_NAME = /authorization|token|jwt/i
/** Third net, for texts that carry one: push parameters of a Contact URI, header values, JSON Web Tokens. */
const SECRET_IN_TEXT = /(authorization:)[^\r\n]*|((?:pn-prid|pn-tok)=|bearer |(?=eyJ))[^;>,"\s]+/gi
const REDACTED = '[redacted]'

/** Text that needs no quotes: printable ASCII and letters of any language, without space, quote, `=` and backslash. */
const PLAIN = /^[^\s"=\\\p{C}\p{Z}]+$/u
/** What JSON leaves as it is although a terminal obeys it: DEL, C1, line separators, direction marks. */
const UNSAFE = /[\x7f-\x9f\p{Cf}\p{Zl}\p{Zp}]/gu

/** @returns the line with its newline. Fields come in the order given; those that are undefined are left out. */
export function formatLine(format: LogFormat, atMs: number, name: EventName, fields: EventFields): string {
	const time = new Date(atMs).toISOString()
	return format === 'json' ? jsonLine(time, name, fields) : textLine(time, name, fields)
}

/** `2026-11-22T21:00:00.123Z info call-held agent=sip:1001@pbx.example reason="not awake"` */
function textLine(time: string, name: EventName, fields: EventFields): string {
	let line = `${time} ${EVENTS[name]} ${name}`
	for (const key in fields) {
		const value = shown(key, fields[key])
		if (value !== undefined) line += ` ${key}=${typeof value === 'string' ? textValue(value) : value}`
	}
	return `${line}\n`
}

function jsonLine(time: string, name: EventName, fields: EventFields): string {
	let line = `{"time":"${time}","level":"${EVENTS[name]}","event":"${name}"`
	for (const key in fields) {
		const value = shown(key, fields[key])
		if (value !== undefined) line += `,${quoted(key)}:${typeof value === 'string' ? quoted(value) : value}`
	}
	return `${line}}\n`
}

/** What of a value may be seen. Numbers JSON has no word for become text. */
function shown(key: string, value: EventValue): string | number | boolean | undefined {
	if (value instanceof Secret) return value.masked()
	if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
	if (typeof value !== 'string') return value
	if (SECRET_NAME.test(key)) return REDACTED
	const short = value.length > MAX_VALUE_CHARS ? `${value.slice(0, MAX_VALUE_CHARS)}…` : value
	return short.replace(SECRET_IN_TEXT, `$1$2${REDACTED}`)
}

function textValue(value: string): string {
	return PLAIN.test(value) ? value : quoted(value)
}

function quoted(value: string): string {
	return JSON.stringify(value).replace(UNSAFE, escaped)
}

/** By UTF-16 unit, as JSON wants it: some of them lie beyond the first plane. */
function escaped(text: string): string {
	return Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join(
		'',
	)
}
