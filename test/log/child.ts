/** Logs far more than a pipe holds; says on stderr by how many ms its timer was late at worst meanwhile. */
import { writeSync } from 'node:fs'
import { fileSink } from '../../src/log/file.ts'
import { createLog } from '../../src/log/log.ts'

const TICK_MS = 5
const { log, drain } = createLog({ format: 'text', level: 'info', write: fileSink(1) })
for (let i = 0; i < 2000; i++) log('call-held', { agent: 'x'.repeat(200), call: i })

let latestMs = 0
let last = performance.now()
const ticker = setInterval(() => {
	const now = performance.now()
	latestMs = Math.max(latestMs, now - last - TICK_MS)
	last = now
}, TICK_MS)
await Bun.sleep(300)
clearInterval(ticker)
writeSync(2, `${Math.round(latestMs)}`)
process.exit((await drain(10_000)) ? 0 : 1)
