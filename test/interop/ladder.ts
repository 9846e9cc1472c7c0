/**
 * Scenarios for both ends of a dialog, out of one ladder: what one side is to send, the other is to get, with every header row and the body as they
 * were sent. So each ladder is a proof that its messages pass unharmed, whichever side calls.
 */
import type { Scenario } from './sipp.ts'

export interface Rung {
	readonly by: 'caller' | 'callee'
	/** `INVITE`, or an answer with the method it is for: `183 INVITE`. */
	readonly says: string
	readonly rows?: readonly string[]
	/** Lines; SDP, unless a Content-Type stands in `rows`. */
	readonly body?: readonly string[]
}

export const sdp = (...lines: readonly string[]): readonly string[] => [
	'v=0',
	'o=- 1 1 IN IP4 [local_ip]',
	's=-',
	'c=IN IP4 [local_ip]',
	't=0 0',
	'm=audio 4000 RTP/AVP 8 101',
	'a=rtpmap:101 telephone-event/8000',
	...lines,
]

export const caller = (says: string, rows: readonly string[] = [], body: readonly string[] = []): Rung => ({
	...{ by: 'caller', says, rows, body },
})
export const callee = (says: string, rows: readonly string[] = [], body: readonly string[] = []): Rung => ({
	...{ by: 'callee', says, rows, body },
})

/** From the INVITE to the ACK. */
export const ANSWERED = [
	caller('INVITE', [], sdp()),
	callee('180 INVITE'),
	callee('200 INVITE', [], sdp()),
	caller('ACK'),
]

/** One end. */
export interface Party {
	/** Its own Contact. */
	readonly contact: string
	/** What the Contact of the other end looks like from here, POSIX extended. */
	readonly farContact: string
}

export interface Caller extends Party {
	readonly from: string
	readonly to: string
	readonly uri: string
}

export const app: Party = {
	contact: '<sip:1001@[local_ip]:[local_port];pn-provider=apns;pn-prid=[token]:voip>',
	farContact: '<sip:asterisk@127[0-9.]+:[0-9]+>',
}
export const pbx: Party = {
	contact: '<sip:asterisk@[local_ip]:[local_port]>',
	farContact: '<sip:1001@127\\.0\\.0\\.1:[0-9]+>',
}
export const callingApp: Caller = {
	...app,
	from: '<sip:1001@pbx.example>',
	to: '<sip:600@pbx.example>',
	uri: 'sip:600@pbx.example',
}
export const callingPbx: Caller = {
	...pbx,
	from: '"Carla Caller" <sip:0612345678@[local_ip]>',
	to: '<sip:[service]@[remote_ip]:[remote_port]>',
	uri: 'sip:[service]@[remote_ip]:[remote_port]',
}

/** Requests and answers that carry a Contact (RFC 3261 table 2, RFC 3311, RFC 3515, RFC 6665). */
const WITH_CONTACT = /^(?:INVITE|UPDATE|REFER|NOTIFY|(?:18\d|2\d\d) (?:INVITE|UPDATE|REFER))$/

export function callerScenario(name: string, ladder: readonly Rung[], party: Caller): Scenario {
	return new Side(name, 'caller', ladder, party, party).scenario()
}

export function calleeScenario(name: string, ladder: readonly Rung[], party: Party): Scenario {
	return new Side(name, 'callee', ladder, party, undefined).scenario()
}

/** Walks the ladder as one end sees it. */
class Side {
	readonly #name: string
	readonly #side: 'caller' | 'callee'
	readonly #ladder: readonly Rung[]
	readonly #party: Party
	readonly #caller: Caller | undefined
	readonly #variables = new Set<string>()
	#cseq = 0
	/** The dialog has a route set. */
	#routed = false
	/** The last final answer to an INVITE. */
	#verdict = ''
	/** Is the INVITE that is open the one that makes the dialog? */
	#first = true

	constructor(
		name: string,
		side: 'caller' | 'callee',
		ladder: readonly Rung[],
		party: Party,
		caller: Caller | undefined,
	) {
		this.#name = `${name}-${side}`
		this.#side = side
		this.#ladder = ladder
		this.#party = party
		this.#caller = caller
	}

	scenario(): Scenario {
		/* an app is pinged, and each ping comes to the scenario that answers what is new */
		const pings = this.#side === 'callee' && this.#party === app
		const rungs = this.#ladder.map((rung) => (rung.by === this.#side ? this.#send(rung) : this.#receive(rung)))
		const xml = [
			'<?xml version="1.0" encoding="UTF-8"?>',
			`<scenario name="${this.#name}">`,
			pings ? '<recv request="OPTIONS" optional="true" next="pong" />' : '',
			...rungs,
			pings ? `<nop next="end" />\n<label id="pong" />\n${message(PONG)}\n<label id="end" />` : '',
			`<Reference variables="${[...this.#variables].join(',')}" />`,
			'</scenario>',
		]
		return { name: this.#name, xml: xml.join('\n') }
	}

	// — what it sends —

	#send(rung: Rung): string {
		const [status, method] = rung.says.split(' ')
		const rows = /^\d/.test(rung.says) ? this.#answerRows(status!, method!) : this.#requestRows(rung.says)
		const contact = WITH_CONTACT.test(rung.says) ? [`Contact: ${this.#party.contact}`] : []
		const { body = [], rows: own = [] } = rung
		const type = body.length === 0 || own.some((row) => row.startsWith('Content-Type')) ? [] : [SDP]
		const text = [...rows, ...contact, ...own, ...type, 'Content-Length: [len]', '', ...body]
		/* sipp sends an answer to INVITE and every request again, but an ACK */
		const again = rung.says !== 'ACK' && (!/^\d/.test(rung.says) || /^[2-6]\d\d INVITE$/.test(rung.says))
		if (!/^1\d\d|^\d+ (?!INVITE)/.test(rung.says) && method === 'INVITE') this.#verdict = status!
		return message(text, again) + (rung.says === 'INVITE' ? '\n<recv response="100" optional="true" />' : '')
	}

	#requestRows(method: string): string[] {
		const refused = method === 'ACK' && this.#verdict >= '300'
		if (method !== 'ACK') this.#cseq++
		const inDialog = this.#routed && !refused
		const uri = inDialog ? '[next_url]' : this.#caller!.uri
		return [
			`${method} ${uri} SIP/2.0`,
			refused ? '[last_Via:]' : 'Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport',
			...(inDialog ? ['[routes]'] : []),
			'Max-Forwards: 70',
			...this.#names(refused, inDialog),
			/* the REGISTER of the app has the Call-ID itself */
			`Call-ID: ${this.#side === 'caller' && this.#party.contact === app.contact ? 'out///' : ''}[call_id]`,
			`CSeq: ${this.#cseq} ${method}`,
		]
	}

	#names(refused: boolean, inDialog: boolean): string[] {
		if (this.#caller === undefined) return ['From:[$local];tag=[pid]e[call_number]', 'To:[$remote]']
		const from = `From: ${this.#caller.from};tag=[pid]r[call_number]`
		if (refused) return [from, '[last_To:]']
		return [from, inDialog ? 'To:[$peer]' : `To: ${this.#caller.to}`]
	}

	#answerRows(status: string, method: string): string[] {
		const first = method === 'INVITE' && this.#first && this.#side === 'callee'
		const line = `SIP/2.0 ${status} Because`
		if (!first) return [line, ...PONG.slice(1, -2)]
		if (status >= '200' && status < '300') this.#first = false
		return [
			line,
			'Via:[$via1]',
			'Via:[$via2]',
			'Record-Route:[$route]',
			'From:[$remote]',
			'To:[$local];tag=[pid]e[call_number]',
			'[last_Call-ID:]',
			'CSeq:[$cseq]',
		]
	}

	// — what it is to get —

	#receive(rung: Rung): string {
		const [status, method] = rung.says.split(' ')
		const answer = /^\d/.test(rung.says)
		const opens = answer ? this.#answered(status!, method!) : this.#asked(rung.says)
		const what = answer ? `response="${status}"` : `request="${rung.says}"`
		const actions = [...opens, ...this.#unharmed(rung)].join('\n')
		return `<recv ${what}${opens.length > 0 ? ' rrs="true"' : ''}>\n<action>\n${actions}\n</action>\n</recv>`
	}

	#answered(status: string, method: string): string[] {
		if (method !== 'INVITE') return []
		if (status >= '200') this.#verdict = status
		if (this.#routed || status === '100' || status >= '300') return []
		this.#routed = true
		return [this.#keep('To:', 'peer')]
	}

	#asked(method: string): string[] {
		if (method !== 'INVITE' || !this.#first || this.#side === 'caller') return []
		this.#routed = true
		return [
			this.#keep('Record-Route:', 'route'),
			this.#keep('To:', 'local'),
			this.#keep('From:', 'remote'),
			this.#keep('CSeq:', 'cseq'),
			this.#keep('Via:', 'via1', 1),
			this.#keep('Via:', 'via2', 2),
		]
	}

	/** Each row and each line of the body is there as it was sent, the Contact is that of the other end, and no push parameter is. */
	#unharmed(rung: Rung): string[] {
		this.#variables.add('seen')
		const rows = (rung.rows ?? []).map((row) => {
			const colon = row.indexOf(':')
			return seen(
				`^ *${literal(row.slice(colon + 1).trim())} *$`,
				`search_in="hdr" header="${row.slice(0, colon + 1)}"`,
			)
		})
		const body = (rung.body ?? [])
			.filter((line) => !line.includes('['))
			.map((line) => seen(literal(line), 'search_in="body"'))
		const contact = WITH_CONTACT.test(rung.says)
			? [seen(`^ *${this.#party.farContact} *$`, 'search_in="hdr" header="Contact:"')]
			: []
		const push = '<ereg regexp="pn-" search_in="msg" check_it_inverse="true" assign_to="seen" />'
		return [...rows, ...body, ...contact, push]
	}

	#keep(header: string, variable: string, occurrence?: number): string {
		this.#variables.add(variable)
		const nth = occurrence === undefined ? '' : ` occurrence="${occurrence}"`
		return `<ereg regexp=".+" search_in="hdr" header="${header}"${nth} check_it="true" assign_to="${variable}" />`
	}
}

const SDP = 'Content-Type: application/sdp'

const PONG = [
	'SIP/2.0 200 OK',
	'[last_Via:]',
	'[last_Record-Route:]',
	'[last_From:]',
	'[last_To:]',
	'[last_Call-ID:]',
	'[last_CSeq:]',
	'Content-Length: 0',
	'',
]

function message(lines: readonly string[], again = false): string {
	return `<send${again ? ' retrans="500"' : ''}>\n<![CDATA[\n${lines.join('\n')}\n]]>\n</send>`
}

function seen(regexp: string, where: string): string {
	const quoted = regexp.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;')
	return `<ereg regexp="${quoted}" ${where} check_it="true" assign_to="seen" />`
}

/** A POSIX extended expression for this very text. */
const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
