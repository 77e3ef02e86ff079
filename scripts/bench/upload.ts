/**
 * Uploads the files of a folder to a bucket, as a script by the SDK's own examples would: `node upload.ts FOLDER BUCKET
 * ENDPOINT`. Biggest first, several at a time. Prints how long that took, in seconds, without Node's own start.
 */
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { S3Client } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { mapLimited } from '../lib/run.ts'

const FILES_AT_A_TIME = 4

const [folder = '', Bucket = '', endpoint = ''] = process.argv.slice(2)
const began = performance.now()
const client = new S3Client({ endpoint, forcePathStyle: true })
const files = await Promise.all(
  (await readdir(folder)).map(async (name) => ({ name, size: (await stat(path.join(folder, name))).size })),
)
files.sort((a, b) => b.size - a.size)
await mapLimited(files, FILES_AT_A_TIME, ({ name }) => {
  const Body = createReadStream(path.join(folder, name))
  return new Upload({ client, params: { Bucket, Key: name, Body } }).done()
})
client.destroy()
console.log((performance.now() - began) / 1_000)
