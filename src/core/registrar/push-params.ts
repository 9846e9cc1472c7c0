/**
 * Push parameters of a Contact URI, in both dialects phones speak.
 *
 * RFC 8599 §4, §10 and §11: `pn-provider=apns;pn-prid=<token>;pn-param=<Team>.<bundle>.voip`, with what liblinphone makes of
 * it: `apns.dev` for the sandbox, `pn-prid=<token>:voip&<token>:remote`, `pn-param=TEAM.bundle.voip&remote`. Without `.voip` the
 * token is an ordinary one, for alerts and background pushes. `pn-provider=fcm;pn-prid=<token>;pn-param=<project>`. The legacy one:
 * `app-id=<bundle>[.voip[.dev|.prod]];pn-type=apple;pn-tok=<token>`, and with `pn-type=firebase` the same for FCM.
 */

import { Secret } from '../../lib/secret.ts'
import { detached } from '../../sip/latin1.ts'
import { unescape as unescaped, uriParam, withoutParams } from '../../sip/uri.ts'
import type { PushEnvironment, PushParams } from '../model.ts'

/** APNs tokens have no fixed length; 200 hex digits is twice the longest seen, and keeps rows small. */
export const MAX_TOKEN_LENGTH = 200

/** FCM's have 140 to 200 characters today, and no fixed length either; a Contact of 2,000 has room for no more than these. */
export const MAX_FCM_TOKEN_LENGTH = 1_000

export interface PushDefaults {
	readonly topic: string
	readonly environment: PushEnvironment
}

/** `params` is the parameter part of the Contact URI, with its leading `;`. */
export function pushParams(params: string, defaults: PushDefaults): PushParams | undefined {
	return rfc8599(params, defaults) ?? legacy(params, defaults)
}

/** RFC 8599 §4.1.5: the provider a phone asks about, '' for all; undefined where it gives a prid, and so does not ask. */
export function queriedProvider(params: string): string | undefined {
	if (uriParam(params, 'pn-provider') === undefined || text(params, 'pn-prid') !== '') return undefined
	return text(params, 'pn-provider')
}

/** Is it a parameter that must not leave the gateway (RFC 8599 §13)? */
export function isPushParam(lowerName: string): boolean {
	return lowerName.startsWith('pn-') || lowerName === 'app-id'
}

/** The URI without its push parameters. */
export function withoutPushParams(uri: string): string {
	return withoutParams(uri, isPushParam)
}

function rfc8599(params: string, defaults: PushDefaults): PushParams | undefined {
	const provider = text(params, 'pn-provider').toLowerCase()
	if (provider === 'fcm') return fcm('rfc8599', text(params, 'pn-prid'), text(params, 'pn-param'))
	if (provider !== 'apns' && provider !== 'apns.dev') return undefined
	const prid = text(params, 'pn-prid')
	const app = appOf(text(params, 'pn-param'))
	const plain = !prid.includes(':')
	const voip = plain && isOrdinary(app, defaults) ? undefined : tokenFor(prid, 'voip')
	const remote = plain && voip !== undefined ? undefined : tokenFor(prid, 'remote')
	const token = voip ?? remote
	if (token === undefined) return undefined
	const bundle = app?.bundle ?? withoutVoip(defaults.topic)
	return {
		provider: 'apns',
		environment: provider === 'apns.dev' ? 'sandbox' : defaults.environment,
		topic: voip === undefined ? bundle : app?.service === 'voip' ? `${bundle}${VOIP}` : defaults.topic,
		token: new Secret(token),
		remoteToken: remote === undefined ? undefined : new Secret(remote),
		prid: new Secret(prid),
		dialect: 'rfc8599',
	}
}

function legacy(params: string, defaults: PushDefaults): PushParams | undefined {
	const type = text(params, 'pn-type').toLowerCase()
	if (FCM_TYPES.has(type)) return fcm('legacy', text(params, 'pn-tok'), text(params, 'app-id'))
	if (type !== 'apple' && type !== 'apns') return undefined
	const prid = text(params, 'pn-tok')
	const token = tokenFor(prid, 'voip')
	if (token === undefined) return undefined
	const appId = text(params, 'app-id')
	return {
		provider: 'apns',
		environment: appId.endsWith('.dev') ? 'sandbox' : defaults.environment,
		topic: legacyTopic(appId) || defaults.topic,
		token: new Secret(token),
		remoteToken: undefined,
		prid: new Secret(prid),
		dialect: 'legacy',
	}
}

/** What linphone wrote and writes: the names of FCM before RFC 8599. */
const FCM_TYPES: ReadonlySet<string> = new Set(['firebase', 'google', 'fcm', 'gcm'])

/** One token for all it is pushed to for; a project is the phone's word, for the key alone says which one is sent for. */
function fcm(dialect: PushParams['dialect'], prid: string, project: string): PushParams | undefined {
	if (prid.length > MAX_FCM_TOKEN_LENGTH || !/^[\w:.-]+$/.test(prid)) return undefined
	const token = new Secret(prid)
	return {
		provider: 'fcm',
		environment: 'production',
		topic: project,
		token,
		remoteToken: token,
		prid: token,
		dialect,
	}
}

/** The token of a service in `<tok>:voip&<tok>:remote`; a prid without services is one token for all. */
function tokenFor(prid: string, service: string): string | undefined {
	for (const part of prid.split('&')) {
		const colon = part.lastIndexOf(':')
		if (colon >= 0 && part.slice(colon + 1) !== service) continue
		const token = colon < 0 ? part : part.slice(0, colon)
		return token.length <= MAX_TOKEN_LENGTH && /^[0-9a-fA-F]+$/.test(token) ? token.toLowerCase() : undefined
	}
	return undefined
}

const VOIP = '.voip'
/** What pn-param says: the bundle id, and whether the token is for calls (`voip`) or for all else (`remote`). */
interface App {
	readonly bundle: string
	readonly service: 'voip' | 'remote' | undefined
}

/** RFC 8599 §10: up to the first dot is the team; the services from the last one on, or none where the bundle id ends so. */
function appOf(pnParam: string): App | undefined {
	const team = pnParam.indexOf('.')
	const last = pnParam.lastIndexOf('.')
	if (team < 0 || last <= team) return undefined
	const services = pnParam.slice(last + 1).split('&')
	const service = services.includes('voip') ? 'voip' : services.includes('remote') ? 'remote' : undefined
	return { bundle: pnParam.slice(team + 1, service === undefined ? undefined : last), service }
}

/** A token of no named service: for calls where pn-param says so, or nothing, or an app whose calls `--apns-topic` is for. */
function isOrdinary(app: App | undefined, { topic }: PushDefaults): boolean {
	if (app === undefined || app.service === 'voip') return false
	return app.service === 'remote' || topic !== `${app.bundle}${VOIP}`
}

/** May a call wake it? */
export function isForCalls({ provider, topic }: PushParams): boolean {
	return provider === 'fcm' || topic.endsWith(VOIP)
}

/** Is all known that a push needs? */
export function isComplete({ provider, topic }: PushParams): boolean {
	return provider === 'fcm' || topic !== ''
}

/** Has the phone one token for calls and all else, so that it lives or dies for all of it? */
export function hasOneToken({ token, remoteToken }: PushParams): boolean {
	return remoteToken !== undefined && remoteToken.reveal() === token.reveal()
}

/** The topic of all that is no call. */
export function bundleOf({ topic }: PushParams): string {
	return withoutVoip(topic)
}

function withoutVoip(topic: string): string {
	return topic.endsWith(VOIP) ? topic.slice(0, -VOIP.length) : topic
}

function legacyTopic(appId: string): string {
	const bundle = appId.replace(/\.(dev|prod)$/, '')
	return bundle === '' ? '' : bundle.endsWith('.voip') ? bundle : `${bundle}.voip`
}

function text(params: string, name: string): string {
	return detached(unescaped(uriParam(params, name) ?? ''))
}

/** The same token for the same app, however it is spelt around them. */
export function samePush(a: PushParams | undefined, b: PushParams | undefined): boolean {
	if (a === undefined || b === undefined || a === b) return a === b
	const isSame = a.prid.reveal() === b.prid.reveal() && a.topic === b.topic
	return isSame && a.dialect === b.dialect && a.provider === b.provider
}
