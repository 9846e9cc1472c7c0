/**
 * The SIP messages of the bench as text. Rows stand in an order that lets an answer be cut out of its request: start line,
 * Via, (Record-Route,) From, Call-ID, CSeq, To, and then all that an answer leaves out. A gateway keeps rows in order.
 */
import { DOMAIN, PORTS } from './job.ts'

export const PBX = `127.0.0.1:${PORTS.pbx}`
export const GATEWAY = `127.0.0.1:${PORTS.gateway}`

const SDP = [
	'v=0',
	'o=- 1731 1731 IN IP4 127.0.0.1',
	's=call',
	'c=IN IP4 127.0.0.1',
	't=0 0',
	'm=audio 18000 RTP/AVP 8 0 101',
	'a=rtpmap:8 PCMA/8000',
	'a=rtpmap:0 PCMU/8000',
	'a=rtpmap:101 telephone-event/8000',
	'a=fmtp:101 0-16',
	'a=sendrecv',
	'',
].join('\r\n')
const WITH_SDP = `Content-Type: application/sdp\r\nContent-Length: ${SDP.length}\r\n\r\n${SDP}`
const NO_BODY = 'Content-Length: 0\r\n\r\n'

/** `agent000042`. */
export const userOf = (agent: number): string => `agent${digits(agent, 6)}`
const digits = (n: number, width: number): string => `${n}`.padStart(width, '0')

/** Token of the agent's phone: its number in hex. */
export const tokenOf = (agent: number): string => agent.toString(16).padStart(64, '0')

/** Agent and number of the item, which every Call-ID of ours carries. */
export const callIdOf = (agent: number, item: number): string => `${digits(agent, 6)}.${digits(item, 9)}@bench`
const CALL_ID = 'Call-ID: '
export function agentIn(text: string): number {
	const at = text.indexOf(CALL_ID) + CALL_ID.length
	return Number(text.slice(at, at + 6))
}
export function itemIn(text: string): number {
	const at = text.indexOf(CALL_ID) + CALL_ID.length + 7
	return Number(text.slice(at, at + 9))
}
/** 1 for INVITE and REGISTER, 2 for BYE. */
export const sequenceIn = (text: string): string => text.charAt(text.indexOf('CSeq: ') + 6)

export function register(agent: number, item: number, port: number, push: boolean): string {
	const user = userOf(agent)
	const pn = push ? `;pn-provider=apns;pn-prid=${tokenOf(agent)};pn-param=ABCDE12345.com.example.app.voip` : ''
	const uri = `sip:${user}@127.0.0.1:${port};transport=udp${pn}`
	return (
		`REGISTER sip:${DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bKr${agent}.${item};rport\r\n` +
		`From: <sip:${user}@${DOMAIN}>;tag=r${item}\r\nCall-ID: ${callIdOf(agent, item)}\r\nCSeq: 1 REGISTER\r\n` +
		`To: <sip:${user}@${DOMAIN}>\r\nMax-Forwards: 70\r\n` +
		`Contact: <${uri}>;+sip.instance="<urn:uuid:00000000-0000-4000-8000-${digits(agent, 12)}>"\r\n` +
		`Expires: 3600\r\nSupported: path, outbound\r\nUser-Agent: BenchPhone/1.0\r\n${NO_BODY}`
	)
}

export function invite(agent: number, item: number, target: string): string {
	return (
		`INVITE ${target} SIP/2.0\r\nVia: SIP/2.0/UDP ${PBX};branch=z9hG4bKi${agent}.${item};rport\r\n` +
		`From: "Queue 600" <sip:600@${DOMAIN}>;tag=p${item}\r\nCall-ID: ${callIdOf(agent, item)}\r\nCSeq: 1 INVITE\r\n` +
		`To: <sip:${userOf(agent)}@${GATEWAY}>\r\nMax-Forwards: 70\r\nContact: <sip:600@${PBX}>\r\n` +
		`Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, INFO, UPDATE, REFER\r\nSupported: timer, replaces\r\n` +
		`User-Agent: BenchPBX/1.0\r\n${WITH_SDP}`
	)
}

/** ACK and BYE of the dialog that this 200 made: RFC 3261 §12.2.1.1, Route from its Record-Route in reverse. */
export function inDialog(method: 'ACK' | 'BYE', answer: string): string {
	const at = answer.indexOf('Contact: <') + 'Contact: <'.length
	const target = answer.slice(at, answer.indexOf('>', at))
	const from = answer.indexOf('From: ')
	const callId = answer.indexOf(CALL_ID, from)
	const to = answer.indexOf('To: ', callId)
	const cseq = method === 'ACK' ? 1 : 2
	return (
		`${method} ${target} SIP/2.0\r\nVia: SIP/2.0/UDP ${PBX};branch=z9hG4bK${method}${itemIn(answer)};rport\r\n` +
		routesOf(answer, from) +
		answer.slice(from, answer.indexOf('\r\n', callId) + 2) +
		`CSeq: ${cseq} ${method}\r\n` +
		answer.slice(to, answer.indexOf('\r\n', to) + 2) +
		`Max-Forwards: 70\r\n${NO_BODY}`
	)
}

const RECORD_ROUTE = 'Record-Route: '
function routesOf(answer: string, end: number): string {
	let routes = ''
	for (let at = answer.indexOf(RECORD_ROUTE); at >= 0 && at < end; at = answer.indexOf(RECORD_ROUTE, at + 1))
		routes = `Route: ${answer.slice(at + RECORD_ROUTE.length, answer.indexOf('\r\n', at) + 2)}${routes}`
	return routes
}

/** Start line gone, up to and with To, which gets a tag where it has none. */
function echo(request: string): string {
	const to = request.indexOf('\r\nTo: ')
	const end = request.indexOf('\r\n', to + 2)
	const rows = request.slice(request.indexOf('\r\n') + 2, end)
	return request.slice(to, end).includes(';tag=') ? `${rows}\r\n` : `${rows};tag=b\r\n`
}

export const ok = (request: string): string => `SIP/2.0 200 OK\r\n${echo(request)}${NO_BODY}`

/** The PBX's: it repeats the Contact it was given. */
export function registered(request: string): string {
	const at = request.indexOf('\r\nContact: ') + 2
	return `SIP/2.0 200 OK\r\n${echo(request)}${contactWithExpires(request.slice(at, request.indexOf('\r\n', at)))}\r\n${NO_BODY}`
}

function contactWithExpires(row: string): string {
	return row.includes(';expires=') ? row : `${row};expires=3600`
}

export const ringing = (request: string, contact: string): string =>
	`SIP/2.0 180 Ringing\r\n${echo(request)}Contact: <${contact}>\r\n${NO_BODY}`
export const answered = (request: string, contact: string): string =>
	`SIP/2.0 200 OK\r\n${echo(request)}Contact: <${contact}>\r\n${WITH_SDP}`

/** What scanners send: three methods in turn, half of them by a tool that says its name, for domains that are not ours. */
export function junk(n: number, address: string, port: number): string {
	const method = (['OPTIONS', 'INVITE', 'REGISTER'] as const)[n % 3]!
	const agent = n % 2 === 0 ? 'friendly-scanner' : 'Zoiper rv2.10.19'
	const host = `203.0.113.${n % 250}`
	return (
		`${method} sip:${method === 'REGISTER' ? '' : '100@'}${host} SIP/2.0\r\nVia: SIP/2.0/UDP ${address}:${port};branch=z9hG4bKj${n};rport\r\n` +
		`From: "100" <sip:100@${host}>;tag=${n}\r\nCall-ID: junk${n}\r\nCSeq: 1 ${method}\r\nTo: "100" <sip:100@${host}>\r\n` +
		`Max-Forwards: 70\r\nContact: <sip:100@${address}:${port}>\r\nUser-Agent: ${agent}\r\n${NO_BODY}`
	)
}
