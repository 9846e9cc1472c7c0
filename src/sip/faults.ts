/** What can be wrong with a message, and the status that says so: the one table of it. */

/** The first deciding error of a message. */
export interface Fault {
	readonly code: FaultCode
	/** Status to answer with; 0: drop silently (a response, an ACK, or nothing to answer to). */
	readonly status: number
	/** One sentence, fit for a reason phrase and a log. */
	readonly sentence: string
}

const TABLE = {
	'not-sip': [0, 'Not a SIP message'],
	'head-too-large': [513, 'Header section too large'],
	'too-many-headers': [513, 'Too many header rows'],
	'line-end': [400, 'Bare CR or LF in the header section'],
	'header-line': [400, 'Malformed header line'],
	'head-unfinished': [400, 'Header section without its empty line'],
	'request-line': [400, 'Malformed request line'],
	'status-line': [0, 'Malformed status line'],
	version: [505, 'SIP version not supported'],
	'length-malformed': [400, 'Malformed Content-Length'],
	'length-missing': [400, 'Missing Content-Length'],
	'message-too-large': [513, 'Message too large'],
	'length-conflict': [400, 'Conflicting Content-Length rows'],
	'body-short': [400, 'Body shorter than Content-Length'],
	'via-missing': [0, 'Missing Via'],
	'via-malformed': [400, 'Malformed Via'],
	'via-branch': [400, 'Via branch is the bare magic cookie'],
	'from-missing': [400, 'Missing From'],
	'from-repeated': [400, 'More than one From'],
	'from-malformed': [400, 'Malformed From'],
	'to-missing': [400, 'Missing To'],
	'to-repeated': [400, 'More than one To'],
	'to-malformed': [400, 'Malformed To'],
	'call-id-missing': [400, 'Missing Call-ID'],
	'call-id-repeated': [400, 'More than one Call-ID'],
	'call-id-malformed': [400, 'Malformed Call-ID'],
	'cseq-missing': [400, 'Missing CSeq'],
	'cseq-repeated': [400, 'More than one CSeq'],
	'cseq-malformed': [400, 'Malformed CSeq'],
	'max-forwards-repeated': [400, 'More than one Max-Forwards'],
	'max-forwards-malformed': [400, 'Malformed Max-Forwards'],
	'route-malformed': [400, 'Malformed Route'],
	'contact-malformed': [400, 'Malformed Contact'],
	'request-uri': [400, 'Malformed Request-URI'],
	'request-uri-headers': [400, 'Request-URI with a headers part'],
	scheme: [416, 'Unsupported URI scheme'],
	'cseq-method': [400, 'CSeq method does not match'],
	'unknown-method': [501, 'Unknown method that CSeq does not match'],
} as const satisfies Record<string, readonly [status: number, sentence: string]>

export type FaultCode = keyof typeof TABLE

/** The fault of that code; `silent` where an answer must not be given. */
export function fault(code: FaultCode, silent: boolean): Fault {
	const [status, sentence] = TABLE[code]
	return { code, status: silent ? 0 : status, sentence }
}
