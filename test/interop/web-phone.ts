/** JsSIP in headless Chromium: the page, who serves it, and a PBX whose calls a browser can answer. */
import { createHash, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { Pbx } from '../../src/demo/pbx.ts'
import { until } from './binary.ts'
import { Browser } from './browser.ts'
import { TEAM, TOPIC } from './gateway.ts'

const TOKEN = '1001'.repeat(16)
const PUSH = `pn-provider=apns;pn-prid=${TOKEN}:voip;pn-param=${TEAM}.${TOPIC}`

/** A microphone nobody is asked about; addresses of the machine itself, for which no multicast is needed. */
const MEDIA_FLAGS = [
	'--use-fake-device-for-media-stream',
	'--use-fake-ui-for-media-stream',
	'--disable-features=WebRtcHideLocalIpsWithMdns',
]

/** Chromium trusts this one key, whatever it thinks of the certificate. */
function trustFlag(certPem: string): string {
	const spki = new X509Certificate(certPem).publicKey.export({ type: 'spki', format: 'der' })
	return `--ignore-certificate-errors-spki-list=${createHash('sha256').update(spki).digest('base64')}`
}

/** A PBX that offers what browsers demand: ICE and DTLS-SRTP. There is nobody behind it, and no media. */
export class WebPbx extends Pbx {
	override session(): string {
		const fingerprint = Array.from({ length: 32 }, () => 'AB').join(':')
		return [
			...['v=0', 'o=- 1 1 IN IP4 127.0.0.10', 's=-', 't=0 0', 'a=group:BUNDLE 0'],
			...['m=audio 9 UDP/TLS/RTP/SAVPF 8', 'c=IN IP4 127.0.0.10', 'a=mid:0', 'a=rtpmap:8 PCMA/8000', 'a=sendrecv'],
			...['a=ice-ufrag:abcd', 'a=ice-pwd:abcdefghijklmnopqrstuvwx', `a=fingerprint:sha-256 ${fingerprint}`],
			...['a=setup:actpass', 'a=rtcp-mux', ''],
		].join('\r\n')
	}
}

export class WebPhone {
	readonly browser: Browser
	readonly #server: ReturnType<typeof Bun.serve>

	private constructor(browser: Browser, server: ReturnType<typeof Bun.serve>) {
		this.browser = browser
		this.#server = server
	}

	/** `certPem`: of the gateway. */
	static async open(certPem: string): Promise<WebPhone> {
		const built = await Bun.build({ entrypoints: [join(import.meta.dir, 'web-phone.page.js')], target: 'browser' })
		const script = await built.outputs[0]!.text()
		const server = Bun.serve({
			hostname: '127.0.0.1',
			port: 0,
			fetch: ({ url }) =>
				url.endsWith('.js')
					? new Response(script, { headers: { 'content-type': 'text/javascript' } })
					: new Response('<!doctype html><link rel="icon" href="data:,"><script src="/phone.js"></script>', {
							headers: { 'content-type': 'text/html' },
						}),
		})
		try {
			return new WebPhone(await Browser.open([...MEDIA_FLAGS, trustFlag(certPem)]), server)
		} catch (error) {
			await server.stop(true)
			throw error
		}
	}

	/** The page in a tab, without a word to the gateway yet. */
	load(): Promise<void> {
		return this.browser.show(`${this.#server.url}`)
	}

	/** The tab is closed, its socket with it. */
	leave(): Promise<void> {
		return this.browser.show('about:blank')
	}

	/** Gives what it heard of it: `registered`, Require, Flow-Timer. */
	async register(url: string): Promise<string> {
		const contact = `sip:1001@browser.invalid;transport=ws;${PUSH}`
		const identity = { password: 'anna-secret', instance: '5c8d1b1e-6b0a-4d0e-9f55-2f6a3c1d7e90' }
		await this.browser.evaluate(`phone.start(${JSON.stringify({ url, contact, ...identity })})`)
		return this.sees(/^registered/)
	}

	async say(words: 'answer' | 'hangUp'): Promise<void> {
		await this.browser.evaluate(`phone.${words}()`)
	}

	/** The first event like that, which is then forgotten. */
	sees(pattern: RegExp, limitMs = 8_000): Promise<string> {
		let said: string[] = []
		return until(
			`the phone says ${pattern}`,
			async () => {
				said = await this.browser.evaluate<string[]>('phone.events')
				const at = said.findIndex((event) => pattern.test(event))
				if (at >= 0) await this.browser.evaluate(`phone.events.splice(${at}, 1).length`)
				return said[at]
			},
			limitMs,
		).catch((error: Error) => {
			throw new Error(`${error.message}; it said ${JSON.stringify(said)}`)
		})
	}

	async close(): Promise<void> {
		await this.browser.close()
		await this.#server.stop(true)
	}
}
