import type { DifferenceCase } from './case.ts'

const COLUMNS = `select string_agg(attname || attnum, ' ' order by attnum)
  from pg_attribute where attrelid = 't'::regclass and attnum > 0 and not attisdropped`

/** Columns, rows, and how they lie. */
export const TABLES: readonly DifferenceCase[] = [
  {
    name: 'rows at other places',
    schema: 'places',
    setup: 'create table t (a integer); insert into t select generate_series(1, 9); delete from t where a < 5',
    shows: 'select ctid from t where a = 9',
    real: {
      change: 'update t set a = 8 where a = 9',
      found: ['places.t: as many rows of the same total length, but other content'],
    },
  },
  {
    name: 'numbers of columns after others were dropped',
    schema: 'dropped',
    setup: `create table t (gone integer, a integer, b text); alter table t drop column gone; insert into t values (1, 'x')`,
    shows: COLUMNS,
    real: {
      change: 'alter table t drop column b',
      found: [
        'column dropped.t.b: missing',
        'dropped.t: it cannot be read back: column "b" of relation "t" does not exist',
      ],
    },
  },
  {
    name: 'numbers of attributes after others were dropped',
    schema: 'attributes',
    setup: `create type c as (gone integer, a integer, b text); alter type c drop attribute gone; create table t (r c);
      insert into t values (row(1, 'x'))`,
    shows: `select attnum from pg_attribute where attname = 'b' and attrelid = (select typrelid from pg_type where oid = 'c'::regtype)`,
    real: {
      change: 'alter type c drop attribute a cascade',
      found: ['column attributes.c.a: missing', 'attributes.t: as many rows, but 2 B less text'],
    },
  },
  {
    name: 'columns in another order under inheritance',
    schema: 'inherited',
    setup: `create table parent (a integer, b text); create table t (own date, b text, a integer); alter table t inherit parent;
      insert into t values ('2026-01-01', 'b', 1); insert into parent values (2, 'p')`,
    shows: COLUMNS,
    real: {
      change: 'insert into parent values (3, null)',
      found: ['inherited.parent: 1 rows more than dumped'],
    },
  },
  {
    name: 'parents in another order',
    schema: 'parents',
    setup: `create table p1 (a integer); create table p2 (a integer); create table t () inherits (p1, p2);
      alter table t no inherit p1; vacuum pg_inherits; alter table t inherit p1`,
    shows: `select inhparent::regclass from pg_inherits where inhrelid = 't'::regclass order by inhseqno`,
    real: { change: 'alter table t no inherit p2', found: ['table parents.t: parents'] },
  },
  {
    name: 'storage of an inherited column that went back to its default',
    schema: 'storage',
    setup: `create table parent (s text); alter table parent alter s set storage external; create table t () inherits (parent);
      alter table t alter s set storage extended`,
    shows: `select attstorage from pg_attribute where attrelid = 't'::regclass and attname = 's'`,
    notes: ['column storage.t.s: storage'],
    real: { change: 'alter table parent alter s set storage main', found: ['column storage.parent.s: storage'] },
  },
  {
    name: 'compression of an inherited column that went back to its default',
    schema: 'compression',
    since: 14,
    setup: `create table parent (s text compression pglz); create table t () inherits (parent);
      alter table t alter s set compression default`,
    shows: `select attcompression from pg_attribute where attrelid = 't'::regclass and attname = 's'`,
    notes: ['column compression.t.s: compression'],
    real: {
      change: 'alter table parent alter s set compression default',
      found: ['column compression.parent.s: compression'],
    },
  },
  {
    name: 'rows in other leaves, by the hash of an enum, with columns in another order',
    schema: 'leaves',
    setup: `do $$ begin execute 'create type e as enum (' ||
        (select string_agg(quote_literal('label ' || g), ',') from generate_series(1, 64) g) || ')'; end $$;
      create table t (k e, a integer) partition by hash (k);
      create table t0 partition of t for values with (modulus 2, remainder 0);
      create table t1 (a integer, k e); alter table t attach partition t1 for values with (modulus 2, remainder 1);
      insert into t select x, 1 from unnest(enum_range(null::e)) x`,
    shows: `select string_agg(k::text, ',' order by k) from t0`,
    real: {
      change: `delete from t where k = 'label 7'`,
      found: ['leaves.t (all partitions): 1 rows fewer than dumped'],
    },
  },
  {
    name: 'the name of a TOAST table',
    schema: 'toast',
    setup: 'create table t (s text) with (toast.autovacuum_enabled = false)',
    shows: `select reltoastrelid::regclass from pg_class where oid = 't'::regclass`,
    real: { change: 'alter table t reset (toast.autovacuum_enabled)', found: ['table toast.t: toastOptions'] },
  },
  {
    name: 'options of a TOAST table that outlived its columns',
    schema: 'toast_outlived',
    setup:
      'create table t (a integer, s text) with (toast.autovacuum_enabled = false, fillfactor = 50); alter table t drop s',
    shows: `select reltoastrelid <> 0 from pg_class where oid = 't'::regclass`,
    real: { change: 'alter table t reset (fillfactor)', found: ['table toast_outlived.t: options'] },
  },
  {
    name: 'numbers of rows, values and correlations',
    schema: 'estimates',
    setup: `create table t (a integer, b integer); insert into t select g, g % 3 from generate_series(1, 100) g;
      create statistics s on a, b from t; analyze t`,
    shows: `select reltuples, (select count(*) from pg_statistic where starelid = c.oid),
      (select count(*) from pg_statistic_ext_data join pg_statistic_ext on oid = stxoid where stxrelid = c.oid)
      from pg_class c where oid = 't'::regclass`,
    real: { change: 'alter table t alter a set statistics 7', found: ['column estimates.t.a: statistics'] },
  },
]
