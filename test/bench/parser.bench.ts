/**
 * What the sip room costs: `bun test/bench/parser.bench.ts` prints messages a CPU-second for parsing with full validation,
 * and for parsing plus the edit of a forwarded INVITE. Own messages; no clock is asserted.
 */
import { Edit } from '../../src/sip/edit.ts'
import { Header } from '../../src/sip/headers.ts'
import { installLatin1Codec } from '../../src/sip/latin1.ts'
import { parse } from '../../src/sip/parse.ts'

const SDP = [
	'v=0',
	'o=- 1731 1731 IN IP4 192.0.2.10',
	's=call',
	'c=IN IP4 192.0.2.10',
	't=0 0',
	'm=audio 18000 RTP/AVP 8 0 101',
	'a=rtpmap:8 PCMA/8000',
	'a=rtpmap:0 PCMU/8000',
	'a=rtpmap:101 telephone-event/8000',
	'a=fmtp:101 0-16',
	'a=ptime:20',
	'a=sendrecv',
	'',
].join('\r\n')

function invite(contact: string, extra: readonly string[]): Uint8Array {
	const head = [
		'INVITE sip:gw-1001@192.0.2.1:5060 SIP/2.0',
		'Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKPj5f0c1f4e-6a44-4f0a-9c7e-0d3c5a1b7e21',
		'From: "Queue 600" <sip:600@192.0.2.10>;tag=6d1f7a3c-95c0-4e1b-8a44-2b9b0c4c77aa',
		'To: <sip:gw-1001@192.0.2.1>',
		`Contact: ${contact}`,
		'Call-ID: 3e0b8c2a-2f7c-4a2e-bb7e-7a54b1d0c9e1',
		'CSeq: 20717 INVITE',
		...extra,
		'Max-Forwards: 70',
		'Content-Type: application/sdp',
		`Content-Length: ${SDP.length}`,
	]
	return Buffer.from(`${head.join('\r\n')}\r\n\r\n${SDP}`, 'latin1')
}

const messages: ReadonlyArray<readonly [string, Uint8Array]> = [
	['short INVITE', invite('<sip:600@192.0.2.10>', [])],
	[
		'PBX INVITE',
		invite('<sip:600@192.0.2.10:5060>', [
			'Allow: OPTIONS, REGISTER, SUBSCRIBE, NOTIFY, PUBLISH, INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO, MESSAGE, REFER',
			'Supported: 100rel, timer, replaces, norefersub, histinfo',
			'Session-Expires: 1800',
			'Min-SE: 90',
			'P-Asserted-Identity: "Queue 600" <sip:600@192.0.2.10>',
			'User-Agent: Example PBX 22.1',
		]),
	],
]

function forward(bytes: Uint8Array): number {
	const message = parse(bytes)
	if (message.fault !== undefined) throw new Error(message.fault.code)
	return new Edit(message)
		.uri('sip:agent1001@198.51.100.7:40123;transport=udp')
		.stampVia('192.0.2.10', 5060)
		.pushVia('SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK7c1f0e2b9d3a4c5e')
		.push(Header.RecordRoute, '<sip:AbCdEf0123456789@192.0.2.1:5060;lr>')
		.set(Header.MaxForwards, String(message.maxForwards - 1))
		.finish().length
}

function measure(label: string, work: (bytes: Uint8Array) => number, bytes: Uint8Array): void {
	const rounds = 200_000
	for (let i = 0; i < rounds / 4; i++) work(bytes)
	const before = process.cpuUsage()
	for (let i = 0; i < rounds; i++) work(bytes)
	const { user, system } = process.cpuUsage(before)
	const perCpuSecond = rounds / ((user + system) / 1e6)
	console.log(`${label.padEnd(48)} ${Math.round(perCpuSecond).toLocaleString('en')} msg/CPU-s`)
}

for (const codec of ['pure', 'native'] as const) {
	if (codec === 'native') {
		installLatin1Codec({
			decode: (bytes) => Buffer.prototype.latin1Slice.call(bytes, 0, bytes.length),
			encode: (text) => Buffer.from(text, 'latin1'),
		})
	}
	for (const [name, bytes] of messages) {
		measure(`${codec}: parse ${name}, ${bytes.length} octets`, (b) => parse(b).headerCount, bytes)
		measure(`${codec}: parse and forward ${name}`, forward, bytes)
	}
}
