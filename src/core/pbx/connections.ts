/** Connections with machines of the PBX, those that it opened and those that the gateway did. */
import { fail, repeat } from '../../transaction/broken.ts'
import type { Destination, Transactions } from '../../transaction/transactions.ts'
import type { Context } from '../context.ts'
import type { Flow } from '../model.ts'
import { defaultPort } from './sides.ts'
import type { Targets } from './targets.ts'

export class PbxConnections {
	readonly #context: Context
	readonly #transactions: Transactions
	readonly #targets: Targets
	/** Keys of those it was heard by. */
	readonly #heard = new Set<string>()

	constructor(context: Context, transactions: Transactions, targets: Targets) {
		this.#context = context
		this.#transactions = transactions
		this.#targets = targets
	}

	/** It binds nothing by which a connection that it dialled would be known as worth keeping. */
	heard(flow: Flow): void {
		if (this.#heard.has(flow.key)) return
		this.#heard.add(flow.key)
		this.#context.settle(flow)
	}

	/** The machine is reached by another one; what it has not answered goes out again by the next one of ours. */
	closed(flow: Flow, now: number): void {
		this.#heard.delete(flow.key)
		const { pbx, departed } = this.#context
		const { transport } = pbx.at(flow.listener)!
		const listener = pbx.sender(transport)
		if (listener === undefined) return
		const { address } = flow
		const wasOurs = this.#targets.closed(flow)
		const port = (wasOurs ? flow : this.#targets.connectedAt(address))?.port ?? defaultPort(transport)
		const machine = { listener, address, port }
		departed.noteMachine(flow.key, machine)
		if (wasOurs) repeat(this.#transactions, machine, now)
	}

	/** It is known to be down before its requests go to another one. */
	unreachable(to: Destination, reason: string, now: number): void {
		this.#targets.refused(to, reason, now)
		fail(this.#transactions, to, now)
	}
}
