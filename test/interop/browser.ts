/** A headless Chromium, driven over the DevTools protocol: one page, its console, and what it shows. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const CHROMIUM = Bun.which('chromium')

/** Why browser tests cannot run here; undefined where they can. */
export const browserAbsent = CHROMIUM === null ? 'chromium is not installed (Debian package chromium)' : undefined

/** Nothing of it may call home, or need a display, a graphics card or a sandbox of the kernel's. */
const FLAGS = [
	...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
	...['--disable-background-networking', '--disable-component-update', '--disable-extensions', '--no-proxy-server'],
	'--remote-debugging-port=0',
]

/** Chromium prints where to reach it within a second; this is for a busy machine. */
const START_LIMIT_MS = 20_000
const ANSWER_LIMIT_MS = 10_000

interface Message {
	readonly id?: number
	readonly method?: string
	readonly params?: Record<string, unknown>
	readonly result?: Record<string, unknown>
	readonly error?: { readonly message: string }
}

export class Browser {
	/** What the console, the script and the network complained of. */
	readonly complaints: string[] = []
	/** How often a page was loaded. */
	loads = 0
	readonly #child: ReturnType<typeof Bun.spawn>
	readonly #folder: string
	readonly #socket: WebSocket
	readonly #waiting = new Map<
		number,
		{ resolve: (result: Record<string, unknown>) => void; reject: (error: Error) => void }
	>()
	#sent = 0
	#session = ''

	private constructor(child: ReturnType<typeof Bun.spawn>, folder: string, socket: WebSocket) {
		this.#child = child
		this.#folder = folder
		this.#socket = socket
		socket.onmessage = ({ data }) => this.#receive(JSON.parse(String(data)) as Message)
	}

	/** `flags`: beside the usual ones. */
	static async open(flags: readonly string[] = []): Promise<Browser> {
		const folder = mkdtempSync(join(tmpdir(), 'push-gateway-browser-'))
		const command = [CHROMIUM!, ...FLAGS, ...flags, `--user-data-dir=${folder}`, 'about:blank']
		const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'ignore', stderr: 'pipe' })
		try {
			const browser = new Browser(child, folder, await connected(await endpoint(child.stderr)))
			await browser.#attach()
			return browser
		} catch (error) {
			child.kill('SIGKILL')
			throw error
		}
	}

	/** Resolves when the page is loaded. */
	async show(url: string): Promise<void> {
		const before = this.loads
		await this.#send('Page.navigate', { url })
		const end = performance.now() + ANSWER_LIMIT_MS
		while (this.loads === before) {
			if (performance.now() > end) throw new Error(`${url} was not loaded`)
			await Bun.sleep(10)
		}
	}

	/** From its next event on the page runs no script, while its sockets stay open: as the tab of a browser that an OS has frozen. */
	async freeze(): Promise<void> {
		await this.#send('Debugger.enable', {})
		await this.#send('Debugger.pause', {})
	}

	async thaw(): Promise<void> {
		await this.#send('Debugger.disable', {})
	}

	/** As on a screen of that many CSS pixels. */
	async resize(width: number, height = 900): Promise<void> {
		await this.#send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 600 })
	}

	async prefers(colours: 'dark' | 'light'): Promise<void> {
		await this.#send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: colours }] })
	}

	/** The value of an expression in the page. */
	async evaluate<T>(expression: string): Promise<T> {
		const { result, exceptionDetails } = await this.#send('Runtime.evaluate', { expression, returnByValue: true })
		if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails))
		return (result as { value: T }).value
	}

	/** What one sees of the elements that match, each as one line. */
	texts(selector: string): Promise<string[]> {
		const line = String.raw`e => e.innerText.replace(/\s+/g, ' ').trim()`
		return this.evaluate(`[...document.querySelectorAll(${JSON.stringify(selector)})].map(${line})`)
	}

	/** PNG of the whole page. */
	async picture(): Promise<Uint8Array> {
		const { data } = await this.#send('Page.captureScreenshot', { captureBeyondViewport: true })
		return Uint8Array.fromBase64(String(data))
	}

	async close(): Promise<void> {
		this.#socket.close()
		this.#child.kill('SIGKILL')
		await this.#child.exited
		rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
	}

	async #attach(): Promise<void> {
		const { targetInfos } = await this.#send('Target.getTargets', {})
		const page = (targetInfos as { type: string; targetId: string }[]).find(({ type }) => type === 'page')
		const { sessionId } = await this.#send('Target.attachToTarget', { targetId: page?.targetId, flatten: true })
		this.#session = String(sessionId)
		for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await this.#send(`${domain}.enable`, {})
	}

	#send(method: string, params: Record<string, unknown>): Promise<Record<string, unknown>> {
		const id = ++this.#sent
		this.#socket.send(JSON.stringify({ id, method, params, ...(this.#session && { sessionId: this.#session }) }))
		return new Promise((resolve, reject) => {
			const limit = setTimeout(() => reject(new Error(`Chromium does not answer ${method}`)), ANSWER_LIMIT_MS)
			this.#waiting.set(id, {
				resolve: (result) => {
					clearTimeout(limit)
					resolve(result)
				},
				reject: (error) => {
					clearTimeout(limit)
					reject(error)
				},
			})
		})
	}

	#receive({ id, method, params = {}, result = {}, error }: Message): void {
		const waiting = id === undefined ? undefined : this.#waiting.get(id)
		if (waiting !== undefined) {
			this.#waiting.delete(id!)
			if (error === undefined) waiting.resolve(result)
			else waiting.reject(new Error(error.message))
		} else if (method === 'Page.loadEventFired') this.loads++
		else if (method === 'Runtime.exceptionThrown' || method === 'Log.entryAdded')
			this.complaints.push(JSON.stringify(params))
		else if (method === 'Network.loadingFailed' && params['canceled'] !== true)
			this.complaints.push(JSON.stringify(params))
		else if (method === 'Runtime.consoleAPICalled') this.complaints.push(JSON.stringify(params['args']))
	}
}

/** `DevTools listening on ws://…`, the address for it. */
async function endpoint(stderr: ReadableStream<Uint8Array>): Promise<string> {
	const limit = AbortSignal.timeout(START_LIMIT_MS)
	const reader = stderr.getReader()
	limit.addEventListener('abort', () => void reader.cancel())
	const decoder = new TextDecoder()
	let said = ''
	for (;;) {
		const { done, value } = await reader.read()
		said += decoder.decode(value, { stream: true })
		const url = /ws:\/\/\S+/.exec(said)?.[0]
		if (url !== undefined) {
			/* it goes on writing, and must not block on it */
			void (async () => {
				while (!(await reader.read()).done);
			})().catch(() => {})
			return url
		}
		if (done) throw new Error(`Chromium did not start: ${said}`)
	}
}

function connected(url: string): Promise<WebSocket> {
	return new Promise((resolve, reject) => {
		const socket = new WebSocket(url)
		socket.onopen = () => resolve(socket)
		socket.onerror = () => reject(new Error('Chromium refuses the connection'))
	})
}
