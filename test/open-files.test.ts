import { describe, expect, test } from 'bun:test'
import type { Config } from '../src/config/options.ts'
import { parseCommandLine } from '../src/config/parse.ts'
import { mostConnections, RESERVED_FILES, scarceFiles } from '../src/listeners.ts'

function config(...flags: string[]): Config {
	const line = parseCommandLine(['--pbx=192.0.2.9', '--domain=pbx.example', ...flags], {}, () => undefined)
	if (!line.ok || line.command !== 'run') throw new Error(JSON.stringify(line))
	return line.config
}

describe('connections and open files', () => {
	test('there are never so many connections that nothing else can be opened', () => {
		expect(mostConnections(50_000, 1_048_576)).toBe(50_000)
		expect(mostConnections(50_000, 20_000)).toBe(20_000 - RESERVED_FILES)
		expect(mostConnections(50_000, 50_000 + RESERVED_FILES)).toBe(50_000)
		expect(mostConnections(50_000, 100)).toBe(0)
	})

	test('where there are fewer than --max-connections says, a sentence tells how many and what to do', () => {
		const streams = ['--listen=udp:127.0.0.1:5060', '--listen=tcp:127.0.0.1:5060']
		expect(scarceFiles(config(...streams), 20_000)).toEqual([
			'--max-connections is 50000, but this process may open 20000 files: there will be at most 19744 connections. Raise the limit (LimitNOFILE) to 50256, or lower --max-connections.',
		])
		expect(scarceFiles(config(...streams, '--max-connections=10000'), 20_000)).toEqual([])
		expect(scarceFiles(config('--listen=udp:127.0.0.1:5060'), 1_024)).toEqual([])
	})
})
