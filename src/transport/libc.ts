/**
 * What the platform has no call for: socket options and descriptors, by the C library.
 *
 * Without it (no such library, or a runtime that forbids it) every function below says so and the listener still
 * works, less well: default receive buffer, no bound on a flood's hold of the event loop, no socket of its own for
 * the PBX, no count of dropped datagrams. Constants are those of Linux on x86-64 and arm64.
 */
import { dlopen, ptr } from 'bun:ffi'

/** glibc, then musl by architecture. */
const NAMES = ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1']

const SOL_IP = 0
const SOL_SOCKET = 1
const SOL_TCP = 6
const TCP_KEEPIDLE = 4
const TCP_KEEPINTVL = 5
const TCP_USER_TIMEOUT = 18
const SOL_IPV6 = 41
const SO_SNDBUF = 7
const SO_RCVBUF = 8
const SO_KEEPALIVE = 9
const IP_RECVERR = 11
const SO_REUSEPORT = 15
const IPV6_RECVERR = 25
const SO_RCVBUFFORCE = 33
const SO_MEMINFO = 55
/** Places in the array of SO_MEMINFO, and its length in 32-bit words (linux/sock_diag.h). */
const MEMINFO_RCVBUF = 1
const MEMINFO_DROPS = 8
const MEMINFO_WORDS = 9

/** Between two questions to a silent far end; the user timeout says how many there are. */
const KEEP_ALIVE_AGAIN_SEC = 8

const AF_INET = 2
const SOCK_DGRAM = 2
const SOCK_NONBLOCK = 0o4000
/** Also SOCK_CLOEXEC: no descriptor leaks into a child. */
const O_CLOEXEC = 0o2000000
const F_DUPFD_CLOEXEC = 1030
const RLIMIT_NOFILE = 7

function load() {
	for (const name of NAMES) {
		try {
			return dlopen(name, {
				setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
				getsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32' },
				fcntl: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
				dup3: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
				socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
				close: { args: ['i32'], returns: 'i32' },
				getrlimit: { args: ['i32', 'ptr'], returns: 'i32' },
			}).symbols
		} catch {
			// not this one
		}
	}
	return undefined
}

const libc = load()

/** False: see the head of this file. */
export const hasLibc = libc !== undefined

const value = new Int32Array(1)
const meminfo = new Uint32Array(MEMINFO_WORDS)
const meminfoLength = new Uint32Array(1)

function setOption(fd: number, level: number, option: number, to: number): boolean {
	if (libc === undefined) return false
	value[0] = to
	return libc.setsockopt(fd, level, option, ptr(value), value.byteLength) === 0
}

/** Errors of one far end (ICMP unreachable) shall not fail a send to another: ip(7), IP_RECVERR. */
export function ignoreIcmpErrors(fd: number): void {
	setOption(fd, SOL_IP, IP_RECVERR, 0)
	setOption(fd, SOL_IPV6, IPV6_RECVERR, 0)
}

/** Past net.core.rmem_max where the process may (CAP_NET_ADMIN), else up to it. */
export function setReceiveBuffer(fd: number, bytes: number): void {
	if (!setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes)) setOption(fd, SOL_SOCKET, SO_RCVBUF, bytes)
}

/**
 * Of a TCP socket, or of all that a listening one accepts from now on: they inherit it. False where it cannot be had.
 * `keepAliveSec`: silence before the kernel asks; `userTimeoutMs`: how long it waits for any acknowledgement.
 */
export function boundSilence(fd: number, keepAliveSec: number, userTimeoutMs: number): boolean {
	const timed =
		setOption(fd, SOL_TCP, TCP_USER_TIMEOUT, userTimeoutMs) && setOption(fd, SOL_TCP, TCP_KEEPIDLE, keepAliveSec)
	return (
		timed && setOption(fd, SOL_TCP, TCP_KEEPINTVL, KEEP_ALIVE_AGAIN_SEC) && setOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1)
	)
}

/** As {@link boundSilence}: for the socket, or for all it accepts. */
export function setSendBuffer(fd: number, bytes: number): boolean {
	return setOption(fd, SOL_SOCKET, SO_SNDBUF, bytes)
}

export function setPortSharing(fd: number, shared: boolean): boolean {
	return setOption(fd, SOL_SOCKET, SO_REUSEPORT, shared ? 1 : 0)
}

/** What the kernel granted, as it was asked for (it books twice that), and how many datagrams found it full. */
export function receiveMemory(fd: number): { readonly bufferBytes: number; readonly drops: number } | undefined {
	if (libc === undefined) return undefined
	meminfoLength[0] = meminfo.byteLength
	if (libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, ptr(meminfo), ptr(meminfoLength)) !== 0) return undefined
	return { bufferBytes: meminfo[MEMINFO_RCVBUF]! / 2, drops: meminfo[MEMINFO_DROPS]! }
}

/** As many may be open at a time; undefined where it cannot be known. The runtime has raised the soft limit to the hard one. */
export function openFilesLimit(): number | undefined {
	const limits = new BigUint64Array(2)
	return libc?.getrlimit(RLIMIT_NOFILE, ptr(limits)) === 0 ? Number(limits[0]) : undefined
}

/** A second descriptor of the same socket; -1 where there is none to be had. */
export function duplicate(fd: number): number {
	return libc?.fcntl(fd, F_DUPFD_CLOEXEC, 0) ?? -1
}

/** A socket that has nothing to read, ever; -1 where there is none to be had. */
export function openEmptySocket(): number {
	return libc?.socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | O_CLOEXEC, 0) ?? -1
}

/** From now on the number `fd` means the socket of `source`. */
export function redirect(fd: number, source: number): boolean {
	return libc !== undefined && libc.dup3(source, fd, O_CLOEXEC) >= 0
}

export function closeDescriptor(fd: number): void {
	if (fd >= 0) libc?.close(fd)
}
