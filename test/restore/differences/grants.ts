import type { DifferenceCase } from './case.ts'

/** Who may do what: the same lists, in another order, or not written down where they are the default. */
export const GRANTS: readonly DifferenceCase[] = [
  {
    name: 'grants in another order',
    schema: 'grant_order',
    setup: `create table t (a integer); grant insert on t to anna; grant select on t to bert; revoke all on t from postgres;
      grant all on t to postgres`,
    shows: `select relacl from pg_class where oid = 't'::regclass`,
    real: { change: 'revoke select on t from bert', found: ['table grant_order.t: acl'] },
  },
  {
    name: 'a grant by somebody who was granted it',
    schema: 'grant_chain',
    setup: `grant usage on schema grant_chain to public; create table t (a integer);
      grant select on t to bert with grant option; grant select on t to anna with grant option;
      set role bert; grant select on t to public; set role anna; grant select on t to public; reset role;
      revoke all on t from postgres; grant all on t to postgres`,
    shows: `select relacl from pg_class where oid = 't'::regclass`,
    real: { change: 'revoke grant option for select on t from anna cascade', found: ['table grant_chain.t: acl'] },
  },
  {
    name: 'an owner who granted it all to himself',
    schema: 'self_grant',
    setup: 'create table t (a integer); grant all on t to postgres',
    shows: `select relacl from pg_class where oid = 't'::regclass`,
    real: { change: 'revoke delete on t from postgres', found: ['table self_grant.t: acl'] },
  },
  {
    name: 'granted and revoked again',
    schema: 'revoked',
    setup: 'create table t (a integer); grant select on t to anna; revoke select on t from anna',
    shows: `select relacl from pg_class where oid = 't'::regclass`,
    real: { change: 'grant select on t to anna', found: ['table revoked.t: acl'] },
  },
  {
    name: 'a default that is spelt out, of functions',
    schema: 'default_grants',
    setup: `create function f() returns integer language sql as 'select 1'; revoke execute on function f() from public;
      grant execute on function f() to public`,
    shows: `select proacl from pg_proc where oid = 'f'::regproc`,
    real: { change: 'revoke execute on function f() from public', found: ['function default_grants.f(): acl'] },
  },
  {
    name: 'a default that is spelt out, of types',
    schema: 'type_grants',
    setup: `create type e as enum ('a'); revoke usage on type e from public; grant usage on type e to public`,
    shows: `select typacl from pg_type where oid = 'e'::regtype`,
    real: { change: 'revoke usage on type e from public', found: ['enum type_grants.e: acl'] },
  },
  {
    name: 'grants on columns in another order',
    schema: 'column_grants',
    setup: `create table t (a integer); grant select (a) on t to bert; grant select (a) on t to postgres;
      grant select (a) on t to anna`,
    shows: `select attacl from pg_attribute where attrelid = 't'::regclass and attname = 'a'`,
    real: { change: 'revoke select (a) on t from anna', found: ['column column_grants.t.a: acl'] },
  },
  {
    name: 'an owner who granted himself a large object',
    schema: 'large_objects',
    setup: `select lo_from_bytea(4711, 'x'), lo_from_bytea(4712, 'y'); grant all on large object 4711 to postgres;
      comment on large object 4711 is 'x'; comment on large object 4712 is 'y'`,
    shows: 'select lomacl from pg_largeobject_metadata order by oid',
    real: {
      change: `comment on large object 4712 is null; select lo_put(4711, 0, 'z'); grant select on large object 4711 to anna`,
      found: [
        '2 of 2 large objects, 2 B: not what was dumped',
        'large objects of postgres: comments',
        'large objects of postgres: grants',
      ],
    },
  },
]
