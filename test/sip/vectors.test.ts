import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { Edit } from '../../src/sip/edit.ts'
import { Header } from '../../src/sip/headers.ts'
import { parse } from '../../src/sip/parse.ts'
import { manifest } from '../vectors/manifest.ts'

for (const vector of manifest) {
	describe(vector.name, () => {
		const bytes = new Uint8Array(readFileSync(`${import.meta.dir}/../vectors/${vector.name}.sip`))
		const message = parse(bytes)

		test(`${vector.title}: ${vector.fault ?? 'is taken'}`, () => {
			expect<string | null>(message.fault?.code ?? null).toBe(vector.fault)
			if (vector.fault !== null) expect(message.fault?.status).toBe(vector.status!)
		})

		test('goes out as it came where nothing is edited', () => {
			const whole = vector.fault === null && vector.bytes === undefined
			expect(new Edit(message).finish()).toEqual(whole ? bytes : message.bytes.slice())
		})

		if (vector.bytes !== undefined) {
			test('is cut to one message', () => expect(message.bytes.length).toBe(vector.bytes!))
		}
		if (vector.vias !== undefined) {
			test('gives all its Via values', () => expect(message.list(Header.Via).length).toBe(vector.vias!))
		}
		if (vector.maxForwards !== undefined) {
			test('gives its Max-Forwards', () => expect(message.maxForwards).toBe(vector.maxForwards!))
		}
	})
}
