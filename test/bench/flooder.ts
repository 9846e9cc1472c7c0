/**
 * Floods a UDP port of this machine: `bun flooder.ts PORT RATE MS [ADDRESS]`, RATE in datagrams a second from
 * {@link SOURCES} sockets, as many as it can where that is less. Prints how many the kernel took.
 */

/** A flood that was started is over soon, whatever becomes of who started it. */
export const MAX_FLOOD_MS = 3000

const SOURCES = 8
const BATCH = 32
/** A scanner's request, as they come: some 400 bytes. */
const JUNK = [
	'OPTIONS sip:100@127.0.0.1 SIP/2.0',
	'Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-524287-1;rport',
	'Max-Forwards: 70',
	'To: "friend"<sip:100@192.0.2.2>',
	'From: "friend"<sip:100@192.0.2.2>;tag=6332343136366431',
	'Call-ID: 845711862310946',
	'CSeq: 1 OPTIONS',
	'Contact: <sip:100@192.0.2.1:5060>',
	'User-Agent: friendly-scanner',
	'Content-Length: 0',
	'',
	'',
].join('\r\n')

async function flood(port: number, rate: number, ms: number, address: string): Promise<number> {
	const sockets = await Promise.all(Array.from({ length: SOURCES }, () => Bun.udpSocket({ socket: { error() {} } })))
	const bytes = new TextEncoder().encode(JUNK)
	const batch = Array.from({ length: BATCH }, () => [bytes, port, address]).flat() as never
	const start = performance.now()
	let sent = 0
	let turn = 0
	for (let elapsed = 0; elapsed < ms; elapsed = performance.now() - start) {
		if (sent <= (rate * elapsed) / 1000) sent += sockets[turn++ % SOURCES]!.sendMany(batch)
	}
	return sent
}

if (import.meta.main) {
	const [port, rate, ms, address = '127.0.0.1'] = Bun.argv.slice(2)
	console.log(await flood(Number(port), Number(rate), Math.min(Number(ms), MAX_FLOOD_MS), address))
	process.exit(0)
}
