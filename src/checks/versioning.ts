import { postureCheck } from './posture.ts'

export const versioningCheck = postureCheck({
  id: 'versioning',
  title: 'The storage keeps versions',
  question: 'whether the storage keeps versions',
  fact: ({ versioned }) => versioned,
  judge: (versioned) =>
    versioned
      ? { summary: 'what is deleted or replaced stays as an older version' }
      : {
          summary: 'no versions',
          weakness: {
            message: 'The storage keeps no versions: what is deleted or replaced, by whomever, is gone',
            remedy: 'Turn on versioning for the bucket, with a lifecycle rule that expires noncurrent versions.',
          },
        },
})
