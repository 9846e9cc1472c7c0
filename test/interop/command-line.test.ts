import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BINARY, because, binaryAbsent } from './binary.ts'
import { cleanEnvironment, portsOf, type World } from './gateway.ts'
import { Party } from './party.ts'

/** The PBX of a bad world is asked for two seconds; this is for a busy machine. */
setDefaultTimeout(20_000)

const { sip, http, pbx } = portsOf(40)
const REQUIRED = ['--pbx', `127.0.0.10:${pbx}`, '--domain', 'pbx.example']
const COMPLETE = [...REQUIRED, '--listen', `udp:127.0.0.1:${sip}`]
const HELP_LINE = 'push-gateway --help tells of every flag.'

/** nobody: root may write where it is forbidden. */
const ORDINARY_USER = '65534'
const asNobody =
	process.getuid?.() === 0 ? ['setpriv', `--reuid=${ORDINARY_USER}`, `--regid=${ORDINARY_USER}`, '--clear-groups'] : []
const readOnlyUntestable =
	binaryAbsent ??
	(asNobody.length > 0 && !runs([...asNobody, BINARY, '--version'])
		? 'no ordinary user can run the binary where it lies'
		: undefined)

let folder: string

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), 'push-gateway-line-'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

function runs(command: readonly string[]): boolean {
	try {
		return Bun.spawnSync([...command], { stdout: 'ignore', stderr: 'ignore' }).exitCode === 0
	} catch {
		return false
	}
}

async function run(words: readonly string[], options: { as?: readonly string[]; env?: Record<string, string> } = {}) {
	const command = [...(options.as ?? []), BINARY, ...words]
	const env = { ...cleanEnvironment(), ...options.env }
	const child = Bun.spawn(command, {
		cwd: folder,
		env,
		stdin: 'ignore',
		stdout: 'pipe',
		stderr: 'pipe',
		timeout: 15_000,
	})
	const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()])
	return { status: await child.exited, out, err: err.split('\n').filter((line) => line !== '') }
}

const start = (...words: readonly string[]) => run([...COMPLETE, '--http', `127.0.0.1:${http}`, ...words])

/** What a start says that cannot be, besides the warning that there is no key. */
const refusal = ({ err }: { readonly err: readonly string[] }) =>
	err.filter((line) => !line.startsWith('Neither --apns-key'))

describe.skipIf(binaryAbsent !== undefined)(`the command line of the binary${because(binaryAbsent)}`, () => {
	test('--version names the versions, --help every flag, and both end with 0', async () => {
		const version = await run(['--version'])
		expect(version).toMatchObject({ status: 0, err: [] })
		expect(version.out).toMatch(/^push-gateway \d+\.\d+\.\d+\S* \(Bun [\d.]+, SQLite [\d.]+\)\n$/)
		const help = await run(['--help'])
		expect(help).toMatchObject({ status: 0, err: [] })
		for (const flag of ['--listen', '--pbx', '--domain', '--hold', '--apns-key', '--db', '--http-token'])
			expect(help.out).toContain(flag)
	})

	test.each<[string, string[]]>([
		['"--nonsense" is no flag: see --help.', ['--nonsense']],
		['"--holt" is no flag: did you mean --hold?', ['--holt', '5s']],
		['"stray" stands alone: a value belongs behind its flag.', ['stray']],
		['--hold needs a value, such as --hold 20s.', ['--hold']],
		['--hold: "1ms" is out of range: choose from 2s to 2m.', ['--hold', '1ms']],
		[
			'--listen: "sctp:127.0.0.1:5060" must begin with udp:, tcp:, tls:, ws: or wss:, such as udp:203.0.113.5:5060.',
			['--listen', 'sctp:127.0.0.1:5060'],
		],
		[
			'--apns-key-id and --apns-team are missing: APNs needs the key, its id and the team together.',
			['--apns-key', 'key.p8'],
		],
	])('a wrong flag has one sentence, and status 2: %s', async (sentence, words) => {
		const { status, out, err } = await run([...COMPLETE, ...words])
		expect({ status, out }).toEqual({ status: 2, out: '' })
		expect(err).toEqual([sentence, HELP_LINE])
	})

	test('a wrong command has one sentence, and status 2', async () => {
		expect(await run(['rum'])).toEqual({
			status: 2,
			out: '',
			err: ['"rum" is no command: did you mean run?', HELP_LINE],
		})
	})

	test('a wrong variable of the environment is refused alike, by its name', async () => {
		const { status, err } = await run(REQUIRED, { env: { PUSH_GATEWAY_HOLD: 'long' } })
		expect(status).toBe(2)
		expect(err[0]).toStartWith('PUSH_GATEWAY_HOLD: "long" is no time')
	})

	test('fewer open files than --max-connections are told by check and at the start, before anything else', async () => {
		const sentence =
			'--max-connections is 500, but this process may open 400 files: there will be at most 144 connections. Raise the limit (LimitNOFILE) to 756, or lower --max-connections.'
		const words = [...COMPLETE, '--listen', `tcp:127.0.0.1:${sip}`, '--max-connections', '500']
		const as = ['bash', '-c', 'ulimit -n 400; exec "$@"', 'bash']
		expect((await run(['check', ...words], { as })).out).toContain(`warning ${sentence}\n`)
		const { status, err } = await run([...words, '--db', folder], { as })
		expect({ status, told: err.includes(sentence) }).toEqual({ status: 1, told: true })
		expect((await run([...words, '--db', folder])).err).not.toContain(sentence)
	})

	test('what cannot be opened is told in one sentence, with status 1', async () => {
		const { status, ...said } = await start('--db', join(folder, 'nowhere', 'x.db'))
		expect(status).toBe(1)
		expect(refusal(said)).toEqual([
			expect.stringMatching(/^The directory of the database \S+ does not exist\. Create it/),
		])
		expect(refusal(await start('--db', folder))).toHaveLength(1)
		writeFileSync(join(folder, 'letter'), 'Dear Anna,')
		expect(refusal(await start('--db', 'letter'))).toHaveLength(1)
		const key = await start('--apns-key', 'none.p8', '--apns-key-id', 'ABCDEFGHIJ', '--apns-team', 'ABCDEFGHIJ')
		expect(key.status).toBe(1)
		expect(key.err.at(-1)).toStartWith('--apns-key: none.p8 cannot be read')
		expect(key.err.join()).not.toContain('    at ')
	})

	test('a port that is taken is told in one sentence, with status 1', async () => {
		const datagrams = await Bun.udpSocket({ hostname: '127.0.0.1', port: sip })
		const udp = await start()
		datagrams.close()
		expect(udp.status).toBe(1)
		expect(refusal(udp)).toEqual([expect.stringContaining(`${sip}`)])
		const server = Bun.listen({ hostname: '127.0.0.1', port: http, socket: { data() {} } })
		const tcp = await start()
		server.stop(true)
		expect(tcp.status).toBe(1)
		expect(refusal(tcp)).toEqual([expect.stringContaining(`${http}`)])
	})

	test.skipIf(readOnlyUntestable !== undefined)(
		`a folder or database that may not be written is told in one sentence, with status 1${because(readOnlyUntestable)}`,
		async () => {
			const closed = join(folder, 'closed')
			mkdirSync(closed)
			chmodSync(folder, 0o755)
			chmodSync(closed, 0o555)
			const words = [...COMPLETE, '--http', 'off', '--db', join(closed, 'x.db')]
			const { status, ...said } = await run(words, { as: asNobody })
			expect(status).toBe(1)
			expect(refusal(said)).toEqual([expect.stringMatching(/cannot be written|read-only/)])
		},
	)
})

describe.skipIf(binaryAbsent !== undefined)(`push-gateway check${because(binaryAbsent)}`, () => {
	test('in a world where nothing is right, each fault has a sentence and a way out, with status 1', async () => {
		const { status, out } = await run([
			...[
				'check',
				...REQUIRED,
				'--listen',
				'udp:192.0.2.1:5060',
				'--db',
				'nowhere/x.db',
				'--http',
				`127.0.0.1:${http}`,
			],
			...['--apns-key', 'none.p8', '--apns-key-id', 'ABCDEFGHIJ', '--apns-team', 'ABCDEFGHIJ'],
			...['--apns-url', `https://127.0.0.1:${pbx}`],
		])
		expect(status).toBe(1)
		const failed = out.split('\n').filter((line) => line.startsWith('failed '))
		expect(failed).toEqual([
			expect.stringContaining('UDP 192.0.2.1:5060 cannot be opened'),
			expect.stringContaining(`The PBX at 127.0.0.10:${pbx} does not answer`),
			expect.stringContaining('The APNs key none.p8 cannot be read'),
			expect.stringContaining('nowhere/x.db does not exist'),
		])
		expect(out.match(/^ {8}→ /gm)?.length).toBeGreaterThanOrEqual(failed.length)
		expect(out).toEndWith('\n4 to mend before the gateway can do its work.\n')
	})

	test('in a good world it finds nothing to mend, ends with 0, and leaves no file behind', async () => {
		const party = await Party.open(41)
		const { world } = party
		try {
			world.signal('SIGTERM')
			await world.ended()
			const { status, out } = await run(['check', ...goodFlags(world)])
			expect(out).toEndWith('\nThe gateway can start.\n')
			expect(out.split('\n').filter((line) => line.startsWith('failed '))).toEqual([])
			expect(out).toContain('answers OPTIONS with "SIP/2.0 200')
			expect(status).toBe(0)
			expect(readdirSync(folder)).toEqual([])
		} finally {
			await party.close()
		}
	})
})

/** Those of that gateway, with a database that is not there yet. */
function goodFlags(world: World): string[] {
	return world.flags().map((word) => (word === world.db ? 'new.db' : word))
}
