/** A DNS server on loopback that knows what a test tells it (RFC 1035 §4, RFC 2782, RFC 3403). */
import { Resolver } from 'node:dns/promises'
import type { Naptr, Srv } from '../../src/resolve/dns.ts'

const TYPES = { A: 1, AAAA: 28, SRV: 33, NAPTR: 35 } as const
type Type = keyof typeof TYPES

/** `A pbx.example` → the data of each record. */
export type Zone = Map<string, readonly (readonly number[])[]>

export const TTL_SEC = 42

const nameBytes = (name: string): number[] => [
	...name.split('.').flatMap((label) => (label === '' ? [] : [label.length, ...Buffer.from(label)])),
	0,
]
const text = (value: string): number[] => [value.length, ...Buffer.from(value)]
const short = (value: number): number[] => [value >> 8, value & 255]

export const a = (address: string): number[] => address.split('.').map(Number)
export const srv = ({ priority, weight, port, name }: Srv): number[] => [
	...short(priority),
	...short(weight),
	...short(port),
	...nameBytes(name),
]
export const naptr = (record: Naptr): number[] => [
	...short(record.order),
	...short(record.preference),
	...text(record.flags),
	...text(record.service),
	...text(record.regexp),
	...nameBytes(record.replacement),
]

export async function nameServer(zone: Zone) {
	const asked: string[] = []
	const socket = await Bun.udpSocket({
		hostname: '127.0.0.1',
		socket: {
			data(own, query, port, address) {
				const { key, type, question } = read(query)
				asked.push(key)
				const records = zone.get(key) ?? []
				/* NOERROR where the name has other records, else NXDOMAIN */
				const isKnown = [...zone.keys()].some((one) => one.split(' ')[1] === key.split(' ')[1])
				const head = [0x81, isKnown ? 0x80 : 0x83, 0, 1, 0, records.length, 0, 0, 0, 0]
				const rows = records.flatMap((data) => [
					0xc0,
					12,
					0,
					type,
					0,
					1,
					...[0, 0, 0, TTL_SEC],
					...short(data.length),
					...data,
				])
				own.send(Uint8Array.from([query[0]!, query[1]!, ...head, ...question, ...rows]), port, address)
			},
		},
	})
	const resolver = new Resolver({ timeout: 300, tries: 1 })
	resolver.setServers([`127.0.0.1:${socket.port}`])
	return { asked, resolver, close: () => socket.close() }
}

function read(query: Buffer): { key: string; type: number; question: Uint8Array } {
	const labels: string[] = []
	let at = 12
	for (let length = query[at]!; length > 0; length = query[at]!) {
		labels.push(query.toString('latin1', at + 1, at + 1 + length))
		at += length + 1
	}
	const type = query.readUInt16BE(at + 1)
	const word = (Object.keys(TYPES) as Type[]).find((one) => TYPES[one] === type) ?? `${type}`
	return { key: `${word} ${labels.join('.').toLowerCase()}`, type, question: query.subarray(12, at + 5) }
}
