import { expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { posix } from 'node:path'
import { Glob } from 'bun'
import { ROOT } from '../architecture/source.ts'

const FILES = [...new Glob('*.md').scanSync(ROOT), ...new Glob('docs/**/*.md').scanSync(ROOT)].sort()
const LINK = /\]\(([^)\s]+)\)/g

interface Link {
	readonly from: string
	readonly to: string
}

async function links(): Promise<Link[]> {
	const found = await Promise.all(
		FILES.map(async (from) => [...bare(await text(from)).matchAll(LINK)].map((match) => ({ from, to: match[1]! }))),
	)
	return found.flat().filter(({ to }) => !/^[a-z]+:/.test(to))
}

const text = (file: string): Promise<string> => Bun.file(`${ROOT}${file}`).text()

/** Without what stands in fences. */
const bare = (markdown: string): string => markdown.replace(/^ *```[\s\S]*?^ *```/gm, '')

/** GitHub's anchors of the headings. */
function anchors(markdown: string): string[] {
	return [...bare(markdown).matchAll(/^#+ (.+)$/gm)].map((match) =>
		match[1]!
			.toLowerCase()
			.replace(/[^\p{L}\p{N} _-]/gu, '')
			.replaceAll(' ', '-'),
	)
}

test('every relative link of a document leads to a file', async () => {
	const broken = (await links()).filter(({ from, to }) => {
		const path = to.split('#')[0]!
		return path !== '' && !existsSync(posix.join(ROOT, posix.dirname(from), path))
	})
	expect(broken).toEqual([])
})

test('every link into a document leads to a heading', async () => {
	const broken: Link[] = []
	for (const link of await links()) {
		const [path, anchor] = link.to.split('#')
		if (anchor === undefined) continue
		const target = path === '' ? link.from : posix.join(posix.dirname(link.from), path!)
		if (!anchors(await text(target)).includes(anchor)) broken.push(link)
	}
	expect(broken).toEqual([])
})

test('no document names a path that is of one machine alone', async () => {
	const named: string[] = []
	for (const file of FILES) if (/\/(?:work|home|root|tmp)\//.test(await text(file))) named.push(file)
	expect(named).toEqual([])
})
