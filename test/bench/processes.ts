/** Processes of the bench, and what the kernel says of them (proc(5)). */
import { readdirSync, readFileSync } from 'node:fs'

const STOP_LIMIT_MS = 8000

export interface Started {
	readonly pid: number
	readonly exited: Promise<number>
	/** SIGTERM, later SIGKILL. */
	stop(): Promise<void>
}

/** Starts argv on one CPU where taskset is there; its output goes to the file. */
export function start(argv: readonly string[], cpu: number, log: string, cwd: string): Started {
	const child = Bun.spawn(pinned(argv, cpu), { cwd, stdin: 'ignore', stdout: Bun.file(log), stderr: Bun.file(log) })
	return {
		pid: child.pid,
		exited: child.exited,
		async stop() {
			const tree = treeOf(child.pid)
			child.kill('SIGTERM')
			const killer = setTimeout(() => tree.forEach(kill), STOP_LIMIT_MS)
			await child.exited
			clearTimeout(killer)
		},
	}
}

function kill(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL')
	} catch {
		// it ended by itself
	}
}

/** taskset replaces itself by the program, so that the pid stays the same. */
export function pinned(argv: readonly string[], cpu: number): string[] {
	return canPin() ? ['taskset', '-c', `${cpu}`, ...argv] : [...argv]
}

/** Keeps this very process, all its threads, off the gateway's core. */
export function pinSelf(cpu: number): void {
	if (canPin()) Bun.spawnSync(['taskset', '-a', '-c', '-p', `${cpu}`, `${process.pid}`])
}

export function canPin(): boolean {
	return Bun.which('taskset') !== null && navigator.hardwareConcurrency > 1
}

/** The process and all that descend from it. */
export function treeOf(root: number): number[] {
	const children = new Map<number, number[]>()
	for (const name of readdirSync('/proc')) {
		const stat = /^\d+$/.test(name) ? read(`/proc/${name}/stat`) : undefined
		if (stat === undefined) continue
		/* the command in parentheses may hold anything; state and parent follow the last one */
		const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
		children.set(parent, [...(children.get(parent) ?? []), Number(name)])
	}
	const tree = [root]
	for (let i = 0; i < tree.length; i++) tree.push(...(children.get(tree[i]!) ?? []))
	return tree
}

/** Seconds of CPU of all threads, to the nanosecond (schedstat), which clock ticks are too coarse for. */
export function cpuSeconds(pids: readonly number[]): number {
	let nanoseconds = 0
	for (const pid of pids) for (const thread of list(`/proc/${pid}/task`)) nanoseconds += schedstat(pid, thread, 0)
	return nanoseconds / 1e9
}

/** Seconds the main thread was ready to run and another program had its core. */
export function waitedSeconds(pid: number): number {
	return schedstat(pid, `${pid}`, 1) / 1e9
}

function schedstat(pid: number, thread: string, column: number): number {
	return Number(read(`/proc/${pid}/task/${thread}/schedstat`)?.split(' ')[column] ?? 0)
}

/** Memory in kB, what is shared between the processes counted once (PSS), else RSS. */
export function memoryKb(pids: readonly number[]): number {
	let kb = 0
	for (const pid of pids) {
		const text = read(`/proc/${pid}/smaps_rollup`) ?? read(`/proc/${pid}/status`) ?? ''
		kb += Number(/^(?:Pss|VmRSS):\s+(\d+)/m.exec(text)?.[1] ?? 0)
	}
	return kb
}

/** Datagrams lost by full receive buffers of this UDP port since its sockets were opened. */
export function udpDrops(port: number): number {
	const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
	let drops = 0
	for (const line of (read('/proc/net/udp') ?? '').split('\n').slice(1)) {
		const columns = line.trim().split(/\s+/)
		if (columns[1]?.endsWith(local)) drops += Number(columns.at(-1))
	}
	return drops
}

function list(folder: string): string[] {
	try {
		return readdirSync(folder)
	} catch {
		return []
	}
}

function read(path: string): string | undefined {
	try {
		return readFileSync(path, 'latin1')
	} catch {
		return undefined
	}
}
