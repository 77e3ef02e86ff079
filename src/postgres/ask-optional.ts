import type { ClientBase } from 'pg'
import { codeOf } from '../base/errors.ts'

/** insufficient_privilege, feature_not_supported */
const REFUSALS: readonly string[] = ['42501', '0A000']

/** What a query came to that the server may lawfully refuse: its rows, or the code of the refusal. */
export type Answer<R> = { rows: R[] } | { refused: string }

/**
 * The text of one expression that some services do not let every role ask for; null where they refuse. Within a
 * transaction, which a refusal does not end.
 */
export async function askOptional(client: ClientBase, expression: string): Promise<string | null> {
  const answer = await queryOptional<{ value: string | null }>(client, `select (${expression})::text as value`)
  return 'rows' in answer ? (answer.rows[0]?.value ?? null) : null
}

/** The rows of a query, within a transaction; it may be refused for want of a right, or with one of the codes in `also`. */
export async function queryOptional<R extends object>(
  client: ClientBase,
  query: string,
  also: readonly string[] = [],
): Promise<Answer<R>> {
  await client.query('savepoint optional')
  try {
    const { rows } = await client.query<R>(query)
    return { rows }
  } catch (error) {
    const refused = codeOf(error) ?? ''
    if (![...REFUSALS, ...also].includes(refused)) throw error
    await client.query('rollback to savepoint optional')
    return { refused }
  } finally {
    await client.query('release savepoint optional').catch(() => undefined)
  }
}
