import type { ScratchCluster } from '../postgres/scratch-cluster.ts'
import type { Place } from '../restore/place.ts'

/** The scratch server as a place to restore into. */
export function scratchPlace(cluster: ScratchCluster): Place {
  return {
    name: `the PostgreSQL ${cluster.admin.serverMajor} server on this machine`,
    remote: false,
    restricted: false,
    createDatabase: (spec) => cluster.createDatabase(spec),
    url: (database) => cluster.url(database),
  }
}
