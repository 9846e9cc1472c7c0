/** docs/limits.md: every limit of the gateway with its reason, read out of the source. */
import { sourceFiles } from './source.ts'

export interface Limit {
	readonly name: string
	/** As it stands in the source. */
	readonly value: string
	/** Relative to the project. */
	readonly file: string
	/** The comment above it, or above the constants it follows directly; '' without one. */
	readonly reason: string
}

/** What a limit is called: a bound, an amount with its unit, a duration. */
const LIMIT_NAME =
	/^(MAX|MIN)_|_(MAX|MIN)(_|$)|_(MS|SEC|BYTES|OCTETS|LENGTH|PAGES|KIB|KEPT|LIMIT|REFUSALS|ATTEMPTS|GENERATION|SLOWDOWN|COST)$|^(T1|T2|T4|SIXTY_FOUR_T1|LOOKED_AT)$/
const CONSTANT = /^(?:export )?const ([A-Z][A-Z0-9_]+) = (-?\(?[0-9].*|64 \* T1)$/

/** In the order of the files. The demo's stand-ins are no part of the gateway. */
export async function limits(): Promise<Limit[]> {
	const files = (await sourceFiles()).filter(({ room }) => room !== 'demo')
	return files.flatMap(({ path, text }) => limitsIn(`src/${path}`, text))
}

export function limitsIn(file: string, text: string): Limit[] {
	const found: Limit[] = []
	let comment: string[] = []
	let isOpen = false
	for (const line of text.split('\n')) {
		if (isOpen || line.startsWith('/**')) {
			comment = isOpen ? [...comment, line] : [line]
			isOpen = !line.includes('*/')
			continue
		}
		const [, name, value] = CONSTANT.exec(line) ?? []
		if (name === undefined) comment = []
		else if (LIMIT_NAME.test(name)) found.push({ name, value: value!, file, reason: plain(comment) })
	}
	return found
}

/** The comment's words in one line; {@link X} is X. */
function plain(comment: readonly string[]): string {
	const text = comment.map((line) => line.replace(/^\s*(\/\*\*|\*\/|\*)/, '').replace(/\*\/\s*$/, '')).join(' ')
	return text
		.replace(/\{@link (\w+)\}/g, '`$1`')
		.replace(/\s+/g, ' ')
		.trim()
}

const HEAD = `# Limits

Read out of the source by \`bun run docs\`; a test compares the two, and wants a reason for each. What an operator may set is in
[options.md](options.md), with its bounds.

| limit | value | where | reason |
| --- | --- | --- | --- |
`

export async function limitsMarkdown(): Promise<string> {
	const rows = (await limits()).map(
		({ name, value, file, reason }) =>
			`| \`${name}\` | \`${value}\` | [${file.slice(4)}](../${file}) | ${reason.replaceAll('|', '\\|')} |\n`,
	)
	return HEAD + rows.join('')
}
