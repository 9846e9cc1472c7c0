/** `bun run docs`: writes the documents that are made from the source. Tests compare them. */
import { optionsMarkdown } from '../../src/config/describe.ts'
import { machinesMarkdown } from '../architecture/diagrams.ts'
import { limitsMarkdown } from '../architecture/limits.ts'
import { ROOT } from '../architecture/source.ts'

await Bun.write(`${ROOT}docs/options.md`, optionsMarkdown())
await Bun.write(`${ROOT}docs/machines.md`, machinesMarkdown())
await Bun.write(`${ROOT}docs/limits.md`, await limitsMarkdown())
