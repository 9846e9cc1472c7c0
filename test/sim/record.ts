/** Everything that crossed the gateway's walls in one run, in order: what the invariants are checked against. */

import type { EventName, EventValue, PushEffect, SaveEffect } from '../../src/core/effects.ts'
import type { PushResultInput } from '../../src/core/inputs.ts'
import type { DeviceRecord, Flow, HeldCallRecord } from '../../src/core/model.ts'
import type { CallVerdict } from '../../src/core/snapshot.ts'
import type { Endpoint } from '../../src/demo/dialog.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import type { Visit } from './links.ts'

/** What the world notes when the last part of its run begins. */
export const SWITCHED_OFF = 'is switched off'

interface At {
	readonly at: number
	/** Place in the record. */
	readonly index: number
	/** Place of the input that caused it: its own one for inputs. */
	readonly cause: number
	/** How often the gateway had been started by then. */
	readonly life: number
}

export type In = At & { readonly kind: 'in'; readonly peer: Flow; readonly message: SipMessage }
export type Out = At & { readonly kind: 'out'; readonly peer: Endpoint; readonly message: SipMessage }
export type Push = At & { readonly kind: 'push'; readonly push: PushEffect; readonly callId: string }
export type PushResult = At & { readonly kind: 'push-result'; readonly result: PushResultInput }
export type Save = At & { readonly kind: 'save'; readonly save: SaveEffect }
export type Killed = At & {
	readonly kind: 'killed'
	/** The last turn before it was not finished: any of its effects may be missing. */
	readonly midTurn: boolean
	readonly stored: { readonly devices: readonly DeviceRecord[]; readonly calls: readonly HeldCallRecord[] }
}

/** The gateway hears that a connection is closed, or that its framing is lost. */
export type Closed = At & { readonly kind: 'closed' | 'garbled'; readonly peer: Flow }

/** What the gateway has its transport do with a connection. */
export type Handled = At & { readonly kind: 'closes' | 'settles'; readonly peer: Endpoint }

/** An app came with the address of its push. */
export type Visited = At & Visit & { readonly kind: 'visited'; readonly verdict: CallVerdict }
/** And declined: `callId` is the gateway's id. */
export type Declined = At & { readonly kind: 'declined'; readonly callId: string; readonly deviceId: number }

export type Note = At & { readonly kind: 'note'; readonly who: string; readonly text: string }
export type Started = At & { readonly kind: 'started'; readonly bound: readonly number[] }

export type Entry =
	| In
	| Out
	| Push
	| PushResult
	| Save
	| Killed
	| Closed
	| Handled
	| Visited
	| Declined
	| (At & { readonly kind: 'fires' })
	/** The gateway knows the PBX's address. */
	| (At & { readonly kind: 'resolved' })
	| (At & { readonly kind: 'committed'; readonly tickets: readonly number[] })
	| (At & { readonly kind: 'commit-failed'; readonly tickets: readonly number[]; readonly reason: string })
	| (At & {
			readonly kind: 'event'
			readonly name: EventName
			readonly fields: Readonly<{ [field: string]: EventValue }>
	  })
	/** The core threw. */
	| (At & { readonly kind: 'threw'; readonly error: string })
	/** What somebody outside did: falls asleep, is pushed to. */
	| Note
	| Started
	/** A check made while the world ran found this. */
	| (At & { readonly kind: 'fault'; readonly invariant: string; readonly sentence: string })

type Without<T> = T extends unknown ? Omit<T, keyof At> : never
export type NewEntry = Without<Entry>

export class Record {
	readonly entries: Entry[] = []
	life = 0
	#cause = 0

	/** An input of the gateway, or something outside it: what follows is its doing. */
	begin(at: number, entry: NewEntry): void {
		this.#cause = this.entries.length
		this.add(at, entry)
	}

	add(at: number, entry: NewEntry): void {
		this.entries.push({ ...entry, at, index: this.entries.length, cause: this.#cause, life: this.life } as Entry)
	}
}
