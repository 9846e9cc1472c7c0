import { expect, test } from 'bun:test'
import { Core, MAX_STRANGERS_WAITING } from '../../src/core/core.ts'
import { MAX_BANS, MAX_SOURCES } from '../../src/core/filter/sources.ts'
import { request } from '../../src/sip/build.ts'
import { targetOf } from '../core/target.ts'
import { Chance } from './chance.ts'
import { DOMAIN, PBX, scenarioOf } from './scenario.ts'

/** More sources than are remembered, each a new one: what a flood with forged addresses looks like. */
const STRANGERS = MAX_SOURCES + 1_000

/** All of them within a tenth of the time a REGISTER waits for its answer. */
const PER_MS = STRANGERS / 3_000

function core(): Core {
	const chance = new Chance(12)
	const settings = {
		...scenarioOf(chance).settings,
		pbxPingMs: 0,
		registerRate: 5,
		strangers: 'reject',
		banAfter: 5,
		banMs: 3_600_000,
	} as const
	const restored = { devices: [], heldCalls: [], pushOutcomes: [], nextDeviceId: 1 }
	const made = new Core(settings, { random32: chance.random32, hmac: () => 'f'.repeat(40) }, restored, 0)
	made.handle({ type: 'pbx-resolved', targets: [targetOf(PBX)] }, 0)
	return made
}

function knock(to: Core, n: number, method: string, userAgent: string, now: number): void {
	const address = `11.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`
	const name = `<sip:${n}@${DOMAIN}>`
	const bytes = request({
		method,
		uri: `sip:${DOMAIN}`,
		via: `SIP/2.0/UDP ${address}:5060;branch=z9hG4bK${n}`,
		from: `${name};tag=1`,
		to: name,
		callId: `${n}`,
		cseq: 1,
		rows: [
			['Contact', `<sip:${n}@${address}>`],
			['User-Agent', userAgent],
		],
	})
	to.handle({ type: 'datagram', flow: { key: `0|${address}|5060`, listener: 0, address, port: 5060 }, bytes }, now)
	to.effects.length = 0
}

function flood(method: string, userAgent: string, strangers = STRANGERS): Core {
	const flooded = core()
	for (let n = 0; n < strangers; n++) knock(flooded, n, method, userAgent, n / PER_MS)
	return flooded
}

test('12. a flood of REGISTERs from more sources than are remembered keeps within its bounds: MAX_STRANGERS_WAITING, MAX_SOURCES', () => {
	const flooded = flood('REGISTER', 'Phone 1.0')
	expect(flooded.transactions.count).toBe(2 * MAX_STRANGERS_WAITING)
	expect(flooded.filter.sources.size).toBe(MAX_SOURCES)
	/* a silent PBX: the REGISTERs time out, and strangers may register again */
	for (let now = flooded.nextDeadline(); now < 200_000; now = flooded.nextDeadline()) {
		flooded.handle({ type: 'fires' }, now)
		flooded.effects.length = 0
	}
	expect(flooded.transactions.count).toBe(0)
	knock(flooded, STRANGERS, 'REGISTER', 'Phone 1.0', 200_000)
	expect(flooded.transactions.count).toBe(2)
})

test('12. a flood of anything else from strangers leaves no transaction: 403 is sent without one', () => {
	const { transactions, filter } = flood('OPTIONS', 'Phone 1.0')
	expect(transactions.count).toBe(0)
	expect(filter.sources.size).toBe(MAX_SOURCES)
})

test('12. a flood of scanners: MAX_BANS of them are banned, and no more', () => {
	const { transactions, filter } = flood('REGISTER', 'friendly-scanner', MAX_BANS + 1_000)
	expect(transactions.count).toBe(0)
	expect(filter.sources.banCount).toBe(MAX_BANS)
})
