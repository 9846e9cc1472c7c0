/**
 * The records the core decides on, in the words of docs/architecture.md. Plain data: what of it must survive a
 * restart goes to the store by a `save` effect and comes back as a {@link Restored} value.
 */
import type { Secret } from '../lib/secret.ts'

/**
 * What reaches a device now (RFC 5626 §3): for UDP the listener it came in by and the far address, else one connection.
 * `key` identifies it within this process, and is made once by the transport: `<listener>|<address>|<port>`, and for a
 * connection `|<n>` behind it, counted from 1. With 0 it is one that is closed.
 */
export interface Flow {
	readonly key: string
	/** Index of the listener in the configuration, 0-based. */
	readonly listener: number
	/** Textual IP address, IPv6 without brackets. */
	readonly address: string
	readonly port: number
}

/** A push service, as RFC 8599 §10 and §11 name it. */
export type PushProvider = 'apns' | 'fcm'

/** FCM has one, and it is called production here. */
export type PushEnvironment = 'production' | 'sandbox'

/** Push parameters of a binding, whichever dialect they came in (RFC 8599 §4, or the legacy `pn-tok`). */
export interface PushParams {
	readonly provider: PushProvider
	readonly environment: PushEnvironment
	/**
	 * APNs topic of `token`: `com.example.app.voip`, or the bundle id alone where the phone gave no VoIP token, so that no call
	 * wakes it. '' where neither the phone nor the configuration names one. For FCM what the phone calls its project, perhaps ''.
	 */
	readonly topic: string
	/** What a call is pushed to. APNs: the VoIP token, hex; the ordinary one where there is no other. FCM: its one token. */
	readonly token: Secret
	/** For alerts and background pushes; undefined where the phone gave none. APNs: the ordinary token, hex. FCM: its one token. */
	readonly remoteToken: Secret | undefined
	/** `pn-prid` (or `pn-tok`) exactly as it came: part of the device's identity. */
	readonly prid: Secret
	readonly dialect: 'rfc8599' | 'legacy'
}

/** Reach of a device: did the last pongs come? */
export type Reach = 'foreground' | 'background'

/** One row of the `device` table. */
export interface DeviceRecord {
	/** Small positive integer, never used again for another device: it is signed into Record-Route. */
	readonly id: number
	/** Canonical address-of-record, `sip:1001@pbx.example`. */
	readonly agent: string
	/** Identity within the agent: `i:<+sip.instance>`, `p:<pn-prid>` or `c:<user>;<transport>`. */
	readonly key: string
	/** The phone's own Contact URI as it registered it, pn-* and all. */
	readonly contact: string
	readonly flow: Flow
	readonly push: PushParams | undefined
	/** The push parameters and the binding lapse at this time, ms since the epoch. */
	readonly expiresAt: number
	/** The PBX's binding of the agent lapses at this time, ms since the epoch. */
	readonly pbxExpiresAt: number
	/** When the PBX last said 2xx to a REGISTER of this device, ms since the epoch. */
	readonly registeredAt: number
	readonly reach: Reach
	/** Its push service said that this token is dead: no pushes to it until a new REGISTER. */
	readonly tokenDead: boolean
	/** Accepted pushes in a row that the device gave no sign of life after. */
	readonly missedWakes: number
	/** How long its last wakes took, ms, the newest last. */
	readonly wakeTimes: readonly number[]
	readonly userAgent: string
}

/** A held INVITE, or one that ended while its push was out, as it is stored. */
export interface HeldCallRecord {
	/** The gateway's id of the call: 16 hex digits. */
	readonly id: string
	readonly agent: string
	/** The INVITE exactly as it came. */
	readonly invite: Uint8Array
	/** Where it came from and its answers go. */
	readonly source: Flow
	readonly receivedAt: number
	/** The hold ends at this time, ms since the epoch. */
	readonly holdUntil: number
	/** The To-tag of the answers the gateway gives itself. */
	readonly toTag: string
	/** One for each device it went to or waits for. */
	readonly branches: readonly HeldBranch[]
	/** Set once the caller has had a final response; the record then serves only phones that wake late. */
	readonly ended: { readonly at: number; readonly reason: string } | undefined
}

export interface HeldBranch {
	readonly deviceId: number
	/** Via branch of the copy for this device: the same one goes out again after a restart. */
	readonly branch: string
	readonly pushId: string
	/** ms since the epoch. */
	readonly pushedAt: number
}

/** What became of one push. */
export interface PushOutcomeRecord {
	readonly pushId: string
	readonly callId: string
	readonly agent: string
	readonly deviceId: number
	/** ms since the epoch. */
	readonly sentAt: number
	readonly result: 'accepted' | 'refused' | 'failed' | 'withdrawn'
	/** HTTP status, 0 where there was no answer. */
	readonly status: number
	/** The push service's word, or ours: `Unregistered`, `timeout`. '' when accepted. */
	readonly reason: string
	/** push → answer, ms. */
	readonly pushMs: number
	/** push → the PBX's 2xx to the device's REGISTER, ms; undefined while (or because) it did not wake. */
	readonly wakeMs: number | undefined
}

/** What the store holds at start. */
export interface Restored {
	readonly devices: readonly DeviceRecord[]
	readonly heldCalls: readonly HeldCallRecord[]
	readonly pushOutcomes: readonly PushOutcomeRecord[]
	/** The next device id that was never used. */
	readonly nextDeviceId: number
}
