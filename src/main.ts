/** Composition root: the command line, and what each command starts. */

import { Database } from 'bun:sqlite'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { checkExitCode, type PbxFinding, runCheck, sayFindings } from './check/check.ts'
import { realProbes } from './check/probes.ts'
import { help } from './config/describe.ts'
import { sidesOf } from './config/listeners.ts'
import type { Config } from './config/options.ts'
import { parseCommandLine } from './config/parse.ts'
import { askOverStream } from './connectors.ts'
import { runDemo } from './demo/demo.ts'
import { type Gateway, startGateway } from './gateway.ts'
import { readCertificates, scarceFiles } from './listeners.ts'
import { fileSink } from './log/file.ts'
import { createLog, type Log } from './log/log.ts'
import { readFcmKey } from './push-services.ts'
import { systemDns } from './resolve/dns.ts'
import { locate, ResolveFault, reachOf } from './resolve/locate.ts'
import { openStore } from './store/store.ts'

/** Put in by the build (build.sh). */
declare const BUILD_VERSION: string | undefined
const VERSION = typeof BUILD_VERSION === 'string' ? BUILD_VERSION : 'development'

/** Lines still in the log's buffer have this long to go out at the end. */
const LOG_DRAIN_MS = 1_000

/** Whole ms: wall-clock time at the start plus what has passed since. It agrees with the calendar and never goes back. */
const epochAtStart = Date.now() - performance.now()
const now = (): number => Math.round(epochAtStart + performance.now())

const EXIT_BAD_FLAGS = 2

process.exitCode = await main()
if (process.exitCode !== undefined) process.exit()

/** The exit code. */
async function main(): Promise<number> {
	const line = parseCommandLine(Bun.argv.slice(2), process.env, readText)
	if (!line.ok) {
		for (const sentence of line.sentences) console.error(sentence)
		console.error('push-gateway --help tells of every flag.')
		return EXIT_BAD_FLAGS
	}
	switch (line.command) {
		case 'help':
			console.log(help())
			return 0
		case 'version':
			console.log(`push-gateway ${VERSION} (Bun ${Bun.version}, SQLite ${sqliteVersion()})`)
			return 0
		case 'demo':
			return runDemo({ gatewayCommand: ownCommand(), stay: line.stay, print: console.log })
		case 'check':
			return check(line.config, [...line.warnings, ...scarceFiles(line.config)])
		case 'run':
			return run(line.config, [...line.warnings, ...scarceFiles(line.config)])
	}
}

async function check(config: Config, warnings: readonly string[]): Promise<number> {
	const probes = realProbes(tryStore, locatePbx, readCertificates, readFcmKey, (listen, machine) =>
		askOverStream(listen, machine, config),
	)
	const findings = await runCheck(config, sidesOf(config), warnings, probes)
	process.stdout.write(sayFindings(findings))
	return checkExitCode(findings)
}

async function run(config: Config, warnings: readonly string[]): Promise<number> {
	const log = createLog({ format: config.logFormat, level: config.logLevel, write: fileSink(1) })
	for (const sentence of warnings) console.error(sentence)
	const gateway = await startGateway(config, { gateway: VERSION, sqlite: sqliteVersion() }, log, now)
	if (typeof gateway === 'string') {
		console.error(gateway)
		return 1
	}
	await untilStopped(gateway, log)
	return 0
}

/** The first SIGTERM or SIGINT drains, a second one ends it at once. */
function untilStopped(gateway: Gateway, log: Log): Promise<void> {
	return new Promise((resolve) => {
		let asked = false
		const end = async () => {
			await log.drain(LOG_DRAIN_MS)
			resolve()
		}
		const stop = () => {
			if (asked) gateway.kill()
			else void gateway.stop().then(end)
			asked = true
		}
		process.on('SIGHUP', () => gateway.reload())
		process.on('SIGTERM', stop)
		process.on('SIGINT', stop)
	})
}

/** Its sockets are gone with the process. */
async function locatePbx(pbx: Config['pbx'][number], listen: Config['listen']): Promise<PbxFinding> {
	try {
		const { candidates, skipped } = await locate(pbx, reachOf(listen), systemDns())
		return { ok: true, targets: candidates, skipped }
	} catch (error) {
		if (!(error instanceof ResolveFault)) throw error
		return { ok: false, sentence: error.message, hint: error.hint }
	}
}

/** Leaves nothing new behind: files that root's check made would keep the gateway's own user out. */
function tryStore(path: string) {
	const made = [path, `${path}.lock`].filter((file) => !existsSync(file))
	const store = openStore(path)
	if (!store.ok) return store
	const written = store.setMeta('checked', `${Math.round(now())}`)
	store.close()
	for (const file of made) rmSync(file, { force: true })
	return written.ok ? undefined : { sentence: written.reason, hint: '' }
}

/** argv that starts this very program again: the compiled binary itself, or Bun with this file. */
function ownCommand(): string[] {
	return Bun.isStandaloneExecutable ? [process.execPath] : [process.execPath, import.meta.path]
}

function readText(path: string): string | undefined {
	try {
		return readFileSync(path, 'utf8')
	} catch {
		return undefined
	}
}

function sqliteVersion(): string {
	const db = new Database(':memory:')
	const row = db.query<{ v: string }, []>('SELECT sqlite_version() AS v').get()
	db.close()
	return row?.v ?? 'unknown'
}
