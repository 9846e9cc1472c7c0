/** The phone in the page: JsSIP, and a few words by which a test drives it. */
import { UA, WebSocketInterface } from 'jssip'

/** Beyond the end of any test: what the gateway closes stays closed, so that a test sees it. */
const NEVER_SEC = 600

const phone = {
	/** What happened, in order. */
	events: [],
	ua: undefined,
	session: undefined,

	/** Registers over a new WebSocket. `contact`: a SIP URI with the push parameters. */
	start({ url, contact, password, instance }) {
		const ua = new UA({
			...{ uri: 'sip:1001@pbx.example', password, contact_uri: contact, instance_id: instance },
			...{ sockets: [new WebSocketInterface(url)], register_expires: 600, session_timers: false },
			...{ connection_recovery_min_interval: NEVER_SEC, connection_recovery_max_interval: NEVER_SEC },
		})
		phone.ua = ua
		const note = (text) => phone.events.push(text)
		ua.on('registered', ({ response }) => {
			const [require, timer] = ['Require', 'Flow-Timer'].map((name) => response.getHeader(name))
			note(`registered ${require} ${timer}`)
		})
		ua.on('registrationFailed', ({ cause }) => note(`refused ${cause}`))
		ua.on('disconnected', () => note(ua === phone.ua ? 'disconnected' : 'old socket closed'))
		ua.on('newRTCSession', ({ session, request }) => {
			phone.session = session
			note(`incoming ${request.from.uri.user}`)
			session.on('confirmed', () => note('confirmed'))
			session.on('ended', ({ originator }) => note(`ended by ${originator}`))
			session.on('failed', ({ cause }) => note(`failed ${cause}`))
		})
		ua.start()
	},

	answer() {
		phone.session.answer({ mediaConstraints: { audio: true, video: false }, pcConfig: { iceServers: [] } })
	},

	hangUp() {
		phone.session.terminate()
	},
}

globalThis.phone = phone
