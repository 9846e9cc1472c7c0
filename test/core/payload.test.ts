import { describe, expect, test } from 'bun:test'
import { MAX_PAYLOAD_BYTES } from '../../src/core/effects.ts'
import { callerOf, MAX_CALLER_NAME_LENGTH, minimalPayloadOf, payloadOf } from '../../src/core/wake/payload.ts'
import { parse } from '../../src/sip/parse.ts'
import { boundPhone, fallAsleep, requestText } from './peers.ts'
import { octets, PBX, Rig } from './rig.ts'

/** UTF-8 as one char an octet, as it comes off the wire. */
const wire = (text: string) => String.fromCharCode(...new TextEncoder().encode(text))

const caller = (from: string) => callerOf(parse(octets(requestText('INVITE', { from: `${wire(from)};tag=t` }))))

describe('who calls', () => {
	test('name and number of From', () => {
		expect(caller('"Alice Doe" <sip:5551234@pbx.example>')).toEqual({ name: 'Alice Doe', number: '5551234' })
		expect(caller('Alice <sip:5551234@pbx.example>')).toEqual({ name: 'Alice', number: '5551234' })
	})

	test('quotes and backslashes are read once', () => {
		expect(caller('"\\"Al\\" \\\\o/" <sip:1@pbx.example>').name).toBe('"Al" \\o/')
	})

	test('UTF-8 is read; what is none stays', () => {
		expect(caller('"Łukasz 🦆" <sip:1@pbx.example>').name).toBe('Łukasz 🦆')
		const broken = requestText('INVITE', { from: '"a\xff\xc3" <sip:1@pbx.example>;tag=t' })
		expect(callerOf(parse(octets(broken))).name).toBe('a\xff\xc3')
	})

	test('without a name it is the number, without a user the URI, with escapes read', () => {
		expect(caller('<sip:%2B49%2030@pbx.example>')).toEqual({ name: '+49 30', number: '+49 30' })
		expect(caller('<sip:pbx.example>').number).toBe('sip:pbx.example')
		expect(caller('<tel:+4930>').number).toBe('tel:+4930')
	})

	test(`MAX_CALLER_NAME_LENGTH: ${MAX_CALLER_NAME_LENGTH} characters, none of them cut in two`, () => {
		expect([...caller(`"${'🦆'.repeat(500)}" <sip:1@pbx.example>`).name]).toEqual(
			Array(MAX_CALLER_NAME_LENGTH).fill('🦆'),
		)
		expect(caller(`<sip:${'1'.repeat(500)}@pbx.example>`).number.length).toBe(MAX_CALLER_NAME_LENGTH)
		/* half of one would be refused by FCM, in the minimal payload as well */
		const { number } = caller(`<sip:1${'%F0%9F%A6%86'.repeat(100)}@pbx.example>`)
		expect(number.isWellFormed()).toBe(true)
	})
})

describe('the payload', () => {
	const call = {
		callId: 'id',
		uuid: 'u',
		caller: { name: 'n', number: '1' },
		agent: 'sip:1001@pbx.example',
		time: 0,
		status: undefined,
	}

	test('is JSON with what CallKit needs', () => {
		expect(JSON.parse(payloadOf('apns', call))).toEqual({
			aps: {},
			callId: 'id',
			uuid: 'u',
			callerName: 'n',
			callerNumber: '1',
			agent: 'sip:1001@pbx.example',
			time: '1970-01-01T00:00:00.000Z',
		})
		expect(JSON.parse(minimalPayloadOf('apns', call))).toEqual({ aps: {}, callId: 'id', uuid: 'u', callerNumber: '1' })
	})

	for (const [what, from, callId] of [
		['quotes', `"${'\\"'.repeat(4000)}" <sip:1@pbx.example>`, 'id'],
		['10 kB of name', `"${'x'.repeat(10_000)}" <sip:${'9'.repeat(10_000)}@pbx.example>`, 'id'],
		['ducks', `"${wire('🦆'.repeat(2500))}" <sip:${'%F0%9F%A6%86'.repeat(400)}@pbx.example>`, 'id'],
		['control characters', `<sip:${'%01'.repeat(500)}@pbx.example>`, `${'"\\'.repeat(250)}`],
		['a Call-ID of 10 kB', '<sip:1@pbx.example>', 'c'.repeat(10_000)],
		['a pasted JSON', '"\\",\\"aps\\":{\\"alert\\":1},\\"x\\":\\"" <sip:1@pbx.example>', 'id'],
	] as const) {
		test(`MAX_PAYLOAD_BYTES: with ${what} both are JSON of at most ${MAX_PAYLOAD_BYTES} octets`, () => {
			const rig = new Rig()
			boundPhone(rig)
			fallAsleep(rig)
			rig.from(PBX, requestText('INVITE', { from: `${from};tag=t`, callId }))
			const [push] = rig.pushes
			for (const text of [push!.payload, push!.minimalPayload]) {
				expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(MAX_PAYLOAD_BYTES)
				expect(JSON.parse(text).aps).toEqual({})
				expect(JSON.parse(text).uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/)
			}
		})
	}

	test('the uuid is the same for all devices of the agent, and another for another call', () => {
		const rig = new Rig()
		for (let i = 0; i < 2; i++) boundPhone(rig, '1001', `${i}`.repeat(64), 10 + i)
		fallAsleep(rig)
		for (const callId of ['a', 'b']) rig.from(PBX, requestText('INVITE', { callId }))
		const uuids = rig.pushes.map(({ payload }) => JSON.parse(payload).uuid as string)
		expect([uuids.length, new Set(uuids).size, uuids[0] === uuids[1]]).toEqual([4, 2, true])
	})
})
