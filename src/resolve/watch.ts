/** Follow a name as its addresses change. */
import type { PbxAddress } from '../core/inputs.ts'
import { type Lookup, literalAddress, RETRY_MS, type ResolveFault, resolveHost } from './resolve.ts'

export interface Watch {
	/** No more look-ups and no more calls, not even for one under way. */
	stop(): void
}

/**
 * Resolve at once, and a name again `everyMs` after each answer.
 *
 * @param onChange called with the first answer, and whenever an address came or went. The order stays: those known
 *   before come first, since DNS servers rotate their answers and calls should not wander between PBXes
 * @param onError called for each failed look-up; the addresses known before stay good
 */
export function watchHost(
	host: string,
	port: number,
	everyMs: number,
	onChange: (addresses: readonly PbxAddress[]) => void,
	onError: (fault: ResolveFault) => void,
	lookup?: Lookup,
): Watch {
	const fixed = literalAddress(host) !== undefined
	let known: readonly PbxAddress[] = []
	let timer: ReturnType<typeof setTimeout> | undefined
	let stopped = false

	const take = (found: readonly PbxAddress[]) => {
		const next = inKnownOrder(known, found)
		const changed = next.length !== known.length || next.some((a, i) => a.address !== known[i]?.address)
		known = next
		if (changed) onChange(next)
	}
	const look = async () => {
		const result = await resolveHost(host, port, lookup).catch((error: ResolveFault) => error)
		if (stopped) return
		if (!fixed) timer = setTimeout(look, Array.isArray(result) ? everyMs : Math.min(everyMs, RETRY_MS))
		if (Array.isArray(result)) take(result)
		else onError(result)
	}
	void look()
	return {
		stop: () => {
			stopped = true
			clearTimeout(timer)
		},
	}
}

function inKnownOrder(known: readonly PbxAddress[], found: readonly PbxAddress[]): readonly PbxAddress[] {
	const has = (list: readonly PbxAddress[], { address }: PbxAddress) => list.some((a) => a.address === address)
	return [...known.filter((a) => has(found, a)), ...found.filter((a) => !has(known, a))]
}
