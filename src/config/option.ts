/** What is known of an option. */
import type { Bounds, Kind } from './kinds.ts'

export type Group =
	| 'SIP'
	| 'Connections'
	| 'PBX'
	| 'Ping and pong'
	| 'Calls'
	| 'APNs'
	| 'FCM'
	| 'Events'
	| 'Filter'
	| 'Store'
	| 'Status page'
	| 'Log'

export interface Option extends Bounds {
	/** Without the dashes; the environment variable is made of it, see {@link envName}. */
	readonly flag: string
	readonly kind: Kind
	/** As it would be written on the command line; read by the same rules as any other value. */
	readonly default?: string
	readonly required?: true
	/** May be given several times; in the environment the values stand apart by commas or spaces. */
	readonly repeatable?: true
	readonly group: Group
	/** One line for `--help`. */
	readonly help: string
	/** What docs/options.md says besides. */
	readonly doc: string
}
