import {
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandInput,
  type ListObjectVersionsCommandOutput,
} from '@aws-sdk/client-s3'
import { compareKeys } from './location.ts'
import type { S3Context } from './s3-client.ts'
import { isNotImplemented } from './s3-errors.ts'
import type { ObjectVersion } from './storage.ts'

/**
 * The pages of versions and markers of the objects whose key begins with `prefix`, each in byte order of keys, the
 * latest first. Undefined in place of the first page: the service does not know of versions.
 */
export async function* versionPages(
  { client, bucket, base }: S3Context,
  prefix: string,
  signal?: AbortSignal,
): AsyncGenerator<ObjectVersion[] | undefined> {
  let position: Pick<ListObjectVersionsCommandInput, 'KeyMarker' | 'VersionIdMarker'> | undefined = {}
  while (position) {
    const command: ListObjectVersionsCommand = new ListObjectVersionsCommand({
      Bucket: bucket,
      Prefix: base + prefix,
      ...position,
    })
    const page: ListObjectVersionsCommandOutput | undefined = await client
      .send(command, { abortSignal: signal })
      .catch((error) => {
        if (isNotImplemented(error)) return undefined
        throw error
      })
    yield page && versionsOf(page, base)
    const { NextKeyMarker: KeyMarker, NextVersionIdMarker: VersionIdMarker } = page ?? {}
    position = page?.IsTruncated && KeyMarker ? { KeyMarker, VersionIdMarker } : undefined
  }
}

function versionsOf({ Versions, DeleteMarkers }: ListObjectVersionsCommandOutput, base: string): ObjectVersion[] {
  const common = { Size: 0, Key: '', LastModified: new Date(0), VersionId: undefined, IsLatest: false }
  const versions = [
    ...(Versions ?? []).map((version) => ({ ...common, ...version, isDeleteMarker: false })),
    ...(DeleteMarkers ?? []).map((marker) => ({ ...common, ...marker, isDeleteMarker: true })),
  ].map(({ Key, Size, LastModified, VersionId, IsLatest, isDeleteMarker }): ObjectVersion => {
    const version = { key: Key.slice(base.length), bytes: Size, modified: LastModified, versionId: VersionId }
    return { ...version, isLatest: IsLatest, isDeleteMarker }
  })
  // Empty objects named `folder/` are a console's.
  return versions
    .filter(({ key }) => key !== '' && !key.endsWith('/'))
    .sort(
      (a, b) =>
        compareKeys(a.key, b.key) ||
        Number(b.isLatest) - Number(a.isLatest) ||
        b.modified.getTime() - a.modified.getTime(),
    )
}
