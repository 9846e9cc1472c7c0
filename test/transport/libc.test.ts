import { expect, test } from 'bun:test'
import { boundSilence, hasLibc, openFilesLimit, setSendBuffer } from '../../src/transport/libc.ts'
import { KEEP_ALIVE_SEC, SEND_BUFFER_BYTES, USER_TIMEOUT_MS } from '../../src/transport/stream-limits.ts'

test('the kernel takes the bounds of a stream for a listening socket, and says no for what is none', () => {
	const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
	const { fd } = listener as unknown as { fd: number }
	expect(hasLibc).toBe(true)
	expect(boundSilence(fd, KEEP_ALIVE_SEC, USER_TIMEOUT_MS)).toBe(true)
	expect(setSendBuffer(fd, SEND_BUFFER_BYTES)).toBe(true)
	listener.stop(true)
	expect(boundSilence(-1, KEEP_ALIVE_SEC, USER_TIMEOUT_MS)).toBe(false)
	expect(setSendBuffer(-1, SEND_BUFFER_BYTES)).toBe(false)
})

test('the limit of open files is what the kernel says of this process', async () => {
	const limits = await Bun.file('/proc/self/limits').text()
	expect(`${openFilesLimit()}`).toBe(/^Max open files +(\d+)/m.exec(limits)![1]!)
})
