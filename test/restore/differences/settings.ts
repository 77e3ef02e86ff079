import type { DifferenceCase } from './case.ts'

/** Settings of the database: not of a schema, and so under the names of the databases of the test. */
export const SETTINGS: readonly DifferenceCase[] = [
  {
    name: 'settings of another database',
    schema: 'settings',
    setup: `
      alter database source set work_mem = '5MB';
      alter database source set app.note = 'x, ''y''';
      alter role anna in database source set search_path = "$user", settings;
      alter role bert in database source set work_mem = '6MB'`,
    shows: `select distinct setdatabase from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
      where datname = current_database()`,
    real: {
      change: `
        alter database copy reset work_mem;
        alter database copy set app.note = 'z';
        alter role anna in database copy set search_path = settings;
        alter role bert in database copy reset work_mem;
        alter role bert in database copy set statement_timeout = 1`,
      found: [
        'the setting app.note came back with another value',
        'the setting search_path of the role anna came back with another value',
        'the setting statement_timeout of the role bert came out of nowhere',
        'the setting work_mem did not come back',
        'the setting work_mem of the role bert did not come back',
      ],
    },
  },
]
