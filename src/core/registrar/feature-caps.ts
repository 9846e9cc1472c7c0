/** RFC 8599 §4.2 and §5: what the gateway says it can do, in Feature-Caps (RFC 6809). */

/** Providers this gateway pushes to. */
export const PROVIDERS = ['apns'] as const

/** The value for one provider. */
export function featureCaps(provider: string): string {
	return `*;+sip.pns="${provider}"`
}

/** Does somebody nearer to the phone already push for this provider (RFC 8599 §5.3)? */
export function claimedByAnother(rows: readonly string[], provider: string): boolean {
	const wanted = `+sip.pns="${provider}"`
	return rows.some((row) => row.toLowerCase().includes(wanted))
}
