/** The table of options in words: `--help`, docs/options.md and the configuration on the status page. */
import { Secret } from '../lib/secret.ts'
import { type HostPort, KINDS, type KindValue, sayBounds, sayDuration } from './kinds.ts'
import type { Group } from './option.ts'
import { type Config, ENV_FILE_SUFFIX, envName, OPTION_LIST } from './options.ts'

type ListedOption = (typeof OPTION_LIST)[number]

/** One option as the status page shows it. */
export interface OptionView {
	readonly group: Group
	/** With the dashes. */
	readonly flag: string
	/** As it would be written on the command line; secrets masked, '' where it is not set. */
	readonly value: string
}

/** The column at which `--help` begins to explain. */
const HELP_COLUMN = 32

const HELP_HEAD = `XCALLY Push Gateway: a call wakes a sleeping agent's phone app, and is never lost on the way.

  push-gateway [run] FLAGS     run the gateway
  push-gateway check FLAGS     say what is wrong with the flags, files, ports and hosts, and what to do
  push-gateway demo [--stay]   show calls to awake and sleeping phones, all on this machine
  push-gateway --version       say the version
`

const HELP_TAIL = `
A TIME is seconds, or a number with ms, s, m or h. Each flag can also come from the environment: --ping-interval from
${envName('ping-interval')}. Secrets can come from a file: --http-token @FILE or ${envName('http-token')}${ENV_FILE_SUFFIX}.
`

const MARKDOWN_HEAD = `# Options

Made from the table in \`src/config/options.ts\` by \`bun run docs\`; a test compares the two.

A flag goes before its environment variable. Write \`--flag value\` or \`--flag=value\`; a switch is \`--flag\` or
\`--no-flag\`. In the environment the values of a flag that may be repeated stand apart by commas or spaces, and an empty
variable counts as absent. A TIME is seconds, or a number with \`ms\`, \`s\`, \`m\` or \`h\`. A secret can come from a file: \`@FILE\`,
or the variable with \`${ENV_FILE_SUFFIX}\` behind its name. Flags that are wrong end the program with a sentence each and exit code 2.
`

export function help(): string {
	const groups = byGroup().map(([group, options]) => `\n${group}\n${options.map(helpLine).join('\n')}\n`)
	return HELP_HEAD + groups.join('') + HELP_TAIL
}

export function optionsMarkdown(): string {
	const groups = byGroup().map(([group, options]) => `\n## ${group}\n${options.map(markdownEntry).join('')}`)
	return MARKDOWN_HEAD + groups.join('')
}

/** The configuration for people to see: nothing secret is whole in it. */
export function maskedView(config: Config): OptionView[] {
	return OPTION_LIST.map(({ name, group, flag, kind }) => {
		const value: unknown = config[name]
		const values = Array.isArray(value) ? value : value === undefined ? [] : [value]
		return { group, flag: `--${flag}`, value: values.map((one) => sayValue(kind, one)).join(', ') }
	})
}

function byGroup(): [Group, ListedOption[]][] {
	return [...Map.groupBy(OPTION_LIST, (option) => option.group)]
}

function helpLine(option: ListedOption): string {
	const notes = [option.required ? 'required' : sayDefault(option), option.repeatable ? 'repeatable' : '']
	const note = notes.filter((said) => said !== '').join('; ')
	const left = `  ${usage(option)}`
	const gap = left.length < HELP_COLUMN ? ' '.repeat(HELP_COLUMN - left.length) : `\n${' '.repeat(HELP_COLUMN)}`
	return `${left}${gap}${option.help}${note === '' ? '' : ` (${note})`}`
}

function usage(option: ListedOption): string {
	if (option.kind === 'boolean') return `--[no-]${option.flag}`
	return `--${option.flag} ${option.choices?.join('|') ?? KINDS[option.kind].metavar}`
}

function sayDefault(option: ListedOption): string {
	if (option.default === undefined || option.kind === 'boolean') return ''
	return option.default === '0' && option.zero ? option.zero : option.default
}

function markdownEntry(option: ListedOption): string {
	const bounds = sayBounds(option.kind, option)
	const facts = [
		`environment \`${envName(option.flag)}\``,
		option.required ? 'required' : option.default === undefined ? 'no default' : `default \`${option.default}\``,
		...(bounds === '' ? [] : [option.choices ? `one of ${bounds}` : bounds]),
		...(option.repeatable ? ['may be repeated'] : []),
		...(option.kind === 'secret' ? ['secret: masked wherever it is shown'] : []),
	]
	return `\n### \`${usage(option)}\`\n\n${capital(option.help)}. ${option.doc}\n\n${capital(facts.join('; '))}.\n`
}

function capital(text: string): string {
	return text[0]!.toUpperCase() + text.slice(1)
}

/** How a value of each kind is written; the rest is text already. */
const SAY: { readonly [K in keyof KindValue]?: (value: KindValue[K]) => string } = {
	listen: ({ transport, address, port }) => `${transport}:${sayHostPort({ host: address, port })}`,
	hostPort: sayHostPort,
	http: (value) => (value === 'off' ? 'off' : sayHostPort({ host: value.address, port: value.port })),
	duration: sayDuration,
	/* what stands behind the host is often a secret of the receiver */
	webhook: (value) => value.replace(/^(\w+:\/\/[^/?]+)([/?].+)$/, '$1/…'),
	boolean: (value) => (value ? 'yes' : 'no'),
	secret: (value) => value.masked(),
}

function sayValue<K extends keyof KindValue>(kind: K, value: unknown): string {
	if (value instanceof Secret) return value.masked()
	const say = SAY[kind] as ((value: unknown) => string) | undefined
	return say ? say(value) : String(value)
}

function sayHostPort({ host, port }: HostPort): string {
	const bracketed = host.includes(':') ? `[${host}]` : host
	return port === undefined ? bracketed : `${bracketed}:${port}`
}
