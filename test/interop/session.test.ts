/** What a call has besides its beginning and its end passes unharmed, whichever side calls: sipp at both ends of the binary. */
import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { because, binaryAbsent } from './binary.ts'
import { portsOf, World } from './gateway.ts'
import {
	ANSWERED,
	app,
	callee,
	calleeScenario,
	caller,
	callerScenario,
	callingApp,
	callingPbx,
	pbx,
	type Rung,
	sdp,
} from './ladder.ts'
import { type Sipp, type SippOptions, sipp, sippAbsent } from './sipp.ts'

const absent = binaryAbsent ?? sippAbsent
const PBX = '127.0.0.10'
const PHONE = '127.0.0.21'
const KEYS = { token: 'a11a'.repeat(16), instance: '0b2ea0f6-9a3c-4a3e-8f0e-6f6d0c7a1001' }

/** Bounded by sipp's own limit and by those of the waits. */
setDefaultTimeout(15_000)

const ENDED = [caller('BYE'), callee('200 BYE')]

const LADDERS: Readonly<Record<string, readonly Rung[]>> = {
	'session timers: 422, then an agreed interval, refreshed by UPDATE and by INVITE (RFC 4028)': [
		caller('INVITE', ['Supported: timer', 'Session-Expires: 60;refresher=uac', 'Min-SE: 60'], sdp()),
		callee('422 INVITE', ['Min-SE: 120']),
		caller('ACK'),
		caller('INVITE', ['Supported: timer', 'Session-Expires: 120;refresher=uac', 'Min-SE: 120'], sdp()),
		callee('200 INVITE', ['Require: timer', 'Session-Expires: 120;refresher=uac'], sdp()),
		caller('ACK'),
		caller('UPDATE', ['Supported: timer', 'Session-Expires: 120;refresher=uac', 'Min-SE: 120']),
		callee('200 UPDATE', ['Require: timer', 'Session-Expires: 120;refresher=uas']),
		callee('INVITE', ['Supported: timer', 'x: 120;refresher=uac', 'Min-SE: 120'], sdp('a=sendrecv')),
		caller('200 INVITE', ['Require: timer', 'Session-Expires: 120;refresher=uac'], sdp('a=sendrecv')),
		callee('ACK'),
		...ENDED,
	],
	'early media, with reliable provisional answers and a PRACK for each (RFC 3262)': [
		caller('INVITE', ['Supported: 100rel'], sdp()),
		callee('183 INVITE', ['Require: 100rel', 'RSeq: 7130', 'P-Early-Media: sendonly'], sdp('a=sendonly')),
		caller('PRACK', ['RAck: 7130 1 INVITE']),
		callee('200 PRACK'),
		callee('180 INVITE', ['Require: 100rel', 'RSeq: 7131']),
		caller('PRACK', ['RAck: 7131 1 INVITE']),
		callee('200 PRACK'),
		callee('200 INVITE'),
		caller('ACK'),
		...ENDED,
	],
	'hold and back, by either side, and DTMF by INFO (RFC 3264, RFC 6086)': [
		...ANSWERED,
		caller('INVITE', [], sdp('a=sendonly')),
		callee('200 INVITE', [], sdp('a=recvonly')),
		caller('ACK'),
		caller('INVITE', [], sdp('a=sendrecv')),
		callee('200 INVITE', [], sdp('a=sendrecv')),
		caller('ACK'),
		callee('INVITE', [], sdp('a=inactive')),
		caller('200 INVITE', [], sdp('a=inactive')),
		callee('ACK'),
		caller('INFO', ['Content-Type: application/dtmf-relay'], ['Signal=5', 'Duration=160']),
		callee('200 INFO'),
		callee('INFO', ['Info-Package: dtmf', 'Content-Type: application/dtmf'], ['#']),
		caller('200 INFO'),
		callee('BYE', ['Reason: Q.850;cause=16;text="Normal call clearing"']),
		caller('200 BYE'),
	],
	'a transfer: REFER with Replaces, by either side, and what became of it by NOTIFY (RFC 3515, RFC 3891)': [
		...ANSWERED,
		callee('INVITE', [], sdp('a=sendonly')),
		caller('200 INVITE', [], sdp('a=recvonly')),
		callee('ACK'),
		...referral(callee, caller, '202 REFER', 'SIP/2.0 200 OK'),
		...referral(caller, callee, '202 REFER', 'SIP/2.0 486 Busy Here'),
		...ENDED,
	],
	'a call that replaces another one (RFC 3891, RFC 3892)': [
		caller(
			'INVITE',
			[
				'Supported: replaces,norefersub',
				'Replaces: 12@203.0.113.5;to-tag=aa;from-tag=b-b;early-only',
				'Referred-By: "Anna" <sip:1002@pbx.example>',
			],
			sdp(),
		),
		callee('180 INVITE'),
		callee('200 INVITE', ['Supported: replaces'], sdp()),
		caller('ACK'),
		...ENDED,
	],
}

function referral(by: typeof caller, to: typeof caller, accepted: string, outcome: string): Rung[] {
	const fragment = ['Event: refer', 'Content-Type: message/sipfrag;version=2.0']
	return [
		by('REFER', [
			'Refer-To: <sip:700@pbx.example?Replaces=34%4010.0.0.9%3Bto-tag%3Dx%3Bfrom-tag%3Dy>',
			'Referred-By: <sip:1001@pbx.example>',
		]),
		to(accepted),
		to('NOTIFY', [...fragment, 'Subscription-State: active;expires=60'], ['SIP/2.0 100 Trying']),
		by('200 NOTIFY'),
		to('NOTIFY', [...fragment, 'Subscription-State: terminated;reason=noresource'], [outcome]),
		by('200 NOTIFY'),
	]
}

let world: World
let running: Sipp[] = []

afterEach(async () => {
	for (const process of running) process.kill()
	running = []
	await world?.close()
})

function run(options: SippOptions): Sipp {
	const process = sipp(world, { keys: KEYS, ...options })
	running.push(process)
	return process
}

const registrar = (calls: number) => run({ scenario: 'registrar', address: PBX, port: world.ports.pbx, calls })
const phone = (answers: SippOptions['scenario'], stayMs: number, address = PHONE) =>
	run({
		...{ scenario: 'register', address, port: world.ports.own, to: world.ports.sip, answers },
		...{ pauseMs: stayMs },
	})

async function pbxCalls(ladder: readonly Rung[]): Promise<void> {
	const pbxSide = registrar(1)
	const phoneSide = phone(calleeScenario('app', ladder, app), 900)
	await world.sees('the agent is registered', ({ gauges }) => gauges.devicesForeground === 1)
	await calling(callerScenario('pbx', ladder, callingPbx)).done
	await Promise.all([pbxSide.done, phoneSide.done])
}

const calling = (scenario: SippOptions['scenario']) =>
	run({ scenario, address: PBX, port: world.ports.own + 1, to: world.ports.sip })

/** The app registers, and then calls from the very port. */
async function agentCalls(ladder: readonly Rung[]): Promise<void> {
	const pbxSide = registrar(1)
	await phone('answer', 0).done
	await pbxSide.done
	const called = run({ scenario: calleeScenario('pbx', ladder, pbx), address: PBX, port: world.ports.pbx })
	const scenario = callerScenario('app', ladder, callingApp)
	const calls = run({ scenario, address: PHONE, port: world.ports.own, to: world.ports.sip, answers: 'answer' })
	await Promise.all([calls.done, called.done])
}

describe.skipIf(absent !== undefined)(`a session through the binary${because(absent)}`, () => {
	for (const [i, [name, ladder]] of Object.entries(LADDERS).entries()) {
		test(`${name}: the PBX calls`, async () => {
			world = await World.open(portsOf(60 + 2 * i))
			await pbxCalls(ladder)
			expect(world.pushes).toEqual([])
		})

		test(`${name}: the agent calls`, async () => {
			world = await World.open(portsOf(61 + 2 * i))
			await agentCalls(ladder)
		})
	}

	test('and all of it with a phone that a push has woken', async () => {
		const [, , held] = Object.values(LADDERS)
		world = await World.open(portsOf(59))
		const pbxSide = registrar(2)
		await phone('answer', 0).done
		await world.sees('the app sleeps', ({ gauges }) => gauges.devicesBackground === 1)
		const woken = Promise.withResolvers<Sipp>()
		world.onPush = () => woken.resolve(phone(calleeScenario('app', held!, app), 900, '127.0.0.22'))
		await calling(callerScenario('pbx', held!, callingPbx)).done
		await Promise.all([pbxSide.done, (await woken.promise).done])
		expect(world.pushes.length).toBe(1)
	})
})
