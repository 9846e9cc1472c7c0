/**
 * Seeds that find a fault again where it is put back. What a seed does changes with the world, so the fault stands beside
 * it in words: when the world changes, put the fault back and look for its seed anew.
 */
export const PINNED: readonly { readonly seed: number; readonly sentence: string }[] = [
	{ seed: 4, sentence: 'a 6xx of one phone cancels the others, with the Reason' },
	{ seed: 14, sentence: 'an answer to a call that is over, of a phone with push parameters in its Contact' },
	{ seed: 25, sentence: 'a phone moves after its call was cancelled, and is told where it is' },
	{ seed: 323, sentence: 'a phone moves while it rings, and is cancelled where it is' },
	{ seed: 727, sentence: 'a phone answers a ping, and the INVITE is lost three times' },
	{ seed: 739, sentence: 'a phone repeats an answer nobody waits for: it is awake' },
	{ seed: 1143, sentence: 'a call ends while the disk is full' },
	{ seed: 30089, sentence: 'the PBX calls before its name is resolved, and strangers are rejected' },
]
