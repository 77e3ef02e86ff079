import type { DifferenceCase } from './case.ts'

const TABLE = 'create table t (a integer, s varchar(10), u text);'

/** Expressions: the server writes `s in ('a', 'b')` on a varchar in one way, and in another way once it has read that. */
export const DEPARSED: readonly DifferenceCase[] = [
  {
    name: 'CHECK (s IN (…)) on a varchar',
    schema: 'checks',
    setup: `${TABLE} alter table t add constraint known check (s in ('a', 'b'))`,
    shows: `select pg_get_constraintdef(oid) from pg_constraint where conname = 'known'`,
    real: {
      change: `alter table t drop constraint known, add constraint known check (u in ('a', 'b'))`,
      found: ['constraint checks.t.known: columns'],
    },
  },
  {
    name: 'the CHECK of a domain',
    schema: 'domains',
    setup: `create domain d as varchar(10) default 'a' constraint known check (value in ('a', 'b'))`,
    shows: `select pg_get_constraintdef(oid) from pg_constraint where conname = 'known' and contypid <> 0`,
    real: {
      change: 'alter domain d drop constraint known; alter domain d drop default',
      found: ['constraint domains.d.known: missing', 'domain domains.d: default'],
    },
  },
  {
    name: 'the condition of an exclusion constraint',
    schema: 'exclusions',
    setup: `${TABLE} alter table t add constraint once exclude using btree (a with =) where (s in ('a', 'b'))`,
    shows: `select pg_get_constraintdef(oid) from pg_constraint where conname = 'once'`,
    real: {
      change: 'alter table t drop constraint once, add constraint once exclude using btree (a with =)',
      found: ['index exclusions.once: partial'],
    },
  },
  {
    name: 'the predicate of a partial index',
    schema: 'partial_indexes',
    setup: `${TABLE} create index partly on t (a) where s in ('a', 'b')`,
    shows: `select pg_get_indexdef('partly'::regclass)`,
    real: {
      change: 'drop index partly; create index partly on t (a)',
      found: ['index partial_indexes.partly: partial'],
    },
  },
  {
    name: 'the expression of an index',
    schema: 'expression_indexes',
    setup: `${TABLE} create index known on t ((s in ('a', 'b')))`,
    shows: `select pg_get_indexdef('known'::regclass)`,
    real: {
      change: `drop index known; create index known on t ((s in ('a', 'b')) desc)`,
      found: ['index expression_indexes.known: keys'],
    },
  },
  {
    name: 'a view',
    schema: 'views',
    setup: `${TABLE} create table other (a integer); create view v as select a from t where s in ('a', 'b')`,
    shows: `select pg_get_viewdef('v'::regclass)`,
    real: { change: 'create or replace view v as select a from other', found: ['view views.v: reads'] },
  },
  {
    name: 'a materialized view',
    schema: 'materialized_views',
    setup: `${TABLE} create materialized view m as select a from t where s in ('a', 'b')`,
    shows: `select pg_get_viewdef('m'::regclass)`,
    real: {
      change: 'refresh materialized view m with no data',
      found: ['materialized view materialized_views.m: unpopulated'],
    },
  },
  {
    name: 'a rule',
    schema: 'rules',
    setup: `${TABLE} create rule r as on update to t where new.s in ('a', 'b') do instead nothing`,
    shows: `select pg_get_ruledef(oid) from pg_rewrite where ev_class = 't'::regclass`,
    real: { change: 'alter table t disable rule r', found: ['rule rules.t.r: enabled'] },
  },
  {
    name: 'a policy',
    schema: 'policies',
    setup: `${TABLE} create policy p on t using (s in ('a', 'b')) with check (s in ('a'))`,
    shows: 'select pg_get_expr(polqual, polrelid) from pg_policy',
    real: { change: 'alter policy p on t to postgres', found: ['policy policies.t.p: roles'] },
  },
  {
    name: 'a generated column',
    schema: 'generated',
    setup: `${TABLE} alter table t add g boolean generated always as (s in ('a', 'b')) stored; insert into t values (1, 'a')`,
    shows: `select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 't'::regclass`,
    real: { change: 'alter table t alter g drop expression', found: ['column generated.t.g: generated'] },
  },
  {
    name: 'a default',
    schema: 'defaults',
    setup: `create table t (b boolean default ('x'::varchar in ('a', 'b')))`,
    shows: `select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 't'::regclass`,
    real: { change: 'alter table t alter b drop default', found: ['column defaults.t.b: default'] },
  },
  {
    name: 'the condition of a trigger',
    schema: 'conditions',
    setup: `${TABLE} create trigger w before update on t for each row when (new.s in ('a', 'b'))
      execute function suppress_redundant_updates_trigger()`,
    shows: `select pg_get_triggerdef(oid) from pg_trigger where tgname = 'w'`,
    real: { change: 'alter table t disable trigger w', found: ['trigger conditions.t.w: enabled'] },
  },
  {
    name: 'the expression of a partition key',
    schema: 'partition_keys',
    setup: `create table t (s varchar(10)) partition by list ((s in ('a', 'b')));
      create table p partition of t default; insert into t values ('a')`,
    shows: `select pg_get_partkeydef('t'::regclass)`,
    real: { change: `insert into t values ('b')`, found: ['partition_keys.p: 1 rows more than dumped'] },
  },
  {
    name: 'the bounds of a partition, which are text in the time zone of a session',
    schema: 'bounds',
    setup: `create table t (at timestamptz) partition by range (at);
      create table p partition of t for values from ('2026-01-01 00:00+00') to ('2027-01-01 00:00+00')`,
    shows: `select pg_get_expr(relpartbound, oid) from pg_class where oid = 'p'::regclass`,
    real: {
      change: `alter table t detach partition p;
        alter table t attach partition p for values from ('2026-01-02 00:00+00') to ('2027-01-01 00:00+00')`,
      found: ['table bounds.p: bound'],
    },
  },
  {
    name: 'the expression of a statistics object',
    schema: 'statistics_objects',
    since: 14,
    setup: `${TABLE} create statistics st on (s in ('a', 'b')) from t`,
    shows: 'select pg_get_statisticsobjdef(oid) from pg_statistic_ext',
    real: { change: 'alter statistics st set statistics 7', found: ['statistics statistics_objects.st: target'] },
  },
  {
    name: 'a function with a body of SQL',
    schema: 'bodies',
    since: 14,
    setup: `${TABLE} create function f() returns bigint begin atomic select count(*) from t where s in ('a', 'b'); end`,
    shows: `select pg_get_functiondef('f'::regproc)`,
    real: { change: 'alter function f() security definer', found: ['function bodies.f(): securityDefiner'] },
  },
  {
    name: 'the row filter of a publication',
    schema: 'filters',
    since: 15,
    setup: `create table t (at timestamptz primary key);
      create publication filters for table t where (at > '2026-01-01 00:00+00')`,
    shows: 'select pg_get_expr(prqual, prrelid) from pg_publication_rel',
    real: { change: 'alter publication filters set table t', found: ['publication filters: tables'] },
  },
]
