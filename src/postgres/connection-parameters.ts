/**
 * What libpq knows by name (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS), with the
 * environment variable that stands in where the URL is silent. Undefined: libpq has no variable for it.
 */
export const LIBPQ_PARAMETERS: ReadonlyMap<string, string | undefined> = new Map([
  ['host', 'PGHOST'],
  ['hostaddr', 'PGHOSTADDR'],
  ['port', 'PGPORT'],
  ['dbname', 'PGDATABASE'],
  ['user', 'PGUSER'],
  ['password', 'PGPASSWORD'],
  ['passfile', 'PGPASSFILE'],
  ['options', 'PGOPTIONS'],
  ['sslmode', 'PGSSLMODE'],
  ['sslrootcert', 'PGSSLROOTCERT'],
  ['sslcert', 'PGSSLCERT'],
  ['sslkey', 'PGSSLKEY'],
  ['sslpassword', undefined],
  ['sslcrl', 'PGSSLCRL'],
  ['sslnegotiation', 'PGSSLNEGOTIATION'],
  ['ssl_min_protocol_version', 'PGSSLMINPROTOCOLVERSION'],
  ['ssl_max_protocol_version', 'PGSSLMAXPROTOCOLVERSION'],
  ['channel_binding', 'PGCHANNELBINDING'],
  ['connect_timeout', 'PGCONNECT_TIMEOUT'],
  ['target_session_attrs', 'PGTARGETSESSIONATTRS'],
  ['gssencmode', 'PGGSSENCMODE'],
])

/** libpq's, but nothing here depends on them: the session, its name, encoding and keepalives are our own. */
const OURS: ReadonlySet<string> = new Set([
  'application_name',
  'fallback_application_name',
  'client_encoding',
  'keepalives',
  'keepalives_idle',
  'keepalives_interval',
  'keepalives_count',
  'tcp_user_timeout',
  'load_balance_hosts',
  'gsslib',
  'krbsrvname',
  'gssdelegation',
  'sslcompression',
  'sslsni',
  'sslcertmode',
  'requirepeer',
])

/**
 * What libraries above libpq's level put into a URL (Prisma, node-postgres, SQLAlchemy, pgx, JDBC, Npgsql, Rails): libpq
 * refuses them, but a secret that works in the application should work here.
 */
const FOREIGN: ReadonlySet<string> = new Set(
  [
    'pgbouncer schema connection_limit pool_timeout socket_timeout statement_cache_size sslaccept sslidentity',
    'uselibpqcompat statement_timeout lock_timeout idle_in_transaction_session_timeout query_timeout max pool_size',
    'pool poolsize max_connections min_connections pool_max_conns pool_min_conns pool_max_conn_lifetime',
    'pool_max_conn_idle_time pool_health_check_period default_query_exec_mode statement_cache_capacity',
    'description_cache_capacity currentschema preparethreshold binary_parameters stringtype prepared_statements',
    'search_path timezone encoding charset workaround supa reference pooling pooled prepare variables reaping_frequency',
    'checkout_timeout serverversion single_use_connections connection_timeout idle_timeout max_lifetime',
  ].flatMap((line) => line.split(' ')),
)

export type ParameterKind = 'libpq' | 'ours' | 'foreign' | 'unknown'

export function kindOfParameter(name: string): ParameterKind {
  if (LIBPQ_PARAMETERS.has(name)) return 'libpq'
  if (OURS.has(name)) return 'ours'
  return FOREIGN.has(name.toLowerCase()) ? 'foreign' : 'unknown'
}
