/**
 * Is the code of the pure rooms covered by the tests? Bun's own threshold knows neither folders nor files that no test
 * imports. Run by `./build.sh test`: `bun test/coverage.ts coverage/lcov.info`, exit code 1 with a sentence for each gap.
 */
import { Glob } from 'bun'

export interface Coverage {
	readonly linesFound: number
	readonly linesHit: number
	readonly functionsFound: number
	readonly functionsHit: number
}

const PURE = ['lib', 'sip', 'transaction', 'core', 'config'] as const

/** What no test reaches is mostly what cannot happen; more than this of a room is a gap. */
export const MIN_LINES = 0.95
export const MIN_FUNCTIONS = 0.95

/** lcov's records by source file. */
export function readLcov(text: string): Map<string, Coverage> {
	const files = new Map<string, Coverage>()
	for (const record of text.split('end_of_record')) {
		const path = /^SF:(.+)$/m.exec(record)?.[1]
		const count = (name: string) => Number(new RegExp(`^${name}:(\\d+)$`, 'm').exec(record)?.[1] ?? 0)
		if (path === undefined) continue
		const lines = { linesFound: count('LF'), linesHit: count('LH') }
		files.set(path, { ...lines, functionsFound: count('FNF'), functionsHit: count('FNH') })
	}
	return files
}

/** A sentence for each room below the thresholds and each file with code that no test imports. */
export function gaps(covered: ReadonlyMap<string, Coverage>, withCode: readonly string[]): string[] {
	const unseen = withCode.filter((path) => !covered.has(path)).map((path) => `${path} is imported by no test.`)
	return [...unseen, ...PURE.flatMap((room) => roomGaps(room, covered))]
}

function roomGaps(room: string, covered: ReadonlyMap<string, Coverage>): string[] {
	const files = [...covered].filter(([path]) => path.startsWith(`src/${room}/`)).map(([, coverage]) => coverage)
	const sum = (name: keyof Coverage) => files.reduce((total, file) => total + file[name], 0)
	return [
		...below(`src/${room}: lines`, sum('linesHit'), sum('linesFound'), MIN_LINES),
		...below(`src/${room}: functions`, sum('functionsHit'), sum('functionsFound'), MIN_FUNCTIONS),
	]
}

function below(what: string, hit: number, found: number, min: number): string[] {
	if (found > 0 && hit / found >= min) return []
	return [`${what} covered ${hit} of ${found}, and ${min * 100} % are asked for.`]
}

/** Files of the pure rooms that hold more than types. */
async function filesWithCode(): Promise<string[]> {
	const paths = [...new Glob(`src/{${PURE.join(',')}}/**/*.ts`).scanSync('.')]
	const texts = await Promise.all(paths.map((path) => Bun.file(path).text()))
	return paths.filter((_, i) => /^(?:export )?(?:async )?(?:function|class) /m.test(texts[i]!)).sort()
}

if (import.meta.main) {
	const covered = readLcov(await Bun.file(process.argv[2]!).text())
	const found = gaps(covered, await filesWithCode())
	for (const sentence of found) console.error(sentence)
	process.exit(found.length === 0 ? 0 : 1)
}
