/** Follow what `--pbx` names as it changes. */
import type { PbxLocation } from '../config/kinds.ts'
import type { PbxTarget } from '../core/inputs.ts'
import { type Dns, systemDns } from './dns.ts'
import {
	type Candidate,
	type Located,
	literalAddress,
	locate,
	MAX_TARGETS,
	type Reach,
	ResolveFault,
	type Step,
} from './locate.ts'

/** A shorter TTL is no reason to ask more often: machines that fail are found by asking them. */
export const REFRESH_MIN_MS = 10_000
/** A longer TTL is no reason to wait: who changed an entry looks at his watch. Also where nobody says (SRV, /etc/hosts). */
export const REFRESH_MAX_MS = 60_000
/** After a failure the name is tried again this soon. */
export const RETRY_MS = 5_000
/** A look-up that takes longer has failed, whatever hangs. */
export const LOOKUP_LIMIT_MS = 10_000

export interface Watch {
	/** No more look-ups and no more calls, not even for one under way. */
	stop(): void
}

export interface WatchUser {
	/** Called with the first answer, and whenever a machine came, went or changed its place. */
	found(targets: readonly PbxTarget[]): void
	/** For each failed look-up; what was known before stays good. */
	failed(pbx: PbxLocation, fault: ResolveFault): void
	/** What DNS offers and the gateway does not use, a sentence; once for each time it appears. */
	skipped(sentence: string): void
}

/** Resolves all at once, and each name again when its answer is old. */
export function watchPbx(pbxs: readonly PbxLocation[], reach: Reach, user: WatchUser, dns: Dns = systemDns()): Watch {
	const known: (Located | undefined)[] = pbxs.map(() => undefined)
	let told = ''
	const changed = () => {
		const targets = ranked(known)
		const text = JSON.stringify(targets)
		if (text === told) return
		told = text
		user.found(targets)
	}
	const follows = pbxs.map((pbx, i) => {
		const follow = new Follow(pbx, reach, user, dns, (located) => {
			known[i] = located
			changed()
		})
		void follow.look()
		return follow
	})
	return {
		stop: () => {
			for (const follow of follows) follow.stop()
			dns.cancel()
		},
	}
}

/** All groups in one order of ranks; a machine that stands twice counts where it stands first. */
export function ranked(groups: readonly (Located | undefined)[]): PbxTarget[] {
	const targets = new Map<string, PbxTarget>()
	let rank = -1
	groups.forEach((group, i) => {
		let place = ''
		for (const { order, ...machine } of group?.candidates ?? []) {
			const { transport, address, port } = machine
			const key = `${transport}|${address}|${port}`
			if (targets.has(key) || targets.size >= MAX_TARGETS) continue
			const own = `${i} ${order[0]} ${order[1]}`
			if (own !== place) rank++
			place = own
			targets.set(key, targetOf(machine, rank))
		}
	})
	return [...targets.values()]
}

function targetOf({ tcpPort, ...machine }: Omit<Candidate, 'order'>, rank: number): PbxTarget {
	return { ...machine, ...(tcpPort !== undefined && { tcpPort }), rank }
}

/** The stronger, the lower. */
const STRENGTH: { readonly [S in Step]: number } = { literal: 0, naptr: 1, srv: 2, address: 3 }

class Follow {
	readonly #pbx: PbxLocation
	readonly #reach: Reach
	readonly #user: WatchUser
	readonly #dns: Dns
	readonly #changed: (located: Located) => void
	#known: Located | undefined = undefined
	#timer: ReturnType<typeof setTimeout> | undefined = undefined
	#stopped = false

	constructor(pbx: PbxLocation, reach: Reach, user: WatchUser, dns: Dns, changed: (located: Located) => void) {
		this.#pbx = pbx
		this.#reach = reach
		this.#user = user
		this.#dns = dns
		this.#changed = changed
	}

	readonly look = async (): Promise<void> => {
		const answer = await inTime(this.#pbx, (late) => locate(this.#pbx, this.#reach, this.#dns, late)).catch(
			(error: unknown) =>
				error instanceof ResolveFault
					? error
					: new ResolveFault(`${error}`, 'EFAIL', 'This is a fault of the gateway.'),
		)
		if (this.#stopped) return
		if (literalAddress(this.#pbx.host) === undefined) this.#timer = setTimeout(this.look, refreshMs(answer))
		if (answer instanceof ResolveFault) return this.#user.failed(this.#pbx, answer)
		if (!this.#isWorse(answer)) return this.#take(answer)
		const sentence = `DNS gives no whole answer for ${this.#pbx.host}, so that what was known stays.`
		this.#user.failed(this.#pbx, new ResolveFault(sentence, 'EPARTIAL', 'Check the DNS servers of this machine.'))
	}

	stop(): void {
		this.#stopped = true
		clearTimeout(this.#timer)
	}

	/** A question that was lost on the way takes nothing away that an answer gave. */
	#isWorse({ isPartial, step, candidates }: Located): boolean {
		const known = this.#known
		if (!isPartial || known === undefined) return false
		return STRENGTH[step] > STRENGTH[known.step] || (step === known.step && candidates.length < known.candidates.length)
	}

	#take(located: Located): void {
		const before = this.#known?.skipped ?? []
		this.#known = located
		for (const sentence of located.skipped) if (!before.includes(sentence)) this.#user.skipped(sentence)
		this.#changed(located)
	}
}

function refreshMs(answer: Located | ResolveFault): number {
	if (answer instanceof ResolveFault) return RETRY_MS
	const ttlMs = answer.ttlSec === undefined ? REFRESH_MAX_MS : answer.ttlSec * 1000
	return Math.max(REFRESH_MIN_MS, Math.min(ttlMs, REFRESH_MAX_MS))
}

function inTime(pbx: PbxLocation, look: (late: AbortSignal) => Promise<Located>): Promise<Located> {
	const late = Promise.withResolvers<never>()
	const fault = new ResolveFault(
		`DNS does not answer for ${pbx.host}.`,
		'ETIMEOUT',
		'Check the DNS servers of this machine, or give --pbx an address.',
	)
	const limit = new AbortController()
	const timer = setTimeout(() => {
		late.reject(fault)
		limit.abort()
	}, LOOKUP_LIMIT_MS)
	return Promise.race([look(limit.signal), late.promise]).finally(() => clearTimeout(timer))
}
