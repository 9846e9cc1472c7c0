/** The running gateway: opens the edges, joins them to the core, and takes them down again in order. */
import { createHmac } from 'node:crypto'
import { maskedView } from './config/describe.ts'
import { pbxSidesOf } from './config/listeners.ts'
import type { Config } from './config/options.ts'
import { settingsOf } from './config/settings.ts'
import { Core } from './core/core.ts'
import type { CloseEffect, EventName, EventValue, PushEffect, SendEffect, SettleEffect } from './core/effects.ts'
import { httpPost } from './events/post.ts'
import { EventQueue } from './events/queue.ts'
import { Listeners } from './listeners.ts'
import type { Log } from './log/log.ts'
import { type Clock, Loop } from './loop.ts'
import { PushServices } from './push-services.ts'
import { reachOf } from './resolve/locate.ts'
import { watchPbx } from './resolve/watch.ts'
import { installLatin1Codec } from './sip/latin1.ts'
import type { CallSources } from './status/call-routes.ts'
import { startPublic } from './status/public.ts'
import { type Status, startStatus } from './status/status.ts'
import { openStore, type Store } from './store/store.ts'

/** Of its own size: a slice of the runtime's shared pool would keep 8 kB alive for one stored answer. */
function encodeLatin1(text: string): Uint8Array {
	const bytes = new Uint8Array(text.length)
	Buffer.prototype.write.call(bytes, text, 0, text.length, 'latin1')
	return bytes
}

/* the runtime's own codec decodes a message ten times as fast as plain JavaScript does */
installLatin1Codec({
	decode: (bytes) => Buffer.prototype.latin1Slice.call(bytes, 0, bytes.length),
	encode: encodeLatin1,
})

/** SIGTERM: answers in flight have this long to go out. */
export const DRAIN_LIMIT_MS = 5_000

/** How long a key that its push service refuses keeps the gateway from being ready, unless a push goes through before. */
const MISCONFIGURED_FOR_MS = 600_000

export interface GatewayVersion {
	readonly gateway: string
	readonly sqlite: string
}

export interface Gateway {
	/** Takes no new calls, lets what is under way end, and closes everything. */
	stop(): Promise<void>
	/** Closes everything now. */
	kill(): void
	/** SIGHUP: reads the certificates anew. */
	reload(): void
}

/** Starts, or says in a sentence why not. */
export async function startGateway(
	config: Config,
	version: GatewayVersion,
	log: Log,
	now: Clock,
): Promise<Gateway | string> {
	const store = openStore(config.db)
	if (!store.ok) return `${store.sentence} ${store.hint}`
	const starting = new Starting(config, version, log, now, store)
	const fault = await starting.open()
	if (fault === undefined) return starting
	starting.kill()
	return fault
}

class Starting implements Gateway {
	readonly #config: Config
	readonly #version: GatewayVersion
	readonly #log: Log
	readonly #now: Clock
	readonly #store: Store
	readonly #core: Core
	readonly #loop: Loop
	readonly #listeners: Listeners
	readonly #events: EventQueue | undefined
	readonly #push: PushServices
	#status: Status | undefined
	#public: { stop(): Promise<void> } | undefined
	#watch: { stop(): void } | undefined
	#unresolved: string | undefined = 'The name of the PBX is being looked up.'
	/** By push service: what it last said against its key. */
	readonly #misconfigured = new Map<EventValue, { readonly at: number; readonly hint: string }>()
	readonly #startedAt: number
	#closed = false

	constructor(config: Config, version: GatewayVersion, log: Log, now: Clock, store: Store) {
		this.#config = config
		this.#version = version
		this.#log = log
		this.#now = now
		this.#store = store
		this.#startedAt = now()
		this.#events = eventQueue(config, version, log, now)
		const key = store.hmacKey()
		const capabilities = {
			random32,
			hmac: (text: string) => createHmac('sha256', key).update(text, 'latin1').digest('hex'),
		}
		this.#core = new Core(
			settingsOf(config, version.gateway),
			capabilities,
			store.restore(this.#startedAt),
			this.#startedAt,
		)
		this.#loop = new Loop(this.#core, this.#edges(), now)
		this.#push = new PushServices(config, {
			store,
			now,
			log: (name, fields) => this.#note(name, fields),
			result: (result) => this.#loop.input(result),
		})
		this.#listeners = new Listeners(config, {
			input: (input) => this.#loop.input(input),
			admits: (listener, address, port, bytes) => this.#core.admits(listener, address, port, bytes),
			failed: (listener, sentence) => this.#log.log('listener-error', { listener, sentence }),
			reloaded: (fault) => this.#reloaded(fault),
		})
	}

	async open(): Promise<string | undefined> {
		const fault = this.#push.open() ?? (await this.#listeners.open()) ?? this.#openStatus() ?? this.#openPublic()
		if (fault !== undefined) return fault
		this.#watchPbx()
		/* what was restored may have something to say at once */
		this.#loop.input({ type: 'fires' })
		const listen = this.#listeners.views.map(({ name }) => name).join(' ')
		this.#log.log('started', {
			version: this.#version.gateway,
			listen,
			status: this.#status?.url,
			agents: this.#core.devices.agentCount,
		})
		return undefined
	}

	async stop(): Promise<void> {
		this.#loop.input({ type: 'drain' })
		const until = this.#now() + DRAIN_LIMIT_MS
		while (this.#core.unfinished > 0 && this.#now() < until && !this.#closed) await Bun.sleep(50)
		if (!this.#closed) await this.#events?.finish()
		this.kill()
	}

	kill(): void {
		if (this.#closed) return
		this.#closed = true
		this.#loop.input({ type: 'end' })
		this.#watch?.stop()
		this.#loop.close()
		this.#push.close()
		this.#events?.close()
		this.#listeners.stop()
		void this.#status?.stop()
		void this.#public?.stop()
		this.#store.close()
		this.#log.log('stopped', {})
	}

	reload(): void {
		this.#listeners.reload()
	}

	#reloaded(fault: string | undefined): void {
		if (fault === undefined) this.#log.log('certificates-reloaded', {})
		else this.#log.log('certificates-bad', { reason: fault, hint: 'The old ones are used until the files are right.' })
	}

	#edges() {
		return {
			send: (effect: SendEffect) => this.#listeners.send(effect),
			close: (effect: CloseEffect) => this.#listeners.close(effect),
			settle: (effect: SettleEffect) => this.#listeners.settle(effect),
			push: (effect: PushEffect) => this.#push.send(effect),
			cancelPush: (pushId: string) => this.#push.cancel(pushId),
			commit: (changes: Parameters<Store['commit']>[0]) => this.#store.commit(changes),
			event: (name: EventName, fields: Readonly<Record<string, EventValue>>) => this.#event(name, fields),
		}
	}

	#event(name: EventName, fields: Readonly<Record<string, EventValue>>): void {
		if (name === 'device-woke') this.#status?.observeWake(Number(fields['wakeMs']))
		if (name === 'push-accepted') {
			/* an alert goes by another topic, and says nothing of calls */
			if (fields['kind'] === undefined) this.#misconfigured.delete(fields['provider'])
			this.#status?.observePush(Number(fields['pushMs']), 'accepted')
		}
		if (name === 'push-refused')
			this.#status?.observePush(Number(fields['pushMs']), fields['status'] === 0 ? 'failed' : 'refused')
		this.#events?.offer(name, fields)
		this.#note(name, fields)
	}

	#note(name: EventName, fields: Readonly<Record<string, EventValue>>): void {
		if (name === 'push-misconfigured') {
			const hint = `${fields['hint'] ?? 'The push service refuses the configuration.'}`
			this.#misconfigured.set(fields['provider'], { at: this.#now(), hint })
		}
		this.#log.log(name, fields)
	}

	#openStatus(): string | undefined {
		const { publicUrl, publicHttp } = this.#config
		if (this.#config.http === 'off') return undefined
		const started = startStatus({
			...this.#config.http,
			token: this.#config.httpToken,
			snapshot: () => this.#core.snapshot(this.#now()),
			ready: () => this.#ready(),
			config: maskedView(this.#config),
			calls: publicUrl !== undefined && publicHttp === 'off' ? this.#calls() : undefined,
			version: { ...this.#version, bun: Bun.version, startedAt: this.#startedAt },
			events: () => this.#events?.state,
			udpDrops: () => this.#listeners.kernelDrops,
			listeners: () => this.#listeners.views,
			report: (sentence) => this.#log.log('internal-error', { input: 'http', error: sentence }),
		})
		if (!started.ok) return `${started.fault.sentence} ${started.fault.hint}`
		this.#status = started.status
		return undefined
	}

	/** What apps may ask and do from outside. */
	#calls(): CallSources {
		return {
			look: (token) => this.#core.calls.look(token, this.#now()),
			decline: (callId, deviceId) => this.#loop.input({ type: 'decline', callId, deviceId }),
		}
	}

	#openPublic(): string | undefined {
		const { publicUrl, publicHttp } = this.#config
		if (publicUrl === undefined || publicHttp === 'off') return undefined
		const report = (sentence: string) => this.#log.log('internal-error', { input: 'http', error: sentence })
		const started = startPublic({ ...publicHttp, calls: this.#calls(), report })
		if (!started.ok) return started.sentence
		this.#public = started
		return undefined
	}

	#watchPbx(): void {
		this.#watch = watchPbx(this.#config.pbx, reachOf(pbxSidesOf(this.#config).map(({ at }) => at)), {
			found: (targets) => {
				this.#unresolved = undefined
				/* before the first request goes there */
				this.#listeners.connectPeers(targets)
				this.#loop.input({ type: 'pbx-resolved', targets })
			},
			failed: ({ host }, fault) => {
				if (this.#core.targets.all.length === 0) this.#unresolved = fault.message
				this.#log.log('pbx-unresolved', { host, reason: fault.message, hint: fault.hint })
			},
			skipped: (sentence) => this.#log.log('pbx-skipped', { reason: sentence }),
		})
	}

	#ready(): { ok: boolean; sentence: string } {
		const sentence = this.#unreadiness()
		return { ok: sentence === undefined, sentence: sentence ?? 'The gateway is ready.' }
	}

	#unreadiness(): string | undefined {
		const { context } = this.#core
		if (context.draining) return 'The gateway is stopping: it takes no new calls.'
		if (this.#unresolved !== undefined) return this.#unresolved
		if (context.storeFault !== undefined) return context.storeFault
		if (this.#core.pbxSilent) return 'The PBX does not answer: see that it runs, and that --pbx is its address.'
		for (const wrong of this.#misconfigured.values())
			if (this.#now() - wrong.at < MISCONFIGURED_FOR_MS) return wrong.hint
		return undefined
	}
}

function eventQueue(config: Config, version: GatewayVersion, log: Log, now: Clock): EventQueue | undefined {
	const { events, eventsSecret } = config
	if (events === undefined) return undefined
	const userAgent = `xcally-push-gateway/${version.gateway}`
	return new EventQueue({
		post: httpPost({ url: events, secret: eventsSecret, userAgent, now }),
		now,
		after: (ms, then) => {
			const timer = setTimeout(then, ms)
			return () => clearTimeout(timer)
		},
		log: (name, fields) => log.log(name, fields),
	})
}

/** Random words are drawn from the system this many at a time. */
const POOL_WORDS = 1024
const pool = new Uint32Array(POOL_WORDS)
let drawn = POOL_WORDS

function random32(): number {
	if (drawn === POOL_WORDS) {
		crypto.getRandomValues(pool)
		drawn = 0
	}
	return pool[drawn++]!
}
