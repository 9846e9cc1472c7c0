/** A phone that sleeps or wakes, and a PBX that calls: the moves these cases have in common. */
import { answerTo, bind, boundPhone, fallAsleep, type Phone, requestText, SDP } from '../core/peers.ts'
import { flowOf, PBX, Rig, type Sent } from '../core/rig.ts'

export const BRANCH = 'z9hG4bKinvite'

/** The PBX calls 1001. */
export function calls(rig: Rig, shape: Parameters<typeof requestText>[1] = {}): Sent[] {
	return rig.from(PBX, requestText('INVITE', { branch: BRANCH, body: SDP, ...shape }))
}

/** The PBX gives the call up. */
export function givesUp(rig: Rig, rows: readonly string[] = []): Sent[] {
	return rig.from(PBX, requestText('CANCEL', { branch: BRANCH, contact: '', rows }))
}

/** Agent 1001 with a phone that sleeps. */
export function asleep(settings = {}) {
	const rig = new Rig(settings)
	const phone = boundPhone(rig)
	fallAsleep(rig)
	return { rig, phone }
}

/** The phone registers from another network. */
export function wakes(rig: Rig, phone: Phone, port = 50_000): void {
	phone.flow = flowOf('203.0.113.9', port)
	bind(rig, phone)
}

/** It takes the call that is ringing on it. */
export function answers(rig: Rig, phone: Phone): void {
	rig.from(phone.flow, answerTo(rig.last(phone.flow, 'INVITE'), 200, { contact: phone.uri, toTag: 'phone' }))
}

/** How many times it was sent `word`. */
export const count = (rig: Rig, phone: Phone, word: string): number =>
	rig.words(phone.flow).filter((one) => one === word).length

/** What the PBX got for its INVITE. */
export const verdicts = (rig: Rig): string[] => rig.words(PBX).filter((word) => word.endsWith(' INVITE'))
