/** Spreads seeds over the processors. */
import type { Chunk, ChunkResult } from './seeds.worker.ts'

/** Asks for chunks until there are none, each worker one at a time; resolves when all are done. */
export async function runAll(next: () => Chunk | undefined, done: (result: ChunkResult) => void): Promise<void> {
	const workers = Array.from({ length: navigator.hardwareConcurrency }, () => work(next, done))
	await Promise.all(workers)
}

function work(next: () => Chunk | undefined, done: (result: ChunkResult) => void): Promise<void> {
	const worker = new Worker(new URL('./seeds.worker.ts', import.meta.url).href)
	const { promise, resolve, reject } = Promise.withResolvers<void>()
	const give = () => {
		const chunk = next()
		if (chunk === undefined) resolve()
		else worker.postMessage(chunk)
	}
	worker.onmessage = ({ data }: MessageEvent<ChunkResult>) => {
		done(data)
		give()
	}
	worker.onerror = ({ message }) => reject(new Error(message))
	give()
	return promise.finally(() => worker.terminate())
}

/** Chunks of `size` seeds from `from` up to `to`, of one variant after the other. */
export function* chunksOf(ranges: readonly Chunk[], size: number): Generator<Chunk, undefined> {
	for (const { from, to, variant } of ranges)
		for (let first = from; first < to; first += size) yield { from: first, to: Math.min(first + size, to), variant }
	return undefined
}
