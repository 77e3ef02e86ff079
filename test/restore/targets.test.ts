import { expect, test } from '@jest/globals'
import { checkTargets } from '../../src/restore/targets.ts'

const statuses = (times: Partial<Parameters<typeof checkTargets>[0]>) =>
  checkTargets({ rtoSeconds: 10, rtoTarget: 60, rpoSeconds: 100, rpoTarget: 200, ...times }).map(({ status }) => status)

test('a target that is just met is met; one second more is a failure; without a proven set there is nothing to say', () => {
  expect(statuses({})).toEqual(['passed', 'passed'])
  expect(statuses({ rtoSeconds: 60, rpoSeconds: 200 })).toEqual(['passed', 'passed'])
  expect(statuses({ rtoSeconds: 61 })).toEqual(['failed', 'passed'])
  expect(statuses({ rpoSeconds: 201 })).toEqual(['passed', 'failed'])
  expect(statuses({ rpoSeconds: undefined })).toEqual(['passed', 'not run'])
})
