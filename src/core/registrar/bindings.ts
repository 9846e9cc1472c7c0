/** What the PBX's 2xx to a REGISTER changes of the devices here (RFC 3261 §10.3 step 7). */

import { Header } from '../../sip/headers.ts'
import { detached } from '../../sip/latin1.ts'
import type { SipMessage } from '../../sip/message.ts'
import type { Context } from '../context.ts'
import type { Change } from '../effects.ts'
import type { Flow, PushParams } from '../model.ts'
import { type Asked, type AskedContact, shownContact } from './contact.ts'
import { type Device, type Devices, MAX_DEVICES_PER_AGENT } from './devices.ts'
import { claimedByAnother } from './feature-caps.ts'
import { samePush } from './push-params.ts'

/** RFC 8599 §5.6.1: a binding shorter than this lapses before a push could bring anybody back, so none is promised. */
export const MIN_PUSH_EXPIRES_SEC = 30

/** Whom it touches. */
export interface BindingParts {
	readonly context: Context
	readonly devices: Devices
	readonly observer: {
		/** A REGISTER of this device was accepted: it is awake, whatever becomes of the commit. */
		deviceSeen(device: Device, now: number): void
	}
}

/** One accepted REGISTER. */
export class Bindings {
	readonly #context: Context
	readonly #devices: Devices
	readonly #observer: BindingParts['observer']
	readonly #request: SipMessage
	readonly #flow: Flow
	/** See {@link outboundRegId}. */
	readonly #regId: string | undefined
	readonly #aor: string
	readonly #now: number
	/** What is to be stored. */
	readonly changes: Change[] = []
	/** The devices it bound. */
	readonly bound: Device[] = []

	constructor(
		parts: BindingParts,
		request: SipMessage,
		flow: Flow,
		regId: string | undefined,
		aor: string,
		now: number,
	) {
		this.#context = parts.context
		this.#devices = parts.devices
		this.#observer = parts.observer
		this.#request = request
		this.#flow = flow
		this.#regId = regId
		this.#aor = aor
		this.#now = now
	}

	/** The Contacts to show to the phone, and the changes to store. */
	apply(asked: Asked, grantedSec: number | undefined): string[] {
		const devices = this.#devices
		if (asked.kind === 'remove-all') {
			for (const device of [...(devices.agent(this.#aor)?.devices ?? [])]) this.#remove(device)
			return []
		}
		if (asked.kind !== 'bindings') return this.#ownContacts()
		const shown: string[] = []
		for (const contact of asked.contacts) {
			const device = devices.find(this.#aor, contact.deviceKey)
			/* the phone never gets more than it asked for, nor more than the PBX gave */
			const sec = Math.min(contact.expiresSec, grantedSec ?? contact.expiresSec)
			if (sec === 0) {
				const keepsOne = contact.expiresSec === 0 && device !== undefined && devices.signOff(device, this.#regId)
				if (device !== undefined && !keepsOne) this.#remove(device)
				continue
			}
			this.#bind(device, contact, sec, grantedSec ?? sec)
			shown.push(shownContact(contact, sec))
		}
		return shown
	}

	#bind(device: Device | undefined, contact: AskedContact, sec: number, pbxSec: number): void {
		const expiresAt = this.#now + sec * 1000
		const pbxExpiresAt = this.#now + pbxSec * 1000
		const push = sec >= MIN_PUSH_EXPIRES_SEC && !this.#isPushedByAnother(contact.push) ? contact.push : undefined
		if (device !== undefined) this.#refresh(device, contact, push, expiresAt, pbxExpiresAt)
		else device = this.#bindNew(contact, push, expiresAt, pbxExpiresAt)
		device.isOfStore = false
		device.noteOrder(this.#request)
		this.#observer.deviceSeen(device, this.#now)
		this.bound.push(device)
	}

	#refresh(
		device: Device,
		contact: AskedContact,
		push: PushParams | undefined,
		expiresAt: number,
		pbxExpiresAt: number,
	): void {
		const same =
			!device.stale &&
			!device.tokenDead &&
			device.flow.key === this.#flow.key &&
			device.contact === contact.value.uri &&
			samePush(device.push, push)
		device.expiresAt = expiresAt
		device.pbxExpiresAt = pbxExpiresAt
		device.registeredAt = this.#now
		/* RFC 3261 §10.3 step 7: the answer to an older REGISTER came last, and says nothing of where the phone is */
		if (same || device.isOlder(this.#request)) {
			this.changes.push({
				table: 'device',
				op: 'refresh',
				id: device.id,
				expiresAt,
				pbxExpiresAt,
				registeredAt: this.#now,
				reach: 'foreground',
			})
		} else {
			this.#devices.move(device, this.#flow, this.#regId)
			device.moveTo(contact.value.uri)
			/* the environment that was found to work for this token is worth more than the phone's word */
			device.push = push !== undefined && samePush(device.push, push) ? device.push : push
			device.tokenDead = false
			device.stale = false
			device.userAgent = this.#userAgent() ?? device.userAgent
			this.changes.push({
				table: 'device',
				op: 'put',
				row: { ...device.record(), reach: 'foreground', missedWakes: 0 },
			})
		}
		this.#devices.armExpiry(device)
	}

	#bindNew(contact: AskedContact, push: PushParams | undefined, expiresAt: number, pbxExpiresAt: number): Device {
		const devices = this.#devices
		this.#makeRoom(contact, push)
		const device = devices.bind(
			{
				...devices.takeUp(this.#aor, contact.deviceKey),
				agent: this.#aor,
				key: contact.deviceKey,
				contact: contact.value.uri,
				flow: this.#flow,
				push,
				expiresAt,
				pbxExpiresAt,
				registeredAt: this.#now,
				reach: 'foreground',
				tokenDead: false,
				missedWakes: 0,
				userAgent: this.#userAgent() ?? '',
			},
			this.#now,
		)
		device.regId = this.#regId
		this.changes.push({ table: 'device', op: 'put', row: device.record() })
		this.#context.event('device-registered', {
			agent: this.#aor,
			device: device.id,
			address: this.#flow.address,
			port: this.#flow.port,
			token: push?.token,
		})
		return device
	}

	/** The same token under another key is the same phone after a restore; and there is a limit. */
	#makeRoom(contact: AskedContact, push: PushParams | undefined): void {
		const others = this.#devices.agent(this.#aor)?.devices ?? []
		if (push !== undefined) {
			const twin = others.find(
				(device) => device.key !== contact.deviceKey && device.push?.token.reveal() === push.token.reveal(),
			)
			if (twin !== undefined) this.#remove(twin, contact.deviceKey)
		}
		if (others.length < MAX_DEVICES_PER_AGENT) return
		this.#context.event('limit-reached', { limit: 'devices-per-agent', agent: this.#aor })
		this.#remove(others.reduce((oldest, device) => (device.registeredAt < oldest.registeredAt ? device : oldest)))
	}

	#remove(device: Device, heir?: string): void {
		this.changes.push({ table: 'device', op: 'delete', id: device.id })
		this.#context.event('device-removed', { agent: this.#aor, device: device.id })
		this.#devices.unbind(device, this.#now, heir)
	}

	/** A query shows the phone its own bindings, never those of other devices: their Contacts hold their tokens. */
	#ownContacts(): string[] {
		const device = this.#devices.flow(this.#flow.key)?.devices.get(this.#aor)
		if (device === undefined) return []
		return [`<${device.contact}>;expires=${Math.max(0, Math.ceil((device.expiresAt - this.#now) / 1000))}`]
	}

	/** RFC 8599 §5.6.1: somebody nearer to the phone pushes for it. */
	#isPushedByAnother(push: PushParams | undefined): boolean {
		if (push === undefined || this.#request.find(Header.FeatureCaps) < 0) return false
		return claimedByAnother(this.#request.rows(Header.FeatureCaps), push.provider)
	}

	#userAgent(): string | undefined {
		const said = this.#request.first(Header.UserAgent)
		return said === undefined ? undefined : detached(said.slice(0, MAX_USER_AGENT_LENGTH))
	}
}

/** Longest User-Agent kept for the status page. */
const MAX_USER_AGENT_LENGTH = 120
