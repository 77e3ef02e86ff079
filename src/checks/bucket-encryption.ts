import { postureCheck } from './posture.ts'

export const bucketEncryptionCheck = postureCheck({
  id: 'bucket-encryption',
  title: 'The storage encrypts what it keeps',
  question: 'whether the storage encrypts what it keeps',
  fact: ({ encryption }) => encryption,
  judge: (encryption) => ({ summary: `by the service: ${encryption}` }),
})
