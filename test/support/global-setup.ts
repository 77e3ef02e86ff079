import { startCeph } from './s3-service.ts'

/**
 * Starts what all test files of a run share, before the workers are forked: they find the S3 service by
 * LIFEBOAT_TEST_S3. A run that needs none of it says so by LIFEBOAT_TEST_RINGS=unit. If the service cannot be started
 * the run fails, with the command that installs it: tests are never left out in silence.
 */
export default async function setUp(): Promise<void> {
  if (process.env.LIFEBOAT_TEST_RINGS === 'unit' || process.env.LIFEBOAT_TEST_S3) return
  const { endpoint, directory } = await startCeph()
  process.env.LIFEBOAT_TEST_S3 = endpoint
  process.env.LIFEBOAT_TEST_S3_DIRECTORY = directory
}
