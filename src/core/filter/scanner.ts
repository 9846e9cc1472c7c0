/** Tools that look for open PBXs, by what they call themselves. */

/** Lower case; each is the start or a word of the User-Agent (or From name) such a tool sends as it comes. */
const SCANNERS = [
	'friendly-scanner',
	'sipvicious',
	'sipcli',
	'sip-scan',
	'sipscan',
	'sundayddr',
	'vaxsipuseragent',
	'pplsip',
	'iwar',
	'sipsak',
	'smap',
	'svmap',
	'svwar',
	'svcrack',
	'eyebeam_scan',
	'gulp',
] as const

/** Longest User-Agent looked at. */
const LOOKED_AT = 100

export function isScanner(userAgent: string | undefined): boolean {
	if (userAgent === undefined) return false
	const lower = userAgent.slice(0, LOOKED_AT).toLowerCase()
	return SCANNERS.some((name) => lower.includes(name))
}
