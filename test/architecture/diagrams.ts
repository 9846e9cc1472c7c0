/** docs/machines.md: the state machines as Mermaid diagrams, drawn from the tables the gateway runs by. */

import { TARGET } from '../../src/core/pbx/target-state.ts'
import { BRANCH } from '../../src/core/wake/branch.ts'
import { INVITE_CLIENT } from '../../src/transaction/invite-client.ts'
import { INVITE_SERVER } from '../../src/transaction/invite-server.ts'
import { NON_INVITE_CLIENT } from '../../src/transaction/non-invite-client.ts'
import { NON_INVITE_SERVER } from '../../src/transaction/non-invite-server.ts'

/** state → event → what follows. The first state is where a machine begins. */
export type Table = Readonly<Record<string, Readonly<Record<string, Row>>>>

interface Row {
	readonly to: string
	readonly do: readonly string[]
}

interface Machine {
	readonly title: string
	readonly file: string
	readonly words: string
	readonly table: Table
}

export const MACHINES: readonly Machine[] = [
	{
		title: "A device's part in a call",
		file: 'src/core/wake/branch.ts',
		words:
			'One for each device of the agent. `registered` is the PBX’s 2xx to a REGISTER of the device; `over` is the end of the call for this device.',
		table: BRANCH,
	},
	{
		title: 'A machine of the PBX',
		file: 'src/core/pbx/target-state.ts',
		words:
			'One for each machine that `--pbx` leads to. Requests go to those that are `up` or `suspect`, or to any where none is (docs/decisions/0012-one-machine-of-the-pbx-for-an-agent.md).',
		table: TARGET,
	},
	{
		title: 'INVITE client transaction',
		file: 'src/transaction/invite-client.ts',
		words:
			'RFC 3261 figure 5 with RFC 6026 §7.2, and `parked`, which is ours (docs/decisions/0006-one-branch-for-a-device.md).',
		table: INVITE_CLIENT,
	},
	{
		title: 'INVITE server transaction',
		file: 'src/transaction/invite-server.ts',
		words: 'RFC 3261 figure 7 with RFC 6026 §7.1.',
		table: INVITE_SERVER,
	},
	{
		title: 'Non-INVITE client transaction',
		file: 'src/transaction/non-invite-client.ts',
		words: 'RFC 3261 figure 6, timer K being 0 (docs/deviations.md).',
		table: NON_INVITE_CLIENT,
	},
	{
		title: 'Non-INVITE server transaction',
		file: 'src/transaction/non-invite-server.ts',
		words: 'RFC 3261 figure 8.',
		table: NON_INVITE_SERVER,
	},
]

const HEAD = `# State machines

Drawn from the tables in the source by \`bun run docs\`; a test compares the two. An arrow says \`event / actions\`. What is
not drawn changes nothing: every table has a row for every event in every state.
`

export function machinesMarkdown(): string {
	return HEAD + MACHINES.map(section).join('')
}

function section({ title, file, words, table }: Machine): string {
	return `\n## ${title}\n\n[${file}](../${file}). ${words}\n\n\`\`\`mermaid\n${diagram(table)}\n\`\`\`\n`
}

/** A Mermaid stateDiagram. */
export function diagram(table: Table): string {
	const states = Object.keys(table)
	const arrows = states.flatMap((state) => arrowsFrom(state, table[state]!))
	const ends = states.filter((state) => arrowsFrom(state, table[state]!).length === 0)
	const lines = [`[*] --> ${states[0]}`, ...arrows, ...ends.map((state) => `${state} --> [*]`)]
	return ['stateDiagram-v2', ...lines.map((line) => `    ${line}`)].join('\n')
}

function arrowsFrom(state: string, rows: Readonly<Record<string, Row>>): string[] {
	return Object.entries(rows)
		.filter(([, row]) => row.to !== state || row.do.length > 0)
		.map(([event, row]) => `${state} --> ${row.to}: ${[event, row.do.join(', ')].filter(Boolean).join(' / ')}`)
}
