import type { Meter } from '../../src/base/progress.ts'

/** A meter that keeps what it was told. */
export function countingMeter(): Meter & {
  seen: { expected: number; precision: 'exactly' | 'about' | undefined; added: number }
} {
  const seen: ReturnType<typeof countingMeter>['seen'] = { expected: 0, precision: undefined, added: 0 }
  return {
    seen,
    expect: (bytes, precision) => void Object.assign(seen, { expected: bytes, precision }),
    add: (bytes) => {
      seen.added += bytes
    },
  }
}
