import { postureCheck } from './posture.ts'

export const publicAccessCheck = postureCheck({
  id: 'public-access',
  title: 'The backup is not open to everybody',
  question: 'whether the backup can be read without credentials',
  fact: ({ publiclyReadable }) => publiclyReadable,
  async judge(publiclyReadable, context) {
    if (!publiclyReadable) return { summary: 'without credentials nothing is to be had' }
    const { encrypted } = await context.openSet()
    const what = encrypted ? 'the backup, which is encrypted,' : 'the backup, which is not encrypted,'
    return {
      summary: 'open to everybody who can reach the service',
      weakness: {
        message: `Whoever reaches the service from where this run ran can read ${what} without credentials`,
        remedy: 'Turn on Block Public Access for the bucket, or take what allows it out of its policy and ACL.',
      },
      severity: encrypted ? 'note' : 'warning',
    }
  },
})
