/** IPv6 addresses by value, for comparison only (RFC 5954 §4.2). */

/** The eight 16-bit groups of an address without brackets; undefined where it is malformed. `:::` is read as `::` (RFC 5118 §4.10). */
export function ipv6Groups(text: string): readonly number[] | undefined {
	const gap = text.indexOf('::')
	if (gap < 0) return filled(groupsOf(text), [], false)
	const rest = text.slice(text.charCodeAt(gap + 2) === 0x3a ? gap + 3 : gap + 2)
	return filled(groupsOf(text.slice(0, gap)), groupsOf(rest), true)
}

function filled(head: number[] | undefined, tail: number[] | undefined, gap: boolean): number[] | undefined {
	if (head === undefined || tail === undefined) return undefined
	const missing = 8 - head.length - tail.length
	if (gap ? missing < 1 : missing !== 0) return undefined
	return [...head, ...new Array<number>(missing).fill(0), ...tail]
}

function groupsOf(text: string): number[] | undefined {
	if (text === '') return []
	const groups: number[] = []
	const parts = text.split(':')
	for (const [i, part] of parts.entries()) {
		if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16))
		else if (i === parts.length - 1 && /^\d{1,3}(\.\d{1,3}){3}$/.test(part)) {
			const [a, b, c, d] = part.split('.').map(Number) as [number, number, number, number]
			if (Math.max(a, b, c, d) > 255) return undefined
			groups.push(a * 256 + b, c * 256 + d)
		} else return undefined
	}
	return groups
}
