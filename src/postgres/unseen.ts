import type { ClientBase } from 'pg'
import { withCatalogSession } from './catalog-session.ts'
import { notOfExtension, roleName } from './structure-sql.ts'

/** Something that pg_dump, run by the connected role, leaves out or cuts short, and ends well all the same. */
export interface Unseen {
  /** A subscription is left out; a user mapping loses its options (which may be none: that cannot be seen either). */
  kind: 'subscription' | 'user mapping'
  /** Quoted as in SQL. */
  identity: string
}

/**
 * What only superusers get into a dump (pg_dump's getSubscriptions and dumpUserMappings; tried on 15, 17 and 18). Empty for
 * a superuser. Catalog only, PostgreSQL 13–18.
 */
export function findUnseen(client: ClientBase): Promise<Unseen[]> {
  return withCatalogSession(client, async () => {
    const { rows } = await client.query<Unseen>(UNSEEN)
    return rows
  })
}

// The condition on mappings is that of the view pg_user_mappings for showing their options.
const UNSEEN = `
  select kind, identity from (
    select 'subscription' as kind, quote_ident(s.subname) as identity
    from pg_subscription s
    where s.subdbid = (select d.oid from pg_database d where d.datname = current_database())
    union all
    select 'user mapping', ${roleName('m.umuser')} || ' on server ' || quote_ident(m.srvname)
    from pg_user_mappings m join pg_foreign_server srv on srv.oid = m.srvid
    where ${notOfExtension('pg_foreign_server', 'm.srvid')} and m.umoptions is null
      and not (m.umuser = 0 and pg_has_role(srv.srvowner, 'usage'))
      and not (m.usename = current_user
        and (pg_has_role(srv.srvowner, 'usage') or has_server_privilege(srv.oid, 'usage')))
  ) unseen
  where not (select rolsuper from pg_roles where rolname = current_user)
  order by kind, identity collate "C"`
