/** Source files as the architecture test sees them. Import lines are read by regex: a bundler's scan drops `import type`. */

import { posix } from 'node:path'
import { Glob } from 'bun'

export const ROOT = new URL('../../', import.meta.url).pathname

export interface Import {
	/** Relative to src where it is a file of ours, else the package or built-in module as written. */
	readonly target: string
	readonly isOwn: boolean
	readonly isType: boolean
}

export interface SourceFile {
	/** Relative to src: `core/wake/hold.ts`. */
	readonly path: string
	/** The first folder below src; '' for main.ts and its neighbours. */
	readonly room: string
	readonly text: string
	readonly lines: number
	readonly imports: readonly Import[]
}

const FROM = /^(?:import|export)\s+(type\s)?(?:[^'"();]*?\sfrom\s+)?'([^']+)'/gm
const DYNAMIC = /\bimport\(\s*'([^']+)'/g

export function importsOf(path: string, text: string): Import[] {
	const fixed = [...text.matchAll(FROM)].map((match) => ({ to: match[2]!, isType: match[1] !== undefined }))
	const dynamic = [...text.matchAll(DYNAMIC)].map((match) => ({ to: match[1]!, isType: false }))
	return [...fixed, ...dynamic].map(({ to, isType }) => ({
		target: to.startsWith('.') ? posix.join(posix.dirname(path), to) : to,
		isOwn: to.startsWith('.'),
		isType,
	}))
}

export function roomOf(path: string): string {
	return path.includes('/') ? path.slice(0, path.indexOf('/')) : ''
}

export async function sourceFiles(): Promise<SourceFile[]> {
	const paths = [...new Glob('**/*.ts').scanSync(`${ROOT}src`)].filter((path) => !path.endsWith('.d.ts')).sort()
	return Promise.all(
		paths.map(async (path) => {
			const text = await Bun.file(`${ROOT}src/${path}`).text()
			return { path, room: roomOf(path), text, lines: text.split('\n').length - 1, imports: importsOf(path, text) }
		}),
	)
}

/** Code without comments and without what stands in quotes. */
export function bareCode(text: string): string {
	return text.replace(/\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|(^|\s)\/\/[^\n]*/g, '$1')
}

const HEAD =
	/^(\t*)(?:export )?(?:default )?(?:async )?(?:function\b|(?:const|readonly)\b[^=]*= (?:async )?(?:\(|\w+ =>)|(?:(?:static|async|override|get|set|private|public) )*[#\w]+(?:<[^>]*>)?\()/
const NO_FUNCTION = /^\t*(?:if|for|while|switch|return|await|throw)\b/

/** Functions and their lengths in lines, by the indentation that the formatter gives. */
export function functionLengths(text: string): { readonly head: string; readonly lines: number }[] {
	const lines = text.split('\n')
	return lines.flatMap((line, start) => {
		const indent = NO_FUNCTION.test(line) ? undefined : HEAD.exec(line)?.[1]
		if (indent === undefined) return []
		const end = lines.findIndex(
			(other, i) => i > start && other.startsWith(`${indent}}`) && !other.startsWith(`${indent}}:`),
		)
		const closes = lines.findIndex(
			(other, i) => i > start && other !== '' && !other.startsWith(`${indent}\t`) && !other.startsWith(`${indent})`),
		)
		return end < 0 || closes !== end ? [] : [{ head: line.trim(), lines: end - start + 1 }]
	})
}

/** A cycle of value imports as a list of files, or undefined. Types vanish in the build and may refer to each other. */
export function importCycle(files: readonly SourceFile[]): string[] | undefined {
	const next = new Map(files.map((file) => [file.path, file.imports.filter((to) => !to.isType).map((to) => to.target)]))
	const done = new Set<string>()
	const visit = (path: string, trail: readonly string[]): string[] | undefined => {
		if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
		if (done.has(path)) return undefined
		done.add(path)
		for (const target of next.get(path) ?? []) {
			const cycle = visit(target, [...trail, path])
			if (cycle) return cycle
		}
		return undefined
	}
	return files.map((file) => visit(file.path, [])).find((cycle) => cycle !== undefined)
}
