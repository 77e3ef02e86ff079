import type { LifecycleRule } from '@aws-sdk/client-s3'
import { expect, test } from '@jest/globals'
import { appliedRules } from '../../src/storage/lifecycle.ts'

const PREFIX = 'backups/pg/shop/'

function rule(more: Partial<LifecycleRule>): LifecycleRule {
  return { ID: 'r', Status: 'Enabled', Expiration: { Days: 9 }, ...more }
}

function idsOf(rules: LifecycleRule[] | undefined): string[] | undefined {
  return appliedRules(rules, PREFIX)?.map(({ id, does, days, date, storageClass }) =>
    [id, does, storageClass, days, date?.toISOString().slice(0, 10)].filter((word) => word !== undefined).join(' '),
  )
}

test('rules for the whole bucket, for what is above and for what is below concern a prefix; others do not', () => {
  const filters: [string, Partial<LifecycleRule>][] = [
    ['all', {}],
    ['empty', { Filter: {} }],
    ['above', { Filter: { Prefix: 'backups/' } }],
    ['below', { Filter: { Prefix: 'backups/pg/shop/sets/' } }],
    ['half a name', { Prefix: 'backups/pg/sh' }],
    ['and', { Filter: { And: { Prefix: 'backups/', ObjectSizeGreaterThan: 1_000 } } }],
    ['sizes', { Filter: { ObjectSizeLessThan: 5 } }],
    ['other', { Filter: { Prefix: 'backups/pg/crm/' } }],
    ['tagged', { Filter: { Tag: { Key: 'a', Value: 'b' } } }],
    ['and tagged', { Filter: { And: { Prefix: 'backups/', Tags: [{ Key: 'a', Value: 'b' }] } } }],
    ['off', { Status: 'Disabled' }],
  ]
  const found = filters.filter(([ID, more]) => idsOf([rule({ ID, ...more })])?.length === 1).map(([name]) => name)
  expect(found).toEqual(['all', 'empty', 'above', 'below', 'half a name', 'and', 'sizes'])
})

test('what deletes or archives counts; what only tidies up does not', () => {
  const date = new Date('2027-01-01')
  expect(
    idsOf([
      rule({ ID: 'a' }),
      rule({ ID: 'b', Expiration: { Date: date } }),
      rule({ ID: 'c', Expiration: { ExpiredObjectDeleteMarker: true } }),
      rule({ ID: 'd', Expiration: undefined, NoncurrentVersionExpiration: { NoncurrentDays: 3 } }),
      rule({ ID: 'e', Expiration: undefined, AbortIncompleteMultipartUpload: { DaysAfterInitiation: 3 } }),
      rule({
        ID: 'f',
        Transitions: [
          { Days: 1, StorageClass: 'STANDARD_IA' },
          { Days: 2, StorageClass: 'GLACIER_IR' },
          { Days: 5, StorageClass: 'DEEP_ARCHIVE' },
        ],
      }),
    ]),
  ).toEqual(['a expire 9', 'b expire 2027-01-01', 'f archive DEEP_ARCHIVE 5', 'f expire 9'])
})

test('an answer in another language is none', () => {
  expect(idsOf(undefined)).toBeUndefined()
  expect(idsOf([rule({}), { Status: undefined }])).toBeUndefined()
  expect(idsOf([])).toEqual([])
})
