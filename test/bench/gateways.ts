/** The gateways that are measured, each started afresh for every work. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { generateP8 } from '../../src/demo/apns.ts'
import { makeCertificate } from '../../src/demo/certificate.ts'
import { DOMAIN, PORTS, STREAM_PORTS, type Work } from './job.ts'

const KAMAILIO_CONFIG = join(import.meta.dir, 'kamailio/push-gateway.cfg')
/** Some packages put it where a user's PATH does not look. */
const SBIN = '/usr/sbin/kamailio'

/** What a gateway is started for. */
export type Setting = Work | 'bind' | 'flood' | 'streams'

export interface GatewayKind {
	readonly name: 'push-gateway' | 'kamailio'
	/** What the PBX calls: job.ts. */
	readonly target: 'contact' | 'agent'
	readonly push: 'h2' | 'http1'
	/** argv for a run in this folder, which has `ca.pem` where pushes are measured. */
	argv(work: Setting, folder: string): Promise<string[]>
	/** Whether it takes calls by now. */
	ready(): Promise<boolean>
}

export function pushGateway(path: string): GatewayKind {
	return {
		name: 'push-gateway',
		target: 'contact',
		push: 'h2',
		async argv(work, folder) {
			const listen = `udp:127.0.0.1:${PORTS.gateway}`
			const flags = ['--listen', listen, '--pbx', `127.0.0.1:${PORTS.pbx}`, '--domain', DOMAIN, '--ping-interval', '0']
			/* all phones have one address here, which is no one's home */
			flags.push('--register-rate', '1000000')
			flags.push('--db', join(folder, 'gateway.db'), '--http', `127.0.0.1:${PORTS.http}`)
			if (work === 'W3') flags.push(...(await apnsFlags(folder)))
			if (work === 'streams') flags.push(...(await streamFlags(folder)))
			/* a script is for profiling: bun src/main.ts */
			return [...(path.endsWith('.ts') ? [process.execPath, path] : [path]), ...flags]
		},
		ready: async () => (await fetch(`http://127.0.0.1:${PORTS.http}/readyz`, { signal: AbortSignal.timeout(1000) })).ok,
	}
}

async function apnsFlags(folder: string): Promise<string[]> {
	const key = join(folder, 'key.p8')
	await Bun.write(key, generateP8().p8)
	const url = `https://127.0.0.1:${PORTS.push}`
	return [
		...['--apns-key', key, '--apns-key-id', 'ABC123DEFG', '--apns-team', 'ABCDE12345'],
		...['--apns-url', url, '--apns-ca', join(folder, 'ca.pem')],
	]
}

async function streamFlags(folder: string): Promise<string[]> {
	const { certPem, keyPem } = makeCertificate(Date.now())
	const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
	await Promise.all([Bun.write(cert, certPem), Bun.write(key, keyPem)])
	const listeners = Object.entries(STREAM_PORTS).flatMap(([kind, port]) => ['--listen', `${kind}:127.0.0.1:${port}`])
	return [...listeners, '--tls-cert', cert, '--tls-key', key]
}

/** Undefined where it is not installed. */
export function kamailio(): GatewayKind | undefined {
	const path = Bun.which('kamailio') ?? (existsSync(SBIN) ? SBIN : undefined)
	if (path === undefined) return undefined
	return {
		name: 'kamailio',
		target: 'agent',
		push: 'http1',
		argv: async (_, folder) => [
			...[path, '-DD', '-E', '-f', KAMAILIO_CONFIG, '-l', `udp:127.0.0.1:${PORTS.gateway}`, '-Y', folder],
			/* the quickest allocator; MB of shared memory, for the transactions of some seconds, and of private; octets of receive
			 * buffer, as the other gateway asks for */
			...['-x', 'tlsf', '-m', '4096', '-M', '16', '-b', `${4 << 20}`],
			...['-A', `PBX_PORT=${PORTS.pbx}`, '-A', `PBX_URI="sip:127.0.0.1:${PORTS.pbx}"`],
			...['-A', `PUSH_SERVER="push=>http://127.0.0.1:${PORTS.push}"`],
		],
		ready: async () =>
			(await Bun.file('/proc/net/udp').text()).includes(`:${PORTS.gateway.toString(16).toUpperCase()} `),
	}
}
