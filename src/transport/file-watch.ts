/** Tells when files have changed. They are looked at: certbot moves symbolic links, which no watch of the kernel follows. */
import { statSync } from 'node:fs'

/** A certificate is put there days before the old one is over. */
export const LOOK_MS = 10_000

export interface FileWatch {
	stop(): void
}

/** `changed` is called once for all that changed since the last look. */
export function watchFiles(paths: readonly string[], changed: () => void, everyMs = LOOK_MS): FileWatch {
	let known = paths.map(stampOf).join()
	const timer = setInterval(() => {
		const seen = paths.map(stampOf).join()
		if (seen === known) return
		known = seen
		changed()
	}, everyMs)
	return { stop: () => clearInterval(timer) }
}

/** A file that is away for a moment, because another one takes its place, has a stamp too. */
function stampOf(path: string): string {
	try {
		const { mtimeMs, ino, size } = statSync(path)
		return `${mtimeMs} ${ino} ${size}`
	} catch {
		return 'none'
	}
}
