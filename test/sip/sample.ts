import type { HeaderRow } from '../../src/sip/build.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { parse } from '../../src/sip/parse.ts'

export const octets = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0))
export const textOf = (bytes: Uint8Array): string => Array.from(bytes, (b) => String.fromCharCode(b)).join('')

/** The rows of a good INVITE, those of the same name replaced ('' leaves one out), others added behind. */
export function sample(
	changes: readonly HeaderRow[] = [],
	line = 'INVITE sip:lena@dest.example SIP/2.0',
	body = '',
): string {
	const rows: HeaderRow[] = [
		['Via', 'SIP/2.0/UDP 198.51.100.20:5062;branch=z9hG4bKone'],
		['Max-Forwards', '40'],
		['From', '"Otto" <sip:otto@origin.example>;tag=8e1d'],
		['To', '<sip:lena@dest.example>'],
		['Call-ID', '4711@origin.example'],
		['CSeq', '77 INVITE'],
		['Content-Length', String(body.length)],
	]
	for (const [name, value] of changes) {
		const at = rows.findIndex(([known]) => known === name)
		if (at >= 0) rows[at] = [name, value]
		else rows.push([name, value])
	}
	const head = rows.filter(([, value]) => value !== '').map(([name, value]) => `${name}: ${value}\r\n`)
	return `${line}\r\n${head.join('')}\r\n${body}`
}

export const parsed = (text: string): SipMessage => parse(octets(text))
