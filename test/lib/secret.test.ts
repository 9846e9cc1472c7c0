import { expect, test } from 'bun:test'
import { inspect } from 'node:util'
import { Secret } from '../../src/lib/secret.ts'

const TOKEN = 'fa0dadb852867994eebb0639cfb7b4a0255a669c7764a758'

test('only reveal gives the value', () => {
	expect(new Secret(TOKEN).reveal()).toBe(TOKEN)
})

test('text, JSON and a look at the object give the masked form', () => {
	const secret = new Secret(TOKEN)
	expect(`${secret}`).toBe('fa0d…58')
	expect(JSON.stringify({ secret })).toBe('{"secret":"fa0d…58"}')
	expect(inspect(secret)).not.toContain(TOKEN)
	expect(Object.keys(secret)).toEqual([])
})

test('a value too short to show a part of is shown not at all', () => {
	expect(new Secret('a'.repeat(23)).masked()).toBe('…')
	expect(new Secret('a'.repeat(24)).masked()).toBe('aaaa…aa')
	expect(new Secret('').masked()).toBe('…')
})
