/** RFC 8599 §5.4 and §8: what the gateway says it can do, in Feature-Caps (RFC 6809). */

/** Providers this gateway pushes to. */
export const PROVIDERS = ['apns'] as const

/**
 * `+sip.pnsreg`: a phone that says it wakes by itself is asked to refresh its binding this long before it lapses. RFC 8599
 * §8.4 wants more than 120 s; an early timer of iOS may fire a minute late.
 */
export const PNSREG_SEC = 180

/** The value for one provider; `pnsregSec` and `purr` where the phone is told of them. */
export function featureCaps(provider: string, pnsregSec?: number, purr?: string): string {
	const pnsreg = pnsregSec === undefined ? '' : `;+sip.pnsreg="${pnsregSec}"`
	return `*;+sip.pns="${provider}"${pnsreg}${purr === undefined ? '' : `;+sip.pnspurr="${purr}"`}`
}

/** Which of them does a `pn-provider` ask about? An empty one asks about all (RFC 8599 §4.1.5). */
export function providersFor(named: string): readonly (typeof PROVIDERS)[number][] {
	const name = named.toLowerCase()
	return name === '' || name === 'apns' || name === 'apns.dev' ? PROVIDERS : []
}

/** Does somebody nearer to the phone already push for this provider (RFC 8599 §5.6.1)? */
export function claimedByAnother(rows: readonly string[], provider: string): boolean {
	const wanted = `+sip.pns="${provider}"`
	return rows.some((row) => row.toLowerCase().includes(wanted))
}
