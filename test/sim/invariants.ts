/** What always holds, each as a named check of a whole run. A check gives a sentence for each place where it does not. */
import {
	answeredOnce,
	cancelled,
	endedBySix,
	ghosts,
	heldNoLonger,
	hungUp,
	takenBack,
	toldOnce,
} from './calls.checks.ts'
import {
	followed,
	heldOut,
	heldUntilRegistered,
	oncePushed,
	oneBranch,
	proven,
	refused,
	released,
	withInvite,
} from './holds.checks.ts'
import { Ledger } from './ledger.ts'
import { declinedAtOnce, leftInPeace, toldTruly, unforgeable } from './links.checks.ts'
import { MET } from './met.ts'
import { messagedOnce, toItsToken } from './notices.checks.ts'
import { qualifiedAsTold, suspectedRightly, toldByTurns } from './reach.checks.ts'
import {
	answeredThere,
	heardOnce,
	hungUpEarly,
	leftBehind,
	saidOnce,
	sentOpen,
	vouchedFor,
	wokenAtOnce,
} from './streams.checks.ts'
import type { Counts } from './tally.ts'
import { admitted, hidden, noted, settled, sound, stable, welcome } from './walls.checks.ts'
import type { World } from './world.ts'

export type Check = (ledger: Ledger) => string[]

export const INVARIANTS: Readonly<Record<string, Check>> = {
	'the core never throws': sound,
	'1. every INVITE gets exactly one final response': answeredOnce,
	'1. and no later than the hold lasts, unless a phone answers': heldNoLonger,
	'1. nor after a 6xx of one phone': endedBySix,
	"1. every caller's CANCEL is answered": cancelled,
	"2. from a stranger nothing but REGISTER reaches the PBX; from an agent, nothing in another agent's name": admitted,
	'2. and the PBX is no stranger': welcome,
	"3. a held INVITE is released only by the PBX's 2xx to a REGISTER of that device": heldUntilRegistered,
	'3. and it is released by that': released,
	'3. to where the newest one came from': followed,
	'3. and nobody who may yet wake is given up before the hold is over': heldOut,
	'4. at most one live INVITE branch for a device at any time': oneBranch,
	'5. no push to a device proven awake': proven,
	'5. at most one push for each call and device': oncePushed,
	'6. no push without an INVITE behind it': withInvite,
	'6. a call alone goes to a VoIP token': toItsToken,
	'a MESSAGE has one answer, and goes to one device': messagedOnce,
	'7. a 2xx to REGISTER goes out only after its binding is committed, and no kill loses one': noted('7'),
	'8. a refused push ends its hold at once': refused,
	'9. no pn-* parameter leaves the gateway': hidden,
	'10. the Contact at the PBX is a function of the agent alone': stable,
	'11. a phone that wakes for a call that is over gets INVITE': ghosts,
	'11. and CANCEL, with the Reason kept': hungUp,
	'11. one that has the INVITE, if it said no more than 100, gets CANCEL at once': takenBack,
	'11. and no INVITE once it has ended the call itself': toldOnce,
	'12. memory held for strangers is bounded': noted('12'),
	'13. nothing secret is shown': noted('13'),
	'the address in a push cannot be made up, nor turned to another device': unforgeable,
	'and says of its call what is so': toldTruly,
	'a call declined by it ends at once with 603': declinedAtOnce,
	'and its INVITE does not go to who declined it': leftInPeace,
	'over a connection nothing is said twice by a timer': saidOnce,
	'a closed connection carries nothing': sentOpen,
	'an answer goes by the connection of its request, or where that phone is now': answeredThere,
	'a connection that its phone has left is closed at once': leftBehind,
	'the transport keeps a connection that calls go by': vouchedFor,
	'what a phone answers counts, by whatever connection it comes': heardOnce,
	'and so does a hang-up': hungUpEarly,
	'an INVITE that a closed connection took with it wakes its phone in that moment': wokenAtOnce,
	'a phone whose connection is closed is in the background at once': noted('cut'),
	'nothing is left behind': settled,
	'an agent is told to be out of reach and back by turns': toldByTurns,
	'the PBX hears by OPTIONS what the contact centre was told': qualifiedAsTold,
	'a device is suspect only for a push that woke nobody': suspectedRightly,
}

export interface Violation {
	readonly invariant: string
	readonly sentence: string
}

/** How the tally calls the times a check had something to judge. */
export function judgedName(invariant: string): string {
	return `judged: ${invariant}`
}

/** Every check of a whole run, and what the run met. */
export function judge(world: World): { readonly violations: Violation[]; readonly counts: Counts } {
	const ledger = new Ledger(world)
	const counts = new Map<string, number>()
	const violations: Violation[] = []
	for (const [invariant, check] of Object.entries(INVARIANTS)) {
		ledger.judged = 0
		for (const sentence of check(ledger)) violations.push({ invariant, sentence })
		counts.set(judgedName(invariant), ledger.judged)
	}
	for (const [what, count] of Object.entries(MET)) counts.set(what, count(ledger))
	return { violations, counts }
}
