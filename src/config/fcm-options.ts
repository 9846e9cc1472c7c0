/** Options of pushes to Android; a part of the one table. */
import type { Option } from './option.ts'

export const FCM_OPTIONS = {
	fcmKey: {
		flag: 'fcm-key',
		kind: 'path',
		group: 'FCM',
		help: 'the key file of a service account, JSON',
		doc: 'From the Firebase console: Project settings, Service accounts, Generate new private key. Readable by the gateway alone (mode 0600). The project is the one in the file. Without it no Android device can be woken.',
	},
	fcmUrl: {
		flag: 'fcm-url',
		kind: 'url',
		group: 'FCM',
		help: "another server than Google's for messages",
		doc: 'For tests and for relays. Access tokens come from the token_uri in the key file.',
	},
	fcmCa: {
		flag: 'fcm-ca',
		kind: 'path',
		group: 'FCM',
		help: 'the certificate authority of --fcm-url and of the token_uri, PEM',
		doc: 'Certificates of both are then checked against this authority alone.',
	},
} as const satisfies Readonly<Record<string, Option>>
