/** The pushes that are out, what became of each, and what that says of the devices they were for. */
import type { Secret } from '../../lib/secret.ts'
import type { CommitWaiter, Context } from '../context.ts'
import type { EventName, PushEffect } from '../effects.ts'
import type { PushOutcome, PushResultInput } from '../inputs.ts'
import type { PushOutcomeRecord, PushProvider } from '../model.ts'
import type { Availability } from '../reach/availability.ts'
import type { Suspicion } from '../reach/suspicion.ts'
import type { Device, Devices } from '../registrar/devices.ts'
import type { Counters } from '../snapshot.ts'
import { type Branch, GHOST_MS } from './device-branch.ts'
import type { WakeTimes } from './wake-times.ts'

/** Pushes remembered for the status page. */
export const MAX_PUSHES_SHOWN = 200

/** Nobody waits for it, but it is not left for later. */
const STORED_SOON: CommitWaiter = {
	committed() {},
	commitFailed() {},
}

/** A push without an answer. */
interface Pushed {
	readonly branch: Branch
	readonly provider: PushProvider
	readonly token: Secret
}

export class Pushes {
	readonly #context: Context
	readonly #suspicion: Suspicion
	readonly #availability: Availability
	readonly #wakeTimes: WakeTimes
	/** Without an answer, by push id. */
	readonly #out = new Map<string, Pushed>()
	/** Accepted, and the device has not registered since, by device. */
	readonly #wakes = new Map<number, PushOutcomeRecord>()
	/** By push id, oldest first. */
	readonly #outcomes = new Map<string, PushOutcomeRecord>()

	constructor(
		context: Context,
		suspicion: Suspicion,
		availability: Availability,
		wakeTimes: WakeTimes,
		outcomes: readonly PushOutcomeRecord[],
	) {
		this.#context = context
		this.#suspicion = suspicion
		this.#availability = availability
		this.#wakeTimes = wakeTimes
		for (const row of outcomes.slice(-MAX_PUSHES_SHOWN)) this.#outcomes.set(row.pushId, row)
	}

	/**
	 * After a restart: pushes whose devices may still wake. What ran out while nobody could have heard them is nobody's
	 * fault.
	 */
	takeUp(devices: Devices, now: number): void {
		for (const row of this.outcomes) {
			const device = devices.device(row.deviceId)
			if (device === undefined || row.result !== 'accepted' || now >= this.#wakeableUntil(row)) continue
			if (device.registeredAt <= row.sentAt) this.#awaitWake(device, row)
		}
	}

	/** Newest first. */
	get outcomes(): readonly PushOutcomeRecord[] {
		return [...this.#outcomes.values()].reverse()
	}

	/** How many have no answer yet. */
	get unanswered(): number {
		return this.#out.size
	}

	deviceGone(device: Device): void {
		this.#wakes.delete(device.id)
	}

	/** It answered by SIP: the REGISTER that comes next is a refresh, and no wake. */
	needless({ deviceId }: Branch): void {
		this.#wakes.delete(deviceId)
	}

	/** Its app, woken by the push, declined by the address in it, and has no need to register. */
	declined(device: Device, now: number): void {
		device.askedAt = now
		this.#wakes.delete(device.id)
		this.#suspicion.alive(device)
	}

	send(branch: Branch, effect: PushEffect): void {
		this.#context.counters.pushesSent++
		const { provider, token } = effect
		this.#out.set(effect.pushId, { branch, provider, token })
		this.#context.effects.push(effect)
		this.#context.event('push-sent', {
			push: effect.pushId,
			agent: branch.device?.agent.aor,
			device: branch.deviceId,
			provider,
			token,
		})
	}

	/** The phone needs no waking any more: a push that has not gone out yet is taken back. */
	withdraw({ pushId }: Branch): void {
		if (this.#out.has(pushId)) this.#context.effects.push({ type: 'push-cancel', pushId })
	}

	answered(result: PushResultInput, now: number): void {
		const pushed = this.#out.get(result.pushId)
		if (pushed === undefined) return
		this.#out.delete(result.pushId)
		const { branch } = pushed
		this.#note(branch, result)
		this.#learn(pushed, result.outcome)
		branch.call.pushed(branch, result, now)
	}

	/** Has this push been answered, in this life of the gateway or an earlier one? */
	knowsOutcome(pushId: string): boolean {
		return this.#outcomes.has(pushId)
	}

	/** What the outcome says of the device, beyond this call: nothing where it has brought another token since. */
	#learn({ branch: { device }, provider, token }: Pushed, outcome: PushOutcome): void {
		if (device?.push === undefined || device.push.provider !== provider) return
		if (device.push.token.reveal() !== token.reveal()) return
		if (outcome.kind === 'accepted') {
			if (device.push.environment === outcome.environment) return
			device.push = { ...device.push, environment: outcome.environment }
			this.#context.save([{ table: 'device', op: 'environment', id: device.id, environment: outcome.environment }])
		} else if (tokenDied(outcome, device.registeredAt)) this.tokenDied(device)
	}

	/** No call's push reaches it until it registers anew. */
	tokenDied(device: Device): void {
		if (device.tokenDead) return
		device.tokenDead = true
		this.#context.save([{ table: 'device', op: 'token-dead', id: device.id }])
		this.#availability.changed(device.agent)
	}

	#note(branch: Branch, { pushId, outcome, pushMs }: PushResultInput): void {
		const { counters } = this.#context
		const accepted = outcome.kind === 'accepted'
		const result = resultOf(outcome)
		const reason = accepted ? '' : outcome.reason
		counters[COUNTED[result]]++
		const agent = branch.device?.agent.aor ?? ''
		const { callId } = branch.call.invite
		const row: PushOutcomeRecord = {
			pushId,
			callId,
			agent,
			deviceId: branch.deviceId,
			sentAt: branch.pushedAt,
			result,
			status: outcome.status,
			reason,
			pushMs,
			wakeMs: undefined,
		}
		this.#record(row)
		if (accepted && branch.device !== undefined) this.#accepted(branch, branch.device, row)
		const name = outcome.kind === 'misconfigured' ? 'push-misconfigured' : TOLD[result]
		const hint = outcome.kind === 'misconfigured' ? outcome.hint : undefined
		this.#context.event(name, {
			push: pushId,
			agent,
			device: branch.deviceId,
			provider: branch.device?.push?.provider,
			status: outcome.status,
			reason: reason || undefined,
			pushMs,
			hint,
		})
	}

	/** The device may have woken before the answer came. */
	#accepted(branch: Branch, device: Device, row: PushOutcomeRecord): void {
		const { registeredAt } = device
		if (registeredAt > row.sentAt) {
			if (!this.#isCounted(device.id, registeredAt)) this.#woke(device, row, registeredAt)
		} else if (branch.heardAt <= row.sentAt && device.askedAt <= row.sentAt) this.#awaitWake(device, row)
	}

	/** Does a wake by this REGISTER stand with an earlier push already? */
	#isCounted(deviceId: number, registeredAt: number): boolean {
		return this.outcomes.some(
			(row) => row.deviceId === deviceId && row.wakeMs !== undefined && row.sentAt + row.wakeMs >= registeredAt,
		)
	}

	#awaitWake(device: Device, row: PushOutcomeRecord): void {
		/* a queue calls again before a slow phone has come: its wake is counted from the push that woke it, the first */
		const known = this.#wakes.get(device.id)
		if (known === undefined || row.sentAt < known.sentAt || row.sentAt >= this.#wakeableUntil(known))
			this.#wakes.set(device.id, row)
		this.#suspicion.watch(device, row.sentAt, this.#wakeableUntil(row))
	}

	/** A REGISTER after this is a refresh, and no wake: the hold is over, and its ghost too. */
	#wakeableUntil({ sentAt }: PushOutcomeRecord): number {
		return sentAt + this.#context.settings.holdMs + GHOST_MS
	}

	/** A REGISTER after a push: the device woke. */
	registered(device: Device, now: number): void {
		this.#suspicion.alive(device)
		const pushed = this.#wakes.get(device.id)
		if (pushed === undefined) return
		this.#wakes.delete(device.id)
		if (now < this.#wakeableUntil(pushed)) this.#woke(device, pushed, now)
	}

	#woke(device: Device, pushed: PushOutcomeRecord, at: number): void {
		const wakeMs = at - pushed.sentAt
		device.lastWakeMs = wakeMs
		this.#context.counters.wakes++
		this.#record({ ...pushed, wakeMs })
		this.#context.event('device-woke', { agent: device.agent.aor, device: device.id, wakeMs })
		const { wakeSlowMs } = this.#context.settings
		if (wakeSlowMs > 0 && wakeMs > wakeSlowMs)
			this.#context.event('wake-slow', { agent: device.agent.aor, device: device.id, push: pushed.pushId, wakeMs })
		this.#wakeTimes.woke(device, wakeMs)
	}

	#record(row: PushOutcomeRecord): void {
		this.#outcomes.set(row.pushId, row)
		if (this.#outcomes.size > MAX_PUSHES_SHOWN) this.#forgetOldest()
		/* soon: after a kill a push whose outcome is not stored goes out again */
		this.#context.save([{ table: 'push', op: 'put', row }], STORED_SOON)
	}

	#forgetOldest(): void {
		for (const pushId of this.#outcomes.keys()) return void this.#outcomes.delete(pushId)
	}
}

const COUNTED = {
	accepted: 'pushesAccepted',
	refused: 'pushesRefused',
	failed: 'pushesFailed',
	withdrawn: 'pushesWithdrawn',
} as const satisfies Record<PushOutcomeRecord['result'], keyof Counters>

const TOLD = {
	accepted: 'push-accepted',
	refused: 'push-refused',
	failed: 'push-refused',
	withdrawn: 'push-withdrawn',
} as const satisfies Record<PushOutcomeRecord['result'], EventName>

function resultOf({ kind }: PushOutcome): PushOutcomeRecord['result'] {
	return kind === 'accepted' || kind === 'failed' || kind === 'withdrawn' ? kind : 'refused'
}

/** Does this outcome say that the token itself is dead? */
export function tokenDied(outcome: PushOutcome, registeredAt: number): boolean {
	if (outcome.kind === 'bad-token') return true
	/* it tells since when: a REGISTER after that has brought the token anew */
	return outcome.kind === 'gone' && registeredAt <= (outcome.timestampMs || Infinity)
}
