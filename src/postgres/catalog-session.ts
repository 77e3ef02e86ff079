import type { ClientBase } from 'pg'

/** A connection that is ready to read the catalog, and the server's version. */
export interface CatalogSession {
  client: ClientBase
  /** `server_version_num`: 170012. */
  version: number
  /** `17.12`, without the packager's addition. */
  versionText: string
}

/**
 * Runs catalog queries with the settings that their answers rely on, and puts the caller's own back afterwards:
 * an empty `search_path`, so that names come out qualified; `client_encoding` UTF8, the only one that `pg` decodes
 * (a connection that copies rows has the server's); `jit` off, for compiling such queries takes longer than they do.
 */
export async function withCatalogSession<T>(
  client: ClientBase,
  work: (session: CatalogSession) => Promise<T>,
): Promise<T> {
  const { rows } = await client.query<CatalogRow>(`
    select current_setting('server_version_num')::int as version,
      split_part(current_setting('server_version'), ' ', 1) as text,
      current_setting('search_path') as path, current_setting('client_encoding') as encoding,
      current_setting('jit') as jit`)
  const [before] = rows
  if (before === undefined) throw new Error('the server did not tell its settings')
  const { version, text: versionText } = before
  await configure(client, { path: '', encoding: 'UTF8', jit: 'off' })
  try {
    return await work({ client, version, versionText })
  } finally {
    // After an error the transaction takes the settings back itself, and this would only hide the error.
    await configure(client, before).catch(() => {})
  }
}

interface Settings {
  path: string
  encoding: string
  jit: string
}

interface CatalogRow extends Settings {
  version: number
  text: string
}

async function configure(client: ClientBase, { path, encoding, jit }: Settings): Promise<void> {
  await client.query(
    `select set_config('search_path', $1, false), set_config('client_encoding', $2, false),
      set_config('jit', $3, false)`,
    [path, encoding, jit],
  )
}
