/** What the demo prints: each step with its time and who → whom, and at the end every check with ✓ or ✗. */
import { parseNameAddr } from '../sip/address.ts'
import { Header } from '../sip/headers.ts'
import type { SipMessage } from '../sip/message.ts'
import { hostPort, parseUri } from '../sip/uri.ts'

interface Check {
	readonly sentence: string
	readonly holds: boolean
	/** What was found: a time, a count, a wrong value. */
	readonly found: string
}

/** Room for "Bruno's app → gateway". */
const WHO_WIDTH = 22
const TIME_WIDTH = 6

export class Journal {
	readonly #print: (line: string) => void
	readonly #now: () => number
	readonly #startedAt: number
	readonly #checks: Check[] = []

	/** `now`: ms. */
	constructor(print: (line: string) => void, now: () => number) {
		this.#print = print
		this.#now = now
		this.#startedAt = now()
	}

	/** A headline of what comes now. */
	scene(title: string): void {
		this.#print('')
		this.#print(title)
	}

	step(from: string, to: string, what: string): void {
		this.#line(`${from} → ${to}`, what)
	}

	/** Something that is no message: an app falls asleep. */
	note(who: string, what: string): void {
		this.#line(who, what)
	}

	check(sentence: string, holds: boolean, found: string | number = ''): void {
		this.#checks.push({ sentence, holds, found: `${found}` })
	}

	/** Prints all checks and the verdict; true where everything holds. */
	verdict(): boolean {
		this.scene('Checks')
		for (const { sentence, holds, found } of this.#checks) {
			this.#print(`  ${holds ? '✓' : '✗'} ${sentence}${found === '' ? '' : ` (${found})`}`)
		}
		const failed = this.#checks.filter(({ holds }) => !holds).length
		const passed = failed === 0 && this.#checks.length > 0
		const seconds = ((this.#now() - this.#startedAt) / 1000).toFixed(1)
		this.#print('')
		this.#print(
			`${passed ? 'DEMO PASSED' : 'DEMO FAILED'}: ${this.#checks.length - failed} of ${this.#checks.length} checks hold, ${seconds} s`,
		)
		return passed
	}

	#line(who: string, what: string): void {
		const ms = Math.round(this.#now() - this.#startedAt)
		this.#print(`${`${ms}`.padStart(TIME_WIDTH)} ms  ${who.padEnd(WHO_WIDTH)}  ${what}`)
	}
}

/** A message in a few words; undefined for what would only fill the screen: pings, pongs, 100. */
export function inWords(message: SipMessage): string | undefined {
	if (message.cseqMethod === 'OPTIONS' || message.status === 100) return undefined
	if (message.method === '')
		return `${message.status} ${message.reason} (${message.cseqMethod})${contactInWords(message)}`
	const reason = message.first(Header.Reason)
	const signed = message.find(Header.Authorization) >= 0 && message.method !== 'ACK' ? ', with credentials' : ''
	return `${message.method}${contactInWords(message)}${signed}${reason === undefined ? '' : `, Reason: ${reason}`}`
}

/** The Contact matters where a binding is made. */
function contactInWords(message: SipMessage): string {
	const contact = message.cseqMethod === 'REGISTER' ? message.list(Header.Contact)[0] : undefined
	const uri = parseUri(parseNameAddr(contact ?? '')?.uri ?? '')
	if (uri === undefined) return ''
	const push = /;pn-/.test(uri.params) ? ' + push parameters' : ''
	return `, Contact ${uri.user ?? ''}@${hostPort(uri.host, uri.port)}${push}`
}
