/** What an agent costs: the gateway's memory with few of them and with many. */
import type { GatewayKind } from './gateways.ts'
import { whole } from './report.ts'
import { generate, type JobShape, setStage } from './run.ts'

const FEW = 10_000
const MANY = 50_000

export async function measureMemory(kind: GatewayKind): Promise<string> {
	const stage = await setStage(kind, 'bind')
	try {
		const bind: Omit<JobShape, 'agents'> = { work: 'bind', inFlight: 64, rate: 0, warmUpSeconds: 0, seconds: 0 }
		const few = await generate(kind, stage, { ...bind, agents: FEW })
		const many = await generate(kind, stage, { ...bind, agents: MANY })
		const each = (many.gatewayRssKb - few.gatewayRssKb) / (MANY - FEW)
		return `memory: ${whole(few.gatewayRssKb / 1024)} MB with ${whole(FEW)} agents, ${whole(many.gatewayRssKb / 1024)} MB with ${whole(MANY)}: ${each.toFixed(2)} kB for each`
	} finally {
		await stage.stop()
	}
}
