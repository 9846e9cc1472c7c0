const UNTRUSTED = 'its certificate is of an authority that is not trusted'

const SAID: ReadonlyMap<string, string> = new Map([
	['ENOENT', 'there is no such file'],
	['EACCES', 'permission denied'],
	['EISDIR', 'it is a folder'],
	['EADDRINUSE', 'the port is in use'],
	['EADDRNOTAVAIL', 'this machine has no such address'],
	['ECONNREFUSED', 'nobody listens there'],
	['ENOTFOUND', 'the name has no address'],
	['ENETUNREACH', 'there is no route to it'],
	['UNABLE_TO_VERIFY_LEAF_SIGNATURE', UNTRUSTED],
	['UNABLE_TO_GET_ISSUER_CERT', UNTRUSTED],
	['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', UNTRUSTED],
	['SELF_SIGNED_CERT_IN_CHAIN', UNTRUSTED],
	['DEPTH_ZERO_SELF_SIGNED_CERT', 'its certificate is signed by itself and not trusted'],
	['CERT_HAS_EXPIRED', 'its certificate has expired'],
	['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is of another name'],
])

/** What an error of the system means, in words and without a full stop. */
export function reasonOf(error: unknown): string {
	const { code, message } = error as { readonly code?: unknown; readonly message?: unknown }
	return SAID.get(String(code)) ?? String(message ?? error).replace(/\.$/, '')
}
