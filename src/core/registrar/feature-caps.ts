/** RFC 8599 §5.4 and §8: what the gateway says it can do, in Feature-Caps (RFC 6809). */
import type { PushProvider } from '../model.ts'

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

/** Which of `providers` does a `pn-provider` ask about? An empty one asks about all (RFC 8599 §4.1.5). */
export function providersFor(named: string, providers: readonly PushProvider[]): readonly PushProvider[] {
	const name = named.toLowerCase()
	if (name === '') return providers
	const wanted = name === 'apns.dev' ? 'apns' : name
	return providers.filter((provider) => provider === wanted)
}

/** Does somebody nearer to the phone already push for this provider (RFC 8599 §5.6.1), or for any at all? */
export function claimedByAnother(rows: readonly string[], provider?: string): boolean {
	const wanted = provider === undefined ? '+sip.pns="' : `+sip.pns="${provider}"`
	return rows.some((row) => row.toLowerCase().includes(wanted))
}
