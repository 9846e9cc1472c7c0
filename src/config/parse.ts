/**
 * Command line and environment → configuration. Nothing is read from the world here: the caller passes the arguments,
 * the environment and a function that reads a file.
 */

import { KINDS, type Reading } from './kinds.ts'
import { nearest } from './nearest.ts'
import { type Config, ENV_FILE_SUFFIX, ENV_PREFIX, envName, MAX_REPEATS, OPTION_LIST } from './options.ts'
import { conflicts, warnings } from './rules.ts'

export type CommandLine =
	| {
			readonly ok: true
			readonly command: 'run' | 'check'
			readonly config: Config
			/** Sentences about what works, but perhaps not as wished. */
			readonly warnings: readonly string[]
	  }
	| { readonly ok: true; readonly command: 'demo'; readonly stay: boolean }
	| { readonly ok: true; readonly command: 'help' | 'version' }
	/** One sentence for each thing to mend. The program ends with exit code 2. */
	| { readonly ok: false; readonly sentences: readonly string[] }

export type Environment = Readonly<Record<string, string | undefined>>

/** The text of a file, or undefined where it cannot be read. */
export type ReadFile = (path: string) => string | undefined

type ListedOption = (typeof OPTION_LIST)[number]

/** One value as it was given; `said` names where. */
interface Given {
	readonly option: ListedOption
	readonly said: string
	/** undefined: a flag without its value. */
	readonly text: string | undefined
}

const COMMANDS = ['run', 'check', 'demo', 'help', 'version'] as const
const BY_FLAG: ReadonlyMap<string, ListedOption> = new Map(OPTION_LIST.map((option) => [option.flag, option]))
const HELP: ReadonlySet<string> = new Set(['--help', '-h'])
const VERSION: ReadonlySet<string> = new Set(['--version', '-V'])

/** As much of a wrong value as a sentence repeats. */
const ECHO_MAX_LENGTH = 60

/**
 * @param argv what follows the program's name: a command, if any, and flags.
 * @param env only names that begin with `PUSH_GATEWAY_` are looked at; flags go first.
 */
export function parseCommandLine(argv: readonly string[], env: Environment, readFile: ReadFile): CommandLine {
	if (argv.some((word) => HELP.has(word))) return { ok: true, command: 'help' }
	if (argv.some((word) => VERSION.has(word))) return { ok: true, command: 'version' }
	const hasCommand = argv[0] !== undefined && !argv[0].startsWith('-')
	const command = hasCommand ? COMMANDS.find((known) => known === argv[0]) : 'run'
	if (command === undefined) return refuse([unknownWord('command', argv[0]!, COMMANDS)])
	const flags = hasCommand ? argv.slice(1) : argv
	if (command === 'demo') return demoLine(flags)
	if (command !== 'run' && command !== 'check') return { ok: true, command }
	return configLine(command, flags, env, readFile)
}

function configLine(
	command: 'run' | 'check',
	flags: readonly string[],
	env: Environment,
	readFile: ReadFile,
): CommandLine {
	const sentences: string[] = []
	const given = fromFlags(flags, sentences)
	given.push(...fromEnvironment(given, env, sentences))
	const config = configOf(given, readFile, sentences)
	if (config === undefined) return refuse(sentences)
	sentences.push(...conflicts(config))
	if (sentences.length > 0) return refuse(sentences)
	return { ok: true, command, config, warnings: [...unknownVariables(env), ...warnings(config)] }
}

function demoLine(flags: readonly string[]): CommandLine {
	const unknown = flags.filter((flag) => flag !== '--stay')
	if (unknown.length === 0) return { ok: true, command: 'demo', stay: flags.length > 0 }
	return refuse(unknown.map((flag) => `${echo(flag)} is nothing the demo knows: it takes --stay alone.`))
}

function fromFlags(words: readonly string[], sentences: string[]): Given[] {
	const given: Given[] = []
	for (let i = 0; i < words.length; i++) {
		const word = words[i]!
		const equals = word.indexOf('=')
		const flag = equals < 0 ? word : word.slice(0, equals)
		const option = optionOf(flag)
		if (option === undefined) {
			sentences.push(unknownFlag(flag))
			// What follows an unknown flag is most likely its value.
			if (equals < 0 && words[i + 1]?.startsWith('-') === false) i++
			continue
		}
		if (equals >= 0 && flag === `--no-${option.flag}`) {
			sentences.push(`${flag} takes no value: write ${flag} alone, or --${option.flag}=no.`)
			continue
		}
		const text = equals < 0 ? flagValue(option, flag, words[i + 1]) : word.slice(equals + 1)
		given.push({ option, said: flag, text })
		if (equals < 0 && text !== undefined && option.kind !== 'boolean') i++
	}
	sentences.push(...repeated(given))
	return given
}

function flagValue(option: ListedOption, flag: string, next: string | undefined): string | undefined {
	if (option.kind === 'boolean') return flag.startsWith('--no-') ? 'no' : 'yes'
	return next?.startsWith('--') ? undefined : next
}

function optionOf(flag: string): ListedOption | undefined {
	if (!flag.startsWith('--')) return undefined
	const plain = BY_FLAG.get(flag.slice(2))
	if (plain || !flag.startsWith('--no-')) return plain
	const negated = BY_FLAG.get(flag.slice('--no-'.length))
	return negated?.kind === 'boolean' ? negated : undefined
}

function repeated(given: readonly Given[]): string[] {
	const counts = new Map<ListedOption, number>()
	for (const { option } of given) counts.set(option, (counts.get(option) ?? 0) + 1)
	return [...counts].flatMap(([option, count]) => {
		if (option.repeatable)
			return count > MAX_REPEATS ? [`--${option.flag} is given ${count} times: at most ${MAX_REPEATS}.`] : []
		return count > 1 ? [`--${option.flag} is given ${count} times: give it once.`] : []
	})
}

/** Values of the environment for options that no flag gave. A variable without text counts as absent, as in systemd. */
function fromEnvironment(flags: readonly Given[], env: Environment, sentences: string[]): Given[] {
	const byFlag = new Set(flags.map(({ option }) => option))
	const given: Given[] = []
	for (const option of OPTION_LIST) {
		if (byFlag.has(option)) continue
		const said = envName(option.flag)
		const fileSaid = `${said}${ENV_FILE_SUFFIX}`
		const path = option.kind === 'secret' ? env[fileSaid] : undefined
		if (path && env[said]) sentences.push(`${said} and ${fileSaid} are both set: set one of them.`)
		if (path) given.push({ option, said: fileSaid, text: `@${path}` })
		else if (env[said]) given.push(...split(option, env[said]).map((text) => ({ option, said, text })))
	}
	sentences.push(...repeated(given))
	return given
}

function split(option: ListedOption, text: string): string[] {
	return option.repeatable ? text.split(/[\s,]+/).filter((part) => part !== '') : [text]
}

function configOf(given: readonly Given[], readFile: ReadFile, sentences: string[]): Config | undefined {
	const before = sentences.length
	const values: Record<string, unknown> = {}
	for (const option of OPTION_LIST) {
		const own = given.filter((one) => one.option === option)
		if (own.length === 0 && option.default !== undefined) own.push({ option, said: 'default', text: option.default })
		if (own.length === 0 && option.required) sentences.push(missing(option))
		const read = own.map((one) => readValue(one, readFile, sentences))
		values[option.name] = option.repeatable ? read : read[0]
	}
	// Each value was read by the rule of its option's kind, which is what the mapped type says.
	return sentences.length === before ? (values as Config) : undefined
}

function missing(option: ListedOption): string {
	return `--${option.flag} is missing: ${option.help}, such as --${option.flag} ${exampleOf(option)}.`
}

function readValue({ option, said, text }: Given, readFile: ReadFile, sentences: string[]): unknown {
	if (text === undefined || text === '') {
		sentences.push(`${said} needs a value, such as ${said} ${exampleOf(option)}.`)
		return undefined
	}
	const isSecret = option.kind === 'secret'
	const source = isSecret && text.startsWith('@') ? readFile(text.slice(1))?.trim() : text
	if (source === undefined) {
		sentences.push(`${said}: the file ${echo(text.slice(1))} cannot be read: check its path and its mode.`)
		return undefined
	}
	const reading: Reading<unknown> =
		source === '' ? { ok: false, wrong: 'is empty' } : KINDS[option.kind].read(source, option)
	if (reading.ok) return reading.value
	sentences.push(`${said}: ${isSecret ? 'the value' : echo(text)} ${reading.wrong}.`)
	return undefined
}

function exampleOf(option: ListedOption): string {
	return (
		option.choices?.[0] ??
		(option.kind === 'duration' || option.kind === 'count' ? option.default : undefined) ??
		KINDS[option.kind].example
	)
}

function unknownFlag(flag: string): string {
	if (!flag.startsWith('-')) return `${echo(flag)} stands alone: a value belongs behind its flag.`
	return unknownWord(
		'flag',
		flag,
		[...BY_FLAG.keys()].map((known) => `--${known}`),
	)
}

function unknownWord(what: string, word: string, known: readonly string[]): string {
	const meant = nearest(word, known)
	return `${echo(word)} is no ${what}: ${meant ? `did you mean ${meant}?` : 'see --help.'}`
}

/** Misspelt variables would otherwise go unnoticed; they only warn, since others may use the prefix too. */
function unknownVariables(env: Environment): string[] {
	const known = OPTION_LIST.flatMap(({ flag, kind }) =>
		kind === 'secret' ? [envName(flag), `${envName(flag)}${ENV_FILE_SUFFIX}`] : [envName(flag)],
	)
	const unknown = Object.keys(env).filter((name) => name.startsWith(ENV_PREFIX) && !known.includes(name))
	return unknown.map((name) => unknownWord('variable of the gateway', name, known))
}

function refuse(sentences: readonly string[]): CommandLine {
	return { ok: false, sentences }
}

function echo(text: string): string {
	return JSON.stringify(text.length > ECHO_MAX_LENGTH ? `${text.slice(0, ECHO_MAX_LENGTH)}…` : text)
}
