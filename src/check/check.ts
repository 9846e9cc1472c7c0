/**
 * `push-gateway check`: is everything there that the gateway needs? Each finding is a sentence, and what is not right
 * comes with a hint what to do. The world is reached through {@link Probes} alone.
 */
import type { Sides } from '../config/listeners.ts'
import type { Config } from '../config/options.ts'

export interface Finding {
	readonly grade: 'ok' | 'warning' | 'failed'
	readonly sentence: string
	/** What to do now; '' where nothing is to be done. */
	readonly hint: string
}

/** undefined: it worked. Else the reason why not, without a full stop. */
export type Fault = string | undefined

export type FileReading =
	| {
			readonly ok: true
			readonly text: string /** Other users of the machine may read it. */
			readonly isShared: boolean
	  }
	| { readonly ok: false; readonly reason: string }

export type PbxAnswer =
	| { readonly ok: true /** `SIP/2.0 200 OK` */; readonly statusLine: string; readonly tookMs: number }
	| { readonly ok: false; readonly reason: string }

/** The machines a `--pbx` leads to, and what is there but not used, in sentences. */
export type PbxFinding =
	| { readonly ok: true; readonly targets: readonly PbxMachine[]; readonly skipped: readonly string[] }
	| { readonly ok: false; readonly sentence: string; readonly hint: string }

export interface PbxMachine {
	readonly transport: 'udp' | 'tcp' | 'tls'
	/** The host in `--pbx`. */
	readonly domain: string
	readonly name: string
	readonly address: string
	readonly port: number
}

/** As the gateway would find them. */
export type LocatePbx = (pbx: Config['pbx'][number], listen: Config['listen']) => Promise<PbxFinding>

/** What the check asks of the world. None of these throws. */
export interface Probes {
	readonly now: () => number
	readonly readFile: (path: string) => Promise<FileReading>
	/** Is it the PKCS#8 PEM text of a P-256 private key, as ES256 needs? */
	readonly isP256Key: (pem: string) => Promise<boolean>
	/** Is it the key of a service account? Or what is wrong with it. */
	readonly readFcmKey: ReadFcmKey
	readonly locatePbx: LocatePbx
	readonly askPbx: AskPbx
	/** As the gateway would read them; or what is wrong, in a sentence. */
	readonly readCertificates: ReadCertificates
	readonly bindUdp: (address: string, port: number) => Promise<Fault>
	readonly bindTcp: (address: string, port: number) => Promise<Fault>
	readonly tryStore: TryStore
	readonly connectTcp: (host: string, port: number) => Promise<Fault>
	/** `isHttp2`: it must speak that, too. */
	readonly connectTls: (host: string, port: number, ca: string | undefined, isHttp2: boolean) => Promise<Fault>
	/** Every address of this machine. */
	readonly localAddresses: () => readonly string[]
	/** Addresses of a name, or of an address itself; empty if there are none. */
	readonly lookUp: (host: string) => Promise<readonly string[]>
}

/** Sends OPTIONS, over UDP from the listener's address; any answer is one. */
export type AskPbx = (listen: string, machine: PbxMachine) => Promise<PbxAnswer>

/** `validUntil` is ms since the epoch. */
export type ReadCertificates = (
	config: Pick<Config, 'tlsCert' | 'tlsKey' | 'tlsClientCa'>,
) => readonly { readonly names: readonly string[]; readonly validUntil: number }[] | string

/** As the gateway would read it. `wrong` completes the sentence `<file> …`; `hint` says what to do. */
export type ReadFcmKey = (
	text: string,
) =>
	| { readonly ok: true; readonly projectId: string; readonly tokenUrl: string }
	| { readonly ok: false; readonly wrong: string; readonly hint: string }

/** Opens the store as the gateway would, writes to it and closes it again; undefined if that worked. */
export type TryStore = (path: string) => { readonly sentence: string; readonly hint: string } | undefined

const HTTPS_PORT = 443
const HTTP_PORT = 80
const APPLE_HOSTS = { production: 'api.push.apple.com', sandbox: 'api.sandbox.push.apple.com' } as const

/** This program did not exist before: a clock that says so is wrong, and APNs would refuse every token it signs. */
export const CLOCK_FLOOR_MS = Date.UTC(2026, 0, 1)

/** @param warnings the sentences the command line gave rise to. */
export async function runCheck(
	config: Config,
	sides: Sides,
	warnings: readonly string[],
	probes: Probes,
): Promise<Finding[]> {
	const findings = await Promise.all([
		checkFlags(warnings),
		checkClock(probes),
		...sides.listeners.map((listener) => checkListener(listener, probes)),
		checkCertificates(config, probes),
		checkKeyFiles(config, probes),
		checkPbx(config, sides.pbx, probes),
		checkKey(config, probes),
		checkApns(config, probes),
		checkFcm(config, probes),
		checkEvents(config, probes),
		checkStore(config, probes),
		checkHttp('--http', 'the status page', config.http, probes),
		checkHttp('--public-http', 'apps', config.publicHttp, probes),
	])
	return findings.flat()
}

const GRADE_WIDTH = 'warning '.length

/** The findings as they are printed, and a closing line. */
export function sayFindings(findings: readonly Finding[]): string {
	const lines = findings.map(({ grade, sentence, hint }) => {
		const advice = hint === '' ? '' : `\n${' '.repeat(GRADE_WIDTH)}→ ${hint}`
		return `${grade.padEnd(GRADE_WIDTH)}${sentence}${advice}`
	})
	const failures = findings.filter(({ grade }) => grade === 'failed').length
	const verdict = failures === 0 ? 'The gateway can start.' : `${failures} to mend before the gateway can do its work.`
	return `${lines.join('\n')}\n\n${verdict}\n`
}

/** 0 where nothing failed, else 1. */
export function checkExitCode(findings: readonly Finding[]): 0 | 1 {
	return findings.some(({ grade }) => grade === 'failed') ? 1 : 0
}

function ok(sentence: string): Finding {
	return { grade: 'ok', sentence, hint: '' }
}

function warning(sentence: string, hint: string): Finding {
	return { grade: 'warning', sentence, hint }
}

function failed(sentence: string, hint: string): Finding {
	return { grade: 'failed', sentence, hint }
}

async function checkFlags(warnings: readonly string[]): Promise<Finding[]> {
	if (warnings.length === 0) return [ok('The flags are right.')]
	return warnings.map((sentence) => warning(sentence, 'See --help if that is not what you want.'))
}

async function checkClock({ now }: Probes): Promise<Finding[]> {
	const said = new Date(now()).toISOString()
	if (now() >= CLOCK_FLOOR_MS) return [ok(`The clock says ${said}.`)]
	const hint = 'Set it, and let chrony or systemd-timesyncd keep it right: APNs refuses tokens of another time.'
	return [failed(`The clock says ${said}, which cannot be.`, hint)]
}

async function checkListener(listener: Sides['listeners'][number], probes: Probes): Promise<Finding[]> {
	const { transport, address, port, advertised } = listener
	const where = `${transport.toUpperCase()} ${endpoint(address, port)}`
	const fault = await (transport === 'udp' ? probes.bindUdp(address, port) : probes.bindTcp(address, port))
	const hint = 'If the gateway or another server runs already, stop it; else choose another port.'
	const bound = fault === undefined ? ok(`${where} is free.`) : failed(`${where} cannot be opened: ${fault}.`, hint)
	return [bound, await checkAdvertised(advertised.host, advertised.port, transport, probes)]
}

/** certbot renews 30 days before the end. */
const RENEWAL_MS = 14 * 86_400_000

async function checkCertificates(config: Config, { now, readCertificates }: Probes): Promise<Finding[]> {
	if (config.tlsCert.length === 0) return []
	const rows = readCertificates(config)
	if (typeof rows === 'string')
		return [failed(rows, 'Check --tls-cert and --tls-key, and that this user may read them.')]
	return rows.map(({ names, validUntil }) => {
		const sentence = `The certificate of ${names.join(', ') || 'no name'} is good until ${new Date(validUntil).toISOString().slice(0, 10)}.`
		if (validUntil < now()) return failed(sentence, 'It has expired: phones will not connect. Renew it.')
		return validUntil - now() < RENEWAL_MS
			? warning(sentence, 'Renew it: the gateway takes up the new one.')
			: ok(sentence)
	})
}

/** Whether they can be read and used is told with the certificates. */
async function checkKeyFiles({ tlsKey, pbxKey = '' }: Config, { readFile }: Probes): Promise<Finding[]> {
	const paths = new Set([...tlsKey, pbxKey].filter((path) => path !== ''))
	const findings = [...paths].map(async (path) => {
		const file = await readFile(path)
		return file.ok ? sharedFile(path, file.isShared) : []
	})
	return (await Promise.all(findings)).flat()
}

async function checkAdvertised(host: string, port: number, transport: string, probes: Probes): Promise<Finding> {
	const where = `The advertised address ${endpoint(host, port)}`
	const addresses = await probes.lookUp(host)
	if (addresses.length === 0)
		return failed(`${where} is not known to DNS.`, 'Mend the entry, or give --advertise an address.')
	const local = probes.localAddresses()
	if (addresses.some((address) => local.includes(address))) return ok(`${where} is one of this machine.`)
	const hint = `That is right behind a NAT: let it forward this ${transport === 'udp' ? 'UDP' : 'TCP'} port, and let the PBX reach that address too.`
	return warning(`${where} is none of this machine.`, hint)
}

/** A machine that is down while another one answers keeps nobody from calling. */
async function checkPbx({ pbx }: Config, side: Sides['pbx'], probes: Probes): Promise<Finding[]> {
	const groups = await Promise.all(pbx.map((one) => checkLocation(one, side, probes)))
	const findings = groups.flat()
	const isUsable = findings.some(({ grade }) => grade === 'ok')
	return findings.map((one) => (isUsable && one.grade === 'failed' ? { ...one, grade: 'warning' } : one))
}

async function checkLocation(pbx: Config['pbx'][number], listen: Config['listen'], probes: Probes): Promise<Finding[]> {
	const found = await probes.locatePbx(pbx, listen)
	if (!found.ok) return [failed(found.sentence, found.hint)]
	const skipped = found.skipped.map((sentence) => warning(sentence, 'It is passed over.'))
	const asked = found.targets.map((machine) => {
		const own = listen.find(({ transport }) => transport === machine.transport) ?? listen[0]!
		return checkMachine(machine, own.address, probes)
	})
	return [...(await Promise.all(asked)), ...skipped]
}

async function checkMachine(machine: PbxMachine, listen: string, probes: Probes): Promise<Finding> {
	const { name, transport, address, port } = machine
	const over = transport === 'udp' ? '' : `${transport.toUpperCase()} `
	const where = `The PBX at ${over}${endpoint(address, port)}${name === address ? '' : ` (${name})`}`
	const answer = await probes.askPbx(listen, machine)
	if (answer.ok) return ok(`${where} answers OPTIONS with "${answer.statusLine}" after ${answer.tookMs} ms.`)
	const tls =
		transport === 'tls' ? ' If its certificate is at fault, --pbx-ca and the host in --pbx say what is right.' : ''
	const hint = `Check --pbx, that the PBX listens on ${transport === 'udp' ? 'UDP' : 'TCP'} there, and the firewalls between the two.${tls}`
	return failed(`${where} does not answer: ${answer.reason}.`, hint)
}

async function checkKey({ apnsKey, apnsKeyId }: Config, probes: Probes): Promise<Finding[]> {
	if (apnsKey === undefined) return []
	const file = await probes.readFile(apnsKey)
	const mode = 'Check the path, and that the user of the gateway may read the file.'
	if (!file.ok) return [failed(`The APNs key ${apnsKey} cannot be read: ${file.reason}.`, mode)]
	const kind = (await probes.isP256Key(file.text))
		? ok(`The APNs key ${apnsKey} is a P-256 key.`)
		: failed(
				`${apnsKey} is no P-256 private key in PKCS#8 PEM.`,
				`Take the file as Apple gave it, AuthKey_${apnsKeyId}.p8.`,
			)
	return [kind, ...sharedFile(apnsKey, file.isShared)]
}

function sharedFile(path: string, isShared: boolean): Finding[] {
	return isShared ? [warning(`Other users of this machine may read ${path}.`, `chmod 600 ${path}`)] : []
}

async function checkApns(config: Config, probes: Probes): Promise<Finding[]> {
	if (config.apnsKey === undefined) return []
	const ca = config.apnsCa === undefined ? undefined : await probes.readFile(config.apnsCa)
	if (ca?.ok === false) {
		return [failed(`The authority ${config.apnsCa} cannot be read: ${ca.reason}.`, 'Check the path of --apns-ca.')]
	}
	const { host, port } = apnsServer(config)
	const where = `APNs at ${endpoint(host, port)}`
	const fault = await probes.connectTls(host, port, ca?.text, true)
	if (fault === undefined) return [ok(`${where} can be reached over TLS.`)]
	const hint = `Let the gateway out to TCP ${port}; without APNs no sleeping iPhone is woken.${certificateHint('apns')}`
	return [warning(`${where} cannot be reached: ${fault}.`, hint)]
}

const GOOGLE_URL = 'https://fcm.googleapis.com'

async function checkFcm({ fcmKey, fcmUrl, fcmCa }: Config, probes: Probes): Promise<Finding[]> {
	if (fcmKey === undefined) return []
	const file = await probes.readFile(fcmKey)
	const mode = 'Check the path, and that the user of the gateway may read the file.'
	if (!file.ok) return [failed(`The FCM key ${fcmKey} cannot be read: ${file.reason}.`, mode)]
	const key = probes.readFcmKey(file.text)
	if (!key.ok) return [failed(`The FCM key ${fcmKey} ${key.wrong}.`, key.hint)]
	const kind = ok(`The FCM key ${fcmKey} is that of a service account of the project ${key.projectId}.`)
	const ca = fcmCa === undefined ? undefined : await probes.readFile(fcmCa)
	if (ca?.ok === false)
		return [kind, failed(`The authority ${fcmCa} cannot be read: ${ca.reason}.`, 'Check the path of --fcm-ca.')]
	const places = [
		checkGoogle('The access tokens of FCM', key.tokenUrl, ca?.text, probes),
		checkGoogle('FCM', fcmUrl ?? GOOGLE_URL, ca?.text, probes),
	]
	return [kind, ...sharedFile(fcmKey, file.isShared), ...(await Promise.all(places))]
}

async function checkGoogle(what: string, url: string, ca: string | undefined, probes: Probes): Promise<Finding> {
	const { host, port } = serverOf(url)
	const where = `${what} at ${endpoint(host, port)}`
	const fault = await probes.connectTls(host, port, ca, false)
	if (fault === undefined) return ok(`${where} can be reached over TLS.`)
	const hint = `Let the gateway out to TCP ${port}; without FCM no sleeping Android phone is woken.${certificateHint('fcm')}`
	return warning(`${where} cannot be reached: ${fault}.`, hint)
}

const certificateHint = (service: 'apns' | 'fcm'): string =>
	` If the certificate there is at fault, --${service}-ca and --${service}-url say what is right.`

function apnsServer({ apnsUrl, apnsEnvironment }: Config): { host: string; port: number } {
	if (apnsUrl === undefined) return { host: APPLE_HOSTS[apnsEnvironment], port: HTTPS_PORT }
	return serverOf(apnsUrl)
}

function serverOf(url: string): { host: string; port: number } {
	const { hostname, port, protocol } = new URL(url)
	const usual = protocol === 'http:' ? HTTP_PORT : HTTPS_PORT
	return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? usual : Number(port) }
}

/** Nothing is posted: the receiver would take it for true. */
async function checkEvents({ events }: Config, probes: Probes): Promise<Finding[]> {
	if (events === undefined) return []
	const { host, port } = serverOf(events)
	const where = `The receiver of events at ${endpoint(host, port)}`
	const fault = await probes.connectTcp(host, port)
	if (fault === undefined) return [ok(`${where} can be reached.`)]
	const hint = 'Check --events, and let the gateway out to it; calls work without, and events are lost.'
	return [warning(`${where} cannot be reached: ${fault}.`, hint)]
}

async function checkStore({ db }: Config, probes: Probes): Promise<Finding[]> {
	const fault = probes.tryStore(db)
	return [fault === undefined ? ok(`The database ${db} can be written.`) : failed(fault.sentence, fault.hint)]
}

async function checkHttp(
	flag: '--http' | '--public-http',
	whom: string,
	place: Config['http'],
	probes: Probes,
): Promise<Finding[]> {
	if (place === 'off') return flag === '--http' ? [ok('The status page is off.')] : []
	const where = `TCP ${endpoint(place.address, place.port)}`
	const fault = await probes.bindTcp(place.address, place.port)
	if (fault === undefined) return [ok(`${where} is free for ${whom}.`)]
	const hint = `If the gateway runs already, stop it; else choose another ${flag}.`
	return [failed(`${where} cannot be opened for ${whom}: ${fault}.`, hint)]
}

function endpoint(host: string, port: number): string {
	return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
