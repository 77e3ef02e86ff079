import { formatBytes, formatCount } from '../base/units.ts'

export const RESTORE_GUIDE_NAME = 'RESTORE.md'

/** The part with the archive that makes roles and settings, without the sealing's suffix. */
export const PREPARE_NAME = 'prepare.dat'

export interface RestoreGuideFacts {
  database: string
  id: string
  takenAt: string
  /** Whether tables, or their rows, were left out. */
  isFiltered: boolean
  /** Of the tables that it has: everything, their schema, or their rows. */
  holds: 'all' | 'schema' | 'data'
  serverMajor: number
  encrypted: boolean
  signed: boolean
  plainBytes: number
  storedBytes: number
  rows: number
  tables: number
  /** How many files the set's folder `database` holds: one that was not downloaded could else go unnoticed. */
  databaseParts: number
  /** Whether there are indexes of partitions of partitions, which pg_restore must not attach several at the same time. */
  attachesInLevels: boolean
  encoding: string
  localeProvider: string
  collate: string
  ctype: string
  locale: string | null
  icuRules: string | null
  /** Session settings under which the rows are text. */
  pins: readonly (readonly [string, string])[]
}

/**
 * RESTORE.md: how to restore this very set with age, zstd, tar and pg_restore alone. Its one `sh` block runs as it
 * stands; it avoids pipes, since `sh` would not notice a failure in the middle of one.
 */
export function renderRestoreGuide(facts: RestoreGuideFacts): string {
  const age = facts.encrypted ? ', `age`' : ''
  const identity = facts.encrypted
    ? '\n- `AGE_IDENTITY`: the path of the file with the age identity (a line that begins with `AGE-SECRET-KEY-1`)'
    : ''
  return `# Restoring ${facts.database} as of ${facts.takenAt}

This folder is the backup set \`${facts.id}\`: ${formatCount(facts.tables)} tables, ${formatCount(facts.rows)} rows, ${formatBytes(facts.storedBytes)} stored.
${partialAdvice(facts)}It needs \`zstd\`, \`tar\`${age} and the \`pg_restore\` of PostgreSQL ${facts.serverMajor} or newer, and nothing else.
${signatureAdvice(facts.signed)}
1. Download the whole folder, and go into it.
2. ${whereTo(facts)}
3. Set:
   - \`PGHOST\`, \`PGPORT\`, \`PGUSER\`, \`PGPASSWORD\` (or \`PGPASSFILE\`) and \`PGDATABASE\`: that database${identity.replace('\n', '\n   ')}
   - \`TMPDIR\`, if \`/tmp\` has less than ${formatBytes(Math.ceil(facts.plainBytes * 1.1))} free
4. Run this, as it stands:

\`\`\`sh
${script(facts)}
\`\`\`

It ends with exit code 0 if and only if everything was restored. Afterwards: ${afterwards(facts)}
Roles come back without passwords and without LOGIN: give them back with \`ALTER ROLE … LOGIN PASSWORD …\`. What else the
roles were allowed to do is in \`roles.sql\`. A setting of the database that this server does not take is named, and the
rest is restored nevertheless.
`
}

const HELD = {
  all: 'tables with their rows',
  schema: 'the schema, and no rows',
  data: 'rows, large objects and the values of sequences, and no schema',
} as const

/** Somebody in a hurry must not take a part for the whole. */
function partialAdvice({ holds, isFiltered }: RestoreGuideFacts): string {
  if (holds === 'all' && !isFiltered) return ''
  const left = isFiltered ? ' Tables, or the rows of some, were left out when it was dumped.' : ''
  const lacking =
    isFiltered && holds !== 'data'
      ? `
What its tables depend on may be missing in it: types, functions, extensions, the tables and rows that foreign keys lead to
(missing schemas are made below). Make it in the new database before step 4; else pg_restore names what it could not make, goes on with
the rest, and the script ends with an error.`
      : ''
  return `
**The set is partial: it holds ${HELD[holds]}, and cannot bring the database back by itself.**${left}${lacking}

`
}

function whereTo(facts: RestoreGuideFacts): string {
  if (facts.holds !== 'data') {
    return `Make an empty database on a server of PostgreSQL ${facts.serverMajor}, as a superuser or as the role that shall own everything:
   \`${createDatabase(facts)}\``
  }
  return `Take a database that has the schema of that time and no rows, for instance one that was restored from a set made with
   \`content: schema\`, and connect as a superuser: triggers and foreign keys are switched off while rows are loaded.`
}

function afterwards({ holds }: RestoreGuideFacts): string {
  const analyze = '`vacuumdb --analyze-in-stages`.'
  return holds === 'data' ? `${analyze} Materialized views are as they were: \`REFRESH MATERIALIZED VIEW …\`.` : analyze
}

function signatureAdvice(signed: boolean): string {
  if (!signed) return ''
  return `
The set is signed. Before you restore it, check that it is what the dump wrote (\`verify.pem\` is the public key):
\`openssl pkeyutl -verify -pubin -inkey verify.pem -rawin -in manifest.json -sigfile manifest.json.sig\`
`
}

function createDatabase(facts: RestoreGuideFacts): string {
  const options = [`--template=template0`, `--encoding=${facts.encoding}`]
  if (facts.localeProvider !== 'libc') options.push(`--locale-provider=${facts.localeProvider}`)
  options.push(`--lc-collate='${facts.collate}'`, `--lc-ctype='${facts.ctype}'`)
  if (facts.locale !== null) options.push(`--${facts.localeProvider}-locale='${facts.locale}'`)
  if (facts.icuRules !== null) options.push(`--icu-rules='${facts.icuRules.replaceAll("'", "'\\''")}'`)
  return `createdb ${options.join(' ')} -- "$PGDATABASE"`
}

function script(facts: RestoreGuideFacts): string {
  const suffix = facts.encrypted ? '.zst.age' : '.zst'
  const decrypt = facts.encrypted
    ? `  age --decrypt --identity "$AGE_IDENTITY" --output "$work/sealed" "$1"
  zstd --decompress --quiet --force "$work/sealed" -o "$2"`
    : '  zstd --decompress --quiet --force "$1" -o "$2"'
  const ask = facts.encrypted ? `: "\${AGE_IDENTITY:?set it to the file with the age identity}"\n` : ''
  // A database may make its sessions another role's, which then makes nothing.
  const settings = [...facts.pins, ['role', 'none'] as const]
  const options = settings.map(([name, value]) => `-c ${name}=${value.replaceAll(/[\\ ]/g, '\\$&')}`).join(' ')
  return `set -eu
umask 077
export LC_ALL=C
: "\${PGDATABASE:?set it to the name of the database}"
${ask}work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/prepare" "$work/dump"

unseal() { # FROM TO
${decrypt}
}

set -- database/*
[ "$#" -eq ${facts.databaseParts} ] || { echo "the folder database holds $# files, not ${facts.databaseParts}: download the whole set" >&2; exit 1; }
for part in "$@"; do
  name=\${part#database/}
  name=\${name%${suffix}}
  case $name in
    bundle-*.tar) # small files, many in one
      unseal "$part" "$work/part"
      tar -x -f "$work/part" -C "$work/dump" ;;
    *.[0-9][0-9][0-9][0-9][0-9][0-9]) # the segments of a large file, in order
      unseal "$part" "$work/part"
      cat "$work/part" >> "$work/dump/\${name%.*}" ;;
    *)
      unseal "$part" "$work/dump/$name" ;;
  esac
done
rm -f "$work/part" "$work/sealed"

# the session settings under which the rows were written
export PGOPTIONS='${options.replaceAll("'", "'\\''")}'
# where to is in the PG* variables: as an argument, a name with = in it would be taken for something else
connection='connect_timeout=30'
# the roles that the schema names, and the settings of the database
unseal ${PREPARE_NAME}${suffix} "$work/prepare/toc.dat"
refused=0
pg_restore --no-owner --dbname="$connection" "$work/prepare" || refused=$?
${restoreCommands(facts)}
[ "$refused" -eq 0 ] || { echo "restored, except for the roles and settings that are named above" >&2; exit 1; }
echo "restored ${facts.id} into $PGDATABASE"`
}

function restoreCommands({ serverMajor, holds, attachesInLevels }: RestoreGuideFacts): string {
  const statistics = serverMajor >= 18 ? ' --no-statistics' : ''
  const command = (options: string) =>
    `pg_restore --no-tablespaces --no-security-labels${statistics}${options} --dbname="$connection" "$work/dump"`
  if (holds === 'data') return command(' --data-only --disable-triggers --jobs=2')
  if (!attachesInLevels) return command(' --jobs=2')
  // Comments may be on foreign keys, and event triggers would fire on everything that comes after them.
  return `# one job alone attaches indexes of partitions of partitions: two at the same time can leave one invalid
pg_restore --list "$work/dump" > "$work/list"
while IFS= read -r line; do
  case \${line#*; * * } in
    'INDEX ATTACH '* | 'FK CONSTRAINT '* | 'COMMENT '* | 'EVENT TRIGGER '*) printf '%s\\n' "$line" >&4 ;;
    *) printf '%s\\n' "$line" >&3 ;;
  esac
done < "$work/list" 3> "$work/first.list" 4> "$work/last.list"
failed=0
${command(' --use-list="$work/first.list" --jobs=2')} || failed=$?
${command(' --use-list="$work/last.list"')} || failed=$?
[ "$failed" -eq 0 ] || exit "$failed"`
}
