/** sipp as a child process, with the scenarios of test/interop/sipp. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { World } from './gateway.ts'

/** Why sipp tests cannot run here; undefined where they can. */
export const sippAbsent = Bun.which('sipp') === null ? 'sipp is not installed (Debian package sip-tester)' : undefined

/** A scenario that takes longer hangs, and is ended as failed. */
const LIMIT_SEC = 8

/** One that is made here, and stands in no file. */
export interface Scenario {
	readonly name: string
	readonly xml: string
}

export interface SippOptions {
	/** The name of a file, without its ending, or what would stand in it. */
	readonly scenario: string | Scenario
	readonly address: string
	readonly port: number
	/** Where its requests go first; absent for one that only answers. */
	readonly to?: number
	/** Answers requests outside the calls of `scenario`. */
	readonly answers?: string | Scenario
	/** How many calls; 1 unless told. */
	readonly calls?: number
	/** What `[name]` stands for in the scenarios, wherever it is written. */
	readonly keys?: Readonly<Record<string, string>>
	/** Over TCP: one connection, or one for each call; UDP unless told. */
	readonly mode?: 't1' | 'tn'
	/** How long its pauses are, ms. */
	readonly pauseMs?: number
}

export interface Sipp {
	/** Resolves when it ended well; else rejects with what it complains of. */
	readonly done: Promise<void>
	kill(): void
}

/** A call of `answers` that fails does not fail sipp: only its errors tell of it. */
const COMPLAINT = /failed regexp match|unexpected|aborting/i

let started = 0

export function sipp(world: World, options: SippOptions): Sipp {
	const { scenario, address, port, to, answers, calls = 1, keys = {}, pauseMs = 0, mode } = options
	const prefix = join(world.folder, `${++started}`)
	const errors = `${prefix}.err`
	/* sipp itself knows its -key only in messages, not in what it expects */
	const file = (one: string | Scenario) => {
		const path = `${prefix}-${nameOf(one)}.xml`
		writeFileSync(path, scenarioText(one, keys))
		return path
	}
	const command = [
		...['sipp', ...(to === undefined ? [] : [`127.0.0.1:${to}`]), '-sf', file(scenario)],
		...(answers === undefined ? [] : ['-oocsf', file(answers)]),
		...['-i', address, '-p', `${port}`, '-m', `${calls}`, '-s', '1001', '-au', '1001', '-ap', 'secret'],
		/* of sockets it would have 50,000 in mode tn, more than it may */
		...(mode === undefined ? [] : ['-t', mode, '-max_socket', '100']),
		...['-d', `${pauseMs}`, '-nostdin', '-timeout', `${LIMIT_SEC}`, '-timeout_error'],
		/* each ping has the Call-ID of the last one, and starts a call of its own here */
		...['-deadcall_wait', '0'],
		...['-trace_err', '-error_file', errors],
	]
	const child = Bun.spawn(command, { cwd: world.folder, stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' })
	const done = child.exited.then((status) => {
		const said = existsSync(errors) ? readFileSync(errors, 'utf8') : ''
		if (status === 0 && !COMPLAINT.test(said)) return
		throw new Error(
			`sipp ${nameOf(scenario)} ended with status ${status}: ${said}\nThe gateway said:\n${world.log.join('\n')}`,
		)
	})
	/* whoever waits for it hears of it; nobody else need to */
	done.catch(() => {})
	return { done, kill: () => child.kill() }
}

const nameOf = (scenario: string | Scenario): string => (typeof scenario === 'string' ? scenario : scenario.name)

function scenarioText(scenario: string | Scenario, keys: Readonly<Record<string, string>>): string {
	const text =
		typeof scenario === 'string' ? readFileSync(join(import.meta.dir, 'sipp', `${scenario}.xml`), 'utf8') : scenario.xml
	return Object.entries(keys).reduce((filled, [key, value]) => filled.replaceAll(`[${key}]`, value), text)
}
