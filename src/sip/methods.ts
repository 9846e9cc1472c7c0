/** Method names: one string object for each known one, so that comparing them is comparing pointers. */

const METHODS = [
	'INVITE',
	'ACK',
	'BYE',
	'CANCEL',
	'REGISTER',
	'OPTIONS',
	'PRACK',
	'UPDATE',
	'INFO',
	'REFER',
	'NOTIFY',
	'SUBSCRIBE',
	'MESSAGE',
	'PUBLISH',
] as const

/** By length and first letter: no two known methods share both. */
const cells: (string | undefined)[] = new Array(512).fill(undefined)
for (const method of METHODS) cells[cell(method, 0, method.length)] = method

function cell(text: string, from: number, to: number): number {
	return (((to - from) & 15) << 5) | (text.charCodeAt(from) & 31)
}

/** The method `text[from, to)`, case kept: methods are case-sensitive (RFC 3261 §7.1). */
export function methodIn(text: string, from: number, to: number): string {
	const known = cells[cell(text, from, to)]
	return known !== undefined && known.length === to - from && text.startsWith(known, from)
		? known
		: text.slice(from, to)
}

export function isKnownMethod(method: string): boolean {
	return cells[cell(method, 0, method.length)] === method
}
