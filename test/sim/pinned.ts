/** Seeds that found something once. What a seed does changes with the world, so the fault stands beside it in words. */
export const PINNED: readonly { readonly seed: number; readonly sentence: string }[] = [
	{ seed: 4, sentence: 'a 6xx of one phone cancels the others, with the Reason' },
	{ seed: 11, sentence: 'a phone moves while it rings, and is cancelled where it is' },
	{ seed: 28, sentence: 'an answer to a call that is over, of a phone with push parameters in its Contact' },
	{ seed: 89, sentence: 'a phone answers a ping, and the INVITE is lost three times' },
	{ seed: 179, sentence: 'a device is removed while the disk is full' },
	{ seed: 1387, sentence: 'a phone that confirmed the end of a call gets its INVITE once more after a restart' },
	{ seed: 2123, sentence: 'a refused push is forgotten by a restart, and its call held on for nobody' },
	{ seed: 1309, sentence: 'two restarts within a minute after a call, and phones that know it is over' },
	{ seed: 1335, sentence: 'a stranger is refused twice, with two To-tags' },
]
