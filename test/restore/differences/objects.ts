import type { DifferenceCase } from './case.ts'

const TRIGGER = 'execute function suppress_redundant_updates_trigger()'

/** Names, versions, numbers, and what pg_dump has no word for. */
export const OBJECTS: readonly DifferenceCase[] = [
  {
    name: 'the version of an extension',
    schema: 'extensions',
    setup: `create extension citext schema extensions version '1.4'; create table t (c citext); insert into t values ('MiXeD')`,
    shows: `select extversion from pg_extension where extname = 'citext'`,
    notes: ['extension citext: version'],
    real: {
      change: 'create schema "elsewhere of extensions"; alter extension citext set schema "elsewhere of extensions"',
      found: ['extension citext: schema', 'schema "elsewhere of extensions": extra', 'column extensions.t.c: type'],
    },
  },
  {
    name: 'the version of a collation',
    schema: 'collation_versions',
    setup: `create collation c (provider = icu, locale = 'de'); create table t (s text collate c primary key);
      update pg_collation set collversion = '0.1' where oid = 'c'::regcollation`,
    shows: `select collversion from pg_collation where oid = 'c'::regcollation`,
    real: {
      change: `alter table t alter s type text collate "C"; drop collation c;
        create collation c (provider = icu, locale = 'de', deterministic = false)`,
      found: [
        'collation collation_versions.c: deterministic',
        'column collation_versions.t.s: collation',
        'index collation_versions.t_pkey: keys',
      ],
    },
  },
  {
    name: 'the version of the collation of the database',
    schema: 'database_version',
    since: 15,
    setup: `update pg_database set datcollversion = '0.1' where datname = current_database()`,
    shows: 'select datcollversion from pg_database where datname = current_database()',
  },
  {
    name: 'an ICU locale that was made before they were spelt in one way',
    schema: 'old_locales',
    since: 16,
    setup: `create collation c (provider = icu, locale = 'de-u-co-phonebk');
      do $$ begin execute format('update pg_collation set %s = %L where oid = %L::regcollation',
        case when current_setting('server_version_num')::integer < 170000 then 'colliculocale' else 'colllocale' end,
        'de@collation=phonebook', 'c'); end $$`,
    shows: `select to_jsonb(c) from pg_collation c where oid = 'c'::regcollation`,
    notes: ['collation old_locales.c: locale'],
    real: { change: 'drop collation c', found: ['collation old_locales.c: missing'] },
  },
  {
    name: 'internal triggers; everybody’s own keep their state',
    schema: 'internal_triggers',
    setup: `create table target (id integer primary key); create table t (id integer constraint points references target);
      create trigger t_off before update on t for each row ${TRIGGER};
      create trigger t_always before update on t for each row ${TRIGGER};
      create trigger t_replica before update on t for each row ${TRIGGER};
      create trigger t_on before update on t for each row ${TRIGGER};
      alter table t disable trigger t_off; alter table t enable always trigger t_always;
      alter table t enable replica trigger t_replica`,
    shows: `select string_agg(tgname, ' ' order by tgname) from pg_trigger where tgrelid = 't'::regclass`,
    real: {
      change: `alter table t drop constraint points; alter table t enable trigger t_off; alter table t enable trigger t_replica;
        alter table t disable trigger t_on`,
      found: [
        'constraint internal_triggers.t.points: missing',
        'trigger internal_triggers.t.t_off: enabled',
        'trigger internal_triggers.t.t_on: enabled',
        'trigger internal_triggers.t.t_replica: enabled',
      ],
    },
  },
  {
    name: 'internal triggers that are disabled',
    schema: 'internal_off',
    setup: `create table target (id integer primary key); create table t (id integer references target);
      alter table t disable trigger all`,
    shows: `select tgenabled from pg_trigger where tgrelid = 't'::regclass`,
    real: {
      change: 'alter table t alter constraint t_id_fkey deferrable',
      found: ['constraint internal_off.t.t_id_fkey: deferrable'],
    },
  },
  {
    name: 'comments on a trigger and a constraint that come from the parent',
    schema: 'parents_comments',
    setup: `create table t (a integer constraint positive check (a > 0)) partition by list (a);
      create table p partition of t default;
      create trigger r after update on t for each row ${TRIGGER}; create trigger o after insert on p for each row ${TRIGGER};
      comment on trigger r on p is 'x'; comment on trigger o on p is 'x'; comment on trigger r on t is 'x';
      comment on constraint positive on p is 'x'; comment on constraint positive on t is 'x'`,
    shows: `select count(*) from pg_description where description = 'x' and objoid in (
      select oid from pg_trigger where tgrelid in ('t'::regclass, 'p'::regclass)
      union select oid from pg_constraint where conrelid in ('t'::regclass, 'p'::regclass))`,
    notes: ['constraint parents_comments.p.positive: comment', 'trigger parents_comments.p.r: comment'],
    real: {
      change: 'comment on trigger o on p is null; comment on constraint positive on t is null',
      found: ['constraint parents_comments.t.positive: comment', 'trigger parents_comments.p.o: comment'],
    },
  },
  {
    name: 'the name of a NOT NULL that another table has by then',
    schema: 'not_null_names',
    since: 18,
    setup: `create table t (a integer not null) partition by list (a); create table a_part partition of t for values in (1);
      alter table t detach partition a_part`,
    shows: `select conname from pg_constraint where conrelid = 't'::regclass`,
    notes: ['not-null constraint not_null_names.t.a: name'],
    real: {
      change: 'alter table t alter a drop not null',
      found: ['column not_null_names.t.a: notNull', 'not-null constraint not_null_names.t.a: missing'],
    },
  },
  {
    name: 'what a sequence has in store, and whether it was called',
    schema: 'sequences',
    setup: `create sequence called; select nextval('called'); create sequence s; create sequence not_called start 5;
      select setval('s', 7, false); create sequence down increment -2 cache 5; select nextval('down')`,
    shows: 'select log_cnt from called',
    real: {
      change: `select nextval('called'), setval('s', 7, true), nextval('not_called'); alter sequence down cache 1`,
      found: [
        'sequence sequences.called stands at 2, not at 1',
        'sequence sequences.down: cache',
        'sequence sequences.not_called stands at 5, not at 5 (not called yet)',
        'sequence sequences.s stands at 7, not at 7 (not called yet)',
      ],
    },
  },
  {
    name: 'sequences of identity columns that were renamed',
    schema: 'identities',
    setup: `create table before (a integer generated always as identity, b serial); alter table before rename to t;
      alter table t rename a to c; alter sequence before_a_seq rename to odd`,
    shows: `select 'odd'::regclass::oid`,
    real: {
      change: 'alter sequence odd rename to odder; alter table t alter c set generated by default',
      found: [
        'column identities.t.c: identity',
        'sequence identities.odd is not there',
        'sequence identities.odd: missing',
        'sequence identities.odder: extra',
      ],
    },
  },
  {
    name: 'a list of names that was never spelt by PostgreSQL',
    schema: 'lists',
    setup: `select set_config('search_path', 'lists,pg_catalog,  pg_temp', false);
      create function f() returns integer language sql set search_path from current as 'select 1'`,
    shows: `select proconfig from pg_proc where oid = 'f'::regproc`,
    real: {
      change: 'alter function f() set search_path = lists, pg_temp, pg_catalog',
      found: ['function lists.f(): settings'],
    },
  },
  {
    name: 'comments, which go by the numbers of what they are on',
    schema: 'comments',
    setup: `create table t (a integer primary key, b text check (b <> '')); create view v as select * from t;
      create function f() returns integer language sql as 'select 1'; create type e as enum ('x'); create sequence s;
      create index i on t (b); create policy p on t; create rule r as on update to t do instead nothing;
      comment on table t is '1'; comment on column t.a is '2'; comment on view v is '3'; comment on column v.b is '4';
      comment on function f() is '5'; comment on type e is '6'; comment on sequence s is '7'; comment on index i is '8';
      comment on policy p on t is '9'; comment on rule r on t is '10'; comment on constraint t_b_check on t is '11';
      comment on schema comments is '12'; comment on index t_pkey is '13'; comment on constraint t_pkey on t is '14'`,
    shows: `select objoid from pg_description where description = '1'`,
    real: {
      change: `comment on column v.b is null; comment on index t_pkey is 'other'; comment on schema comments is null;
        comment on policy p on t is null; comment on column t.b is 'new'`,
      found: [
        'column comments.t.b: comment',
        'column comments.v.b: comment',
        'index comments.t_pkey: comment',
        'policy comments.t.p: comment',
        'schema comments: comment',
      ],
    },
  },
  {
    name: 'an index that a failed CREATE INDEX CONCURRENTLY left',
    schema: 'invalid_indexes',
    setup: `create table t (a integer); create index i on t (a); create index good on t (a desc);
      update pg_index set indisvalid = false where indexrelid = 'i'::regclass`,
    shows: `select to_regclass('i')`,
    notes: ['index invalid_indexes.i: missing'],
    real: { change: 'drop index good', found: ['index invalid_indexes.good: missing'] },
  },
  {
    name: 'what every new database has, and this one has dropped',
    schema: 'new_databases',
    setup: 'drop schema public; drop extension plpgsql',
    shows: `select count(*) from pg_namespace where nspname = 'public'`,
    notes: ['extension plpgsql: extra', 'schema public: extra'],
    real: { change: 'create schema "new_databases too"', found: ['schema "new_databases too": extra'] },
  },
]
