/** 60 kB shapes that make a careless parser quadratic. CPU, not wall, and far above what they take: a square shows as seconds. */
import { expect, test } from 'bun:test'
import { headerParam, parseNameAddr, setHeaderParam, splitList } from '../../src/sip/address.ts'
import { response } from '../../src/sip/build.ts'
import { Edit } from '../../src/sip/edit.ts'
import { Header } from '../../src/sip/headers.ts'
import { parse } from '../../src/sip/parse.ts'
import { canonicalUser, parseUri, sameUri, uriParam, withoutParams } from '../../src/sip/uri.ts'
import { octets, sample } from './sample.ts'

const SIZE = 60_000
const BOUND_MS = 50

/** One octet pattern after another until the datagram is full. */
const filled = (pattern: string): string => pattern.repeat(Math.floor(SIZE / pattern.length))

const PATTERNS = [
	',',
	';',
	';a=b',
	'\r\n ',
	'a\r\n\t',
	'"',
	'"a"',
	'<',
	'<sip:a@b>,',
	' ',
	'9',
	'"\\',
	':',
	'%41',
	'[',
	'x',
	'@',
]
const NAMES = ['Via', 'Contact', 'Route', 'To', 'Call-ID', 'CSeq', 'Content-Length', 'X-Other']
const LINE = 'REGISTER sip:dest.example SIP/2.0'

const shapes: (readonly [string, string])[] = [
	['header rows', sample().replace('CSeq', `${filled('X:y\r\n')}CSeq`)],
	['Via rows', sample().replace('CSeq', `${filled('Via: SIP/2.0/UDP h\r\n')}CSeq`)],
	['rows ended by LF', `${LINE}\r\n${filled('a:b\n')}`],
	['rows ended by CR', `${LINE}\r\n${filled('a:b\r')}`],
	['rows without a colon', `${LINE}\r\n${filled('ab\r\n')}`],
	['empty lines', filled('\r\n')],
	['words in the start line', `INVITE ${filled('a ')} SIP/2.0\r\n\r\n`],
	['octets without a line end', filled('A')],
	...['@', ';', '%41', ':', '['].map(
		(p) => [`${p} in the Request-URI`, sample([], `INVITE sip:${filled(p)} SIP/2.0`)] as const,
	),
]
for (const name of NAMES) {
	for (const pattern of PATTERNS) {
		shapes.push([`${JSON.stringify(pattern)} in ${name}`, sample([[name, `a${filled(pattern)}`]], LINE)])
	}
}

/** All a proxy may do with one message. */
function work(bytes: Uint8Array): void {
	const message = parse(bytes)
	response(message, { address: '192.0.2.7', port: 1 }, 400, { toTag: 'x' })
	message.list(Header.Contact)
	new Edit(message)
		.stampVia('192.0.2.7', 1)
		.pushVia('v')
		.popVia()
		.popFirst(Header.Route)
		.push(Header.Path, '<sip:p>')
		.finish()
}

/** All a proxy may do with one value. */
function workOn(value: string): void {
	splitList(value)
	parseNameAddr(value)
	headerParam(value, 'zz')
	setHeaderParam(value, 'zz', '1')
	uriParam(value, 'zz')
	const uri = `sip:a@b${value}`
	parseUri(uri)
	sameUri(uri, uri)
	withoutParams(uri, () => true)
	canonicalUser(value)
}

function cpuMs(run: () => void): number {
	const before = process.cpuUsage()
	run()
	const { user, system } = process.cpuUsage(before)
	return (user + system) / 1000
}

test(`60 kB of any hostile shape cost under ${BOUND_MS} ms of CPU`, () => {
	const slow: string[] = []
	for (const [name, text] of shapes) {
		const bytes = octets(text)
		// The best of three: the first runs also pay for compiling, and other tests run beside this one.
		const ms = Math.min(...[1, 2, 3].map(() => cpuMs(() => work(bytes))))
		if (ms > BOUND_MS) slow.push(`${name}: ${ms} ms`)
	}
	expect(slow).toEqual([])
})

test(`a 60 kB value of any hostile shape costs under ${BOUND_MS} ms of CPU`, () => {
	const slow: string[] = []
	for (const pattern of PATTERNS) {
		const value = filled(pattern)
		const ms = Math.min(...[1, 2, 3].map(() => cpuMs(() => workOn(value))))
		if (ms > BOUND_MS) slow.push(`${JSON.stringify(pattern)}: ${ms} ms`)
	}
	expect(slow).toEqual([])
})
