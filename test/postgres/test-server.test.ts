import { expect, test } from '@jest/globals'
import { availableMajors, startServer } from '../support/postgres.ts'

test.each(availableMajors())('a test server of major %d starts, answers and stops', async (major) => {
  const server = await startServer(major, { settings: { log_statement: 'all' } })
  try {
    expect(await server.psql('postgres', 'show server_version_num')).toMatch(new RegExp(`^${major}\\d{4}$`))
    await server.createDatabase('Latin one', { encoding: 'LATIN1', collate: 'C', ctype: 'C' })
    expect(await server.psql('Latin one', 'show server_encoding')).toBe('LATIN1')
    await expect(server.psql('postgres', 'select broken')).rejects.toThrow(/broken/)
    expect(await server.log()).toContain('show server_encoding')
  } finally {
    await server.stop()
  }
  await expect(server.psql('postgres', 'select 1')).rejects.toThrow()
})

test('a required major that is missing names the command that installs it', () => {
  expect(() => availableMajors({ ...process.env, LIFEBOAT_TEST_MAJORS: '15,99' })).toThrow(
    /PostgreSQL 99 is missing: run {2}sudo apt-get install -y postgresql-99/,
  )
})
