/** The flags of `./build.sh bench`. */
import { parseArgs } from 'node:util'
import { WORKS, type Work } from './job.ts'

/** What else can be asked for by --work. */
export const EXTRAS = ['flood', 'memory', 'streams', 'parser'] as const
export type Part = Work | (typeof EXTRAS)[number]
const PARTS: readonly Part[] = [...WORKS, ...EXTRAS]

export interface BenchOptions {
	readonly parts: readonly Part[]
	readonly reps: number
	readonly seconds: number
	readonly warmUpSeconds: number
	readonly gateway: string
	readonly beside: boolean
}

const USAGE = `./build.sh bench [--work ${PARTS.join(',')}] [--reps 3] [--seconds 6] [--warm-up 10] [--gateway PATH] [--alone]
  --work     what to measure; all of it unless said
  --reps     times each work is run; the table shows the median
  --seconds  measured, once the gateway has used --warm-up seconds of CPU under the same load
  --gateway  the binary, or a .ts to run with Bun
  --alone    without Kamailio beside it`

/** Or sentences: what is wrong, or the usage that was asked for. */
export function benchOptions(argv: readonly string[], binary: string): BenchOptions | string {
	let values: Record<string, string | boolean | undefined>
	try {
		values = parseArgs({
			args: [...argv],
			options: {
				work: { type: 'string', default: PARTS.join(',') },
				reps: { type: 'string', default: '3' },
				seconds: { type: 'string', default: '6' },
				'warm-up': { type: 'string', default: '10' },
				gateway: { type: 'string', default: binary },
				alone: { type: 'boolean', default: false },
				help: { type: 'boolean', default: false },
			},
		}).values
	} catch (error) {
		return `${(error as Error).message}\n${USAGE}`
	}
	const parts = String(values['work']).split(',')
	const wrong = parts.find((part) => !PARTS.includes(part as Part))
	if (wrong !== undefined) return `--work: "${wrong}" is none of ${PARTS.join(', ')}.\n${USAGE}`
	const [reps, seconds, warmUpSeconds] = [values['reps'], values['seconds'], values['warm-up']].map(Number)
	/* every step is bounded, whoever starts it */
	if (!isWhole(reps, 1, 20) || !isWhole(seconds, 1, 20) || !isWhole(warmUpSeconds, 1, 20))
		return `--reps, --seconds and --warm-up are whole numbers from 1 to 20.\n${USAGE}`
	if (values['help'] === true) return USAGE
	return {
		parts: parts as Part[],
		reps,
		seconds,
		warmUpSeconds,
		gateway: String(values['gateway']),
		beside: values['alone'] !== true,
	}
}

function isWhole(n: number | undefined, least: number, most: number): n is number {
	return n !== undefined && Number.isInteger(n) && n >= least && n <= most
}
