/**
 * A second process for the tests of the store. `write PATH`: register devices until killed, saying each id once its
 * commit is acknowledged. `open PATH`: as an ordinary user, say what opening comes to.
 */
import { writeSync } from 'node:fs'
import { openStore } from '../../src/store/store.ts'
import { device, opened } from './records.ts'

const [task, path] = process.argv.slice(2) as [string, string]
/** nobody: root may write where it is forbidden. */
const ORDINARY_USER = 65_534

if (task === 'open') {
	if (process.getuid?.() === 0) process.setuid?.(ORDINARY_USER)
	const { ok, ...fault } = openStore(path)
	writeSync(1, JSON.stringify(ok ? { ok } : { ok, ...fault }))
} else {
	const store = opened(path)
	for (let id = 1; ; id += 2) {
		const pair = [device(id), device(id + 1)].map((row) => ({ table: 'device', op: 'put', row }) as const)
		if (store.commit(pair).ok) writeSync(1, `${id + 1}\n`)
	}
}
