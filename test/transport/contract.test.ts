/** The contract of the transports: what holds for each of them, UDP and streams alike. */
import { afterEach, describe, expect, test } from 'bun:test'
import { MAX_STREAM_MESSAGE } from '../../src/sip/frame.ts'
import { holds } from './loopback.ts'
import { openRoad, ROADS } from './roads.ts'
import { closeAll, latin1, sip } from './streams.ts'

afterEach(closeAll)

describe.each([...ROADS])('%s', (kind) => {
	test('gives every message whole and in order, and carries them back', async () => {
		const road = await openRoad(kind)
		const phone = await road.call()
		const messages = Array.from({ length: 30 }, (_, i) => sip('u'.repeat(i * 10), `u${i}`))
		for (const message of messages) phone.say(message)
		expect(await holds(() => road.ear.messages.length === messages.length)).toBe(true)
		expect(road.ear.texts).toEqual(messages)
		for (const { flow, bytes } of road.ear.messages) road.send(flow, latin1(bytes))
		expect(await holds(() => phone.heard().length >= messages.join('').length)).toBe(true)
		expect(phone.heard()).toBe(messages.join(''))
		expect(road.stats).toMatchObject({ sent: messages.length, sendFailed: 0 })
	})

	test('carries the largest message both ways', async () => {
		const road = await openRoad(kind)
		const phone = await road.call()
		const message = sip('b'.repeat(MAX_STREAM_MESSAGE - sip('').length - 4))
		expect(message.length).toBe(MAX_STREAM_MESSAGE)
		phone.say(message)
		expect(await holds(() => road.ear.messages.length === 1)).toBe(true)
		expect(road.ear.texts).toEqual([message])
		road.send(road.ear.messages[0]!.flow, message)
		expect(await holds(() => phone.heard() === message)).toBe(true)
	})

	test('tells far ends apart by their addresses and ports, and what is for one is for no other', async () => {
		const road = await openRoad(kind, { index: 3 })
		const phones = [await road.call(), await road.call()]
		for (const [i, phone] of phones.entries()) {
			phone.say(sip('one', `${i}`))
			phone.say(sip('two', `${i}`))
			expect(await holds(() => road.ear.messages.length === 2 * (i + 1))).toBe(true)
		}
		const flows = road.ear.messages.map(({ flow }) => flow)
		for (const [i, { port }] of phones.entries()) {
			expect(flows[2 * i]).toMatchObject({ listener: 3, address: '127.0.0.1', port })
			expect(flows[2 * i + 1]).toBe(flows[2 * i]!)
		}
		expect(flows[0]!.key).not.toBe(flows[2]!.key)
		road.send(flows[2]!, sip('for the second'))
		expect(await holds(() => phones[1]!.heard() === sip('for the second'))).toBe(true)
		expect(phones[0]!.heard()).toBe('')
	})

	test('gives its receiver octets of its own', async () => {
		const road = await openRoad(kind)
		road.ear.reaction = (_, bytes) => void bytes.fill(0, 0, 3)
		const phone = await road.call()
		phone.say(sip('one'))
		phone.say(sip('two'))
		expect(await holds(() => road.ear.messages.length === 2)).toBe(true)
		expect(road.ear.texts[1]!.slice(3)).toBe(sip('two').slice(3))
	})

	test('goes on when the code that hears a message has a fault, and tells it', async () => {
		const road = await openRoad(kind)
		road.ear.reaction = () => {
			throw new Error('a bug')
		}
		const phone = await road.call()
		phone.say(sip('one'))
		phone.say(sip('two'))
		expect(await holds(() => road.ear.errors.length === 2)).toBe(true)
		expect(road.ear.errors[0]).toContain('a bug')
		expect(road.ear.texts).toEqual([sip('one'), sip('two')])
	})

	test('never throws at what is for a far end that is gone, and serves the others', async () => {
		const road = await openRoad(kind)
		const [gone, phone] = [await road.call(), await road.call()]
		for (const [i, one] of [gone, phone].entries()) {
			one.say(sip('here'))
			expect(await holds(() => road.ear.messages.length === i + 1)).toBe(true)
		}
		gone.leave()
		for (let i = 0; i < 5; i++) {
			for (const { flow } of [...road.ear.messages]) road.send(flow, sip('anybody there', `${i}`))
			await Bun.sleep(5)
		}
		const all = Array.from({ length: 5 }, (_, i) => sip('anybody there', `${i}`)).join('')
		expect(await holds(() => phone.heard() === all)).toBe(true)
	})

	test('asks whether a far end is welcome before it hears anything of it', async () => {
		let asked = 0
		const road = await openRoad(kind, { admit: (address) => address === '127.0.0.1' && asked++ === 1 })
		const [stranger, phone] = [await road.call(), await road.call()]
		stranger.say(sip('stranger'))
		if (kind === 'udp') expect(await holds(() => asked === 1)).toBe(true)
		phone.say(sip('phone'))
		expect(await holds(() => road.ear.messages.length === 1)).toBe(true)
		expect([road.ear.texts, asked]).toEqual([[sip('phone')], 2])
	})

	test('speaks IPv6, and on :: leaves the port to IPv4', async () => {
		const road = await openRoad(kind, { address: '::1' })
		const phone = await road.call()
		phone.say(sip('six'))
		expect(await holds(() => road.ear.messages.length === 1)).toBe(true)
		const { flow } = road.ear.messages[0]!
		expect(flow).toMatchObject({ address: '::1', port: phone.port })
		road.send(flow, sip('and back'))
		expect(await holds(() => phone.heard() === sip('and back'))).toBe(true)
		const all = await openRoad(kind, { address: '::' })
		await openRoad(kind, { port: all.port })
	})

	test('says in a sentence why it cannot listen', async () => {
		const { port } = await openRoad(kind)
		const answer = await openRoad(kind, { port }).catch((error: Error) => error.message)
		const name = `${kind.toUpperCase()} 127.0.0.1 port ${port}`
		expect(answer).toBe(`Cannot listen on ${name}: another program has it, perhaps a gateway that is running already.`)
	})

	test('lets out what was sent when it stops, frees the port, and is silent from then on', async () => {
		const road = await openRoad(kind)
		const phone = await road.call()
		phone.say(sip('here'))
		expect(await holds(() => road.ear.messages.length === 1)).toBe(true)
		const { flow } = road.ear.messages[0]!
		road.send(flow, sip('last words'))
		road.stop()
		road.send(flow, sip('too late'))
		expect(await holds(() => phone.heard() === sip('last words'))).toBe(true)
		expect(road.stats).toMatchObject({ sent: 1, sendFailed: 1 })
		await openRoad(kind, { port: road.port })
		await Bun.sleep(20)
		expect(phone.heard()).toBe(sip('last words'))
	})
})
