/** Records for the tests of the store. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DeviceRecord, HeldCallRecord, PushOutcomeRecord } from '../../src/core/model.ts'
import { Secret } from '../../src/lib/secret.ts'
import { openStore, type Store } from '../../src/store/store.ts'

export const NOW = 1_795_381_200_000

export function device(id: number, changes: Partial<DeviceRecord> = {}): DeviceRecord {
	return {
		id,
		agent: `sip:${1000 + id}@pbx.example`,
		key: `i:<urn:uuid:${id}>`,
		contact: `sip:${1000 + id}@192.0.2.7:49152;transport=udp;pn-provider=apns`,
		flow: { key: '1|192.0.2.7|49152', listener: 1, address: '192.0.2.7', port: 49152 },
		push: {
			provider: 'apns',
			environment: 'sandbox',
			topic: 'com.example.app.voip',
			token: new Secret('ab'.repeat(32)),
			remoteToken: new Secret('cd'.repeat(32)),
			prid: new Secret(`${'ab'.repeat(32)}:voip&${'cd'.repeat(32)}:remote`),
			dialect: 'rfc8599',
		},
		expiresAt: NOW + 3_600_000,
		pbxExpiresAt: NOW + 7_200_000,
		registeredAt: NOW,
		reach: 'foreground',
		tokenDead: false,
		missedWakes: 0,
		wakeTimes: [1_400, 2_600],
		userAgent: 'Phone "é" / 1.0',
		...changes,
	}
}

export function heldCall(id: string, changes: Partial<HeldCallRecord> = {}): HeldCallRecord {
	return {
		id,
		agent: 'sip:1001@pbx.example',
		invite: Uint8Array.of(0x49, 0, 0xff, 0x0d, 0x0a),
		source: { key: '0|192.0.2.1|5060', listener: 0, address: '192.0.2.1', port: 5060 },
		receivedAt: NOW,
		holdUntil: NOW + 20_000,
		toTag: 'f00d',
		branches: [{ deviceId: 1, branch: 'z9hG4bK1', pushId: 'p-1', pushedAt: NOW }],
		ended: undefined,
		...changes,
	}
}

export function pushOutcome(pushId: string, changes: Partial<PushOutcomeRecord> = {}): PushOutcomeRecord {
	return {
		pushId,
		callId: '0123456789abcdef',
		agent: 'sip:1001@pbx.example',
		deviceId: 1,
		sentAt: NOW,
		result: 'accepted',
		status: 200,
		reason: '',
		pushMs: 40,
		wakeMs: undefined,
		...changes,
	}
}

/** A fresh directory, and its end. */
export function scratch(): { readonly path: string; readonly directory: string; remove(): void } {
	const directory = mkdtempSync(join(tmpdir(), 'gateway-store-'))
	const remove = () => rmSync(directory, { recursive: true, force: true })
	return { path: join(directory, 'gateway.db'), directory, remove }
}

export function opened(path: string): Store {
	const store = openStore(path)
	if (!store.ok) throw new Error(store.sentence)
	return store
}
