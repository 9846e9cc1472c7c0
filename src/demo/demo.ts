/** `push-gateway demo`: the product's one job over real sockets, with everything around it embedded. */
import { Journal } from './journal.ts'
import { SCENES } from './scenes.ts'
import { Missed, Stage } from './stage.ts'

export interface DemoOptions {
	/** argv that starts the gateway, with absolute paths: it runs in a folder of its own. The demo adds the flags. */
	readonly gatewayCommand: readonly string[]
	/** After the verdict everything stays up until SIGINT or SIGTERM. */
	readonly stay: boolean
	readonly print: (line: string) => void
}

/** As shells have it for a program that was interrupted. */
const INTERRUPTED = 130

/** Exit status: 0 where every check holds, 1 where not, 130 where it was interrupted. Never rejects. */
export async function runDemo({ gatewayCommand, stay, print }: DemoOptions): Promise<number> {
	// A monotonic clock that agrees with the calendar: the PBX dates its answers.
	const now = () => performance.timeOrigin + performance.now()
	const journal = new Journal(print, now)
	const stage = new Stage(journal, now)
	const interrupted = untilSignal()
	const played = play(stage, gatewayCommand)
	const outcome = await Promise.race([played, interrupted])
	if (outcome === 'interrupted') {
		await stage.close()
		return INTERRUPTED
	}
	if (stay) {
		const passed = journal.verdict()
		await linger(stage, print, interrupted)
		await stage.close()
		return passed ? 0 : 1
	}
	await endGateway(stage)
	await stage.close()
	return journal.verdict() ? 0 : 1
}

/** All scenes, until one fails. */
async function play(stage: Stage, gatewayCommand: readonly string[]): Promise<void> {
	const { journal } = stage
	let title = 'The stage is set'
	try {
		journal.scene('0. The PBX, the APNs stand-in and the gateway start')
		await stage.open(gatewayCommand)
		journal.note('gateway', `listens at ${stage.gateway.sip.address}:${stage.gateway.sip.port}, ${stage.gateway.url}`)
		for (const scene of SCENES) {
			title = scene.title
			journal.scene(title)
			await scene.play(stage)
		}
	} catch (fault) {
		const sentence = fault instanceof Error ? fault.message : String(fault)
		journal.check(fault instanceof Missed ? sentence : `${title}: ${sentence}`, false)
		for (const line of stage.gateway?.log ?? []) journal.note('gateway log', line)
		const later = SCENES.slice(SCENES.findIndex((scene) => scene.title === title) + 1)
		for (const scene of later) journal.check(`${scene.title}: not reached`, false)
	}
}

/** SIGTERM, as an operator stops it. */
async function endGateway({ gateway, journal }: Stage): Promise<void> {
	if (gateway === undefined) return
	const status = await gateway.stop()
	journal.note('gateway', `ends after SIGTERM with status ${status}`)
	journal.check('the gateway ends by itself after SIGTERM', status === 0, status)
}

async function linger({ gateway }: Stage, print: (line: string) => void, interrupted: Promise<unknown>): Promise<void> {
	if (gateway === undefined) return
	print('')
	print(`The status page is at ${gateway.url}/ – Ctrl-C ends the demo.`)
	await interrupted
}

function untilSignal(): Promise<'interrupted'> {
	return new Promise((resolve) => {
		process.once('SIGINT', () => resolve('interrupted'))
		process.once('SIGTERM', () => resolve('interrupted'))
	})
}
