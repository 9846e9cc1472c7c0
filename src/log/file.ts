/** A sink on a file descriptor. */
import { write } from 'node:fs'
import type { Sink } from './log.ts'

/** A pipe that does not block and is full says EAGAIN: look again after this. */
const RETRY_MS = 20

/** @param fd 1 is standard output. Written by a thread of the pool, so that a stalled reader stops nothing else. */
export function fileSink(fd: number): Sink {
	return async (lines) => {
		let rest = new TextEncoder().encode(lines)
		while (rest.length > 0) rest = rest.subarray(await writeSome(fd, rest))
	}
}

function writeSome(fd: number, bytes: Uint8Array): Promise<number> {
	return new Promise((resolve, reject) => {
		write(fd, bytes, (error, written) => {
			if (error === null) resolve(written)
			else if (error.code === 'EAGAIN') setTimeout(resolve, RETRY_MS, 0)
			else reject(error)
		})
	})
}
