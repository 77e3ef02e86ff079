/** What the databases are made of, in SQL, the same every time: no clock, no random number. `scale` 1 is full size. */
export type DatabaseName =
  | 'anchors'
  | 'one_table'
  | 'many_tables'
  | 'large_objects'
  | 'index_light'
  | 'four_gigabytes'
  | 'hundred_megabytes'

const MEGABYTE = 1_000_000
const BIG_ROW_BYTES = 1_040

/** Everything in one transaction: a table that is filled where it is made needs no WAL on the scratch server. */
export const DATABASES: Record<DatabaseName, (scale: number) => string> = {
  // 3 M narrow rows, 1.5 M rows with jsonb, 0.8 M uuid rows with indexes; 1.2 GB, 0.7 GB of COPY text at scale 1.
  anchors: (scale) =>
    [
      narrowRows(count(3_000_000, scale)),
      documents(count(1_500_000, scale)),
      sessions(count(800_000, scale)),
      `alter table narrow add primary key (id);
       alter table documents add primary key (id);
       alter table sessions add primary key (id);
       create index on sessions (account, started_at);
       create index on sessions (device);`,
      // 5 MB of COPY text at scale 1.
      wideRows('five_megabytes', count(5 * MEGABYTE, scale) / BIG_ROW_BYTES, 1),
      'alter table five_megabytes add primary key (id);',
    ].join('\n'),
  one_table: (scale) =>
    [
      documents(count(2_400_000, scale)),
      narrowRows(count(700_000, scale)),
      'alter table documents add primary key (id); alter table narrow add primary key (id);',
    ].join('\n'),
  many_tables: (scale) => `
    do $$ begin
      for n in 1..${count(10_000, scale)} loop
        execute format('create table table_%s (id integer primary key, name text not null)', n);
        execute format('insert into table_%s select g, md5((g * %s)::text) from generate_series(1, 10) g', n, n);
      end loop;
    end $$;`,
  large_objects: (scale) => `
    create table objects (id oid primary key, name text not null);
    insert into objects select lo_from_bytea((1000000 + g)::oid, (
      select string_agg(sha512(int8send(g * 32::int8 + piece)), '') from generate_series(0, 31) piece)), md5(g::text)
    from generate_series(1, ${count(100_000, scale)}) g;`,
  index_light: (scale) => [narrowRows(count(4_000_000, scale)), documents(count(1_500_000, scale))].join('\n'),
  four_gigabytes: (scale) => wideRows('payload', count(4_000 * MEGABYTE, scale) / BIG_ROW_BYTES, 7),
  hundred_megabytes: (scale) => wideRows('payload', count(100 * MEGABYTE, scale) / BIG_ROW_BYTES, 7),
}

function count(full: number, scale: number): number {
  return Math.max(10, Math.round(full * scale))
}

function narrowRows(rows: number): string {
  return `
    create table narrow (id bigint not null, account integer not null, amount numeric(12,2) not null,
      booked_at timestamptz not null);
    insert into narrow select g, hashint8(g) & 65535, (hashint8(g + 1) & 8388607) / 100.0,
      timestamptz '2026-01-01 00:00:00+00' + g * interval '1.7 seconds'
    from generate_series(1, ${rows}::bigint) g;`
}

function documents(rows: number): string {
  return `
    create table documents (id bigint not null, kind text not null, changed_at timestamptz not null, body jsonb not null);
    insert into documents select g, (array['invoice', 'booking', 'customer', 'message'])[1 + (hashint8(g) & 3)],
      timestamptz '2026-01-01 00:00:00+00' + g * interval '3.1 seconds',
      jsonb_build_object('reference', md5(g::text), 'total', (hashint8(g + 2) & 1048575) / 100.0,
        'lines', jsonb_build_array(hashint8(g + 3) & 4095, hashint8(g + 4) & 4095, hashint8(g + 5) & 4095),
        'customer', jsonb_build_object('name', 'Customer ' || (hashint8(g + 6) & 16383),
          'city', (array['Berlin', 'Lisboa', 'Kraków', 'Ghent', 'Turku'])[1 + (hashint8(g + 7) & 3)],
          'email', md5((g / 7)::text) || '@example.org'),
        'channel', (array['web', 'app', 'telephone', 'counter'])[1 + (hashint8(g + 8) & 3)], 'paid', g % 5 > 0,
        'note', case when g % 3 = 0 then 'delivered to the neighbour on the second floor' else '' end)
    from generate_series(1, ${rows}::bigint) g;`
}

function sessions(rows: number): string {
  return `
    create table sessions (id uuid not null, account uuid not null, device text not null, started_at timestamptz not null,
      seconds double precision not null);
    insert into sessions select md5(g::text)::uuid, md5((g / 20)::text)::uuid,
      'device ' || (hashint8(g) & 1023), timestamptz '2026-01-01 00:00:00+00' + g * interval '11 seconds',
      (hashint8(g + 1) & 1048575) / 7.0
    from generate_series(1, ${rows}::bigint) g;`
}

/** About 1 KiB of hexadecimal digits a row, which compress to a half and no further. */
function wideRows(table: string, rows: number, salt: number): string {
  const hashes = Array.from({ length: 8 }, (_, n) => `encode(sha512(int8send(g * 64 + ${n + salt * 8})), 'hex')`)
  return `
    create table ${table} (id bigint not null, content text not null);
    alter table ${table} alter content set storage plain;
    insert into ${table} select g, ${hashes.join(' || ')} from generate_series(1, ${Math.ceil(rows)}::bigint) g;`
}
