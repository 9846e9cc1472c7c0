/** RFC 4475 and RFC 5118 by their manifest, and captures of real peers, where the folder that holds them is there. */
import { describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { Edit } from '../../src/sip/edit.ts'
import { Header } from '../../src/sip/headers.ts'
import { parse } from '../../src/sip/parse.ts'

const SHARED = `${import.meta.dir}/../../../shared`
const TORTURE = `${SHARED}/torture`
const CAPTURES = `${SHARED}/captures`

interface Entry {
	readonly name: string
	readonly file: string
	readonly parser: 'accept' | 'reject' | 'either'
	readonly status: number | null
	readonly body_octets: number
}

const read = (path: string): Uint8Array => new Uint8Array(readFileSync(path))

/** The fault statuses the manifest allows; undefined: none. 420 and 483 are the proxy's policy, not the parser's. */
function allowed({ parser, status }: Entry): readonly (number | undefined)[] {
	if (parser === 'either') return [undefined, 400]
	if (parser === 'reject') return [status ?? 0]
	return [status === 416 ? 416 : undefined]
}

describe.if(existsSync(TORTURE))('RFC 4475 and RFC 5118 (skipped where the folder of vectors is absent)', () => {
	const { messages } = existsSync(TORTURE)
		? (JSON.parse(readFileSync(`${TORTURE}/manifest.json`, 'utf8')) as { messages: Entry[] })
		: { messages: [] }
	for (const entry of messages) {
		test(`${entry.name} gets what the manifest says`, () => {
			const bytes = read(`${TORTURE}/${entry.file}`)
			const message = parse(bytes)
			expect(allowed(entry)).toContain(message.fault?.status)
			if (message.fault === undefined) {
				expect(new Edit(message).finish()).toEqual(bytes.slice(0, message.bytes.length))
			}
		})
	}

	test('octets behind Content-Length are cut off (dblreq)', () => {
		const message = parse(read(`${TORTURE}/dblreq.dat`))
		expect(message.body().length).toBe(0)
		expect(message.bytes.length).toBeLessThan(400)
	})

	test('the tortuous INVITE is read right (wsinv)', () => {
		const message = parse(read(`${TORTURE}/wsinv.dat`))
		expect([message.toTag, message.fromTag, message.cseq, message.cseqMethod]).toEqual([
			'1918181833n',
			'98asjd8',
			9,
			'INVITE',
		])
		expect(message.list(Header.Via).length).toBe(3)
		expect(message.via.branch).toBe('390skdjuw')
		expect(message.maxForwards).toBe(68)
	})
})

describe.if(existsSync(CAPTURES))('real peers (skipped where the folder of captures is absent)', () => {
	const files = existsSync(CAPTURES) ? readdirSync(CAPTURES).filter((name) => name.endsWith('.sip')) : []
	for (const name of files) {
		test(`${name} is taken, and goes out as it came`, () => {
			const bytes = read(`${CAPTURES}/${name}`)
			const message = parse(bytes)
			expect(message.fault).toBeUndefined()
			expect(message.via.branch).toStartWith('z9hG4bK')
			expect(message.cseq).toBeGreaterThan(0)
			expect(message.callId).not.toBe('')
			expect(message.fromTag).not.toBe('')
			expect(new Edit(message).finish()).toEqual(bytes)
		})
	}
})
