/** The word most like `text`, if one is near enough to have been meant: at most a third of its letters differ. */
export function nearest(text: string, words: Iterable<string>): string | undefined {
	let best: string | undefined
	let bestDistance = Number.POSITIVE_INFINITY
	for (const word of words) {
		// Far longer text cannot be meant, and would only cost time.
		if (Math.abs(word.length - text.length) > word.length / 3) continue
		const distance = editDistance(text, word)
		if (distance <= Math.max(1, word.length / 3) && distance < bestDistance) {
			best = word
			bestDistance = distance
		}
	}
	return best
}

/** Letters to insert, delete or replace to make one of the other (Levenshtein). */
export function editDistance(from: string, to: string): number {
	let previous = Array.from({ length: to.length + 1 }, (_, column) => column)
	for (let row = 1; row <= from.length; row++) {
		const current = [row]
		for (let column = 1; column <= to.length; column++) {
			const replaced = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1)
			current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1))
		}
		previous = current
	}
	return previous[to.length]!
}
