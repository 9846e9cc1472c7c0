const SAID: ReadonlyMap<string, string> = new Map([
	['ENOENT', 'there is no such file'],
	['EACCES', 'permission denied'],
	['EISDIR', 'it is a folder'],
	['EADDRINUSE', 'the port is in use'],
	['EADDRNOTAVAIL', 'this machine has no such address'],
	['ECONNREFUSED', 'nobody listens there'],
	['ENOTFOUND', 'the name has no address'],
	['ENETUNREACH', 'there is no route to it'],
])

/** What an error of the system means, in words and without a full stop. */
export function reasonOf(error: unknown): string {
	const { code, message } = error as { readonly code?: unknown; readonly message?: unknown }
	return SAID.get(String(code)) ?? String(message ?? error).replace(/\.$/, '')
}
