import { stopCeph } from './s3-service.ts'

/** Ends the S3 service if the global setup started it. */
export default async function tearDown(): Promise<void> {
  const directory = process.env.LIFEBOAT_TEST_S3_DIRECTORY
  if (directory) await stopCeph(directory)
}
