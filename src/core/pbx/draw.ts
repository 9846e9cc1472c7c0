/**
 * Which of several machines of the same rank (RFC 2782: the same priority) serves an agent.
 *
 * RFC 2782 draws by chance, in proportion to the weights. Here the agent's name is the chance: so it is always the same
 * machine, after a restart and in another gateway too, and only the agents of one that fails move, each to the machine
 * it would have drawn next. Sorting `-ln(u) / weight` for even `u` is drawing by weight without putting back.
 */

/** RFC 2782: weight 0 has "a very small chance" beside others; among themselves they are even. */
const ZERO_WEIGHT = 1 / 65_536

/** The lower, the sooner it is drawn. `chance` is 32 even bits, another one for each machine. */
export function lot(chance: number, weight: number): number {
	return -Math.log((chance + 1) / 0x1_0000_0001) / (weight === 0 ? ZERO_WEIGHT : weight)
}

/** 32 even bits out of a name (FNV-1a). */
export function hashOf(name: string): number {
	let hash = 0x811c9dc5
	for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
	return hash >>> 0
}

/** One hash out of two: the finalizer of MurmurHash3, in which every bit moves every other. */
export function mixed(a: number, b: number): number {
	let hash = a ^ Math.imul(b, 0x9e3779b1)
	hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
	hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
	return (hash ^ (hash >>> 16)) >>> 0
}
