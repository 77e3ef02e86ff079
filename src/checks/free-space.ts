import { formatBytes } from '../base/units.ts'
import { postureCheck } from './posture.ts'

export const freeSpaceCheck = postureCheck({
  id: 'free-space',
  title: 'There is room for the next backup',
  question: 'how much room is left',
  fact: ({ freeBytes }) => freeBytes,
  judge(freeBytes, { head }) {
    const { storedBytes } = head.totals
    const summary = `${formatBytes(freeBytes)} free, ${formatBytes(storedBytes)} taken by this one`
    if (freeBytes > storedBytes) return { summary }
    return {
      summary,
      weakness: {
        message: `The file system has ${formatBytes(freeBytes)} left, less than this backup takes`,
        remedy: 'Free space, or keep fewer backups (`keep-daily` and others).',
      },
      severity: 'warning',
    }
  },
})
