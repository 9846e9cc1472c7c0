/** All the core can do. The loop performs effects in the order they were emitted (src/loop.ts). */
import type { Secret } from '../lib/secret.ts'
import type { DeviceRecord, HeldCallRecord, PushEnvironment, PushOutcomeRecord, PushProvider, Reach } from './model.ts'

export type Effect = SendEffect | CloseEffect | SettleEffect | PushEffect | PushCancelEffect | SaveEffect | EventEffect

/** Send one message. `bytes` may be kept by the core for retransmission: nobody writes to it. */
export interface SendEffect {
	readonly type: 'send'
	readonly listener: number
	/** Of the flow it goes to: what a connection is found by. Undefined towards the PBX. */
	readonly key: string | undefined
	readonly address: string
	readonly port: number
	readonly bytes: Uint8Array
}

/** Close that connection; what was sent goes out. */
export interface CloseEffect {
	readonly type: 'close'
	readonly listener: number
	readonly key: string
}

/** Keep that connection: a device is bound over it, or it is the PBX's. Again, or where it is no more: nothing. */
export interface SettleEffect {
	readonly type: 'settle'
	readonly listener: number
	readonly key: string
}

/** In the words of APNs (`apns-push-type`). Only a call may be `voip`: iOS ends apps that get one and show no call. */
export type PushKind = 'voip' | 'alert' | 'background'

/** Send one push; answered by exactly one `push-result` input. */
export interface PushEffect {
	readonly type: 'push'
	readonly kind: PushKind
	/** A UUID in lower case, the same on a retry: `apns-id`. */
	readonly pushId: string
	readonly provider: PushProvider
	readonly environment: PushEnvironment
	/** APNs: with `.voip` behind the bundle id for a call, the bundle id alone for the others. FCM: for nobody. */
	readonly topic: string
	readonly token: Secret
	/**
	 * JSON text, at most {@link MAX_PAYLOAD_BYTES} or {@link MAX_FCM_PAYLOAD_BYTES} octets of UTF-8. APNs: the whole body. FCM: the
	 * `data` of the message, an object of strings.
	 */
	readonly payload: string
	/** The same with only what the phone cannot do without, for a retry after a complaint about the size or the request. */
	readonly minimalPayload: string
	/** The push service need not try after this time, ms since the epoch. */
	readonly expiresAt: number
}

/** Do not send that push after all, if it is not on the wire yet: its result is `withdrawn` then, else what it is anyway. */
export interface PushCancelEffect {
	readonly type: 'push-cancel'
	readonly pushId: string
}

/** APNs' limit for a VoIP push. */
export const MAX_PAYLOAD_BYTES = 5120

/** FCM's limit for the data of a message; the JSON of it is a little longer than what they count. */
export const MAX_FCM_PAYLOAD_BYTES = 4096

/**
 * Store these changes in one transaction. Answered by `committed` or `commit-failed` with the ticket where
 * `ticket` is not 0; ticket 0 means nobody waits, and the store may take its time (50 ms).
 */
export interface SaveEffect {
	readonly type: 'save'
	readonly ticket: number
	readonly changes: readonly Change[]
}

export type Change =
	/** Insert the device, or replace the whole row of that id. */
	| { readonly table: 'device'; readonly op: 'put'; readonly row: DeviceRecord }
	/** A refresh on the same flow with the same Contact and push parameters: the hot path of REGISTER. */
	| {
			readonly table: 'device'
			readonly op: 'refresh'
			readonly id: number
			readonly expiresAt: number
			readonly pbxExpiresAt: number
			readonly registeredAt: number
			readonly reach: Reach
	  }
	| { readonly table: 'device'; readonly op: 'reach'; readonly id: number; readonly reach: Reach }
	| { readonly table: 'device'; readonly op: 'token-dead'; readonly id: number }
	| { readonly table: 'device'; readonly op: 'wake-times'; readonly id: number; readonly wakeTimes: readonly number[] }
	| { readonly table: 'device'; readonly op: 'missed-wakes'; readonly id: number; readonly missedWakes: number }
	| { readonly table: 'device'; readonly op: 'environment'; readonly id: number; readonly environment: PushEnvironment }
	| { readonly table: 'device'; readonly op: 'delete'; readonly id: number }
	| { readonly table: 'call'; readonly op: 'put'; readonly row: HeldCallRecord }
	| { readonly table: 'call'; readonly op: 'end'; readonly id: string; readonly at: number; readonly reason: string }
	| { readonly table: 'call'; readonly op: 'delete'; readonly id: string }
	/** Insert, or replace the outcome of that push. */
	| { readonly table: 'push'; readonly op: 'put'; readonly row: PushOutcomeRecord }

/** Something an operator may want to know; `name` is one of {@link EventName}, fields are flat. */
export interface EventEffect {
	readonly type: 'event'
	readonly name: EventName
	readonly fields: Readonly<Record<string, EventValue>>
}

export type EventValue = string | number | boolean | Secret | undefined

/** Each is documented in docs/operations.md; a test compares the two. */
export const EVENTS = {
	'device-registered': 'info',
	'device-removed': 'info',
	'device-expired': 'info',
	'device-foreground': 'info',
	'device-background': 'info',
	'register-refused': 'info',
	'call-held': 'info',
	'call-released': 'info',
	'call-answered': 'info',
	'call-ended': 'info',
	'call-failed': 'warn',
	'call-restored': 'info',
	'ghost-replayed': 'info',
	'push-sent': 'info',
	'push-accepted': 'info',
	'push-refused': 'warn',
	'push-withdrawn': 'info',
	'push-misconfigured': 'error',
	'device-woke': 'info',
	'wake-slow': 'warn',
	'device-suspect': 'warn',
	'device-trusted': 'info',
	'agent-unreachable': 'warn',
	'agent-back': 'info',
	'source-banned': 'warn',
	'source-unbanned': 'info',
	'own-name-violation': 'warn',
	'message-rejected': 'warn',
	'pbx-silent': 'error',
	'pbx-back': 'info',
	'pbx-down': 'warn',
	'pbx-up': 'info',
	'pbx-skipped': 'info',
	'store-failed': 'error',
	'store-back': 'info',
	'limit-reached': 'warn',
	'drain-started': 'info',
	/* of the edges */
	started: 'info',
	stopped: 'info',
	'listener-error': 'error',
	'certificates-reloaded': 'info',
	'certificates-bad': 'error',
	'apns-session': 'info',
	'events-failing': 'warn',
	'events-back': 'info',
	'event-undelivered': 'warn',
	'apns-clock-drift': 'error',
	'pbx-unresolved': 'error',
	'internal-error': 'error',
} as const satisfies Record<string, 'info' | 'warn' | 'error'>

export type EventName = keyof typeof EVENTS
