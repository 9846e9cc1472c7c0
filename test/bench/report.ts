/** Figures as a table in Markdown. */
import type { Outcome, Work } from './job.ts'

/** A generator busier than this may be what limits the rate. CPU per item stays right. */
const GENERATOR_BOUND = 0.85

const WORDS: Readonly<Record<Work, string>> = {
	W1: 'W1 register, 64 at a time',
	W2: 'W2 call to an awake phone, 600 at a time',
	W3: 'W3 call to a sleeping phone, 600 at a time',
	W4: 'W4 junk, 50,000 packets/s',
}

export interface Row {
	readonly work: Work
	readonly gateway: string
	readonly outcomes: readonly Outcome[]
}

/** The row of `beside` that stands for the same work is what its ratio is made with. */
export function table(rows: readonly Row[], beside: string): string {
	const head =
		'| work | gateway | items/CPU-s | ratio | spread | µs/item | items/s | failed | resent | dropped | generator | memory |'
	const lines = rows.map((row) =>
		tableRow(
			row,
			rows.find((r) => r.work === row.work && r.gateway === beside),
		),
	)
	return [head, '|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|', ...lines].join('\n')
}

function tableRow({ work, gateway, outcomes }: Row, other: Row | undefined): string {
	const rates = outcomes.map(perCpuSecond)
	const rate = median(rates)
	const ratio =
		other === undefined || other.gateway === gateway ? '' : (rate / median(other.outcomes.map(perCpuSecond))).toFixed(2)
	const load = median(outcomes.map(({ generatorLoad }) => generatorLoad))
	const cells = [
		WORDS[work],
		gateway,
		whole(rate),
		ratio,
		`${whole(Math.min(...rates))}–${whole(Math.max(...rates))}`,
		(1e6 / rate).toFixed(1),
		whole(median(outcomes.map(({ done, wallSeconds }) => done / wallSeconds))),
		whole(sum(outcomes, 'failed')),
		whole(sum(outcomes, 'resent')),
		whole(sum(outcomes, 'dropped')),
		`${Math.round(load * 100)} %${load > GENERATOR_BOUND ? ' GEN-BOUND' : ''}`,
		`${whole(median(outcomes.map(({ gatewayRssKb }) => gatewayRssKb)) / 1024)} MB`,
	]
	return `| ${cells.join(' | ')} |`
}

export const perCpuSecond = ({ done, gatewayCpuSeconds }: Outcome): number => done / gatewayCpuSeconds

/** One run, as it comes in. */
export function said(work: string, gateway: string, outcome: Outcome): string {
	const faults = outcome.faults.length === 0 ? '' : `; faults: ${outcome.faults.join(', ')}`
	const alive = work === 'W4' ? `; ${outcome.alive} of 20 phones registered after it` : ''
	return `${work} ${gateway}: ${whole(perCpuSecond(outcome))} items/CPU-s, ${whole(outcome.failed)} failed${alive}${faults}`
}

export function median(numbers: readonly number[]): number {
	const sorted = [...numbers].sort((a, b) => a - b)
	const middle = sorted.length >> 1
	return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export const whole = (n: number): string => Math.round(n).toLocaleString('en')

function sum(outcomes: readonly Outcome[], field: 'failed' | 'resent' | 'dropped'): number {
	return outcomes.reduce((total, outcome) => total + outcome[field], 0)
}
