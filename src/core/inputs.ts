/** All that can happen to the core. One input, its effects, then the next (docs/architecture.md). */
import type { FaultCode } from '../sip/faults.ts'
import type { Flow, PushEnvironment } from './model.ts'

export type Input =
	| DatagramInput
	/** A connection can carry nothing any more. Once for each, and nothing comes from it after this. */
	| { readonly type: 'flow-closed'; readonly flow: Flow }
	| StreamFaultInput
	/** A connection that the gateway opened, to a machine of the PBX, stands. */
	| { readonly type: 'pbx-connected'; readonly flow: Flow }
	/** One could not be opened: nothing that was sent there and has no answer yet will have one. `reason` follows "no connection: ". */
	| ({ readonly type: 'pbx-unreachable'; readonly listener: number; readonly reason: string } & PbxAddress)
	/** The deadline the core last asked for has come. */
	| { readonly type: 'fires' }
	| PushResultInput
	/** The changes of these `save` effects are committed. */
	| { readonly type: 'committed'; readonly tickets: readonly number[] }
	/** They are not, and the store has rolled back to before all of them. `reason` is a sentence. */
	| { readonly type: 'commit-failed'; readonly tickets: readonly number[]; readonly reason: string }
	/** The machines behind `--pbx`, in the order of their ranks. */
	| { readonly type: 'pbx-resolved'; readonly targets: readonly PbxTarget[] }
	/** The app declines this call (the gateway's id) by the address in its push. */
	| { readonly type: 'decline'; readonly callId: string; readonly deviceId: number }
	/** SIGTERM: take no new calls, end what cannot be taken up after a restart. */
	| { readonly type: 'drain' }
	/** The last input: what is still under way has its final response now, for nobody will be here to give it. */
	| { readonly type: 'end' }

/** The framing of a connection is lost (RFC 3261 §18.3), and it is about to be closed. */
export interface StreamFaultInput {
	readonly type: 'stream-fault'
	readonly flow: Flow
	readonly code: FaultCode
	/** As much of the head as came. */
	readonly head: Uint8Array
}

/** One UDP datagram, or one message of a connection. `bytes` belongs to the core from here on. */
export interface DatagramInput {
	readonly type: 'datagram'
	readonly flow: Flow
	readonly bytes: Uint8Array
}

export interface PbxAddress {
	readonly address: string
	readonly port: number
}

/** One machine of the PBX, as RFC 3263 found it. */
export interface PbxTarget extends PbxAddress {
	readonly transport: 'udp' | 'tcp' | 'tls'
	/** Of one over UDP that listens on TCP as well: the port there. */
	readonly tcpPort?: number
	/** The host in `--pbx`, which its certificate has to be for. */
	readonly domain?: string
	/** The host name it was found by, or its address. */
	readonly name: string
	/** Requests go to the lowest rank that has a machine which is up: `--pbx` by `--pbx`, in each by priority. */
	readonly rank: number
	/** RFC 2782: its share among those of its rank. */
	readonly weight: number
}

/** What became of a `push` effect; exactly one for each. */
export interface PushResultInput {
	readonly type: 'push-result'
	readonly pushId: string
	readonly outcome: PushOutcome
	/** From the effect to the outcome, ms, retries included. */
	readonly pushMs: number
}

export type PushOutcome =
	/** The push service took it. `environment` is the one that did: another than asked where the token was of the other one. */
	| { readonly kind: 'accepted'; readonly status: 200; readonly environment: PushEnvironment }
	/** The token is good for nothing: APNs' 400 BadDeviceToken in both environments, FCM's SENDER_ID_MISMATCH. */
	| { readonly kind: 'bad-token'; readonly status: number; readonly reason: string }
	/** APNs' 410, FCM's UNREGISTERED: dead since `timestampMs` (epoch; 0 where nobody knows). */
	| { readonly kind: 'gone'; readonly status: number; readonly reason: string; readonly timestampMs: number }
	/** The operator must do something: key, topic, team, clock. `hint` says what, in a sentence. */
	| { readonly kind: 'misconfigured'; readonly status: number; readonly reason: string; readonly hint: string }
	/** Too many for this device: the token stays good, and the call may yet reach the device by itself. */
	| { readonly kind: 'throttled'; readonly status: number; readonly reason: string }
	/** A `push-cancel` came before it was on the wire: nothing went out. */
	| { readonly kind: 'withdrawn'; readonly status: 0; readonly reason: '' }
	/** No answer, or an error of the push service, after the retry. status 0: none came. */
	| { readonly kind: 'failed'; readonly status: number; readonly reason: string }
