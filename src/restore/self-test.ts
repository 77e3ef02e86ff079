import { Readable } from 'node:stream'
import pg from 'pg'
import { isDamage } from '../backup-set/damage.ts'
import { storedBytes } from '../backup-set/open-set.ts'
import { LifeboatError } from '../base/errors.ts'
import { type CheckResult, type Finding, statusOf } from '../base/findings.ts'
import type { Clock } from '../base/ports.ts'
import { silentMeter } from '../base/progress.ts'
import { formatCount } from '../base/units.ts'
import type { Database } from '../postgres/database.ts'
import type { Inventory } from '../postgres/inventory.ts'
import { tableDataEntries } from '../postgres/toc.ts'
import { serverLargeObjects } from './large-objects.ts'
import { proveTables } from './proof.ts'
import { columnNames, RootRows } from './root-rows.ts'
import { loadRows } from './rows.ts'
import { type Sample, type SampleSet, type SampleSource, setWith, takeSample } from './self-test-sample.ts'
import { describeServerError, failureOf } from './server-messages.ts'

/** What is to notice damage: the very functions that a restore test relies on. */
export interface Defences {
  storedBytes: typeof storedBytes
  loadRows: typeof loadRows
  proveTables: typeof proveTables
}

const DEFENCES: Defences = { storedBytes, loadRows, proveTables }

export interface SelfTestOptions extends SampleSource {
  /** An empty database in the set's encoding, on a server to which nothing must happen but this. */
  target: Database
  clock: Clock
  /** Default: those of the restore test. */
  defences?: Defences
}

/** One kind of damage. */
interface Trial {
  /** `a row is missing from the stored rows` */
  damage: string
  isNoticed(): Promise<boolean>
}

/**
 * Damages copies of what a set holds and demands that each damage is noticed: bits of a stored object on their way here,
 * rows on their way into the server, and rows that stand there. A small part and the smallest table are enough, since the
 * same functions do it for all. Neither the stored set nor the restored database is touched: the table is made anew in
 * `target`, its columns as text, which COPY reads and writes as it stands whatever the type.
 */
export async function selfTest(options: SelfTestOptions): Promise<CheckResult> {
  const began = options.clock.now().getTime()
  const sample = await takeSample(options)
  const defences = options.defences ?? DEFENCES
  const trials = storedTrials(options, defences)
  if (sample) {
    const table = new SampleTable(options, defences, sample)
    trials.push(...loadTrials(table, sample.rows), ...proofTrials(table))
  }
  const findings: Finding[] = []
  for (const { damage, isNoticed } of trials) if (!(await isNoticed())) findings.push(unnoticed(damage))
  const noticed = `${formatCount(trials.length - findings.length)} of ${formatCount(trials.length)} kinds of damage were noticed`
  const seconds = (options.clock.now().getTime() - began) / 1_000
  const summary = sample ? noticed : `${noticed}; no table has rows that could be damaged`
  return { ...SELF_TEST, status: statusOf(findings), summary, findings, seconds }
}

/** How the check is called, whatever it comes to. */
export const SELF_TEST = { id: 'self-test', title: 'Damage would be noticed (self-test)' } as const

function unnoticed(damage: string): Finding {
  return {
    severity: 'failure',
    message: `The proof cannot be trusted: nothing noticed that ${damage}`,
    remedy: 'Rely on no verdict of this release; restore by hand with the RESTORE.md of the set, and please report it.',
  }
}

/** Bits of the smallest part, as they come from the storage: its digest must tell. */
function storedTrials({ set, signal }: SampleSource, defences: Defences): Trial[] {
  const [part] = set.manifest.parts.filter(({ bytes }) => bytes > 0).sort((a, b) => a.bytes - b.bytes)
  if (part === undefined) return []
  const trial = (damage: string, alter: (bytes: Buffer) => Buffer): Trial => ({
    damage,
    isNoticed: async () => {
      const get: typeof set.storage.get = async (...request) => {
        const chunks = await (await set.storage.get(...request)).toArray()
        return Readable.from([alter(Buffer.concat(chunks))])
      }
      const read = async () => {
        for await (const _ of defences.storedBytes({ ...set, storage: { get } }, part, signal));
      }
      return (await codeOf(read)) === 'damaged-part'
    },
  })
  const flip = (share: number) => (bytes: Buffer) => withFlippedBit(bytes, Math.floor(share * (bytes.length - 1)))
  return [
    trial('the first byte of a stored object has another bit', flip(0)),
    trial('a byte in the midst of a stored object has another bit', flip(0.5)),
    trial('the last byte of a stored object is missing', (bytes) => bytes.subarray(0, -1)),
  ]
}

/** Rows that are whole, in a part whose digest is right, but not those that were dumped: COPY must not be ended. */
function loadTrials(table: SampleTable, rows: Buffer): Trial[] {
  const firstEnd = rows.indexOf('\n')
  const middle = rows.subarray(Math.floor(rows.length / 2)).findIndex(isLetterOrDigit)
  const trials = [
    { damage: 'a row is missing from the stored rows', rows: rows.subarray(firstEnd + 1) },
    {
      damage: 'a row of the stored rows is longer than it was',
      rows: Buffer.concat([rows.subarray(0, firstEnd), Buffer.from('x'), rows.subarray(firstEnd)]),
    },
    { damage: 'a row of the stored rows is there twice', rows: Buffer.concat([rows.subarray(0, firstEnd + 1), rows]) },
    ...(middle < 0
      ? []
      : [
          {
            damage: 'a byte of the stored rows is another one',
            rows: withFlippedBit(rows, Math.floor(rows.length / 2) + middle),
          },
        ]),
  ]
  return trials.map(({ damage, rows: damaged }) => ({ damage, isNoticed: () => table.refuses(damaged) }))
}

/** Rows in the server that are not those that were dumped: the comparison must tell. */
function proofTrials(table: SampleTable): Trial[] {
  const { name, columns } = table
  const [column = ''] = columns
  const first = `where ctid = (select ctid from only ${name} limit 1)`
  return [
    { damage: 'a row was deleted from a restored table', change: `delete from only ${name} ${first}` },
    {
      damage: 'a value in a restored table was changed',
      change: `update only ${name} set ${column} = coalesce(${column}, '') || 'x' ${first}`,
    },
    { damage: 'a restored table is empty', change: `truncate ${name}` },
    { damage: 'a restored table is gone', change: `drop table ${name}`, status: 'missing' },
  ].map(({ damage, change, status = 'different' }) => ({
    damage,
    isNoticed: async () => {
      await table.fill()
      await table.run(change)
      return (await table.prove()) === status
    },
  }))
}

/** The sample's table, made anew in the database of the self-test. */
class SampleTable {
  /** As SQL takes it. */
  readonly name: string
  readonly columns: readonly string[]
  readonly #options: SampleSource & { target: Database }
  readonly #defences: Defences
  readonly #sample: Sample
  #undamaged: Promise<SampleSet> | undefined

  constructor(options: SampleSource & { target: Database }, defences: Defences, sample: Sample) {
    const { schema, name, columns } = sample.entry
    this.name = `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`
    this.columns = columnNames(columns)
    this.#options = options
    this.#defences = defences
    this.#sample = sample
  }

  /** Whether a set with these rows, in place of those that were dumped, is refused while it is loaded. */
  async refuses(rows: Buffer): Promise<boolean> {
    await this.#make()
    return (await this.#load(await setWith(rows, this.#sample, this.#options))) !== undefined
  }

  /** Loads the rows as they were dumped. Error: `self-test-failed` where even they are not taken, or found different. */
  async fill(): Promise<void> {
    await this.#make()
    const problem = (await this.#load(await this.#whole())) ?? (await this.prove())
    if (problem === 'equal') return
    throw selfTestFailed(`rows that were not damaged did not pass (${problem})`)
  }

  async run(...statements: string[]): Promise<void> {
    const client = await this.#options.target.connect('self-test')
    try {
      for (const statement of statements) await client.query(statement)
    } catch (error) {
      throw failureOf(error) ?? selfTestFailed(`the scratch server refused a statement: ${describeServerError(error)}`)
    } finally {
      await client.end().catch(() => undefined)
    }
  }

  /** What the comparison with what was dumped comes to. */
  async prove(): Promise<string | undefined> {
    const { contents, toc } = await this.#whole()
    const { target, signal } = this.#options
    // The condition of an extension's table speaks of columns that are no text.
    const inventory = { ...(contents.inventory as Inventory), tables: [] }
    const rootRows = new RootRows(tableDataEntries(toc))
    const common = { contents, toc, inventory, rootRows, target, jobs: 1, signal, meter: silentMeter }
    const [proof] = await this.#defences.proveTables(common)
    return proof?.status
  }

  /** Why the set was not taken; undefined if it was. */
  async #load(sampleSet: SampleSet): Promise<string | undefined> {
    const { target, identities, signal } = this.#options
    const rootRows = new RootRows(tableDataEntries(sampleSet.toc))
    const common = { ...sampleSet, identities, target, jobs: 1, signal, rootRows, largeObjects: serverLargeObjects }
    let refusals = 0
    const damage = await codeOf(async () => {
      refusals = (await this.#defences.loadRows(common)).length
    })
    return refusals > 0 ? 'refused' : damage
  }

  #whole(): Promise<SampleSet> {
    this.#undamaged ??= setWith(this.#sample.rows, this.#sample, this.#options)
    return this.#undamaged
  }

  async #make(): Promise<void> {
    await this.run(
      `create schema if not exists ${pg.escapeIdentifier(this.#sample.entry.schema)}`,
      `drop table if exists ${this.name}`,
      `create table ${this.name} (${this.columns.map((column) => `${column} text`).join(', ')})`,
    )
  }
}

function selfTestFailed(why: string): LifeboatError {
  return new LifeboatError(
    'self-test-failed',
    `The self-test says nothing: ${why}`,
    'Run without `self-test`, and please report it: the proof of the restored database itself has passed.',
  )
}

/** The code of the damage that the work ends with, undefined where it ends well; anything else rejects. */
async function codeOf(work: () => Promise<void>): Promise<string | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    if (isDamage(error)) return error.code
    throw error
  }
}

function withFlippedBit(bytes: Buffer, at: number): Buffer {
  const flipped = Buffer.from(bytes)
  flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at)
  return flipped
}

/** Such a byte stands for itself in COPY text, and so does the one that a flipped bit makes of it. */
function isLetterOrDigit(byte: number): boolean {
  return /[0-9A-Za-z]/.test(String.fromCharCode(byte))
}
