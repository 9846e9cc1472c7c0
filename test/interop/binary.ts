/** The compiled binary the tests of this ring run; they build nothing themselves. */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dir, '..', '..')

export const BINARY = join(ROOT, 'dist', 'push-gateway')

/** Why these tests cannot run here; undefined where they can. */
export const binaryAbsent = absence()

function absence(): string | undefined {
	if (!existsSync(BINARY)) return 'there is no dist/push-gateway: run ./build.sh'
	const built = statSync(BINARY).mtimeMs
	const newer = [...new Bun.Glob('{src,assets}/**/*').scanSync(ROOT)].find(
		(path) => statSync(join(ROOT, path)).mtimeMs > built,
	)
	return newer === undefined ? undefined : `dist/push-gateway is older than ${newer}: run ./build.sh`
}

/** `(skipped: …)` behind the name of a test that cannot run, '' otherwise. */
export function because(reason: string | undefined): string {
	return reason === undefined ? '' : ` (skipped: ${reason})`
}

/** Waits until `look` finds something; rejects with `sentence` where that takes longer than `limitMs`. */
export async function until<T>(
	sentence: string,
	look: () => T | undefined | false | Promise<T | undefined | false>,
	limitMs = 5000,
): Promise<T> {
	const end = performance.now() + limitMs
	for (;;) {
		const found = await look()
		if (found !== undefined && found !== false) return found
		if (performance.now() > end) throw new Error(`${sentence}: not within ${limitMs} ms`)
		await Bun.sleep(10)
	}
}
