/**
 * The other end of the pushes: `bun push-server.ts h2 CA_FILE` is APNs over HTTP/2 and TLS, `bun push-server.ts http1` plain
 * HTTP/1.1 for a gateway that cannot speak more. Either accepts every push and tells the generator whose phone it woke.
 */
import { startApnsStandIn } from '../../src/demo/apns.ts'
import { PORTS } from './job.ts'

const line = await Bun.udpSocket({ hostname: '127.0.0.1', port: 0, socket: { data() {}, error() {} } })
const wake = (token: string) => void line.send(token, PORTS.wake, '127.0.0.1')

const [kind, caFile] = Bun.argv.slice(2)
if (kind === 'h2') {
	const standIn = await startApnsStandIn({
		port: PORTS.push,
		key: undefined,
		keyId: '',
		teamId: '',
		topic: undefined,
		onPush: ({ token }) => wake(token),
	})
	await Bun.write(caFile!, standIn.caPem)
} else {
	Bun.serve({
		hostname: '127.0.0.1',
		port: PORTS.push,
		fetch(request) {
			wake(request.url.slice(request.url.lastIndexOf('/') + 1))
			return new Response()
		},
	})
}
console.log('ready')
