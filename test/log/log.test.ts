import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { createLog, type LogOptions, MAX_BUFFERED_CHARS } from '../../src/log/log.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

function logTo(write: LogOptions['write'], level: LogOptions['level'] = 'info') {
	return createLog({ format: 'text', level, write, now: () => 0, gather: (flush) => void setImmediate(flush) })
}

/** A sink that takes a batch and does not come back until told. */
function stalled() {
	const batches: string[] = []
	let release = () => {}
	const write = (lines: string) => {
		batches.push(lines)
		return new Promise<void>((resolve) => {
			release = resolve
		})
	}
	return { batches, write, release: () => release() }
}

test('lines that are gathered go out together, in order, and not before', async () => {
	const batches: string[] = []
	const { log } = logTo((lines) => void batches.push(lines))
	log('started')
	log('call-held', { call: 'a' })
	expect(batches).toEqual([])
	await turn()
	const at = '1970-01-01T00:00:00.000Z info'
	expect(batches).toEqual([`${at} started\n${at} call-held call=a\n`])
})

test('events below the level are not written', async () => {
	const batches: string[] = []
	const { log } = logTo((lines) => void batches.push(lines), 'warn')
	log('call-held')
	log('push-refused')
	log('store-failed')
	await turn()
	expect(batches.join('').match(/info|warn|error/g)).toEqual(['warn', 'error'])
})

test('while the sink stalls the buffer stays bounded, and afterwards it says how many lines were dropped', async () => {
	const sink = stalled()
	const { log } = logTo(sink.write)
	log('started')
	await turn()
	const value = 'x'.repeat(400)
	for (let i = 0; i < 4000; i++) log('call-held', { value })
	expect(sink.batches).toHaveLength(1)
	sink.release()
	await turn()
	expect(sink.batches[1]!.length).toBeLessThan(MAX_BUFFERED_CHARS + 1000)
	const kept = sink.batches[1]!.match(/call-held/g)!.length
	const last = `warn limit-reached limit=log-buffer dropped=${4000 - kept}\n`
	expect(sink.batches[1]).toEndWith(last)
})

test('a sink that fails loses those lines, counts them, and is tried again with the next event', async () => {
	const taken: string[] = []
	let failing = true
	const { log } = logTo(async (lines) => {
		if (failing) throw new Error('EPIPE')
		taken.push(lines)
	})
	log('started')
	log('call-held')
	await turn()
	failing = false
	log('call-ended')
	await turn()
	await turn()
	expect(taken.join('')).toContain('call-ended')
	expect(taken.join('')).toEndWith('limit-reached limit=log-buffer dropped=2\n')
})

test('drain waits for what is under way, and not for ever', async () => {
	const sink = stalled()
	const { log, drain } = logTo(sink.write)
	log('stopped')
	expect(await drain(20)).toBe(false)
	sink.release()
	expect(await drain(1000)).toBe(true)
})

test('a reader that stalls on standard output stops no timer, and gets every line once it reads', async () => {
	const child = Bun.spawn([process.execPath, join(import.meta.dir, 'child.ts')], { stdout: 'pipe', stderr: 'pipe' })
	const said = await child.stderr.getReader().read()
	const latestMs = Number(new TextDecoder().decode(said.value))
	expect(latestMs).toBeLessThan(100)
	const lines = (await new Response(child.stdout).text()).trimEnd().split('\n')
	expect(lines).toHaveLength(2000)
	expect(lines.at(-1)).toContain('call=1999')
	expect(await child.exited).toBe(0)
}, 20_000)
