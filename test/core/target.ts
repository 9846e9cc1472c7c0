import type { PbxAddress, PbxTarget } from '../../src/core/inputs.ts'

/** A machine of the PBX as the resolver names it. */
export const targetOf = ({ address, port }: PbxAddress, shape: Partial<PbxTarget> = {}): PbxTarget => ({
	transport: 'udp',
	address,
	port,
	name: address,
	rank: 0,
	weight: 0,
	...shape,
})
