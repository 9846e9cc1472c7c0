import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { openStore } from '../../src/store/store.ts'
import { NOW, opened, scratch } from './records.ts'

const CHILD = join(import.meta.dir, 'child.ts')
const ENOUGH = 300

/** Kill the writer in the middle of its work; the highest id it had an acknowledgement for. */
async function killedWriter(path: string): Promise<number> {
	const child = Bun.spawn([process.execPath, CHILD, 'write', path], { stdout: 'pipe' })
	const decoder = new TextDecoder()
	let said = ''
	for await (const chunk of child.stdout) {
		said += decoder.decode(chunk, { stream: true })
		if (said.length > ENOUGH) child.kill('SIGKILL')
	}
	await child.exited
	return Number(said.slice(0, said.lastIndexOf('\n')).split('\n').at(-1))
}

test('kill -9 under load loses no acknowledged commit and leaves no half of one', async () => {
	const place = scratch()
	for (let round = 0; round < 3; round++) {
		const acknowledged = await killedWriter(place.path)
		const store = opened(place.path)
		const ids = store.restore(NOW).devices.map((d) => d.id)
		expect(acknowledged).toBeGreaterThan(50)
		expect(ids.length).toBeGreaterThanOrEqual(acknowledged)
		expect(ids).toEqual(Array.from({ length: ids.length }, (_, i) => i + 1))
		expect(ids.length % 2).toBe(0)
		store.commit(ids.map((id) => ({ table: 'device', op: 'delete', id })))
		store.close()
	}
	place.remove()
}, 20_000)

test('a second gateway on the same database is told so, and may start once the first is gone', async () => {
	const place = scratch()
	const child = Bun.spawn([process.execPath, CHILD, 'write', place.path], { stdout: 'pipe' })
	const reader = child.stdout.getReader()
	await reader.read()
	const refused = openStore(place.path)
	expect(refused).toMatchObject({ ok: false, code: 'in-use' })
	child.kill('SIGKILL')
	await child.exited
	opened(place.path).close()
	place.remove()
}, 20_000)
