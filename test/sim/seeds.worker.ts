/** Runs the seeds it is told to, on a processor of its own. */
import { runSeed } from './run.ts'
import { addRun, type Tally } from './tally.ts'
import type { Variant } from './variants.ts'

/** Seeds `from` to `to - 1`. */
export interface Chunk {
	readonly from: number
	readonly to: number
	readonly variant: Variant
}

export interface ChunkResult {
	readonly chunk: Chunk
	readonly reports: readonly string[]
	readonly tally: Tally
}

export function runChunk(chunk: Chunk): ChunkResult {
	const reports: string[] = []
	const tally: Tally = new Map()
	for (let seed = chunk.from; seed < chunk.to; seed++) {
		const { report, counts } = runSeed(seed, chunk.variant)
		if (report !== '') reports.push(report)
		addRun(tally, counts)
	}
	return { chunk, reports, tally }
}

declare const self: Worker

if (!Bun.isMainThread) self.onmessage = ({ data }: MessageEvent<Chunk>) => self.postMessage(runChunk(data))
